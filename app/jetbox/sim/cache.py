"""What a loaded model still knows of earlier prompts, and how much of a new one that saves."""

from __future__ import annotations

from typing import NamedTuple

from jetbox.sim import prompt
from jetbox.sim.prompt import Blocks


class _Kept(NamedTuple):
    blocks: Blocks
    checkpoints: frozenset[int]
    """Numbers of blocks at which a prompt or an answer ended."""


class PrefixCache:
    """The newest conversations, of which a prompt may share a beginning.

    Ollama's slot keeps one, and, with memory for it, displaced ones as well; vLLM and SGLang keep
    as many as there is room for, vLLM in blocks of 16 tokens.
    """

    def __init__(self, room: int = 1, granularity: int = 1) -> None:
        self._room = room
        self._granularity = granularity
        self._kept: list[_Kept] = []

    def shared(self, wanted: Blocks, *, checkpoints: bool = False) -> int:
        """Tokens of a prompt that need not be evaluated, at most all but one of them.

        With `checkpoints` only what ends where an earlier prompt or answer did.
        """
        best = 0
        for kept in self._kept:
            shared = prompt.shared_tokens(kept.blocks, wanted)
            if checkpoints:
                equal = _equal(kept.blocks, wanted)
                resume = max((n for n in kept.checkpoints if n <= equal), default=0)
                shared = min(shared, prompt.count(wanted[:resume]))
            best = max(best, shared)
        return best - best % self._granularity

    def read(self, blocks: Blocks) -> None:
        """A prompt has been evaluated; it takes the place of what it continues."""
        self._store(blocks)

    def wrote(self, blocks: Blocks) -> None:
        """An answer has been generated to the newest prompt, which stands before it."""
        self._store(blocks)

    def forget(self) -> None:
        """Everything is lost."""
        self._kept.clear()

    def _store(self, blocks: Blocks) -> None:
        checkpoints = {len(blocks)}
        others = []
        for kept in self._kept:
            equal = _equal(kept.blocks, blocks)
            if equal == 0 or (equal < len(kept.blocks) - 1 and self._room > 1):
                others.append(kept)
            else:
                checkpoints |= {n for n in kept.checkpoints if n <= equal}
        self._kept = [*others, _Kept(blocks, frozenset(checkpoints))][-self._room :]


def _equal(a: Blocks, b: Blocks) -> int:
    """Number of blocks that are the same from the beginning."""
    for n, (one, two) in enumerate(zip(a, b, strict=False)):
        if one != two:
            return n
    return min(len(a), len(b))
