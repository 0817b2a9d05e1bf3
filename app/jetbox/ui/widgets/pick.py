"""A list of rows of which one is chosen; only what is in sight is ever made."""

from __future__ import annotations

from collections.abc import Callable

from textual import events
from textual.geometry import Size
from textual.message import Message

from jetbox.ui.glyphs import Glyphs
from jetbox.ui.text.rows import Piece, Row, cells, fit
from jetbox.ui.widgets.lined import Lined
from jetbox.ui.widgets.wheel import Wheeled

Describe = Callable[[int, int], list[Piece]]
"""The pieces of the row with this number, for so many cells."""
Head = Callable[[int], list[Piece]]
"""Those of the row above all others."""


class Pick(Wheeled, Lined):
    """Ten thousand rows cost no more than those that are shown."""

    class Moved(Message):
        """Another row is chosen; `again`: the chosen one was clicked."""

        def __init__(self, at: int, *, again: bool = False) -> None:
            self.at = at
            self.again = again
            super().__init__()

    def __init__(self, glyphs: Glyphs, *, id: str | None = None, empty: str = "") -> None:
        """`empty` is said where there is no row."""
        super().__init__(glyphs, id=id)
        self.at = 0
        self.count = 0
        self.empty = empty
        self.head: Head | None = None
        """Stays where it is; None for no such row."""
        self.more: Describe | None = None
        """The pieces below those of each; None where each has one line."""
        self._describe: Describe = lambda _number, _width: []
        self._top = 0

    def fill(self, count: int, describe: Describe, at: int | None = None) -> None:
        """Other rows; `at` is chosen then, else the same number as before."""
        if count != self.count and self.styles.height is not None and self.styles.height.is_auto:
            self.refresh(layout=True)
        self.count, self._describe = count, describe
        self.at = max(0, min(count - 1, self.at if at is None else at))
        self.redraw()

    def move(self, by: int) -> None:
        """Choose another row."""
        self.go(self.at + by)

    def go(self, at: int, *, again: bool = False) -> None:
        """Choose this row, or the nearest."""
        at = max(0, min(self.count - 1, at))
        if at != self.at or again:
            self.at = at
            self.redraw()
            self.post_message(self.Moved(at, again=again))

    @property
    def page(self) -> int:
        """Rows that are in sight at once."""
        return max(1, (self.size.height - (self.head is not None)) // self._lines_each)

    @property
    def whole(self) -> int:
        """Rows of the screen in which all of it would be seen."""
        return max(1, self.count * self._lines_each) + (self.head is not None)

    @property
    def _lines_each(self) -> int:
        return 1 if self.more is None else 2

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self.whole

    def lines(self, width: int) -> list[Row]:
        if not self.count:
            return [Row(fit(((self.empty, "dim"),), width))] if self.empty else []
        height = self.page
        self._top = max(0, min(self._top, self.at, self.count - height))
        self._top = max(self._top, self.at - height + 1)
        shown = range(self._top, min(self.count, self._top + height))
        head = [Row(fit(self.head(width), width))] if self.head is not None else []
        return [*head, *(each for number in shown for each in self._rows(number, width))]

    def _rows(self, number: int, width: int) -> list[Row]:
        rows = [self._row(number, width)]
        return rows if self.more is None else [*rows, self._of(self.more(number, width), number, width)]

    def _row(self, number: int, width: int) -> Row:
        return self._of(self._describe(number, width), number, width)

    def _of(self, said: list[Piece], number: int, width: int) -> Row:
        pieces = fit(said, width)
        if number != self.at:
            return Row(pieces)
        used = sum(cells(text) for text, _ in pieces)
        filled = ((text, "selected") for text, _ in pieces)
        return Row((*filled, (" " * max(0, width - used), "selected")), "selected")

    def on_click(self, event: events.Click) -> None:
        at = self._top + (event.y - (self.head is not None)) // self._lines_each
        if self._top <= at < min(self.count, self._top + self.page):
            self.go(at, again=at == self.at)

    def roll(self, rows: int) -> None:
        self.move(rows)
