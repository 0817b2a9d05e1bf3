"""Notices a server that writes slower than it did, by its own figures of this model on this machine.

Rates of writing alone count: a load, a queue or a prompt that was not in the cache leave them as they
are. They fall with the length of prompt and answer, so an answer is compared with those before it that
were of its kind; where too few were, it has to be much slower than all that is known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import msgspec

from jetbox.engine.events import Notice
from jetbox.engine.models.figures import median

LEAST_TOKENS = 32
LEAST_NS = 50_000_000
"""Shorter answers tell no rate."""
KEPT = 64
FEWEST = 4
"""Answers from which the usual rate can be told."""
SLOWER = 2.0
"""So many times slower than answers of its kind, an answer is slow."""
MUCH_SLOWER = 4.0
"""The same, where only answers of other kinds are known."""
ROW = 3
"""So many slow answers, one after the other, are a server in trouble; and so many others the end of it."""


class _Sample(msgspec.Struct, frozen=True, gc=False):
    rate: float
    prompt: int
    written: int

    def like(self, other: _Sample) -> bool:
        """Whether the other one had a prompt at least as long by half, and an answer about as long."""
        return other.prompt * 2 >= self.prompt and self.written / 2 <= other.written <= self.written * 2


class _Model:
    """What is known of one model."""

    def __init__(self) -> None:
        self.before: Sequence[float] = ()
        """Rates of earlier sessions."""
        self.usual: deque[_Sample] = deque(maxlen=KEPT)
        self.slow: list[tuple[float, float]] = []
        """Of the latest answers those that were slow, in a row: their rates, and what was to be expected."""
        self.fine = 0
        self.told = False


class SpeedWatch:
    """Follows the answers of a session."""

    def __init__(self) -> None:
        self._models: dict[str, _Model] = {}

    def know(self, model: str, rates: Sequence[float]) -> None:
        """What was measured of the model before: tokens a second."""
        self._of(model).before = tuple(rates)

    def answered(self, model: str, metrics: Mapping[str, int]) -> Notice | None:
        """Take the server's figures of an answer; a word to the user where it has become slow, once each time."""
        written, took = metrics.get("eval_count", 0), metrics.get("eval_duration", 0)
        if written < LEAST_TOKENS or took < LEAST_NS:
            return None
        known = self._of(model)
        sample = _Sample(written / (took / 1e9), metrics.get("prompt_eval_count", 0), written)
        expected = _expected(known, sample)
        if not expected:
            known.usual.append(sample)
            known.slow.clear()
            known.fine += 1
            known.told = known.told and known.fine < ROW
            return None
        known.fine = 0
        known.slow.append((sample.rate, expected))
        if known.told or len(known.slow) < ROW:
            return None
        known.told = True
        rate, before = (median([pair[n] for pair in known.slow]) for n in (0, 1))
        return Notice(
            level="warning",
            text=f"the server answers {_said(before / rate)} times slower than it did: {_said(rate)} tokens a second, "
            f"{_said(before)} before ({model})",
            hint="other programs may keep it busy; where it stays so, restart the server",
        )

    def _of(self, model: str) -> _Model:
        return self._models.setdefault(model, _Model())


def _said(figure: float) -> str:
    """Two digits that count, and never a power of ten."""
    return f"{figure:.2g}" if figure < 99.5 else f"{figure:,.0f}"


def _expected(known: _Model, sample: _Sample) -> float:
    """The rate that was to be expected of a slow answer; 0 where the answer is not slow, or nobody can tell."""
    alike = [one.rate for one in known.usual if sample.like(one)]
    rates, times = alike, SLOWER
    if len(alike) < FEWEST:
        rates, times = [*known.before, *(one.rate for one in known.usual)], MUCH_SLOWER
    usual = median(rates)
    return usual if len(rates) >= FEWEST and usual > times * sample.rate else 0.0
