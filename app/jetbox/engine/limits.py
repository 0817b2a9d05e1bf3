"""The limits of a goal: rounds, tokens, seconds; how it ends at one, and what the model is told before."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from jetbox.engine.errors import ExitCode
from jetbox.engine.events import Outcome
from jetbox.engine.options import LoopOptions

WARN_AT = (0.7, 0.9)
"""Shares of a limit at which the model is told."""


class Ending(msgspec.Struct, frozen=True):
    """Why the loop stops."""

    outcome: Outcome
    reason: str
    code: ExitCode = ExitCode.DONE
    hint: str = ""


class Limits:
    """Counts what one goal has used."""

    def __init__(self, options: LoopOptions, seconds: Callable[[], float]) -> None:
        """`seconds` is how long the goal has been worked on, without waiting for the user."""
        self._options = options
        self.seconds = seconds
        self.rounds = 0
        self.tokens = 0
        self._told: set[str] = set()

    @property
    def timed(self) -> bool:
        """Whether the goal has a limit of time."""
        return bool(self._options.max_seconds)

    @property
    def seconds_left(self) -> float:
        return self._options.max_seconds - self.seconds()

    def _used(self) -> list[tuple[str, float, float]]:
        options = self._options
        return [
            ("rounds", self.rounds, options.max_rounds),
            ("tokens", self.tokens, options.max_tokens),
            ("seconds", self.seconds(), options.max_seconds),
        ]

    def reached(self) -> Ending | None:
        """The ending at a limit that is used up; None where there is none."""
        for name, used, most in self._used():
            if most and used >= most:
                return _ending(name, most)
        return None

    def out_of_time(self) -> Ending:
        """The ending when the clock has struck."""
        return _ending("seconds", self._options.max_seconds)

    def words(self) -> list[str]:
        """What the model is told, once at each share of a limit."""
        words = []
        for name, used, most in self._used():
            for share in WARN_AT:
                key = f"{name} {share}"
                if most and used >= share * most and key not in self._told:
                    self._told.add(key)
                    words.append(f"[budget: {used:.0f} of {most:g} {name} used; bring the goal to an end]")
        return words[-1:]


def without_continuing(hint: str) -> str:
    """A hint for a session that is not kept: what it says of --continue, at its end, is left out."""
    if not hint.endswith("--continue"):
        return hint
    return hint[: max(0, *(hint.rfind(link) for link in ("; ", ", ", " and ")))]


def _ending(name: str, most: float) -> Ending:
    return Ending(
        "limit",
        f"stopped at the limit of {most:g} {name}",
        ExitCode.LIMIT,
        f"raise --max-{name} and go on with --continue",
    )
