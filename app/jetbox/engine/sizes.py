"""Sizes in words."""

from __future__ import annotations


def size(n: int) -> str:
    """Bytes, for people: `812 B`, `12.9 GB`."""
    value, unit = _scaled(n, ("B", "kB", "MB", "GB"))
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def size_words(n: int) -> str:
    """Bytes, in what a tool says: `812 bytes`, `12.9 GB`."""
    value, unit = _scaled(n, ("bytes", "KB", "MB", "GB", "TB"))
    return f"{n} bytes" if unit == "bytes" else f"{value:.1f} {unit}"


def _scaled(n: int, units: tuple[str, ...]) -> tuple[float, str]:
    """In the largest of these units of which there is one whole."""
    power = min((len(str(n)) - 1) // 3, len(units) - 1)
    return n / 1000**power, units[power]
