"""Notices an answer that says the same again and again and would go on to its limit."""

from __future__ import annotations

TAIL = 3_000
"""Characters that have to repeat themselves; a table's rules and a file's data stay below."""
EVERY = 500
"""Characters between two looks."""
LONGEST = 1_000
"""Characters of the longest piece whose repetition is noticed."""
PROBE = 100


class Repetition:
    """Watches one stream of text."""

    def __init__(self) -> None:
        self._tail = ""
        self._fresh = 0

    def feed(self, text: str) -> int:
        """The length of the piece that the newest text repeats; 0 where it does not, or before it is certain."""
        self._fresh += len(text)
        self._tail += text
        if self._fresh < EVERY:
            return 0
        self._fresh = 0
        self._tail = tail = self._tail[-TAIL:]
        if len(tail) < TAIL:
            return 0
        before = tail.rfind(tail[-PROBE:], 0, TAIL - 1)
        period = TAIL - PROBE - before
        if before < 0 or period > LONGEST or tail[period:] != tail[:-period]:
            return 0
        return period
