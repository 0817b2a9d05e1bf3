"""What each model of a server is best at, by what was measured here; nothing is said where that tells too little."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

LEAST_CALLS = 8
LEAST_GOALS = 3
"""Below these a share is chance."""
WEAK = 0.8
"""A model whose calls succeed less often is no agent."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of a model."""

    usable: bool = True
    """As an agent."""
    decode: float = 0.0
    """Tokens a second."""
    calls: int = 0
    """Tool calls, those that nobody could read among them."""
    calls_ok: int = 0
    goals: int = 0
    green: int = 0
    """Goals that ended with green probes."""

    @property
    def weak(self) -> bool:
        """Its calls fail too often."""
        return self.calls >= LEAST_CALLS and self.calls_ok < WEAK * self.calls

    @property
    def quality(self) -> float:
        """Share of its goals that ended green; negative where that is not known."""
        return self.green / self.goals if self.goals >= LEAST_GOALS else -1.0


def best_at(models: Sequence[Standing]) -> list[str]:
    """A word for each, or none: compared are those that can be used and whose calls do not fail."""
    fit = [one for one in models if one.usable and not one.weak]
    rates = [one.decode for one in fit if one.decode > 0]
    shares = [one.quality for one in fit if one.quality >= 0]
    fastest = max(rates) if len(rates) > 1 else 0.0
    greenest = max(shares) if len(shares) > 1 else 0.0

    def word(one: Standing) -> str:
        if not one.usable:
            return ""
        if one.weak:
            return "questions: its calls fail"
        quick, sure = fastest > 0 and one.decode == fastest, greenest > 0 and one.quality == greenest
        return "all goals" if quick and sure else "quick goals" if quick else "hard goals" if sure else ""

    return [word(one) for one in models]
