"""Long times in words."""

from __future__ import annotations

_UNITS = (("days", 86_400), ("h", 3_600), ("min", 60))


def stretch(seconds: float) -> str:
    """In the largest unit of which it has two: `119 s`, `2 min`, `40 days`."""
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def ago(seconds: float) -> str:
    """`just now`, `3 s ago`, `2 h ago`."""
    return f"{stretch(seconds)} ago" if seconds >= 1 else "just now"
