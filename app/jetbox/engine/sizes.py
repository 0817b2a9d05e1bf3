"""Sizes in words."""

from __future__ import annotations


def size(n: int) -> str:
    """Bytes, for the screen: `812 B`, `12.9 GB`."""
    value = float(n)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError


def size_words(n: int) -> str:
    """Bytes, in what a tool says: `812 bytes`, `12.9 GB`."""
    if n < 1000:
        return f"{n} bytes"
    power = min((len(str(n)) - 1) // 3, 4)
    return f"{n / 1000**power:.1f} {('KB', 'MB', 'GB', 'TB')[power - 1]}"
