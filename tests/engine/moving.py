"""A clock that a test moves on: limits of time are reached when it says so, however fast the machine is."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """The loop's clock; what is due by then happens in the loop's next turn."""

    def __init__(self) -> None:
        self.ahead = 0.0
        """Seconds."""

    def forward(self, seconds: float) -> None:
        """Let so much time have passed."""
        self.ahead += seconds

    def now(self) -> int:
        """Nanoseconds, for a session that goes by this clock."""
        return time.monotonic_ns() + int(self.ahead * 10**9)

    def once(self, seconds: float) -> Callable[[object], None]:
        """Moves it on when it is called for the first time, as with what a process says once it has begun."""
        left = [seconds]

        def begun(_: object) -> None:
            if left:
                self.forward(left.pop())

        return begun
