"""Latency profiles: how long a request takes, and how that divides into load, prompt and decode.

Two profiles are measured lists: milliseconds per round of a run of the standard goal (mathx), as a
speed test of earlier agents against Ollama printed them. The others are rates, estimated within
published figures for such machines (single user, 4-bit weights):

    A  24 GB GPU, gpt-oss:20b         D  Apple M series, 7-8B
    B  24 GB GPU, qwen3-coder:30b     E  integrated GPU or CPU, 3B
    C  8-12 GB GPU, qwen2.5-coder:7b  F  20-30B that spills out of the GPU

Further ones are single machines with a model, `rtx3090/gpt-oss:20b` for example.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

from jetbox.sim.machines import MACHINES


class Work(NamedTuple):
    """What a request asks of the machine."""

    round: int
    """Number of the answer to its goal, from 1."""
    load: bool
    """The model must be loaded."""
    prompt: int
    """Tokens of the prompt."""
    cached: int
    """Of them, already in the cache."""
    lost: int
    """Tokens that were in an earlier prompt of the conversation, yet not in the cache."""
    output: int
    """Tokens of the answer."""


class Timing(NamedTuple):
    """Durations of a request, in seconds."""

    load: float = 0.0
    overhead: float = 0.0
    """Scheduling, rendering, tokenising: part of `load_duration` even on a warm model."""
    prompt: float = 0.0
    decode: float = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self)


class Instant:
    """No latency at all."""

    def timing(self, work: Work) -> Timing:
        """Nothing takes time."""
        return Timing()

    def load_time(self) -> float:
        """Nothing takes time."""
        return 0.0


class Measured:
    """Total milliseconds per round, taken from a list; after its end the median of the warm rounds.

    Entry 1 includes the load. The list holds for an append-only conversation: a prompt that has
    lost its cached prefix costs its lost tokens on top, at `prefill` tokens a second.
    """

    def __init__(self, rounds: tuple[int, ...], prefill: float) -> None:
        self.rounds = rounds
        self._prefill = prefill
        self._warm = rounds[1:]

    def load_time(self) -> float:
        """What round 1 took longer than round 2, in seconds."""
        return (self.rounds[0] - self._warm[0]) / 1000

    def timing(self, work: Work) -> Timing:
        """Divide the listed figure of the round."""
        listed = self._warm[0] if work.round == 1 else None
        if listed is None and work.round <= len(self.rounds):
            listed = self.rounds[work.round - 1]
        warm = (_median(self._warm) if listed is None else listed) / 1000
        overhead = min(0.05, 0.08 * warm)
        fresh = max(0, work.prompt - work.cached - work.lost)
        prompt = min(max(fresh / self._prefill, 0.05 * warm), 0.4 * warm)
        decode = warm - overhead - prompt
        return Timing(self.load_time() if work.load else 0.0, overhead, prompt + work.lost / self._prefill, decode)


class Rates:
    """Seconds to load, tokens a second to read and to write, with five per cent of jitter.

    Both rates fall with depth (decode by a quarter, prefill by 45 per cent at 32,768 tokens), each
    request has a fixed overhead, and about one in fifty a pause of one to three seconds. All of it
    depends on the work alone, so that a repeated run takes equally long.
    """

    def __init__(self, load: float, prefill: float, decode: float, floor_ms: float) -> None:
        self._load = load
        self._prefill = prefill
        self._decode = decode
        self._floor = floor_ms / 1000

    def load_time(self) -> float:
        """Seconds to load the model."""
        return self._load

    def timing(self, work: Work) -> Timing:
        """Durations at these rates."""
        seed = zlib.crc32(repr(work).encode())
        jitter = 1 + 0.05 * ((seed % 2001) / 1000 - 1)
        depth = min(1.0, work.prompt / 32_768)
        overhead = 0.05 + 0.06 * ((seed >> 11) % 1000 / 1000)
        if (seed >> 21) % 50 == 0:
            overhead += 1 + (seed % 2000) / 1000
        prefill = self._prefill * (1 - 0.45 * depth)
        prompt = max(self._floor, (work.prompt - work.cached) / prefill) * jitter
        decode = work.output / (self._decode * (1 - 0.25 * depth)) * jitter
        return Timing(self._load * jitter if work.load else 0.0, overhead, prompt, decode)


def _median(values: tuple[int, ...]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[-middle - 1]) / 2


Profile = Instant | Measured | Rates

PROFILES: dict[str, Profile] = {
    "gpt-oss:20b": Measured((3640, 711, 676, 676, 569, 449, 428, 426, 452, 432), prefill=3500),
    "llama3.2:3b": Measured((677, 403, 314, 227, 221, 205, 205, 223, 205), prefill=8000),
    "A": Rates(load=8, prefill=3700, decode=150, floor_ms=30),
    "B": Rates(load=10, prefill=2200, decode=130, floor_ms=40),
    "C": Rates(load=6, prefill=1600, decode=55, floor_ms=40),
    "D": Rates(load=5, prefill=500, decode=47, floor_ms=60),
    "E": Rates(load=4, prefill=150, decode=16, floor_ms=150),
    "F": Rates(load=35, prefill=150, decode=16, floor_ms=200),
    "instant": Instant(),
    **{
        name: Rates(load=machine.load, prefill=machine.prefill, decode=machine.decode, floor_ms=machine.floor_ms)
        for name, machine in MACHINES.items()
    },
}
