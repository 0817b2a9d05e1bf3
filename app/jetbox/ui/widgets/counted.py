"""The blocks of a story and how high they are: what is known of a long session without laying it out."""

from __future__ import annotations

from textual.scroll_view import ScrollView

from jetbox.ui.glyphs import Glyphs
from jetbox.ui.letting_go import let_go
from jetbox.ui.text.heights import Heights
from jetbox.ui.transcript.story import Story


class Counted(ScrollView):
    """Heights are estimates until a block was laid out."""

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._glyphs = glyphs
        self.story = Story(glyphs)
        self._columns = 0
        self._heights = Heights()
        self._measured = bytearray()
        self._counted = 0
        """Blocks that were there when it was shown last; those behind them are only counted."""
        self._unfolded: set[int] = set()
        """Blocks that may be unfolded by themselves."""

    def forget(self) -> None:
        """Another story begins; the one before is let go of little by little: it can have a hundred thousand parts."""
        let_go(self.story.blocks.loose)
        self.story = Story(self._glyphs)
        self._heights = Heights()
        self._measured = bytearray()
        self._counted = 0
        self._unfolded.clear()

    def count(self) -> None:
        """Estimate what came and was not shown yet: of many events at once a part, before the next one is taken."""
        story = self.story
        if not self._columns:
            return
        for index in range(len(self._heights), len(story.blocks)):
            self._heights.append(0)
            self._measured.append(0)
            story.changed.add(index)
        for index in [each for each in story.changed if each >= self._counted and not self._measured[each]]:
            self._heights.set(index, story.blocks.estimate(index, self._columns))
            story.changed.discard(index)

    def set_unfolded(self, index: int, unfolded: bool) -> None:
        """Unfold a block by itself, or fold it."""
        self.story.blocks.own(index).expanded = unfolded
        self._unfolded.add(index)

    def fold_all(self) -> None:
        """No block is unfolded by itself."""
        for index in self._unfolded:
            self.story.blocks.own(index).expanded = False
        self._unfolded.clear()
