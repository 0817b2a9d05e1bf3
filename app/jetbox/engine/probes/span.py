"""The lines in which a text differs from an older one, as the Language Server Protocol has changes."""

from __future__ import annotations

from typing import Any


def change(old: str, new: str) -> dict[str, Any]:
    """What makes `new` of `old`: a range of lines, or the whole text where lines could be counted in two ways.

    Columns are counted in characters, lines from 0; a line ends with a line feed.
    """
    if "\r" in old or "\r" in new:
        return {"text": new}
    same = _same(old, new)
    start = old.rfind("\n", 0, same) + 1
    room = min(len(old), len(new)) - start
    tail = _same_end(old, new, room)
    first = old.find("\n", len(old) - tail) + 1 if tail else 0
    end = first or len(old)
    line = old.count("\n", 0, start)
    last = line + old.count("\n", start, end)
    column = 0 if first else end - (old.rfind("\n") + 1)
    until = {"line": last, "character": column}
    text = new[start : len(new) - (len(old) - end)]
    return {"range": {"start": {"line": line, "character": 0}, "end": until}, "text": text}


def _same(old: str, new: str) -> int:
    """How many characters they begin with alike, by comparing halves: slices are compared in C."""
    low, high = 0, min(len(old), len(new))
    while low < high:
        middle = (low + high + 1) // 2
        if old[low:middle] == new[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _same_end(old: str, new: str, most: int) -> int:
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if old[len(old) - middle : len(old) - low] == new[len(new) - middle : len(new) - low]:
            low = middle
        else:
            high = middle - 1
    return low
