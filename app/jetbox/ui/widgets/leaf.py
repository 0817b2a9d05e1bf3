"""Rows that scroll: laid out once for a width, drawn as far as they are in sight."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

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
        self._laid_out: tuple[int, list[Row]] = (-1, [])
        self._rest: Iterator[Row] = iter(())
        """What is still to be laid out."""
        self._top = 0

    def show(self, lay_out: LayOut, *, keep: bool = False) -> None:
        """Show this from its beginning; with `keep` from where it stands."""
        self._lay_out = lay_out
        self._laid_out = (-1, [])
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
        rows, height = self._laid_out[1], self.page
        if self._laid_out[0] != width:
            rows, self._rest = [], iter(self._lay_out(width))
            self._laid_out = (width, rows)
            self._go_on(self._rest)
        self._top = max(0, min(self._top, len(rows) - height))
        shown = list(rows[self._top : self._top + height])
        below = len(rows) - self._top - height
        if below > 0:
            shown[-1] = row((f"{self.glyphs.more} {below + 1} more lines", "faint"))
        return shown

    def _go_on(self, rest: Iterator[Row]) -> None:
        """Lay out what is in sight, and more as long as that takes no time; the others when keys were looked at."""
        rows, now = self._laid_out[1], Slice()
        if rest is not self._rest or not self.is_attached:
            return
        shown = len(rows)
        for each in rest:
            rows.append(each)
            if len(rows) > self._top + self.page and now.over:
                go_on_later(self._go_on, rest)
                break
        if shown:
            self.redraw()

    def roll(self, rows: int) -> None:
        self.scroll(rows)
