"""A unified diff as rows with line numbers."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from jetbox.ui.text.rows import TAB, Row, cells, flow, row

_HUNK = re.compile(r"^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")

Kind = Literal["added", "removed", "same", "gap", "note"]


class DiffLine(NamedTuple):
    """One line of a diff; `number` is its line in the new file, in the old one where it was removed."""

    kind: Kind
    number: int
    text: str


def parse(diff: str) -> list[DiffLine]:
    """The lines of a unified diff; headers are left out, hunks are parted by a gap."""
    out: list[DiffLine] = []
    old = new = 0
    inside = False
    for line in diff.split("\n"):
        hunk = _HUNK.match(line)
        if hunk:
            if inside:
                out.append(DiffLine("gap", 0, ""))
            old, new, inside = int(hunk[1]), int(hunk[2]), True
        elif not inside:
            if line and not line.startswith(("--- ", "+++ ", "diff ", "index ", "new file", "deleted file")):
                out.append(DiffLine("note", 0, line))
        elif line.startswith("+"):
            out.append(DiffLine("added", new, line[1:]))
            new += 1
        elif line.startswith("-"):
            out.append(DiffLine("removed", old, line[1:]))
            old += 1
        elif line.startswith(" "):
            out.append(DiffLine("same", new, line[1:]))
            old, new = old + 1, new + 1
        elif line:
            out.append(DiffLine("note", 0, line.removeprefix("\\ ")))
    return out


def diff_rows(diff: str, width: int, *, most: int, indent: str = "", more: str = "…") -> tuple[list[Row], int]:
    """Rows of at most `most` lines of the diff, and how many lines are left out."""
    all_lines = parse(diff)
    shown = all_lines[:most]
    digits = len(str(max((line.number for line in shown), default=1)))
    out: list[Row] = []
    for line in shown:
        out += _line_rows(line, width, digits, indent, more)
    return out, len(all_lines) - len(shown)


def _line_rows(line: DiffLine, width: int, digits: int, indent: str, more: str) -> list[Row]:
    if line.kind == "gap":
        return [row(indent, (f"{more:>{digits}}", "faint"))]
    if line.kind == "note":
        return flow(((line.text, "faint"),), width, first=((indent, ""),))
    sign = {"added": "+", "removed": "-", "same": " "}[line.kind]
    style = f"diff.{line.kind}"
    head = ((indent, ""), (f"{line.number:>{digits}} ", "diff.number"), (f"{sign} ", style))
    rest = ((indent, ""), (" " * (digits + 1), "diff.number"), ("  ", style))
    text = line.text.replace("\t", TAB)
    rows = flow(((text, style),), width, first=head, rest=rest, words=False)
    return rows if line.kind == "same" else [_to_the_end(each, width, style) for each in rows]


def _to_the_end(filled: Row, width: int, style: str) -> Row:
    """The row with its colour up to the last column."""
    left = width - cells(filled.text)
    return Row((*filled.pieces, (" " * left, style))) if left > 0 else filled
