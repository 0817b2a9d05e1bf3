"""What is aimed at, and how near a session came."""

from __future__ import annotations

from typing import Literal

import msgspec

from jetbox.record.timing import Timing, percentile

Light = Literal["met", "missed", "few", "none"]
"""few: there are too few values for the figure to say much; none: there is nothing to judge."""
MS = 1_000_000
TIMES = ((0.5, 1500, 1), (0.95, 3000, 20), (0.99, 5000, 100))
"""Share of the rounds, milliseconds below which they are to stay, rounds from which on that says something."""
HITS, PARALLEL = 0.30, 0.60
"""Share of verdicts served from the cache, and of calls that ran beside another, to be above."""


class Target(msgspec.Struct, frozen=True):
    """One of them: times in ns, shares from 0 to 1."""

    name: str
    value: float
    """-1 where there is none."""
    aim: float
    n: int
    of: str
    """What `n` counts."""
    light: Light
    is_time: bool


def targets(timing: Timing) -> list[Target]:
    """How a session stands."""
    n = len(timing.worked)
    out = []
    for share, aim, least in TIMES:
        value = percentile(timing.worked, share)
        light: Light = "none" if not n else "few" if n < least else "met" if value < aim * MS else "missed"
        out.append(Target(f"P{share * 100:.0f}", value, aim * MS, n, "rounds", light, True))
    return [
        *out,
        _share("hit rate", timing.hits, timing.verdicts, HITS, "verdicts"),
        _share("parallel", timing.parallel, timing.calls, PARALLEL, "calls"),
    ]


def _share(name: str, part: int, whole: int, aim: float, of: str) -> Target:
    if not whole:
        return Target(name, -1, aim, 0, of, "none", False)
    value = part / whole
    return Target(name, value, aim, whole, of, "met" if value > aim else "missed", False)
