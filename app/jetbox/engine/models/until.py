"""Until when a server holds a model: its times, read."""

from __future__ import annotations

from datetime import UTC, datetime

FOR_EVER_S = 365 * 86_400.0
"""A model that is held for longer is held for ever."""


def seconds_until(stamp: str) -> float | None:
    """How far away an RFC 3339 time is, also with nanoseconds as Go prints them; None where it is none."""
    try:
        return (datetime.fromisoformat(stamp) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None


def session_time(stamp: str, now: int) -> int:
    """A server's time as the session's, in ns, where that is at `now`; -1 for ever, 0 where it cannot be read."""
    seconds = seconds_until(stamp)
    if seconds is None:
        return 0
    return -1 if seconds > FOR_EVER_S else max(1, now + int(seconds * 1e9))
