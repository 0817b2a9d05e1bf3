"""The side panel: time, the last round, verdicts, files. One widget, one refresh a tick."""

from __future__ import annotations

from collections.abc import Callable

from textual import events

from jetbox.engine.clock import tier
from jetbox.engine.events import RED
from jetbox.record.reference import ROUND_NS
from jetbox.record.spent import RoundTime
from jetbox.record.timing import percentile
from jetbox.ui import words
from jetbox.ui.glyphs import Glyphs
from jetbox.ui.model import SessionView
from jetbox.ui.rounds import Changed, RoundFigures, Tally
from jetbox.ui.text.rows import BLANK, Piece, Row, cells, fit, one_line, row, spread
from jetbox.ui.transcript.round import remarks, state_sign
from jetbox.ui.verdicts import cache_sign, came_by
from jetbox.ui.widgets import sparks
from jetbox.ui.widgets.bars import axis, painted
from jetbox.ui.widgets.lined import Lined

LABEL = 8
EDGE = 2
TICK_NS = 100_000_000
FIGURE = 10
"""Cells that the figure after the bars takes."""
P95_FROM = 20
"""A p95 of fewer values says nothing."""
BY = len("command")
TALL = 26
"""Rows of the panel from which on the rounds' own time has room beside what it was spent on."""
CLOCK_FROM = 40
"""Columns of the panel from which on the time of day fits beside a path."""
KINDS = {"created": ("A", "added"), "modified": ("M", "warning"), "deleted": ("D", "removed")}


class Side(Lined):
    """What the session's events came to, in figures."""

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:
        super().__init__(glyphs, id=id)
        self._view = SessionView()
        self.reference = ROUND_NS
        """Of a round, ns; 0 where no line is wanted."""
        self._now = 0
        """In whole ticks: what is shown does not depend on when in a tick it is drawn."""
        self._drawn = (-1, -1, -1)
        self._pointed = 0
        """The round whose figures are shown; 0 for the newest."""
        self._bars_to = 0
        """The row after the last that has bars."""
        self._columns: list[int] = []
        """Numbers of the rounds that have a bar, from left to right."""
        self._kept: dict[tuple[str, int, int], list[Row]] = {}
        """Parts that time alone does not change, as they were last said."""

    def show(self, view: SessionView, now: int) -> None:
        """Show this state."""
        if view is not self._view:
            self._pointed = 0
        self._kept.clear()
        self._view, self._now = view, now // TICK_NS * TICK_NS
        self._drawn = self._state
        self.redraw()

    def tick(self, now: int) -> None:
        """Time went on: the bar of the round that runs grows."""
        self._now = now // TICK_NS * TICK_NS
        state = self._state
        if self._view.timing.live is not None and self._drawn != state:
            if self._drawn[1:] != state[1:]:
                self._kept.clear()
            self._drawn = state
            self.redraw()

    @property
    def _state(self) -> tuple[int, int, int]:
        """What the bar of the round that runs depends on, besides the events that are shown at once."""
        live = self._view.timing.live
        return (self._now, live.first, live.spoke) if live is not None else (self._now, -1, -1)

    def point(self, by: int) -> int:
        """Show the figures of the round before or after; returns its number, 0 for the newest again."""
        numbers = self._view.rounds.numbers
        if numbers:
            at = numbers.index(self._pointed) if self._pointed in numbers else len(numbers) - 1
            at = max(0, at + by)
            self._point(numbers[at] if at < len(numbers) - 1 else 0)
        return self._pointed

    def _point(self, number: int) -> None:
        if number != self._pointed:
            self._pointed = number
            self._kept.clear()
            self.redraw()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """The round under the mouse is the one whose figures are shown."""
        at = (event.x - EDGE - LABEL) // sparks.CELL
        over = 0 < event.y < self._bars_to and event.x >= EDGE + LABEL and at < len(self._columns)
        self._point(self._columns[at] if over else 0)

    def on_leave(self, event: events.Leave) -> None:
        self._point(0)

    def lines(self, width: int) -> list[Row]:
        height = self.size.height
        rows = self._panels(width - 3, height)[:height]
        edge: Piece = (f"{self.glyphs.separator} ", "track")
        return [Row((edge, *each.pieces)) for each in (*rows, *([BLANK] * (height - len(rows))))]

    def _panels(self, width: int, height: int) -> list[Row]:
        """Everything within the edges."""
        view = self._view
        out = [
            *self._part("time", lambda: self._time(view, width, height), width, height),
            *self._last_round(view, width),
            *self._part("probes", lambda: self._probes(view, width), width),
        ]
        left = max(3, height - len(out))
        return [*out, *self._part("files", lambda: self._files(view, width, left), width, left)]

    def _part(self, name: str, say: Callable[[], list[Row]], width: int, height: int = 0) -> list[Row]:
        """A part as it was said before, where there was no event since."""
        rows = self._kept.get((name, width, height))
        if rows is None:
            rows = self._kept[name, width, height] = say()
        return rows

    def _title(self, text: str, width: int) -> Row:
        return row((f"{text} ", "title"), (self.glyphs.rule * max(0, width - len(text) - 1), "track"))

    def _time(self, view: SessionView, width: int, height: int) -> list[Row]:
        out = [self._title("time", width)]
        if not view.rounds:
            return [*out, row(("no round yet", "faint")), BLANK]
        most = max(1, (width - LABEL - FIGURE) // sparks.CELL)
        shown = view.rounds.around(self._pointed, most)
        self._columns = [figures.number for figures in shown]
        numbers = sparks.round_numbers(shown)
        out.append(self._line("round", self._marked(numbers, "faint"), "", width))
        if self.reference and height >= TALL:
            out += self._walls(shown, width)
        out += self._llm(view.tally, shown, width)
        out += self._server(shown, width)
        out += self._probe(view.tally.probed, shown, width)
        self._bars_to = len(out)
        return [*out, *self._switch(width), BLANK]

    def _marked(self, numbers: str, style: str) -> list[Piece]:
        """The rounds' numbers; where the model changed, a mark, and the pointed one stands out."""
        timing = self._view.timing
        changed = {each.before + 1 for each in timing.switches if each.before}
        text = numbers.ljust(len(self._columns) * sparks.CELL)
        out: list[Piece] = []
        for n, number in enumerate(self._columns):
            cell = text[n * sparks.CELL : (n + 1) * sparks.CELL]
            following = self._columns[n + 1] if n + 1 < len(self._columns) else 0
            if number == self._pointed:
                out.append((cell, "selected"))
            elif following in changed and cell.endswith(" "):
                out += [(cell[:-1], style), (self.glyphs.separator, "accent")]
            else:
                out.append((cell, style))
        return out

    def _switch(self, width: int) -> list[Row]:
        """The latest change of model, and the median wait for either."""
        timing = self._view.timing
        switches = [each for each in timing.switches if each.before]
        if not switches:
            return []
        last = switches[-1]
        before, after = timing.around(last)
        said = f"llm p50 {words.duration(before)} to {words.duration(after) if after >= 0 else self.glyphs.more}"
        names = f"{one_line(last.old)} to {one_line(last.new)}"
        return [
            Row(fit(((f"{self.glyphs.separator} ", "accent"), (names, "")), width)),
            Row(fit((("  ", ""), (said, "dim")), width)),
        ]

    def _server(self, shown: list[RoundFigures], width: int) -> list[Row]:
        """First token, rate of writing, reuse of the prompt, and the window, as the server told them."""
        glyphs = self.glyphs
        known = {each.number: each for each in self._view.timing.rounds[-len(shown) - self._behind(shown) :]}
        rounds = [known.get(figures.number) for figures in shown]
        out: list[Row] = []
        firsts = [figures.ttft for figures in shown]
        if max(firsts) >= 0:
            last = next(ttft for ttft in reversed(firsts) if ttft >= 0)
            out.append(
                self._line("ttft", sparks.spark(firsts, ["dim"] * len(shown), glyphs), words.duration(last), width)
            )
        rates = [round(each.rate) if each and each.rate else -1 for each in rounds]
        if max(rates) > 0:
            said = next(each.rate_words for each in reversed(rounds) if each and each.rate)
            out.append(self._line("tok/s", sparks.spark(rates, ["phase.decode"] * len(shown), glyphs), said, width))
        reuse = [round(each.reuse * 100) if each and each.reuse is not None else -1 for each in rounds]
        if max(reuse) >= 0:
            said = next(each.reuse_words for each in reversed(rounds) if each and each.reuse_words)
            bars = sparks.spark(reuse, ["hit"] * len(shown), glyphs, most=100)
            out.append(self._line("prefix", bars, said, width))
        window = self._view.window
        sizes = [each.prompt + each.written if each and each.prompt else -1 for each in rounds]
        if window and max(sizes) > 0:
            share = self._view.context_share
            bars = sparks.spark(sizes, ["dim"] * len(shown), glyphs, most=window)
            about = "~" * self._view.estimated
            out.append(self._line("context", bars, f"{about}{share:.0%}" if share is not None else "", width))
        return out

    def _behind(self, shown: list[RoundFigures]) -> int:
        """How many rounds come after those that are shown."""
        return max(0, self._view.rounds[-1].number - shown[-1].number) if shown else 0

    def _walls(self, shown: list[RoundFigures], width: int) -> list[Row]:
        """The rounds' own time, with the line that they are measured against."""
        ended = [figures for figures in shown if not figures.open]
        if not ended:
            return []
        values = [-1 if figures.open else figures.wall for figures in shown]
        styles = [f"tier.{figures.tier or 'running'}" for figures in shown]
        above, below = sparks.sparks_with_line(values, styles, self.glyphs, self.reference)
        line = f"{self.glyphs.sparks[0] * 2} {words.duration(self.reference)}"
        return [
            spread(((f"{'':<{LABEL}}", ""), *above), ((line, "faint"),), width),
            self._line("wall", below, words.duration(ended[-1].wall), width),
        ]

    def _llm(self, tally: Tally, shown: list[RoundFigures], width: int) -> list[Row]:
        values = [-1 if figures.open else figures.llm for figures in shown]
        styles = [f"tier.{tier(max(0, value))}" for value in values]
        if not tally.waits:
            return [self._line("llm", [(self.glyphs.more, "dim")], "", width)]
        said = f"p50 {words.duration(percentile(tally.waits, 0.5))}"
        if len(tally.waits) >= P95_FROM:
            said += f"  p95 {words.duration(percentile(tally.waits, 0.95))}"
        said += f"  n {len(tally.waits)}  sum {words.duration(tally.waited)}"
        return [
            self._line("llm", sparks.spark(values, styles, self.glyphs), words.duration(tally.latest), width),
            self._line("", [(said, "dim")], "", width),
        ]

    def _probe(self, probed: RoundFigures | None, shown: list[RoundFigures], width: int) -> list[Row]:
        if probed is None:
            return []
        values = [figures.probe_run if figures.probes else -1 for figures in shown]
        styles = ["failed" if figures.red else "ok" if figures.green else "dim" for figures in shown]
        bars = sparks.spark(values, styles, self.glyphs)
        return [
            self._line("probe", bars, words.duration(probed.probe_run), width),
            self._line("cache", sparks.cache_signs(shown, self.glyphs), "", width),
            *(self._line("", [(said, "dim")], "", width) for said in self._view.probing_words),
        ]

    def _line(self, label: str, pieces: list[Piece], figure: str, width: int) -> Row:
        return spread((((f"{label:<{LABEL}}"), "dim"), *pieces), ((figure, ""),) if figure else (), width)

    def _last_round(self, view: SessionView, width: int) -> list[Row]:
        live, timing = view.timing.live, view.timing
        if live is not None and self._pointed in (0, live.number):
            return self._at_work(width)
        number = self._pointed or (timing.rounds[-1].number if timing.rounds else 0)
        done = self._found(number)
        at = view.rounds.find(number)
        if done is None or at < 0:
            return []
        figures = view.rounds[at]
        out = [self._title(f"round {number}  {words.duration(done.wall)}", width)]
        out.append(Row(tuple(painted(done.segments, done.start, done.end, width, self.glyphs))))
        out.append(row((axis(0, done.wall, 0, width), "faint")))
        out += [Row(tuple(line)) for line in sparks.legend(done.phases, width, self.glyphs)]
        if self._pointed:
            out += self._told(done, width)
        if figures.verdicts:
            said = f"probes waited {words.duration(figures.exposed)}, hits {figures.hits}/{figures.verdicts}"
            said += f", saved {words.duration(figures.saved)}" if figures.saved else ""
            out.append(Row(fit(((said, "dim"),), width)))
        return [*out, BLANK]

    def _found(self, number: int) -> RoundTime | None:
        rounds = self._view.timing.rounds
        near = rounds[number - 1] if 0 < number <= len(rounds) else None
        if near is not None and near.number == number:
            return near
        return next((each for each in reversed(rounds) if each.number == number), None)

    def _told(self, done: RoundTime, width: int) -> list[Row]:
        """More of a round that is pointed at."""
        parts = [f"ttft {words.duration(done.ttft)}"] if done.ttft >= 0 else []
        parts += [f"{done.rate_words} tok/s"] if done.rate else []
        parts += [f"{done.reuse_words} reused"] if done.reuse_words else []
        parts += [f"{words.count(done.prompt)} tokens"] if done.prompt else []
        return [Row(fit(((", ".join(parts), "dim"),), width))] if parts else []

    def _at_work(self, width: int) -> list[Row]:
        """The round that runs, as far as it has come; the scale is what a round took so far, or more."""
        timing = self._view.timing
        live = timing.live
        assert live is not None
        now = max(self._now, live.start + 1)
        parts = live.segments(now)
        wall = now - live.start
        usual = timing.worked[len(timing.worked) // 2] if timing.worked else 0
        scale = max(wall, usual, 1_000_000_000)
        if wall > usual:
            scale = max(1_000_000_000, 1 << (wall - 1).bit_length())
        split: dict[str, int] = {}
        for name, low, high in parts:
            split[name] = split.get(name, 0) + high - low
        out = [self._title(f"round {live.number}  {words.elapsed(wall)}", width)]
        out.append(Row(tuple(painted(parts, live.start, live.start + scale, width, self.glyphs))))
        out.append(row((axis(0, scale, 0, width), "faint")))
        out += [Row(tuple(line)) for line in sparks.legend(split, width, self.glyphs)]
        return [*out, BLANK]

    def _probes(self, view: SessionView, width: int) -> list[Row]:
        names = [*view.verdicts, *(name for name in view.probing if name not in view.verdicts)]
        if not names:
            return []
        out = [self._title("probes", width)]
        column = min(16, max(cells(name) for name in names)) + 2
        for name in names:
            if name in view.probing:
                left: list[Piece] = [(f"{self.glyphs.more} ", "dim"), (f"{name:<{column}}", ""), ("running", "dim")]
                out.append(Row(fit(left, width)))
                continue
            probe = view.verdicts[name]
            sign, style = state_sign(probe.state, self.glyphs)
            older = name in view.older
            style = "dim" if older and probe.state == "passed" else style
            # The remarks go before what may be cut.
            said = ", ".join([*remarks(probe), probe.summary or probe.state])
            shade = style if probe.state in RED else "dim" if probe.state != "passed" else ""
            figure: tuple[Piece, ...] = ()
            if older:
                figure = (("files changed since" if view.older[name] else "from before", "dim"),)
            elif probe.state != "skipped":
                how = came_by(probe)
                took = "unchanged" if how == "hit" else words.duration(probe.duration_ns)
                figure = ((f"{cache_sign(how, self.glyphs)} {took}", "hit" if how == "hit" else "dim"),)
            out.append(spread(((f"{sign} ", style), (f"{name:<{column}}", ""), (said, shade)), figure, width))
            if probe.why and probe.cache in ("ran", "partial") and probe.state != "skipped" and not older:
                out.append(Row(fit([("  ", ""), (one_line(probe.why), "dim")], width)))
        return [*out, BLANK]

    def _files(self, view: SessionView, width: int, most: int) -> list[Row]:
        if not view.files:
            return []
        out = [self._title("files", width)]
        unnamed, by, clock = view.unnamed
        changes = list(reversed(view.files.values()))
        room = max(1, most - 2 - bool(unnamed))
        shown = changes if len(changes) <= room else changes[: max(1, room - 1)]
        if unnamed:
            said = f"{self.glyphs.more} {unnamed:,} more at once"
            out.append(spread(((said, "dim"),), ((f"{by} {clock}".strip(), "dim"),), width))
        out += [self._file(changed, width) for changed in shown]
        if len(changes) > len(shown):
            out.append(row((f"{self.glyphs.more} {len(changes) - len(shown)} more", "faint")))
        return out

    def _file(self, changed: Changed, width: int) -> Row:
        """What became of a file, and who did it when; on a narrow panel without the time."""
        change = changed.change
        letter, style = KINDS[change.kind]
        figure: list[Piece] = []
        if change.added:
            figure.append((f"+{change.added} ", "added"))
        if change.removed:
            figure.append((f"-{change.removed} ", "removed"))
        # The agent's own are most: others stand out.
        who = "dim" if changed.by == "agent" else "warning"
        figure.append((f" {changed.by:>{BY}}", who))
        if changed.clock and width >= CLOCK_FROM:
            figure.append((f" {changed.clock}", "dim"))
        wide = width - 4 - sum(cells(text) for text, _ in figure)
        return spread(((f"{letter} ", style), (words.short_path(change.path, "", wide), "")), tuple(figure), width)
