"""Text for a terminal that came from files, flags, servers or failures."""

from __future__ import annotations


def plain(text: str) -> str:
    """The text in one line; whatever could steer a terminal is replaced."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text).strip()
