"""What a round, a tool and a model did with their time: figures of what is over."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from sys import intern
from typing import TYPE_CHECKING

import msgspec

from jetbox.engine.clock import PHASES

if TYPE_CHECKING:
    from jetbox.engine.events import RoundEnded

MODEL = ("queue and load", "prompt eval", "thinking", "decode")
"""Phases in which a round waits for the model."""
NO_RUNS = ("sandbox", "journal")
"""What a call waits for before it runs."""
_RANK = {name: n for n, name in enumerate(PHASES)}

Run = tuple[str, int, int]
"""A tool, from when to when; session time in ns."""
Segment = tuple[str, int, int]
"""A phase, from when to when; session time in ns."""


class RoundTime(msgspec.Struct, gc=False):
    """One round that is over; times in ns."""

    number: int
    goal: int
    model: str
    start: int
    end: int
    phases: dict[str, int]
    parts: array[int]
    """The segments, packed: a session can have thousands of rounds."""
    tier: str = ""
    ttft: int = -1
    load: int = 0
    """What the server says that it loaded for."""
    prompt: int = 0
    """Tokens, and those of them that the server had."""
    cached: int = -1
    guessed: bool = False
    """What was cached is an estimate: the server does not count it."""
    written: int = 0
    """Tokens of the answers, and how long the server wrote on them."""
    writing: int = 0
    clocked: bool = False
    """That was clocked here: the server tells no durations."""
    tools: int = 0
    parallel: int = 0
    only_reads: bool = False
    final: bool = False
    """The model said here that it is done."""
    stages: Mapping[str, int] = {}
    """What the engine itself did meanwhile, by name."""
    logged: int = 0
    """How long recording held up the event loop."""
    runs: tuple[Run, ...] = ()
    """What tools did, and when."""
    drawn: int = -1
    """How long the screen took to show it; -1 where nobody looked, or that was not recorded."""
    frames: int = 0
    _llm: int = -1
    """What `llm` came to: it is asked of all rounds at once."""

    @property
    def wall(self) -> int:
        return self.end - self.start

    @property
    def worked(self) -> int:
        """Its wall time without what it waited for the user: how fast it was."""
        return self.wall - self.phases.get("waiting for you", 0)

    @property
    def llm(self) -> int:
        """How long it waited for the model."""
        if self._llm < 0:
            self._llm = sum(self.phases.get(name, 0) for name in MODEL)
        return self._llm

    @property
    def probe(self) -> int:
        """How long it waited for probes and for nothing else."""
        return self.phases.get("probe", 0)

    @property
    def rate(self) -> float:
        """Tokens a second that the model wrote; 0 where that is not known."""
        return self.written / (self.writing / 1e9) if self.writing > 0 else 0.0

    @property
    def rate_words(self) -> str:
        """Its rate; `~147` where it was clocked here."""
        return f"{'~' * self.clocked}{self.rate:.0f}"

    @property
    def reuse(self) -> float | None:
        """The share of the prompt that came from the server's cache; None where it does not say."""
        return self.cached / self.prompt if self.prompt and self.cached >= 0 else None

    @property
    def reuse_words(self) -> str:
        """That share: `97%`, or `~97%` where it is an estimate; empty where it is not known."""
        return "" if self.reuse is None else f"{'~' * self.guessed}{self.reuse:.0%}"

    @property
    def segments(self) -> list[Segment]:
        """What it waited for, from when to when."""
        packed = self.parts
        return [(PHASES[packed[n]], packed[n + 1], packed[n + 2]) for n in range(0, len(packed), 3)]


class ToolTime(msgspec.Struct):
    """All calls of one tool; times in ns."""

    calls: int = 0
    failed: int = 0
    total: int = 0
    longest: int = 0


class Switch(msgspec.Struct, frozen=True):
    """A change of model."""

    before: int
    """How many rounds were over."""
    old: str
    new: str
    reason: str


def packed(parts: list[Segment]) -> array[int]:
    """Segments as `RoundTime` keeps them."""
    return array("q", [value for name, low, high in parts for value in (_RANK[name], low, high)])


def runs(ended: RoundEnded) -> tuple[Run, ...]:
    """What tools did in a round, in the order in which they began; what a call waited for is left out."""
    found = [(span.start, span.end, span.name) for span in ended.spans if span.phase == "tools" and span.ref]
    return tuple((intern(name), start, end) for start, end, name in sorted(found) if name not in NO_RUNS)
