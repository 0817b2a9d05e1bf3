"""The rows of a story: one widget for the whole session, drawn line by line.

Blocks keep their source and are laid out when they are shown; their strips live in an
LRU, their heights in a tree, as estimates until they were shown once. Only what changed
is laid out again, once a frame. Growing never asks for a layout of the screen.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator

from textual import events
from textual.geometry import Region, Size
from textual.reactive import Reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from jetbox.ui.glyphs import Glyphs
from jetbox.ui.paint import Paint
from jetbox.ui.text.heights import Heights
from jetbox.ui.text.rows import Row
from jetbox.ui.transcript.blocks import Look
from jetbox.ui.transcript.story import Story

KEPT_BLOCKS = 512
"""Blocks whose strips are kept."""
MOST_ROWS = 1 << 60
EVERYTHING, NOTHING = (0, MOST_ROWS), (MOST_ROWS, MOST_ROWS)
FEW = 2
"""So many blocks out of sight are laid out again in one go; nobody waits for them."""
AT_ONCE_S, AT_ONCE = 0.002, 100
"""How long rows are made, or heights estimated, in one go, and how many heights between two looks at the clock."""


class Paged(ScrollView):
    """Shows a story; follows its end until one scrolls up, and again from where one reaches the end."""

    ALLOW_SELECT = False
    virtual_size = Reactive(Size(0, 0), layout=False)

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._glyphs = glyphs
        self.story = Story(glyphs)
        self._follow = True
        self._left = (0, 0)
        """Blocks and rows that there were when it stopped following."""
        self.expanded = False
        self.unfolds = ""
        """The key that shows what is folded, as people write it."""
        self._now = 0
        self._columns = 0
        self._paint = Paint({}, colour=False)
        self._heights = Heights()
        self._measured = bytearray()
        self._estimated, self._estimating = 0, False
        """Blocks before this one were estimated since the last change of the width; whether that goes on."""
        self._strips: OrderedDict[int, list[Strip]] = OrderedDict()
        self._unfinished: dict[int, Iterator[list[Row]]] = {}
        """What is still to come of blocks that were unfolded."""
        self._placing = False
        self.moved: Callable[[], None] | None = None
        """Hears, once for several changes, that others are shown, or that there are more."""
        self._untold = False

    def restart(self) -> None:
        """Forget everything: another story begins."""
        self.story = Story(self._glyphs)
        self._heights = Heights()
        self._measured = bytearray()
        self._strips.clear()
        self._unfinished.clear()
        self.follow = True

    @property
    def size(self) -> Size:
        """What it was laid out with: nothing of it is border or padding."""
        return self._size

    @property
    def follow(self) -> bool:
        """Whether the end stays in sight."""
        return self._follow

    @follow.setter
    def follow(self, follow: bool) -> None:
        if self._follow and not follow:
            self._left = (len(self._heights), self._heights.total)
        self._follow = follow

    def update(self, now: int) -> None:
        """Show what the story has become; once a frame."""
        self._now = now
        story = self.story
        story.settle()
        first = len(self._heights)
        if not self._columns:
            return
        top = self._anchor()
        for index in range(first, len(story.blocks)):
            self._heights.append(story.blocks[index].estimate(self._columns))
            self._measured.append(0)
        changed, story.changed = story.changed, set()
        if story.late:
            low, high = self._visible()
            changed |= {index for index in story.late if low <= index <= high}
        if changed:
            self._show_changed(sorted(changed), top)
            story.late -= changed
        self._lay_out_late(len(story.late))

    def _lay_out_late(self, left: int) -> None:
        """Blocks out of sight that what was defined now changes: a few, then others when keys have been looked at.

        `left` is how many there were when this was called for: where there are others now, a later call goes on.
        """
        late = self.story.late
        some = sorted(index for index in late if index < len(self._heights))[-FEW:]
        if not some or not self.is_attached or len(late) != left:
            return
        late.difference_update(some)
        self._show_changed(some, self._anchor())
        asyncio.get_running_loop().call_soon(self._lay_out_late, len(late))

    def _has_moved(self) -> None:
        if not self._untold:
            self._untold = True
            self.call_next(self._tell_moved)

    def _tell_moved(self) -> None:
        if self._untold:
            self._untold = False
            if self.moved is not None:
                self.moved()

    def tick(self, now: int) -> None:
        """Time went on: what shows it is drawn anew."""
        self._now = now
        if not self._columns:
            return
        low, high = self._visible()
        moving = [index for index in self.story.moving if low <= index <= high and index < len(self._heights)]
        if moving:
            self._show_changed(moving, self._anchor())

    def paint(self, paint: Paint) -> None:
        """Other colours."""
        self._paint = paint
        self._strips.clear()
        self.refresh()

    def name_key(self, unfolds: str) -> None:
        """What is folded says that this key shows it."""
        if unfolds != self.unfolds:
            self.unfolds = unfolds
            self._lay_out_anew()

    def toggle_expanded(self) -> None:
        """Show everything in full, or folded again; what is at the top stays there."""
        self.expanded = not self.expanded
        for block in self.story.blocks:
            block.expanded = False
        self._lay_out_anew()

    @property
    def at_end(self) -> bool:
        """Whether the last row is shown."""
        return self.scroll_offset.y >= self.max_scroll_y

    def _look(self) -> Look:
        return Look(self._glyphs, self.expanded, self._now, self.unfolds)

    def _show_changed(self, blocks: list[int], top: tuple[int, int]) -> None:
        """Lay these blocks out, in order, and draw the rows that differ."""
        self._untold = True  # at the end of this
        first, last = 0, 0
        for number, index in enumerate(blocks):
            before = self._heights[index]
            begin, end = self._changed(index)
            above = self._heights.top(index)
            if not number:
                first = above + begin
            last = max(last, above + end) if self._heights[index] == before else MOST_ROWS
        self._settle(top, (first, last))
        self._tell_moved()

    def _changed(self, index: int) -> tuple[int, int]:
        """A block has other rows; where it was shown they are made now. The first that differs, and the one after."""
        block = self.story.blocks[index]
        if not self._measured[index] and not self.follow:
            self._heights.set(index, block.estimate(self._columns))
            return 0, MOST_ROWS
        strips = self._strips.get(index)
        if strips is None and not self._near_end(index):
            self._measured[index] = 0
            self._heights.set(index, block.estimate(self._columns))
            return 0, MOST_ROWS
        return self._make(index, strips if strips is not None else [])

    def _near_end(self, index: int) -> bool:
        return index >= len(self._heights) - 64

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
        self._strips[index] = strips
        self._strips.move_to_end(index)
        if len(self._strips) > KEPT_BLOCKS:
            self._strips.popitem(last=False)
        self._measured[index] = 1
        self._heights.set(index, len(strips))
        return begin, end

    def _rows(self, index: int, have: int) -> tuple[int, list[Row]]:
        """A block's rows; of one that was unfolded as many as there is time for, more than the window has."""
        block, look = self.story.blocks[index], self._look()
        if block.grows or not block.open(look):
            return block.rows(self._columns, look, have)
        parts, rows = block.parts(self._columns, look), list[Row]()
        self._unfinished.pop(index, None)
        until = time.monotonic() + AT_ONCE_S
        for part in parts:
            rows += part
            if len(rows) > 2 * self.size.height and time.monotonic() > until:
                self._unfinished[index] = parts
                asyncio.get_running_loop().call_soon(self._go_on, index, parts)
                break
        return 0, rows

    def _go_on(self, index: int, parts: Iterator[list[Row]]) -> None:
        """More rows of a block, when keys have been looked at."""
        strips = self._strips.get(index)
        if self._unfinished.get(index) is not parts or strips is None or not self.is_attached:
            return
        top, begin, until = self._anchor(), self._heights.top(index) + len(strips), time.monotonic() + AT_ONCE_S
        for part in parts:
            strips += self._paint.strips(part, self._columns)
            if time.monotonic() > until:
                asyncio.get_running_loop().call_soon(self._go_on, index, parts)
                break
        else:
            del self._unfinished[index]
        self._heights.set(index, len(strips))
        self._settle(top, (begin, MOST_ROWS))

    def _block(self, index: int) -> list[Strip]:
        strips = self._strips.get(index)
        if strips is None:
            strips = []
            self._make(index, strips)
        self._strips.move_to_end(index)
        return strips

    def _lay_out_anew(self) -> None:
        """Other widths or another fold: heights are estimates again, the place is kept."""
        if not self._columns:
            return
        self._strips.clear()
        self._unfinished.clear()
        self._measured = bytearray(len(self._heights))
        self._settle(self._anchor(), EVERYTHING)
        self.refresh()
        self._estimated = 0
        if not self._estimating:
            self._estimate()

    def _estimate(self) -> None:
        """Estimate the heights of what is out of sight, for a while; then again when keys have been looked at."""
        if not self.is_attached:
            return
        until = time.monotonic() + AT_ONCE_S
        top, count = self._anchor(), len(self._heights)
        while self._estimated < count and time.monotonic() < until:
            first, self._estimated = self._estimated, min(count, self._estimated + AT_ONCE)
            for index in range(first, self._estimated):
                if not self._measured[index]:
                    self._heights.set(index, self.story.blocks[index].estimate(self._columns))
        self._settle(top, NOTHING)
        self._estimating = self._estimated < count
        if self._estimating:
            asyncio.get_running_loop().call_soon(self._estimate)

    def _anchor(self) -> tuple[int, int]:
        """The block at the top, and the row within it."""
        return self._heights.find(self.scroll_offset.y) if len(self._heights) else (0, 0)

    def _visible(self) -> tuple[int, int]:
        top = self.scroll_offset.y
        return self._heights.find(top)[0], self._heights.find(top + self.size.height)[0]

    def _settle(self, top: tuple[int, int], changed: tuple[int, int]) -> None:
        """After a change of these rows: measure what is shown, and keep the place."""
        total = self._heights.total
        if self.follow:
            self._measure_back()
            self._resize()
            self._place(self.max_scroll_y)
        else:
            index = min(top[0], max(0, len(self._heights) - 1))
            self._measure_from(index)
            row = min(top[1], max(0, self._heights[index] - 1)) if len(self._heights) else 0
            self._resize()
            self._place(self._heights.top(index) + row)
        last = changed[1] if self._heights.total == total else MOST_ROWS
        first = max(0, changed[0] - self.scroll_offset.y)
        last = min(self.size.height, last - self.scroll_offset.y)
        if first < last:
            self.refresh(Region(0, first, self.size.width, last - first))
        self._has_moved()

    def _measure_from(self, index: int) -> None:
        """Measure from a block downwards until the window is full."""
        self._measure(range(index, len(self._heights)), self.size.height + 1)

    def _measure_back(self) -> None:
        """Measure from the end upwards until the window is full."""
        self._measure(range(len(self._heights) - 1, -1, -1), self.size.height + 1)

    def _measure(self, blocks: range, rows: int) -> None:
        """Measure these blocks, one after another, until they fill so many rows."""
        for index in blocks:
            if rows <= 0:
                return
            if not self._measured[index]:
                self._make(index, [])
            rows -= self._heights[index]

    def _resize(self) -> None:
        size = Size(self._columns, self._heights.total)
        if size != self.virtual_size:
            self.virtual_size = size

    def _place(self, row: int) -> None:
        """Put this row at the top, without animation and without a word about following."""
        row = min(max(row, 0), self.max_scroll_y)
        if row == self.scroll_y:
            return
        self._placing = True
        self.set_reactive(Paged.scroll_target_y, float(row))
        self.scroll_y = float(row)
        self._placing = False

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        if round(old_value) == round(new_value):
            return
        if not self._placing and self._columns and len(self._heights):
            self._scrolled(round(new_value))
        self.refresh()
        self._has_moved()

    def _scrolled(self, row: int) -> None:
        """The user moved: heights that were guessed become known without moving what was shown."""
        index, inside = self._heights.find(row)
        if index < len(self._heights) and not self._measured[index] and inside:
            guessed = self._heights[index]
            self._make(index, [])
            row += self._heights[index] - guessed
        self._measure_from(index)
        self._resize()
        self._place(row)
        self.follow = self.scroll_offset.y >= self.max_scroll_y

    def on_resize(self, event: events.Resize) -> None:
        columns = event.size.width
        if columns == self._columns:
            if self._columns:
                self._settle(self._anchor(), EVERYTHING)
            return
        fresh = not self._columns
        self._columns = columns
        if fresh:
            self.update(self._now)
        else:
            self._lay_out_anew()

    def render_lines(self, crop: Region) -> list[Strip]:
        """The strips of the visible rows, as they are kept."""
        row, need = crop.y + self.scroll_offset.y, crop.height
        out: list[Strip] = []
        if self._columns and len(self._heights):
            index, inside = self._heights.find(row)
            while need > len(out) and index < len(self._heights):
                out += self._block(index)[inside : inside + need - len(out)]
                index, inside = index + 1, 0
        out += [Strip.blank(self._columns or crop.width, self._paint.base)] * (need - len(out))
        if crop.x or crop.width != self._columns:
            out = [strip.crop_extend(crop.x, crop.right, self._paint.base) for strip in out]
        return out

    def render_line(self, y: int) -> Strip:
        return self.render_lines(Region(0, y, self.size.width, 1))[0]
