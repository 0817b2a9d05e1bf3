"""What the mouse does with a card or a link of the transcript, by keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual.binding import Binding, BindingType

from jetbox.ui.glyphs import Glyphs
from jetbox.ui.text.inline import openable
from jetbox.ui.transcript.blocks import Text
from jetbox.ui.widgets.rendered import MOST_ROWS
from jetbox.ui.widgets.scrolling import Scrolling


class Cards(Scrolling):
    """Goes by what is in sight, from its lowest row upwards; pressed again, a key takes the one before."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "unfold", "Unfold the card in sight, fold it", id="transcript.unfold", show=False),
        Binding("alt+y", "copy_block", "Copy a card; again: the one before", id="transcript.copy_block", show=False),
        Binding("alt+o", "open_link", "Open a link; again: the one before", id="transcript.open_link", show=False),
    ]

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:
        super().__init__(glyphs, id=id)
        self._taken = (-1, -1, 0)
        """Row at the top, blocks, and how many were taken there already."""

    def copied(self, text: str, what: str) -> None:
        """This is for the clipboard."""
        raise NotImplementedError

    def unfold(self, index: int) -> None:
        """Unfold one block by itself, or fold it."""
        block = self.story.blocks[index]
        self.set_unfolded(index, not block.expanded)
        self.follow = False
        top = self._anchor()
        self._make(index, [])
        self._settle(top, (self._heights.top(index), MOST_ROWS))

    def link(self, index: int, row: int, x: int) -> str:
        """The address under a cell of a block."""
        strips = self._block(index)
        for segment in strips[row].crop(x, x + 1) if row < len(strips) else ():
            if segment.style is not None and segment.style.link and openable(segment.style.link):
                return segment.style.link
        return ""

    def action_unfold(self) -> None:
        found = next((n for n in self._upwards() if self.story.blocks[n].expandable), None)
        if found is not None:
            self.unfold(found)

    def action_copy_block(self) -> None:
        blocks = self.story.blocks
        found = [n for n in self._upwards() if not isinstance(blocks[n], Text) and blocks[n].source().strip()]
        if found:
            self.copied(blocks[found[self._again(len(found))]].source().strip(), "the block")

    def action_open_link(self) -> None:
        found = list(dict.fromkeys(self._links()))
        if found:
            self.app.open_url(found[self._again(len(found))])

    def _upwards(self) -> Iterator[int]:
        """The blocks in sight."""
        top, bottom = self._visible()
        return iter(range(min(bottom, len(self.story.blocks) - 1), top - 1, -1))

    def _links(self) -> Iterator[str]:
        """The addresses in sight."""
        for y in range(min(self.size.height, self._heights.total) - 1, -1, -1):
            index, row = self._heights.find(y + self.scroll_offset.y)
            strips = self._block(index) if index < len(self._heights) else []
            for segment in reversed(list(strips[row])) if row < len(strips) else ():
                if segment.style is not None and segment.style.link and openable(segment.style.link):
                    yield segment.style.link

    def _again(self, count: int) -> int:
        """Which of so many it is now: the next one, where nothing has moved since the last."""
        top, blocks = self.scroll_offset.y, len(self.story.blocks)
        n = self._taken[2] % count if self._taken[:2] == (top, blocks) else 0
        self._taken = (top, blocks, n + 1)
        return n
