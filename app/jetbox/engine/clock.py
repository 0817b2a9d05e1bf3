"""The one clock, spans, and phases that sum to a round's wall time.

All times are integers in nanoseconds on one monotonic clock.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping

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


class Timed:
    """Puts what runs inside it among the spans."""

    __slots__ = ("_name", "_now", "_phase", "_ref", "_spans", "_start")

    def __init__(self, spans: list[Span], now: Clock, name: str, phase: str = "context", ref: str = "") -> None:
        self._spans, self._now = spans, now
        self._name, self._phase, self._ref = name, phase, ref
        self._start = 0

    def __enter__(self) -> None:
        self._start = self._now()

    def __exit__(self, *_: object) -> None:
        self._spans.append(Span(self._phase, self._start, self._now(), self._name, self._ref))


def phases(spans: Iterable[Span], start: int, end: int) -> dict[str, int]:
    """Split [start, end] among the phases, in ns; the values sum to exactly `end - start`.

    Each instant goes to the covering span whose phase stands first in `PHASES`; what no
    span covers is "other".
    """
    total = dict.fromkeys(PHASES, 0)
    for name, low, high in segments(spans, start, end):
        total[name] += high - low
    return {name: ns for name, ns in total.items() if ns}


def segments(spans: Iterable[Span], start: int, end: int) -> list[tuple[str, int, int]]:
    """Which phase [start, end] belongs to from when to when, in order and without gaps."""
    rank = {name: n for n, name in enumerate(PHASES)}
    clipped = [
        (max(span.start, start), min(span.end, end), rank[span.phase])
        for span in spans
        if span.end > start and span.start < end
    ]
    cuts = sorted({start, end, *(edge for low, high, _ in clipped for edge in (low, high))})
    out: list[tuple[str, int, int]] = []
    for low, high in itertools.pairwise(cuts):
        name = PHASES[min((r for a, b, r in clipped if a <= low and b >= high), default=rank["other"])]
        since = out.pop()[1] if out and out[-1][0] == name else low
        out.append((name, since, high))
    return out


def model_spans(
    sent: int, first: int, spoke: int, ended: int, metrics: Mapping[str, int], *, thought: bool, reading: int = -1
) -> list[Span]:
    """The model's part of a round as spans; `first` and `spoke` are -1 where nothing came.

    Before the first chunk the client only knows how long it waited; the server's own
    durations split that wait from its end backwards: prompt eval, then load and queue.
    Where a call arrives whole on the last chunk, decoding lies before it too. An answer that broke
    off has no durations; `reading` is when its server began to say how far it had read, -1 where it did not.
    """
    begun = first if first >= 0 else ended
    load_end = begun
    spans = []
    decode = min(max(0, metrics.get("eval_duration", 0) - (ended - begun)), begun - sent)
    if decode:
        spans.append(Span("decode", begun - decode, begun))
        load_end = begun - decode
    known = load_end - reading if reading >= 0 else 0
    prompt = min(metrics.get("prompt_eval_duration", known), load_end - sent)
    if prompt > 0:
        spans.append(Span("prompt eval", load_end - prompt, load_end))
        load_end -= prompt
    spans.append(Span("queue and load", sent, load_end))
    if thought and first >= 0:
        until = spoke if spoke >= 0 else ended
        spans.append(Span("thinking", begun, until))
        begun = until
    spans.append(Span("decode", begun, ended))
    return [s for s in spans if s.end > s.start]


def tier(ns: int) -> str:
    """How a round of this length feels."""
    ms = ns / 1e6
    return next((name for bound, name in TIERS if ms < bound), "slow")


def figure(seconds: float) -> str:
    """A time for people: three digits of a short one, all of a long one, and never a power of ten."""
    return f"{seconds:,.0f}" if seconds >= 100 else f"{seconds:.3g}"
