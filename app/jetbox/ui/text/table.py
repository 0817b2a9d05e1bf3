"""Tables of markdown: columns as wide as they need, narrower and wrapped where there is no room."""

from __future__ import annotations

import re

from jetbox.ui.text.inline import inline
from jetbox.ui.text.names import Names
from jetbox.ui.text.rows import Piece, Row, cells, cut, flow, wrap

MOST_LINES = 60
"""A longer table goes on as one of its own, so that no frame lays out more than this anew."""

_DELIMITER = re.compile(r"^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$")
_PIPE = re.compile(r"(?<!\\)\|")
_NARROWEST = 3


def may_be_row(line: str) -> bool:
    """Whether a table can begin or go on with this line."""
    return "|" in line and bool(line.strip())


def is_delimiter(line: str) -> bool:
    """Whether this is the line below a table's head."""
    return "-" in line and "|" in line and _DELIMITER.match(line) is not None


def split_cells(line: str) -> list[str]:
    """The texts of a line's cells."""
    line = line.strip()
    line = line[1:] if line.startswith("|") else line
    line = line[:-1] if line.endswith("|") and not line.endswith("\\|") else line
    return [cell.strip().replace("\\|", "|") for cell in _PIPE.split(line)]


def table_rows(
    lines: list[str],
    width: int,
    pad: tuple[Piece, ...],
    column: str,
    cross: str,
    rule: str,
    names: Names | None = None,
) -> list[Row]:
    """The rows of a table; its second line is the delimiter."""
    head, marks = split_cells(lines[0]), split_cells(lines[1])
    count = max(len(head), len(marks))
    sides = [(mark.startswith(":"), mark.endswith(":")) for mark in marks] + [(False, False)] * (count - len(marks))
    body = [split_cells(line)[:count] for line in lines[2:]]
    grid = [[inline(text, "bold" if not n else "", names) for text in line] for n, line in enumerate([head, *body])]
    grid = [[*line, *[[("", "")]] * (count - len(line))] for line in grid]
    room = width - sum(cells(text) for text, _ in pad) - 3 * (count - 1)
    widths = _fit([max(_width(line[n]) for line in grid) for n in range(count)], room)
    if not widths:
        return _stacked(grid, width, pad)
    out: list[Row] = []
    for n, line in enumerate(grid):
        out += _line(line, widths, sides, pad, column)
        if not n:
            ruled = f"{rule}{cross}{rule}".join(rule * wide for wide in widths)
            out.append(Row((*pad, (ruled, "faint"))))
    return out


def _stacked(grid: list[list[list[Piece]]], width: int, pad: tuple[Piece, ...]) -> list[Row]:
    """Where the columns have no room side by side: cell below cell, each behind the name of its column."""
    head, *body = grid
    if not body:
        return flow([piece for name in head for piece in (*name, ("  ", ""))][:-1], width, first=pad)
    out: list[Row] = []
    for n, line in enumerate(body):
        out += [Row(pad)] if n else []
        for name, cell in zip(head, line, strict=True):
            out += flow((*name, (": ", "faint"), *cell), width, first=pad, rest=(*pad, ("  ", "")))
    return out


def _width(pieces: list[Piece]) -> int:
    return sum(cells(text) for text, _ in pieces)


def _fit(widths: list[int], room: int) -> list[int]:
    """The widths of the columns, the widest ones cut down; none where even that does not do."""
    widths = [max(1, wide) for wide in widths]
    if room < sum(min(wide, _NARROWEST) for wide in widths):
        return []
    over = sum(widths) - room
    while over > 0:
        widest = max(widths)
        at = [n for n, wide in enumerate(widths) if wide == widest]
        following = max([wide for wide in widths if wide < widest], default=_NARROWEST)
        each = max(1, min(widest - following, -(-over // len(at))))
        for n in at:
            less = min(each, over)
            widths[n] -= less
            over -= less
    return widths


def _line(
    line: list[list[Piece]], widths: list[int], sides: list[tuple[bool, bool]], pad: tuple[Piece, ...], column: str
) -> list[Row]:
    """A line of the table, as high as its highest cell."""
    parts = []
    for pieces, wide in zip(line, widths, strict=True):
        text = "".join(part for part, _ in pieces)
        parts.append([cut(pieces, start, end) for start, end in wrap(text, wide)])
    out = []
    for row in range(max(len(part) for part in parts)):
        shown: list[Piece] = [*pad]
        for n, (part, wide, (left, right)) in enumerate(zip(parts, widths, sides, strict=True)):
            said = part[row] if row < len(part) else ()
            free = max(0, wide - sum(cells(text) for text, _ in said))
            before = free // 2 if left and right else free if right else 0
            shown += [(f" {column} ", "faint")] if n else []
            shown += [(" " * before, "")] if before else []
            shown += said
            shown += [(" " * (free - before), "")] if free > before and n < len(widths) - 1 else []
        out.append(Row(tuple(shown)))
    return out
