"""What the server has seen, for tests and measurements."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

KEEP_BODIES = 50
COUNTERS = (
    "requests",
    "chats",
    "finished",
    "cancelled",
    "faults",
    "errors",
    "loading",
    "stalled",
    "bytes_in",
    "bytes_out",
)


class Stats:
    """Counters that threads share, and the newest bodies of chat requests."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._counts = dict.fromkeys(COUNTERS, 0)
        self._bodies: deque[tuple[int, bytes]] = deque(maxlen=KEEP_BODIES)
        self._releases = 0
        self.last_error = ""

    def add(self, **changes: int) -> None:
        """Add to counters."""
        with self._changed:
            for name, change in changes.items():
                self._counts[name] += change
            self._changed.notify_all()

    def chat(self, body: bytes) -> int:
        """Count a chat request that has messages; its number, from 1."""
        with self._changed:
            self._counts["chats"] += 1
            number = self._counts["chats"]
            self._bodies.append((number, body))
            self._changed.notify_all()
            return number

    def wait_for(self, least: dict[str, int], seconds: float) -> bool:
        """Wait until every named counter has reached its value; false where time ran out."""
        with self._changed:
            return self._changed.wait_for(lambda: all(self._counts[n] >= v for n, v in least.items()), seconds)

    def release(self) -> None:
        """Let everything that stalls at present go on."""
        with self._changed:
            self._releases += 1
            self._changed.notify_all()

    @property
    def releases(self) -> int:
        """How often stalls were released."""
        return self._releases

    def report(self, **more: Any) -> dict[str, Any]:
        """All of it as JSON values: counters, `bodies` (number, sha256, body) and what is passed in."""
        from hashlib import sha256

        with self._changed:
            counts, bodies = dict(self._counts), list(self._bodies)
        kept = [
            {"number": number, "sha256": sha256(body).hexdigest(), "body": body.decode("utf-8", "replace")}
            for number, body in bodies
        ]
        return {**counts, "last_error": self.last_error, **more, "bodies": kept}
