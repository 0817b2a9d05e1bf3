"""Rows that scroll: laid out once for a width, drawn as far as they are in sight."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from jetbox.ui.glyphs import Glyphs
from jetbox.ui.slices import Slice, go_on_later
from jetbox.ui.text.rows import Row, row
from jetbox.ui.widgets.lined import Lined
from jetbox.ui.widgets.wheel import Wheeled

LayOut = Callable[[int], Iterable[Row]]
"""The rows for a width."""


class Leaf(Wheeled, Lined):
    """One text beside a list; its last row says what is below it, where not all of it is shown."""

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:
        super().__init__(glyphs, id=id)
        self._lay_out: LayOut = lambda _width: ()
        self._width = -1
        """For which it was laid out; -1: it has to be anew."""
        self._rows: list[Row] = []
        """What is drawn: what was there before, until a page of the new is laid out."""
        self._coming: list[Row] | None = None
        """What is laid out of that."""
        self._rest: Iterator[Row] = iter(())
        """What is still to be laid out."""
        self._top = 0

    def show(self, lay_out: LayOut, *, keep: bool = False) -> None:
        """Show this from its beginning; with `keep` from where it stands."""
        self._lay_out, self._width = lay_out, -1
        if not keep:
            self._top = 0
        self.redraw()

    def scroll(self, by: int) -> None:
        """Some rows down, or up."""
        self._top = max(0, self._top + by)
        self.redraw()

    @property
    def page(self) -> int:
        """Rows that are in sight at once."""
        return max(1, self.size.height)

    def lines(self, width: int) -> list[Row]:
        if self._width != width:
            self._width, self._coming, self._rest = width, [], iter(self._lay_out(width))
            self._go_on(self._rest)
        rows, height = self._rows, self.page
        top = max(0, min(self._top, len(rows) - height))
        if self._coming is None:
            self._top = top
        shown = list(rows[top : top + height])
        below = len(rows) - top - height
        if below > 0:
            shown[-1] = row((f"{self.glyphs.more} {below + 1} more lines", "faint"))
        return shown

    def _go_on(self, rest: Iterator[Row], *, later: bool = False) -> None:
        """Lay out as much as takes no time, the rest when keys were looked at; `later`: nobody is about to draw it."""
        if rest is not self._rest or not self.is_attached:
            return
        rows, now, whole = self._rows if self._coming is None else self._coming, Slice(), True
        for each in rest:
            rows.append(each)
            if now.over:
                go_on_later(partial(self._go_on, rest, later=True))
                whole = False
                break
        if self._coming is not None and (whole or len(rows) > self._top + self.page):
            self._rows, self._coming = rows, None
        if later and self._coming is None:
            self.redraw()

    def roll(self, rows: int) -> None:
        self.scroll(rows)
