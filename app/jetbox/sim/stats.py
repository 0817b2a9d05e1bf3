"""What the server has seen, for tests and measurements."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

KEEP_BODIES = 50
KEEP_TIMES = 1000
COUNTERS = (
    "requests",
    "chats",
    "finished",
    "cancelled",
    "faults",
    "errors",
    "loading",
    "stalled",
    "queued",
    "restarts",
    "embeds",
    "bytes_in",
    "bytes_out",
)


class Stats:
    """Counters that threads share, and the newest bodies of chat requests."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._counts = dict.fromkeys(COUNTERS, 0)
        self._bodies: deque[tuple[int, bytes]] = deque(maxlen=KEEP_BODIES)
        self._timeline: deque[list[int]] = deque(maxlen=KEEP_TIMES)
        self._releases = 0
        self.last_error = ""

    def add(self, **changes: int) -> None:
        """Add to counters."""
        with self._changed:
            for name, change in changes.items():
                self._counts[name] += change
            self._changed.notify_all()

    def chat(self, body: bytes, received: int) -> int:
        """Count a chat request that has messages; its number, from 1. `received`: when its last byte came."""
        with self._changed:
            self._counts["chats"] += 1
            number = self._counts["chats"]
            self._bodies.append((number, body))
            self._timeline.append([number, received, 0])
            self._changed.notify_all()
            return number

    def next_number(self) -> int:
        """The number that the next chat will have, unless another comes in between."""
        with self._changed:
            return self._counts["chats"] + 1

    def answered(self, number: int, sent: int) -> None:
        """The last byte of this chat's answer goes out at this time."""
        with self._changed:
            for entry in reversed(self._timeline):
                if entry[0] == number:
                    entry[2] = sent
                    break

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
        """All of it as JSON values.

        Counters, `bodies` (number, sha256, body), `timeline` (number, received, answered in ns of the
        machine's monotonic clock) and what is passed in.
        """
        from hashlib import sha256

        with self._changed:
            counts, bodies = dict(self._counts), list(self._bodies)
            timeline = [list(entry) for entry in self._timeline]
        kept = [
            {"number": number, "sha256": sha256(body).hexdigest(), "body": body.decode("utf-8", "replace")}
            for number, body in bodies
        ]
        return {**counts, "last_error": self.last_error, **more, "timeline": timeline, "bodies": kept}
