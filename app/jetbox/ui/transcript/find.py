"""Searching a story: in what its blocks show, folded ones too, a slice at a time."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right

from jetbox.ui.slices import Slice
from jetbox.ui.transcript.blocks import Block
from jetbox.ui.transcript.story import Story

_WITHIN = re.compile(r"[*_`~\\]")
"""Marks that can stand within a word and are not shown."""


class Find:
    """The places of a text. Lower case finds any case."""

    def __init__(self, story: Story, wanted: str) -> None:
        self.wanted = wanted
        self.folded = wanted == wanted.lower()
        self._words = re.findall(r"[^\W_]+", wanted)
        self.blocks: list[int] = []
        """Blocks that hold it, in order; one appears as often as it holds it."""
        self.at = -1
        """Which of them is the present one; negative while none is."""
        self._here = (-1, 0)
        """Its block, and the how manieth of that it is: there may be more before it when one goes on."""
        self.left_out = False
        """Whether the present place stands in what its block does not show, unfolded too."""
        self.grown = False
        """Whether something came since it was counted, which may hold it too."""
        self._story = story
        self._next = 0

    def go_on(self) -> bool:
        """Search for a slice; whether there is more to be searched."""
        if not self.wanted:
            return False
        blocks, now = self._story.blocks, Slice()
        while self._next < len(blocks):
            self.blocks += [self._next] * self._count(blocks[self._next])
            self._next += 1
            if now.over:
                return self._next < len(blocks)
        return False

    def _count(self, block: Block) -> int:
        """How often a block shows it; an answer that lacks one of the words need not be laid out for that."""
        if block.grows:
            source = _WITHIN.sub("", block.source())
            source = source.lower() if self.folded else source
            if "&" not in source and not all(word in source for word in self._words):
                return 0
        shown = block.shown()
        return (shown.lower() if self.folded else shown).count(self.wanted)

    def again(self) -> None:
        """What grew since is searched too: the blocks at the end."""
        self.grown = False
        self._next = max(0, self._next - 32)
        del self.blocks[bisect_left(self.blocks, self._next) :]

    def made_way(self, at: int) -> None:
        """A block came before this one."""
        self.blocks = [n + (n >= at) for n in self.blocks]
        self._next += self._next > at
        self._here = self._here[0] + (self._here[0] >= at), self._here[1]

    def step(self, by: int, top: int) -> int | None:
        """Go to the next place, or the one before, around the ends; at first to the nearest from block `top` up."""
        if not self.blocks:
            return None
        self.left_out = False
        if self.at < 0:
            self.at = max(0, bisect_right(self.blocks, top) - 1)
        else:
            self.at = (bisect_left(self.blocks, self._here[0]) + self._here[1] + by) % len(self.blocks)
        self._here = self.blocks[self.at], self.nth
        return self.blocks[self.at]

    @property
    def nth(self) -> int:
        """The how manieth of its block the present place is, from 0."""
        return self.at - bisect_left(self.blocks, self.blocks[self.at]) if self.at >= 0 else 0

    @property
    def said(self) -> str:
        if not self.wanted:
            return ""
        count = len(self.blocks)
        if self._next < len(self._story.blocks) and not self.grown:
            return f"searching, {count} found"
        yet = " so far" if self.grown else ""
        if not count:
            return f"nothing found{yet}"
        if self.at < 0:
            return f"{count} found{yet}"
        return f"{self.at + 1} of {count}{yet}" + (", in lines left out here" if self.left_out else "")
