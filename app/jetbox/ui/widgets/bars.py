"""Rounds as bars beneath one axis of time: a list that scrolls, zooms and pans."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import events
from textual.geometry import Size

from jetbox.record.spent import Segment
from jetbox.ui import words
from jetbox.ui.glyphs import Glyphs
from jetbox.ui.text.rows import Piece, Row, cells, fit
from jetbox.ui.widgets.pick import Pick

STEPS = (1, 2, 5)
Header = Callable[[int], list[Piece]]


def painted(parts: Sequence[Segment], start: int, end: int, width: int, glyphs: Glyphs) -> list[Piece]:
    """The stretch [start, end] in `width` cells: each cell is the phase that has most of it."""
    if end <= start or width <= 0:
        return []
    names = [""] * width
    held = [0.0] * width
    scale = width / (end - start)
    for name, low, high in parts:
        if high <= start or low >= end:
            continue
        a, b = max(0.0, (low - start) * scale), min(float(width), (high - start) * scale)
        for cell in range(int(a), min(width, int(b) + 1)):
            share = min(b, cell + 1) - max(a, cell)
            if share > held[cell]:
                names[cell], held[cell] = name, share
    out: list[Piece] = []
    for name in names:
        text, style = (glyphs.block, f"phase.{name}") if name else (" ", "")
        if out and out[-1][1] == style:
            out[-1] = (out[-1][0] + text, style)
        else:
            out.append((text, style))
    return out


def axis(start: int, end: int, origin: int, width: int) -> str:
    """Round figures of time along [start, end], counted from `origin`; before it they are negative."""
    span = end - start
    if span <= 0 or width < 12:
        return ""
    step = _step(span * 12 // width)
    out = ""
    tick = -(-(start - origin) // step) * step
    while tick <= end - origin:
        at = round((tick + origin - start) * width / span)
        label = ("-" if tick < 0 else "") + words.duration(abs(tick)) if tick else "0"
        if at + len(label) <= width and at >= len(out) + bool(out):
            out = out.ljust(at) + label
        tick += step
    return out


def _step(least: int) -> int:
    """The next of 1, 2, 5, 10, ... that is no smaller; from a millisecond on."""
    unit = 1_000_000
    while True:
        for step in STEPS:
            if step * unit >= least:
                return step * unit
        unit *= 10


class Bars(Pick):
    """A list with a header; the chosen row keeps the colours of its bar."""

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:
        super().__init__(glyphs, id=id)
        self.header: Header = lambda _width: []
        self.label = 0
        """Cells at the beginning of a row that show that it is chosen; 0 for all."""
        self.clicked: Callable[[int], None] = lambda _x: None
        """Called with the column where the header was clicked."""

    @property
    def page(self) -> int:
        return max(1, self.size.height - 1)

    @property
    def sight(self) -> range:
        """The rows that are in sight."""
        return range(self._top, min(self.count, self._top + self.page))

    def settle(self) -> None:
        """Scroll so that the chosen row is in sight."""
        self._top = max(0, min(self._top, self.at, self.count - self.page))
        self._top = max(self._top, self.at - self.page + 1)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return 1 + super().get_content_height(container, viewport, width)

    def lines(self, width: int) -> list[Row]:
        self.settle()
        return [Row(fit(self.header(width), width)), *super().lines(width)]

    def _row(self, number: int, width: int) -> Row:
        if number != self.at or not self.label:
            return super()._row(number, width)
        out: list[Piece] = []
        left = self.label
        for text, style in fit(self._describe(number, width), width):
            out.append((text, "selected" if left > 0 else style))
            left -= cells(text)
        return Row(tuple(out))

    def on_click(self, event: events.Click) -> None:
        if event.y == 0:
            self.clicked(event.x)
            return
        at = self._top + event.y - 1
        if at < self.count:
            self.go(at, again=at == self.at)
