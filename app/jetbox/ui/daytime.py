"""When a session was, by the clock on the wall."""

from __future__ import annotations

from datetime import datetime, timedelta


def began(created: str, t: int) -> datetime | None:
    """The time of day, here, at which the session's time was 0."""
    try:
        return datetime.fromisoformat(created).astimezone() - timedelta(microseconds=t // 1000)
    except (ValueError, OverflowError, OSError):
        return None
