"""Searching the transcript: the places of a text are found, marked and gone to, a slice at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from jetbox.ui.glyphs import Glyphs
from jetbox.ui.slices import Slice, go_on_later
from jetbox.ui.text.rows import Row
from jetbox.ui.transcript.find import Find
from jetbox.ui.widgets.cards import Cards
from jetbox.ui.widgets.marked import Joined, Part

Spot = tuple[int, int, int]
"""Block, row within it, cell."""
Within = dict[int, list[tuple[int, int, int]]]
"""By their rows, the cells in which places begin and end, and which places these are."""
MOST_PLACED = 500
"""A block of more rows is not laid out again for what is found in it, as long as the present place is elsewhere."""
AT_ONCE = 64
"""Places between two looks at the clock."""


class Searched(Cards):
    """Shows a story in which one searches."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "find", "Search", id="transcript.search", show=False),
        Binding("n", "step(-1)", "Next place found, upwards", id="transcript.next", show=False),
        Binding("N", "step(1)", "Previous place found", id="transcript.previous", show=False),
    ]

    class Finding(Message):
        """One wants to search."""

    class Found(Message):
        """What came of a search."""

        def __init__(self, said: str) -> None:
            super().__init__()
            self.said = said

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:
        super().__init__(glyphs, id=id)
        self._find: Find | None = None
        self._step = 0
        self._sought = -1
        """The block whose place will be shown when there are rows enough of it."""
        self._place_found: Spot = (-1, 0, 0)
        self._nth = -1
        """Which place of its block the present one is."""
        self._placed: dict[int, tuple[str, list[list[Part]], Within]] = {}
        """What was looked for in a block, its places, and what of them each row has."""
        self._looking: dict[int, tuple[str, Iterator[None]]] = {}
        """What is being looked for in a block, and what is still to be done for that."""
        self._rows_of: tuple[int, Joined] = (-1, Joined())
        """The block that was sought last, and its rows as far as they are laid out."""

    def action_find(self) -> None:
        self.post_message(self.Finding())

    def action_step(self, by: int) -> None:
        if self._find is not None:
            self.seek(self._find.wanted, by)

    def seek(self, wanted: str, step: int = 0) -> None:
        """Search for a text, from what is shown upwards; with a step, go on from place to place."""
        if self._find is None or self._find.wanted != wanted:
            self._find, self._step = Find(self.story, wanted), -1
        elif step:
            self._find.again()
            self._step, self._sought = step, -1  # what is still looked for is not wanted any more
        self._search()

    def update(self, now: int) -> None:
        blocks, grown = len(self._heights), bool(self.story.changed)
        super().update(now)
        find = self._find
        if find is not None and not find.grown and (grown or blocks < len(self._heights)):
            # Counted again at each of its tokens, a long answer would hold up the keys: Enter goes on with the search.
            find.grown = True
            self.post_message(self.Found(find.said))

    @property
    def seeking(self) -> bool:
        """Whether a place is still to be shown."""
        return bool(self._step) or self._sought >= 0

    def _search(self, find: Find | None = None) -> None:
        """A slice of the search; what goes on with an older one ends."""
        if self._find is None or not self.is_attached or find not in (None, self._find):
            return
        find = self._find
        if find.go_on():
            go_on_later(self._search, find)
        elif self._step:
            go_on_later(self._take_step, find)
            return
        self.post_message(self.Found(find.said))
        self.refresh()

    def _take_step(self, find: Find) -> None:
        """Go to the next place, when all are known."""
        if find is not self._find or not self._step or not self.is_attached:
            return
        index = find.step(self._step, self._visible()[1])
        self._step = 0
        if index is not None:
            self._show_place(index, find)
        self.post_message(self.Found(find.said))
        self.refresh()

    def end_search(self) -> None:
        """What was found is marked no more."""
        self._find, self._sought, self._place_found = None, -1, (-1, 0, 0)
        self._placed.clear()
        self._looking.clear()
        self._rows_of = (-1, Joined())
        self.refresh()

    def _show_place(self, index: int, find: Find) -> None:
        """Bring a place into sight, unfolding what hides it; later, where its row is still to be laid out."""
        self._sought = index
        if index < len(self._heights):
            self._block(index)  # what places are known are those of the rows that it has
        found = self._places(index, find)
        block = self.story.blocks[index]
        if found is not None and find.nth >= len(found) and block.expandable and not block.open(self._look()):
            self.set_unfolded(index, True)
            self._make(index, [])
            go_on_later(self._show_sought, index, find)
            return
        if found is None:
            return
        self._nth = find.nth
        find.left_out = find.nth >= len(found)
        self._place_found = (index, 0, -1) if find.left_out else (index, *found[self._nth][0][:2])
        if find.left_out:
            self.post_message(self.Found(find.said))
        self.follow = False
        self._measure_from(index)
        self._resize()
        if index in self._unfinished and self._place_found[1] >= self._heights[index]:
            return
        self._sought = -1
        self._place(self._heights.top(index) + self._place_found[1] - self.size.height // 3)
        self._has_moved()

    def _show_sought(self, index: int, find: Find) -> None:
        """Go on with a place, unless another is sought by now."""
        if index == self._sought and find is self._find and self.is_attached:
            self._show_place(index, find)

    def _go_on(self, index: int, parts: Iterator[list[Row]]) -> None:
        super()._go_on(index, parts)
        if self._find is not None:
            self._show_sought(index, self._find)

    def _places(self, index: int, find: Find) -> list[list[Part]] | None:
        """The places of a block, each in as many parts as it has rows; looked for once for the rows that it has.

        None where that takes a while: it has begun then, or does when the rows that are sought are laid out.
        """
        if index in self._unfinished and index == self._rows_of[0]:
            return None
        if self._placed.get(index, ("",))[0] != find.wanted and self._looking.get(index, ("",))[0] != find.wanted:
            work = self._look_for(index, find)
            self._looking[index] = (find.wanted, work)
            self._look_on(index, find, work)
        known = self._placed.get(index)
        return known[1] if known is not None and known[0] == find.wanted else None

    def _look_for(self, index: int, find: Find) -> Iterator[None]:
        """Lay a block out and look for the places in it, a little at a time; they are known at the end."""
        of, rows = self._rows_of
        if index != of:
            rows = Joined()
            for part in self.story.blocks[index].parts(self._columns, self._look()):
                rows.add(part)
                yield
            if index == self._sought:
                self._rows_of = index, rows
        found: list[list[Part]] = []
        within: Within = {}
        for place in rows.places(find.wanted, folded=find.folded):
            for row, start, end in place:
                within.setdefault(row, []).append((start, end, len(found)))
            found.append(place)
            if not len(found) % AT_ONCE:
                yield
        del self._looking[index]
        self._placed[index] = (find.wanted, found, within)

    def _look_on(self, index: int, find: Find, work: Iterator[None], *, later: bool = False) -> None:
        """Do some of that, then more when keys have been looked at; `later`: nobody waits for it any more."""
        if self._find is not find or self._looking.get(index) != (find.wanted, work) or not self.is_attached:
            return
        now = Slice()
        for _ in work:
            if now.over:
                go_on_later(partial(self._look_on, later=True), index, find, work)
                return
        if later:
            go_on_later(self._show_sought, index, find)
            self.refresh()

    def _rows(self, index: int, have: int) -> tuple[int, list[Row]]:
        begin, rows = super()._rows(index, have)
        if index == self._sought and not begin:
            self._rows_of = index, Joined(rows)
        elif index == self._rows_of[0]:
            self._rows_of = (-1, Joined())
        return begin, rows

    def _laid_out(self, index: int, rows: list[Row]) -> None:
        if index == self._rows_of[0]:
            self._rows_of[1].add(rows)

    def _made_way(self, at: int, top: tuple[int, int]) -> tuple[int, int]:
        if self._find is not None:
            self._find.made_way(at)
            self._place_found = spot_after(at, self._place_found)
            self._sought += self._sought >= at
            self._placed.clear()
            self._looking.clear()
            self._rows_of = (-1, Joined())
            if self._sought >= 0:
                go_on_later(self._show_sought, self._sought, self._find)
        return super()._made_way(at, top)

    def _make(self, index: int, strips: list[Strip]) -> tuple[int, int]:
        self._placed.pop(index, None)
        if self._looking.pop(index, None) is not None and index == self._sought and self._find is not None:
            go_on_later(self._show_sought, index, self._find)
        return super()._make(index, strips)

    def _parts(self, index: int, inside: int, strip: Strip, find: Find) -> list[tuple[int, int, bool]]:
        """The cells of a row that are found, and whether they belong to the present place."""
        if index >= len(self._heights):
            return []
        here = self._place_found[0] == index
        found = self._places(index, find) if here or self._heights[index] <= MOST_PLACED else None
        if found is None:
            alone = Joined([Row(((strip.text, ""),))]).places(find.wanted, folded=find.folded)
            return [(start, end, False) for place in alone for _, start, end in place]
        within = self._placed[index][2].get(inside, ())
        return [(start, end, here and n == self._nth) for start, end, n in within]


def spot_after(at: int, spot: Spot) -> Spot:
    """Where a spot is after a block came before this one."""
    return spot[0] + (spot[0] >= at), *spot[1:]
