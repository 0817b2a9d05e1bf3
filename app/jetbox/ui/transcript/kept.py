"""The blocks of a story: those of rounds long over are packed until they are looked at."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

from jetbox.engine.packed import Packed
from jetbox.ui.transcript.blocks import Block, estimated

LOOSE = 256
"""Blocks before the round that runs that are as they were made: verdicts come late."""
LATE = 256
"""Rounds after which a verdict stands no more with the others of its round."""


def make_way(at: int, ordered: Iterable[list[int]], known: Iterable[dict[Any, int]]) -> None:
    """Blocks are known by their places: from this one on there is one more before them."""
    for places in ordered:
        first = bisect_left(places, at)
        places[first:] = [n + 1 for n in places[first:]]
    for each in known:
        each.update({key: n + 1 for key, n in each.items() if n >= at})


class Blocks(Packed[Block]):
    """How high they are is known without unpacking them."""

    def __init__(self) -> None:
        super().__init__()
        self.inserted: list[int] = []
        """Where blocks came before others since they were last looked at, one after another."""
        self._shapes = array("i")

    def tidy(self, running: int) -> None:
        """Pack some of what lies far before this block, the first that may still change; what waits stays as it is."""
        part = self.due(running - LOOSE)
        if part:
            for block in part:
                self._shapes.extend(block.shape())
            self.pack(keep=any(block.waits for block in part))

    def insert(self, at: int, block: Block) -> None:
        """One more before that one, which is as it was made."""
        self.loose.insert(at - len(self) + len(self.loose), block)
        self.inserted.append(at)

    def estimate(self, index: int, width: int) -> int:
        """About how many rows a block has."""
        at = 2 * index
        packed = self.is_packed(index)
        return estimated((self._shapes[at], self._shapes[at + 1]) if packed else self[index].shape(), width)
