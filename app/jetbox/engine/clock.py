"""The one clock, spans, and phases that sum to a round's wall time.

All times are integers in nanoseconds on one monotonic clock.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable

import msgspec

Clock = Callable[[], int]
"""Returns nanoseconds; only differences have a meaning."""

monotonic: Clock = time.monotonic_ns

PHASES = (
    "context",
    "queue and load",
    "prompt eval",
    "thinking",
    "decode",
    "waiting for you",
    "tools",
    "probe",
    "other",
)
"""The phases in order of priority: an instant covered by several spans belongs to the first.

While the model speaks, the round waits for the model, whatever else runs; then for the
user, then for tools, then for probes.
"""

TIERS = ((300, "instant"), (1_000, "fast"), (3_000, "acceptable"), (5_000, "noticeable"))
"""Upper bounds in milliseconds of how a round's length feels; above the last: slow."""


class Span(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stretch of a round: what ran, from when to when (ns since the session began)."""

    phase: str
    start: int
    end: int
    name: str = ""
    """Which tool, probe or part; empty where the phase says it all."""
    ref: str = ""
    """The call id or probe name that it belongs to."""


def phases(spans: Iterable[Span], start: int, end: int) -> dict[str, int]:
    """Split [start, end] among the phases, in ns; the values sum to exactly `end - start`.

    Each instant goes to the covering span whose phase stands first in `PHASES`; what no
    span covers is "other".
    """
    rank = {name: n for n, name in enumerate(PHASES)}
    clipped = [
        (max(span.start, start), min(span.end, end), rank[span.phase])
        for span in spans
        if span.end > start and span.start < end
    ]
    cuts = sorted({start, end, *(edge for low, high, _ in clipped for edge in (low, high))})
    total = dict.fromkeys(PHASES, 0)
    for low, high in itertools.pairwise(cuts):
        best = min((r for a, b, r in clipped if a <= low and b >= high), default=rank["other"])
        total[PHASES[best]] += high - low
    return {name: ns for name, ns in total.items() if ns}


def tier(ns: int) -> str:
    """How a round of this length feels."""
    ms = ns / 1e6
    return next((name for bound, name in TIERS if ms < bound), "slow")
