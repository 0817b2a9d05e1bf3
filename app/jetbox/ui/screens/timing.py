"""Where the time went: all rounds as a waterfall or a table, and the session's figures beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from textual.binding import Binding, BindingType

from jetbox.record.spent import RoundTime
from jetbox.record.timing import Timing
from jetbox.ui import words
from jetbox.ui.figures import expected_rows, round_rows, saving_rows, session_rows
from jetbox.ui.screens.browser import Browser
from jetbox.ui.text.rows import BLANK, Piece, Row, row
from jetbox.ui.widgets.bars import Bars, axis, painted

if TYPE_CHECKING:
    from jetbox.ui.screens.overlays import Overlays

TICK_S = 0.1
LABEL = 15
"""Cells before the bars."""
LEAST_NS = 1_000_000
PAGES = ("session", "savings", "round", "expected")


class Column(NamedTuple):
    """One figure of each round."""

    name: str
    wide: int
    of: Callable[[RoundTime], float]
    """What the table is sorted by; negative where it is not known."""
    said: Callable[[float], str]


def _time(ns: float) -> str:
    return words.duration(round(ns))


COLUMNS = (
    Column("round", 6, lambda r: r.number, str),
    Column("wall", 9, lambda r: r.wall, _time),
    Column("llm", 9, lambda r: r.llm, _time),
    Column("ttft", 9, lambda r: r.ttft, _time),
    Column("tools", 9, lambda r: r.phases.get("tools", 0), _time),
    Column("probe", 9, lambda r: r.probe, _time),
    Column("tok/s", 7, lambda r: r.rate or -1, "{:.0f}".format),
    Column("reused", 8, lambda r: -1 if r.reuse is None else r.reuse, "{:.0%}".format),
    Column("prompt", 8, lambda r: r.prompt or -1, lambda tokens: words.count(round(tokens))),
)


class TimingScreen(Browser):
    """Lies over the workbench; grows with the round that runs."""

    BINDING_GROUP_TITLE = "Timing"
    TITLE_TEXT = "timing"
    HINTS = (
        ("timing.page", "page"),
        ("timing.table", "table, bars"),
        ("timing.sort", "sorts"),
        ("timing.in", "in"),
        ("timing.out", "out"),
        ("timing.fit", "fits"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "page(1)", "The next page of figures", id="timing.page", show=False),
        Binding("shift+tab", "page(-1)", "The page before", id="timing.page_back", show=False, priority=True),
        Binding("t", "table", "Table, or bars", id="timing.table", show=False),
        Binding("s", "sort", "Sort the table by the next column", id="timing.sort", show=False),
        Binding("r", "reverse", "Sort the other way", id="timing.reverse", show=False),
        Binding("plus,equals_sign", "zoom(0.5)", "Closer", id="timing.in", show=False),
        Binding("minus", "zoom(2.0)", "Further away", id="timing.out", show=False),
        Binding("0", "fit", "All that is in sight", id="timing.fit", show=False),
        Binding("left,h", "pan(-1)", "Earlier", id="timing.left", show=False),
        Binding("right,l", "pan(1)", "Later", id="timing.right", show=False),
        Binding("enter", "round", "The round in figures", id="timing.round", show=False),
        Binding("f2", "dismiss(None)", "Close", id="timing.close", show=False),
    ]

    def __init__(self, bench: Overlays) -> None:
        super().__init__(bench)
        bars = Bars(bench.glyphs, id="browser-list")
        bars.paint(bench.status.colours)
        bars.header, bars.clicked = self._header, self._header_clicked
        bars.empty = "no round yet"
        self.list: Bars = bars
        self._as: Literal["bars", "table"] = "bars"
        self._page = 0
        self._sorted, self._down = 0, False
        self._order: list[RoundTime] = []
        self._window = 0
        """How much time the bars show, ns; 0: what the rows in sight took."""
        self._from = 0
        self._shown: tuple[Timing, int, int, int] | None = None
        """What list and figures were made of."""

    @property
    def timing(self) -> Timing:
        return self.bench.view.timing

    def begin(self) -> None:
        self._arrange()
        self._shown = self._state
        self.list.fill(self._count, self._row, self._count - 1)
        self.set_interval(TICK_S, self._tick)
        self.chose()

    def _tick(self) -> None:
        if self.timing.live is not None:
            self.list.redraw()

    def look(self) -> None:
        """Show what is true now; the newest round stays chosen where it was."""
        state = self._state
        if state == self._shown:
            self._tick()
            return
        last = self.list.at >= self.list.count - 1
        self._arrange()
        self._shown = state
        self.list.fill(self._count, self._row, self._count - 1 if last else self.list.at)
        self.leaf.show(self._lay_out, keep=True)

    @property
    def _state(self) -> tuple[Timing, int, int, int]:
        """What list and figures depend on: sorting and adding up all rounds is nothing for every event."""
        timing = self.timing
        told = timing.verdicts + timing.shortened.times
        return timing, len(timing.rounds), told, timing.live.number if timing.live is not None else -1

    def _arrange(self) -> None:
        """The rounds in the order in which they are shown."""
        if self._as == "bars":
            self._order = self.timing.rounds
        else:
            self._order = sorted(self.timing.rounds, key=COLUMNS[self._sorted].of, reverse=self._down)
        self.list.label = LABEL if self._as == "bars" else 0

    @property
    def _count(self) -> int:
        return len(self._order) + (self.timing.live is not None and self._as == "bars")

    @property
    def _chosen(self) -> RoundTime | None:
        return self._order[self.list.at] if self.list.at < len(self._order) else None

    def _row(self, number: int, width: int) -> list[Piece]:
        if self._as == "table":
            return self._table_row(self._order[number], width)
        glyphs, now = self.bench.glyphs, self.bench.source.now()
        room = max(1, width - LABEL)
        (start, end), idle = self._stretch(), self._idle(number)
        if number < len(self._order):
            done = self._order[number]
            label: list[Piece] = [
                (f"{glyphs.round} {done.number:<4}", f"tier.{done.tier}"),
                (f"{words.duration(done.wall):>8} ", f"tier.{done.tier}"),
            ]
            return [*label, *painted(done.segments, start + idle, end + idle, room, glyphs)]
        live = self.timing.live
        if live is None:
            return []
        label = [
            (f"{glyphs.round} {live.number:<4}", "tier.running"),
            (f"{words.elapsed(max(0, now - live.start)):>8} ", "tier.running"),
        ]
        return [*label, *painted(live.segments(now), start + idle, end + idle, room, glyphs)]

    def _columns(self, width: int) -> tuple[Column, ...]:
        """As many as fit."""
        left = width
        for n, column in enumerate(COLUMNS):
            left -= column.wide
            if left < 0:
                return COLUMNS[:n]
        return COLUMNS

    def _table_row(self, done: RoundTime, width: int) -> list[Piece]:
        out: list[Piece] = []
        for n, column in enumerate(self._columns(width)):
            style = f"tier.{done.tier}" if column.name == "wall" or not n else ""
            value = column.of(done)
            said = column.said(value) if value >= 0 else "-"
            said = done.rate_words if column.name == "tok/s" and done.rate else said
            said = done.reuse_words if column.name == "reused" and done.reuse_words else said
            out.append((f"{said:>{column.wide}}", style))
        return out

    def _header(self, width: int) -> list[Piece]:
        if self._as == "bars":
            start, end = self._stretch()
            origin = self._begun(self.list.sight.start) if self._window == 0 else self._begun(self.list.at)
            return [(" " * LABEL, ""), (axis(start, end, origin, width - LABEL), "faint")]
        out: list[Piece] = []
        glyphs = self.bench.glyphs
        for n, column in enumerate(self._columns(width)):
            mark = (glyphs.falling if self._down else glyphs.rising) if n == self._sorted else ""
            out.append((f"{mark + column.name:>{column.wide}}", "bold" if n == self._sorted else "dim"))
        return out

    def _header_clicked(self, x: int) -> None:
        if self._as != "table":
            return
        at = 0
        for n, column in enumerate(COLUMNS):
            if at <= x < at + column.wide:
                self._sort_by(n, not self._down if n == self._sorted else n > 0)
            at += column.wide

    def _idle(self, number: int) -> int:
        """Time before the round in which nothing was worked on: the bars leave it out."""
        if number < len(self.timing.idle):
            return self.timing.idle[number]
        return self.timing.idle_before(self.timing.live.start) if self.timing.live is not None else 0

    def _begun(self, number: int) -> int:
        """Where the round begins on the axis."""
        if number < len(self._order):
            return self._order[number].start - self._idle(number)
        return self.timing.live.start - self._idle(number) if self.timing.live is not None else 0

    def _over(self, number: int) -> int:
        if number < len(self._order):
            return self._order[number].end - self._idle(number)
        return max(self.bench.source.now() - self._idle(number), self._begun(number) + LEAST_NS)

    def _stretch(self) -> tuple[int, int]:
        """From when to when the bars show: what the rows in sight took, or what was zoomed to."""
        if self._window:
            return self._from, self._from + self._window
        sight = self.list.sight
        if not sight:
            return 0, 1
        return self._begun(sight.start), max(self._over(sight.stop - 1), self._begun(sight.start) + LEAST_NS)

    def action_zoom(self, by: float) -> None:
        """Closer around where the chosen round begins, or further away."""
        if self._as != "bars" or not self.list.count:
            return
        start, end = self._stretch()
        anchor = min(max(self._begun(self.list.at), start), end)
        window = max(LEAST_NS * 10, round((end - start) * by))
        self._from = anchor - round((anchor - start) * window / (end - start))
        self._window = window
        self.list.redraw()

    def action_fit(self) -> None:
        self._window = 0
        self.list.redraw()

    def action_pan(self, by: int) -> None:
        start, end = self._stretch()
        if self._as == "bars" and self.list.count:
            self._window = end - start
            self._from = start + by * self._window // 4
            self.list.redraw()

    def action_table(self) -> None:
        chosen = self._chosen
        self.set_class(self._as == "bars", "-wide-list")
        self._as = "table" if self._as == "bars" else "bars"
        self._arrange()
        self.list.fill(self._count, self._row, self._order.index(chosen) if chosen else self._count - 1)

    def action_sort(self) -> None:
        if self._as == "table":
            at = (self._sorted + 1) % len(COLUMNS)
            self._sort_by(at, at > 0)

    def action_reverse(self) -> None:
        if self._as == "table":
            self._sort_by(self._sorted, not self._down)

    def _sort_by(self, column: int, down: bool) -> None:
        self._sorted, self._down = column, down
        self._arrange()
        self.list.fill(self._count, self._row, 0)
        self.chose()

    def action_page(self, by: int) -> None:
        self._page = (self._page + by) % len(PAGES)
        self.leaf.show(self._lay_out)

    def action_round(self) -> None:
        self._page = PAGES.index("round")
        self.leaf.show(self._lay_out)

    def enter(self) -> None:
        self.action_round()

    def chose(self) -> None:
        start, end = self._stretch()
        if self._window and self.list.count and not start <= self._begun(self.list.at) < end:
            self._from = self._begun(self.list.at) - self._window // 8
            self.list.redraw()
        self.leaf.show(self._lay_out, keep=PAGES[self._page] != "round")

    def _lay_out(self, width: int) -> Iterable[Row]:
        tabs: list[Piece] = []
        for n, name in enumerate(PAGES):
            tabs += [(name, "brand" if n == self._page else "faint"), ("   ", "")]
        glyphs, chosen = self.bench.glyphs, self._chosen
        if PAGES[self._page] == "session":
            rows: Iterable[Row] = session_rows(self.timing, width, glyphs)
        elif PAGES[self._page] == "savings":
            rows = saving_rows(self.timing, width, glyphs)
        elif PAGES[self._page] == "expected":
            rows = expected_rows(self.timing, width, glyphs)
        elif chosen is not None:
            rows = round_rows(chosen, self.timing, width, glyphs)
        else:
            rows = [row(("the round is not over yet", "dim"))]
        return chain((Row(tuple(tabs)), BLANK), rows)
