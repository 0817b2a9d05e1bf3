"""How the workbench is laid out for a size of the terminal: classes of its style sheet."""

from __future__ import annotations

from jetbox.ui.skeleton import BESIDE, SMALL_COLUMNS, SMALL_ROWS

WIDE, WIDER = 116, 160
"""Columns from which the side panel has more room."""
LOW, LEAST = 10, 7
"""Rows below which a screen over the workbench has no margins, and below which no border either."""


def low_classes(height: int) -> dict[str, bool]:
    """Which classes hold for a screen over the workbench where there are so many rows."""
    return {"-low": height < LOW, "-least": height < LEAST}


def size_classes(width: int, height: int) -> dict[str, bool]:
    """Which classes hold for so many columns and rows."""
    return {
        "-tiny": width < SMALL_COLUMNS or height < SMALL_ROWS,
        "-narrow": width < BESIDE,
        "-wide": width >= WIDE,
        "-wider": width >= WIDER,
    }
