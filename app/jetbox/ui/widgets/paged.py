"""The rows of a story: one widget for the whole session, drawn line by line.

Blocks keep their source and are laid out when they are shown; their strips live in an
LRU, their heights in a tree, as estimates until they were shown once. Only what changed
is laid out again, once a frame. Growing never asks for a layout of the screen.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable

from textual import events
from textual.geometry import Region, Size
from textual.strip import Strip

from jetbox.ui.glyphs import Glyphs
from jetbox.ui.paint import Paint
from jetbox.ui.slices import Slice, go_on_later
from jetbox.ui.widgets.rendered import MOST_ROWS, NEAR, Rendered

EVERYTHING, NOTHING = (0, MOST_ROWS), (MOST_ROWS, MOST_ROWS)
NOWHERE = ((-1, 0), 0)
FEW = 2
"""So many blocks out of sight are laid out again in one go; nobody waits for them."""
AT_ONCE = 100
"""Heights that are estimated between two looks at the clock."""


class Paged(Rendered):
    """Shows a story; follows its end until one scrolls up, and again from where one reaches the end."""

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:
        super().__init__(glyphs, id=id)
        self._follow = True
        self._left = (0, 0)
        """Blocks, and rows of the last of them, that there were when it stopped following."""
        self._estimated, self._estimating = 0, False
        """Blocks before this one were estimated since the last change of the width; whether that goes on."""
        self._late: list[int] = []
        """Blocks out of sight that are to be laid out again, in order."""
        self._placing = False
        self._held: tuple[int, int] | None = None
        """What was at the top before the size changed, until what is shown is laid out for that."""
        self._kept = NOWHERE
        """What was at the top when it was laid out last, and so many letters of its block that were above it."""
        self.moved: Callable[[], None] | None = None
        """Hears, once for several changes, that others are shown, or that there are more."""
        self._untold = False

    @property
    def follow(self) -> bool:
        """Whether the end stays in sight."""
        return self._follow

    @follow.setter
    def follow(self, follow: bool) -> None:
        if self._follow and not follow:
            count = len(self._heights)
            self._left = (count, self._heights[count - 1] if count else 0)
        self._follow = follow

    @property
    def rows_since(self) -> int:
        """Rows that came since it stopped following; what was there then and has others now is not new."""
        count, rows = self._left
        grown = max(0, self._heights[count - 1] - rows) if count else 0
        return self._heights.total - self._heights.top(count) + grown

    def restart(self) -> None:
        """Forget everything: another story begins."""
        self.forget()
        self._strips.clear()
        self._unfinished.clear()
        self._late = []
        self._held, self._kept = None, NOWHERE
        self.follow = True

    def update(self, now: int) -> None:
        """Show what the story has become; once a frame."""
        self._now = now
        story = self.story
        story.settle()
        if not self._columns:
            return
        top = self._anchor()
        for at in story.blocks.inserted:
            top = self._made_way(at, top)
        story.blocks.inserted.clear()
        self.count()
        new, self._counted = self._counted, len(self._heights)
        changed, story.changed = story.changed, set()
        if new < self._counted:
            changed.add(new)  # all behind it is drawn with it
        defined = bool(story.late)
        if defined:
            self._late, story.late = sorted(story.late.union(self._late)), set()
        if self._late:
            low, high = self._visible()
            seen = slice(bisect_left(self._late, low), bisect_right(self._late, high))
            changed.update(self._late[seen])
            del self._late[seen]
        if changed:
            self._show_changed(sorted(changed), top)
        near = [n for n in range(max(new, self._counted - NEAR), self._counted) if not self._measured[n]]
        if near:
            self._late = sorted({*self._late, *near})
        if defined:
            self._lay_out_late(self._late)
        elif near:
            go_on_later(self._lay_out_late, self._late)

    def _made_way(self, at: int, top: tuple[int, int]) -> tuple[int, int]:
        """A block came before this one: what is known by its place is known by another; the place at the top too."""
        self._unfolded = {n + (n >= at) for n in self._unfolded}
        self._left = (self._left[0] + (at < self._left[0]), self._left[1])
        if self._held is not None:
            self._held = (self._held[0] + (self._held[0] >= at), self._held[1])
        self._kept = NOWHERE
        return top[0] + (top[0] >= at), top[1]

    def _lay_out_late(self, late: list[int]) -> None:
        """Lay out blocks out of sight: what look another way now, or are new near the end.

        A few of them, then others when keys have been looked at. `late` are those that are left, in order; where there
        is another list by now, a later call goes on with that.
        """
        if late is not self._late or not late or not self.is_attached:
            return
        some = late[-FEW:]
        del late[-FEW:]
        untold, self._untold = self._untold, True  # once, when all are laid out
        self._change(some, self._anchor())
        self._untold = untold
        if late:
            go_on_later(self._lay_out_late, late)
        else:
            self._has_moved()

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
        self.fold_all()
        self._lay_out_anew()

    @property
    def at_end(self) -> bool:
        """Whether the last row is shown."""
        return self.scroll_offset.y >= self.max_scroll_y

    def _show_changed(self, blocks: list[int], top: tuple[int, int]) -> None:
        """Lay these blocks out, in order, and draw the rows that differ."""
        self._untold = True  # at the end of this
        self._change(blocks, top)
        self._tell_moved()

    def _change(self, blocks: list[int], top: tuple[int, int]) -> None:
        first, last = 0, 0
        for number, index in enumerate(blocks):
            before = self._heights[index]
            begin, end = self._changed(index)
            above = self._heights.top(index)
            if not number:
                first = above + begin
            last = max(last, above + end) if self._heights[index] == before else MOST_ROWS
        self._settle(top, (first, last))

    def _lay_out_anew(self) -> None:
        """Other widths or another fold: heights are estimates again, the place is kept."""
        if not self._columns:
            return
        top = self._anchor()
        strips = [] if self.follow or not len(self._heights) else self._strips.get(top[0], [])
        # Not counted anew where nobody has scrolled since: rows do not begin alike, and the place would creep up.
        letters = self._kept[1] if self._kept[0] == top else sum(map(_letters, strips[: top[1]]))
        self._strips.clear()
        self._unfinished.clear()
        self._left = (self._left[0], MOST_ROWS)
        self._measured = bytearray(len(self._heights))
        if strips:
            top = (top[0], self._row_behind(top[0], letters) if top[1] else 0)
        self._held = None
        self._settle(top, EVERYTHING)
        self._kept = (self._anchor(), letters) if strips else NOWHERE
        self.refresh()
        self._estimated = 0
        if not self._estimating:
            self._estimating = True
            go_on_later(self._estimate)

    def _row_behind(self, index: int, letters: int) -> int:
        """The row of a block that has so many letters above it, or before it in the row itself."""
        strips = self._block(index)
        for row, strip in enumerate(strips):
            letters -= _letters(strip)
            if letters < 0:
                return row
        return max(0, len(strips) - 1)

    def _estimate(self) -> None:
        """Estimate the heights of what is out of sight, for a while; then again when keys have been looked at."""
        if not self.is_attached:
            return
        now = Slice()
        top, count = self._anchor(), len(self._heights)
        while self._estimated < count and not now.over:
            first, self._estimated = self._estimated, min(count, self._estimated + AT_ONCE)
            for index in range(first, self._estimated):
                if not self._measured[index]:
                    self._heights.set(index, self.story.blocks.estimate(index, self._columns))
        self._settle(top, NOTHING)
        self._estimating = self._estimated < count
        if self._estimating:
            go_on_later(self._estimate)

    def _anchor(self) -> tuple[int, int]:
        """The block at the top, and the row within it."""
        if self._held is not None:
            return self._held
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
        self._held = None
        index, inside = self._heights.find(row)
        if index < len(self._heights) and not self._measured[index] and inside:
            guessed = self._heights[index]
            self._make(index, [])
            row += self._heights[index] - guessed
        self._measure_from(index)
        self._resize()
        self._place(row)
        self.follow = self.scroll_offset.y >= self.max_scroll_y

    def _size_updated(self, size: Size, virtual_size: Size, container_size: Size, layout: bool = True) -> bool:
        # What does not fit into the new size yet is moved by that, not by the user.
        held = self._anchor() if self._columns and size != self._size else self._held
        placing, self._placing = self._placing, True
        try:
            changed = super()._size_updated(size, virtual_size, container_size, layout)
        finally:
            self._placing = placing
        self._held = held if changed else self._held
        return changed

    def on_resize(self, event: events.Resize) -> None:
        try:
            self._resized(event.size.width)
        finally:
            self._held = None

    def _resized(self, columns: int) -> None:
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


def _letters(strip: Strip) -> int:
    return len("".join(strip.text.split()))
