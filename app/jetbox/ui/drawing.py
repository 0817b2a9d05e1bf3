"""How long the screen computes to show a round; what other programs take of the machine is not counted."""

from __future__ import annotations

import time
from types import TracebackType

from jetbox.engine import events as e
from jetbox.engine.commands import Drawn


class Drawing:
    """Adds up what is done within it; what is begun within is part of it."""

    def __init__(self) -> None:
        self.ns = 0
        self.frames = 0
        """Times that something went to the terminal."""
        self.recorded = False
        """Whether it is told: where a session is live on a terminal."""
        self._over = 0
        """A round that is over and not told."""
        self._depth = 0
        self._since = 0

    def __enter__(self) -> None:
        if not self._depth:
            self._since = time.thread_time_ns()
        self._depth += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._depth -= 1
        if not self._depth:
            self.ns += time.thread_time_ns() - self._since

    def note(self, stamped: e.Stamped) -> None:
        """Take an event."""
        if isinstance(stamped.event, e.RoundEnded):
            self._over = stamped.round

    def told(self) -> Drawn | None:
        """What is to be told of a round that is over and shown; once."""
        if not self._over:
            return None
        told = Drawn(self._over, self.ns, self.frames)
        self._over = self.ns = self.frames = 0
        return told
