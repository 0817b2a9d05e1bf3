"""The strips of a story's blocks: laid out when they are shown, and kept as long as they are of use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from textual.geometry import Size
from textual.reactive import Reactive
from textual.strip import Strip

from jetbox.ui.glyphs import Glyphs
from jetbox.ui.letting_go import let_go
from jetbox.ui.paint import Paint
from jetbox.ui.slices import Slice, go_on_later
from jetbox.ui.text.rows import Row
from jetbox.ui.transcript.blocks import Look
from jetbox.ui.widgets.counted import Counted

KEPT_ROWS = 1500
"""Rows whose strips are kept, besides those in sight: each takes about 2 kB."""
NEAR = 64
"""So many blocks at the end are laid out though nobody looks: one scrolls there first."""
MOST_ROWS = 1 << 60


class Rendered(Counted):
    """Makes and keeps the strips; whoever shows them says where one is."""

    ALLOW_SELECT = False
    virtual_size = Reactive(Size(0, 0), layout=False)

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:
        super().__init__(glyphs, id=id)
        self.expanded = False
        self.unfolds = ""
        """The key that shows what is folded, as people write it."""
        self._now = 0
        self._paint = Paint({}, colour=False)
        self._strips: OrderedDict[int, list[Strip]] = OrderedDict()
        self._unfinished: dict[int, Iterator[list[Row]]] = {}
        """What is still to come of blocks that were unfolded."""

    @property
    def size(self) -> Size:
        """What it was laid out with: nothing of it is border or padding."""
        return self._size

    @property
    def follow(self) -> bool:
        """Whether the end stays in sight."""
        raise NotImplementedError

    @follow.setter
    def follow(self, follow: bool) -> None:
        raise NotImplementedError

    def _anchor(self) -> tuple[int, int]:
        """The block at the top, and the row within it."""
        raise NotImplementedError

    def _settle(self, top: tuple[int, int], changed: tuple[int, int]) -> None:
        """After a change of these rows: keep the place."""
        raise NotImplementedError

    def _look(self) -> Look:
        return Look(self._glyphs, self.expanded, self._now, self.unfolds)

    def _changed(self, index: int) -> tuple[int, int]:
        """A block has other rows; where it was shown they are made now. The first that differs, and the one after."""
        blocks = self.story.blocks
        if not self._measured[index] and not self.follow:
            self._heights.set(index, blocks.estimate(index, self._columns))
            return 0, MOST_ROWS
        strips = self._strips.get(index)
        if strips is None and not self._near_end(index):
            self._measured[index] = 0
            self._heights.set(index, blocks.estimate(index, self._columns))
            return 0, MOST_ROWS
        return self._make(index, strips if strips is not None else [])

    def _near_end(self, index: int) -> bool:
        return index >= len(self._heights) - NEAR

    def _make(self, index: int, strips: list[Strip]) -> tuple[int, int]:
        """Lay a block out, on top of the strips it has. The first row that differs, and the one after."""
        begin, rows = self._rows(index, len(strips))
        made = self._paint.strips(rows, self._columns)
        end = begin + len(made)
        # A strip that stays keeps what the terminal is told of it.
        while made and begin < len(strips) and strips[begin] == made[0]:
            begin += 1
            del made[0]
        if end == len(strips):
            while made and strips[end - 1] == made[-1]:
                end -= 1
                made.pop()
            strips[begin:end] = made
        else:
            # Grown in place: copying the strips of a long answer with each frame would cost more than its new rows.
            strips[begin:] = made
        gone = [*self._strips.get(index, ())] if self._strips.get(index) is not strips else []
        self._strips[index] = strips
        self._strips.move_to_end(index)
        in_sight = self.size.height + 1
        kept = sum(map(len, self._strips.values())) if len(self._strips) > in_sight else 0
        while kept > KEPT_ROWS and len(self._strips) > in_sight:
            have = len(gone)
            gone += self._strips.popitem(last=False)[1]
            kept -= len(gone) - have
        if gone:  # a long block's were thousands
            let_go(gone)
        self._measured[index] = 1
        self._heights.set(index, len(strips))
        return begin, end

    def _rows(self, index: int, have: int) -> tuple[int, list[Row]]:
        """A block's rows; of one that was unfolded as many as there is time for, more than the window has."""
        block, look = self.story.blocks[index], self._look()
        self._unfinished.pop(index, None)
        if block.grows or not block.open(look):
            return block.rows(self._columns, look, have)
        parts, rows = block.parts(self._columns, look), list[Row]()
        now = Slice()
        for part in parts:
            rows += part
            if len(rows) > self.size.height and now.over:
                self._unfinished[index] = parts
                go_on_later(self._go_on, index, parts)
                break
        return 0, rows

    def _go_on(self, index: int, parts: Iterator[list[Row]]) -> None:
        """More rows of a block, when keys have been looked at."""
        strips = self._strips.get(index)
        if self._unfinished.get(index) is not parts or strips is None or not self.is_attached:
            return
        top, begin, now = self._anchor(), self._heights.top(index) + len(strips), Slice()
        for part in parts:
            strips += self._paint.strips(part, self._columns)
            self._laid_out(index, part)
            if now.over:
                go_on_later(self._go_on, index, parts)
                break
        else:
            del self._unfinished[index]
        self._heights.set(index, len(strips))
        self._settle(top, (begin, MOST_ROWS))

    def _laid_out(self, index: int, rows: list[Row]) -> None:
        """A block that was unfolded has these rows too, at its end."""

    def _block(self, index: int) -> list[Strip]:
        strips = self._strips.get(index)
        if strips is None:
            strips = []
            self._make(index, strips)
        self._strips.move_to_end(index)
        return strips
