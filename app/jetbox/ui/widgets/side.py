"""The side panel: time, the last round, verdicts, files. One widget, one refresh a tick."""

from __future__ import annotations

from jetbox.engine.clock import tier
from jetbox.engine.events import RED
from jetbox.ui import words
from jetbox.ui.glyphs import Glyphs
from jetbox.ui.model import Changed, RoundFigures, SessionView, came_by
from jetbox.ui.text.rows import BLANK, Piece, Row, cells, fit, row, spread
from jetbox.ui.transcript.round import cache_sign, remarks, state_sign
from jetbox.ui.widgets import sparks
from jetbox.ui.widgets.lined import Lined

LABEL = 8
P95_FROM = 20
"""A p95 of fewer values says nothing."""
BY = len("command")
CLOCK_FROM = 40
"""Columns of the panel from which on the time of day fits beside a path."""
KINDS = {"created": ("A", "added"), "modified": ("M", "warning"), "deleted": ("D", "removed")}


class Side(Lined):
    """What the session's events came to, in figures."""

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:
        super().__init__(glyphs, id=id)
        self._view = SessionView()

    def show(self, view: SessionView) -> None:
        """Show this state."""
        self._view = view
        self.redraw()

    def lines(self, width: int) -> list[Row]:
        height = self.size.height
        rows = self._panels(width - 3, height)[:height]
        edge: Piece = (f"{self.glyphs.separator} ", "track")
        return [Row((edge, *each.pieces)) for each in (*rows, *([BLANK] * (height - len(rows))))]

    def _panels(self, width: int, height: int) -> list[Row]:
        """Everything within the edges."""
        view = self._view
        out = [*self._time(view, width), *self._last_round(view, width), *self._probes(view, width)]
        return [*out, *self._files(view, width, max(3, height - len(out)))]

    def _title(self, text: str, width: int) -> Row:
        return row((f"{text} ", "title"), (self.glyphs.rule * max(0, width - len(text) - 1), "track"))

    # ------------------------------------------------------------ time

    def _time(self, view: SessionView, width: int) -> list[Row]:
        out = [self._title("time", width)]
        if not view.rounds:
            return [*out, row(("no round yet", "faint")), BLANK]
        shown = view.rounds[-max(1, (width - LABEL - 10) // sparks.CELL) :]
        out.append(self._line("round", [(sparks.round_numbers(shown), "faint")], "", width))
        out += self._llm(view.rounds, shown, width)
        if any(figures.ttft >= 0 for figures in shown):
            last = next(figures.ttft for figures in reversed(shown) if figures.ttft >= 0) if shown else 0
            bars = sparks.spark([figures.ttft for figures in shown], ["dim"] * len(shown), self.glyphs)
            out.append(self._line("ttft", bars, words.duration(last), width))
        out += self._probe(view.rounds, shown, width)
        return [*out, BLANK]

    def _llm(self, rounds: list[RoundFigures], shown: list[RoundFigures], width: int) -> list[Row]:
        values = [-1 if figures.open else figures.llm for figures in shown]
        styles = [f"tier.{tier(max(0, value))}" for value in values]
        known = [figures.llm for figures in rounds if not figures.open]
        if not known:
            return [self._line("llm", [(self.glyphs.more, "dim")], "", width)]
        said = f"p50 {words.duration(sparks.percentile(known, 0.5))}"
        if len(known) >= P95_FROM:
            said += f"  p95 {words.duration(sparks.percentile(known, 0.95))}"
        said += f"  n {len(known)}  sum {words.duration(sum(known))}"
        return [
            self._line("llm", sparks.spark(values, styles, self.glyphs), words.duration(known[-1]), width),
            self._line("", [(said, "dim")], "", width),
        ]

    def _probe(self, rounds: list[RoundFigures], shown: list[RoundFigures], width: int) -> list[Row]:
        probed = [figures for figures in rounds if figures.probes]
        if not probed:
            return []
        values = [figures.probe_run if figures.probes else -1 for figures in shown]
        styles = ["failed" if figures.red else "ok" if figures.green else "dim" for figures in shown]
        bars = sparks.spark(values, styles, self.glyphs)
        return [
            self._line("probe", bars, words.duration(probed[-1].probe_run), width),
            self._line("cache", sparks.cache_signs(shown, self.glyphs), "", width),
            *(self._line("", [(said, "dim")], "", width) for said in self._view.probing_words),
        ]

    def _line(self, label: str, pieces: list[Piece], figure: str, width: int) -> Row:
        return spread((((f"{label:<{LABEL}}"), "dim"), *pieces), ((figure, ""),) if figure else (), width)

    # ------------------------------------------------------------ the last round

    def _last_round(self, view: SessionView, width: int) -> list[Row]:
        ended = next((figures for figures in reversed(view.rounds) if not figures.open), None)
        if ended is None:
            return []
        out = [self._title(f"round {ended.number}", width)]
        out.append(Row(tuple(sparks.phase_bar(ended.phases, width, self.glyphs))))
        out += [Row(tuple(line)) for line in sparks.legend(ended.phases, width, self.glyphs)]
        if ended.verdicts:
            said = f"probes waited {words.duration(ended.exposed)}, hits {ended.hits}/{ended.verdicts}"
            said += f", saved {words.duration(ended.saved)}" if ended.saved else ""
            out.append(Row(fit(((said, "dim"),), width)))
        return [*out, BLANK]

    # ------------------------------------------------------------ probes and files

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
            # The remarks go before what may be cut.
            said = ", ".join([*remarks(probe), probe.summary or probe.state])
            shade = style if probe.state in RED else "dim" if probe.state != "passed" else ""
            figure: tuple[Piece, ...] = ()
            if probe.state != "skipped":
                how = came_by(probe)
                took = "unchanged" if how == "hit" else words.duration(probe.duration_ns)
                figure = ((f"{cache_sign(how, self.glyphs)} {took}", "hit" if how == "hit" else "dim"),)
            out.append(spread(((f"{sign} ", style), (f"{name:<{column}}", ""), (said, shade)), figure, width))
        return [*out, BLANK]

    def _files(self, view: SessionView, width: int, most: int) -> list[Row]:
        if not view.files:
            return []
        out = [self._title("files", width)]
        unnamed, by, clock = view.unnamed
        changes = list(reversed(view.files.values()))
        room = max(1, most - 2 - bool(unnamed))
        shown = changes if len(changes) <= room else changes[: room - 1]
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


class TimeLine(Lined):
    """The panel folded into one line, for narrow screens."""

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:
        super().__init__(glyphs, id=id)
        self._view = SessionView()

    def show(self, view: SessionView) -> None:
        """Show this state."""
        self._view = view
        self.redraw()

    def lines(self, width: int) -> list[Row]:
        view = self._view
        shown = view.rounds[-max(4, (width - 44) // (2 * sparks.CELL)) :]
        if not shown:
            return [row((" no round yet", "faint"))]
        values = [-1 if figures.open else figures.llm for figures in shown]
        styles = [f"tier.{tier(max(0, value))}" for value in values]
        known = [figures.llm for figures in view.rounds if not figures.open]
        pieces: list[Piece] = [(" llm ", "dim"), *sparks.spark(values, styles, self.glyphs)]
        if known:
            pieces.append((f"{words.duration(known[-1])}   ", ""))
        if any(figures.probes for figures in shown):
            pieces += [("probe ", "dim"), *sparks.cache_signs(shown, self.glyphs)]
        for name, probe in view.verdicts.items():
            sign, style = state_sign(probe.state, self.glyphs)
            pieces += [(f" {name} ", "dim"), (sign, style)]
        return [Row(fit(pieces, width))]
