"""How the workbench is laid out for a size of the terminal: classes of its style sheet."""

from __future__ import annotations

BESIDE, WIDE, WIDER = 100, 116, 160
"""Columns from which the side panel stands beside the transcript, and from which it has more room."""
SMALL = (60, 15)
"""Columns and rows below which only transcript, status and input remain."""


def size_classes(width: int, height: int) -> dict[str, bool]:
    """Which classes hold for so many columns and rows."""
    return {
        "-tiny": width < SMALL[0] or height < SMALL[1],
        "-narrow": width < BESIDE,
        "-wide": width >= WIDE,
        "-wider": width >= WIDER,
    }
