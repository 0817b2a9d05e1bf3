"""A unified diff as rows with line numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate, islice, zip_longest
from typing import Literal, NamedTuple

from jetbox.ui.text.rows import TAB, Piece, Row, Stretch, cells, flow, row

BESIDE = 128
"""Cells from which the old and the new stand side by side."""
PARTED = "  "
"""Between the two."""

_HUNK = re.compile(r"^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")

PART_LINES = 40
"""About as many lines are laid out at a time."""
MOST_WORDS = 400
"""So many are compared one by one in a part; of what is more, the stretch between what both lines begin and end with is
marked as one."""
_WORDS = re.compile(r"\w+|\s+|.")

Kind = Literal["added", "removed", "same", "gap", "note"]
Spans = tuple[tuple[int, int], ...]
"""Where the words of a line stand that are not in the other one, in order."""


class DiffLine(NamedTuple):
    """One line of a diff; `number` is its line in the new file, in the old one where it was removed."""

    kind: Kind
    number: int
    text: str
    old: int = 0
    """Of a line that stayed: its number in the old file."""


def parsed(diff: str) -> Iterator[DiffLine]:
    """The lines of a unified diff; headers are left out, hunks are parted by a gap."""
    old = new = 0
    inside = False
    for line in diff.split("\n"):
        hunk = _HUNK.match(line) if line.startswith("@@") else None
        if hunk:
            if inside:
                yield DiffLine("gap", 0, "")
            old, new, inside = int(hunk[1]), int(hunk[2]), True
        elif not inside:
            if line and not line.startswith(("--- ", "+++ ", "diff ", "index ", "new file", "deleted file")):
                yield DiffLine("note", 0, line)
        elif line.startswith("+"):
            yield DiffLine("added", new, line[1:])
            new += 1
        elif line.startswith("-"):
            yield DiffLine("removed", old, line[1:])
            old += 1
        elif line.startswith(" "):
            yield DiffLine("same", new, line[1:], old)
            old, new = old + 1, new + 1
        elif line:
            yield DiffLine("note", 0, line.removeprefix("\\ "))


_SIGNS = re.compile(f"{_HUNK.pattern}.*|^(?:\\\\ ?|[-+ ])", re.MULTILINE)


def searched(diff: str) -> str:
    """The lines that are shown of a diff, as they are searched: what stayed is there once."""
    hunk = re.search(_HUNK.pattern, diff, re.MULTILINE)
    at = hunk.start() if hunk is not None else len(diff)
    notes = [line.text for line in parsed(diff[:at])]
    return "\n".join([*notes, _SIGNS.sub("", diff[at:])]).replace("\t", TAB)


def length(diff: str) -> int:
    """How many lines it has, without looking into each: of a long one few are shown."""
    lines = diff.split("\n")
    first = next((n for n, line in enumerate(lines) if _HUNK.match(line)), len(lines))
    return len([*parsed("\n".join(lines[:first]))]) + len([*filter(None, lines[first + 1 :])])


def diff_rows(
    diff: str, width: int, *, most: int, indent: str = "", more: str = "…", filled: int = 0
) -> tuple[list[Row], int]:
    """Rows of at most `most` lines of the diff, and how many lines are left out.

    Colours reach to the last column, or to the one that `filled` says where the lines are shorter.
    """
    shown = [*islice(parsed(diff), most)]
    parts = diff_parts(shown, width, indent=indent, more=more, filled=filled)
    return [each for part in parts for each in part], length(diff) - len(shown)


def diff_parts(
    shown: list[DiffLine], width: int, *, indent: str = "", more: str = "…", filled: int = 0
) -> Iterator[list[Row]]:
    """The rows of these lines, in parts that are each made within a frame."""
    both = beside(shown, width - cells(indent))
    most = max((max(line.number, line.old) if both else line.number for line in shown), default=1)
    digits, at = len(str(most)), 0
    while at < len(shown):
        end = min(at + PART_LINES, len(shown))
        # What stands for each other stays together.
        while end < len(shown) and shown[end].kind in ("added", "removed"):
            end += 1
        part = shown[at:end]
        changed = changed_parts(part)
        if both:
            yield side_by_side(part, width, changed, indent, more, digits)
        else:
            lines = enumerate(part)
            yield [r for n, it in lines for r in _line_rows(it, width, digits, indent, more, changed.get(n), filled)]
        at = end


def changed_parts(shown: list[DiffLine]) -> dict[int, Spans]:
    """Where lines that stand for each other differ, by words: removed ones and the added ones behind them."""
    out: dict[int, Spans] = {}
    left = MOST_WORDS
    for old, new in _pairs(shown):
        if old is None or new is None or old == new:
            continue
        parts, compared = _differing(shown[old].text, shown[new].text, left)
        left -= compared
        if parts is not None:
            out[old], out[new] = parts
    return out


def _differing(old: str, new: str, most_words: int) -> tuple[tuple[Spans, Spans] | None, int]:
    """The words of each line that are not in the other one, none where they share less than half of the old; and how
    many were compared one by one."""
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    most = min(len(before), len(after))
    head = next((n for n in range(most) if before[n] != after[n]), most)
    tail = next((n for n in range(most - head) if before[-1 - n] != after[-1 - n]), most - head)
    here, there = before[head : len(before) - tail], after[head : len(after) - tail]
    compared = len(here) + len(there) if here and there else 0
    if compared > most_words:
        compared = 0
    alike = _alike(here, there) if compared else []
    kept = [(0, 0, head), *((head + a, head + b, n) for a, b, n in alike)]
    kept.append((len(before) - tail, len(after) - tail, tail))
    shared = sum(len("".join(before[at : at + n]).strip()) for at, _, n in kept)
    if 2 * shared < len(old.strip()):
        return None, compared
    marked = _between(before, [(at, n) for at, _, n in kept]), _between(after, [(at, n) for _, at, n in kept])
    return marked, compared


def _alike(old: list[str], new: list[str]) -> list[tuple[int, int, int]]:
    """What both have: where in the one, where in the other, and how many words."""
    from difflib import SequenceMatcher

    found = SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    # A space alone between two changed words is no part that stayed.
    return [(a, b, n) for a, b, n in found if "".join(old[a : a + n]).strip()]


def _between(words: list[str], kept: list[tuple[int, int]]) -> Spans:
    """Where in the line everything stands that is not kept."""
    at = [0, *accumulate(map(len, words))]
    starts = [at[start + n] for start, n in kept]
    ends = [at[start] for start, _ in kept[1:]]
    return tuple((start, end) for start, end in zip(starts, ends, strict=False) if start < end)


def beside(shown: list[DiffLine], width: int) -> bool:
    """Whether the old and the new are shown side by side: where there is room for both, and there are both."""
    kinds = {line.kind for line in shown}
    return width >= BESIDE and {"added", "removed"} <= kinds


def side_by_side(
    shown: list[DiffLine], width: int, changed: dict[int, Spans], indent: str, more: str, digits: int
) -> list[Row]:
    """The old to the left, the new to the right; lines that stand for each other in one row."""
    room = (width - cells(indent) - cells(PARTED)) // 2

    def half(at: int | None, *, new: bool) -> list[Row]:
        if at is None:
            return []
        line = shown[at]
        if line.kind == "same" and not new:
            line = line._replace(number=line.old)
        return _line_rows(line, room, digits, "", more, changed.get(at))

    out: list[Row] = []
    for left, right in _pairs(shown):
        if left == right and left is not None and shown[left].kind in ("gap", "note"):
            out += _line_rows(shown[left], width, digits, indent, more, None)
            continue
        halves = half(left, new=False), half(right, new=True)
        for n in range(max(map(len, halves))):
            old, new = (rows[n].pieces if n < len(rows) else () for rows in halves)
            gap = max(0, room - sum(cells(text) for text, _ in old))
            before = ((indent, ""), *old, (" " * gap, ""), (PARTED, ""))
            # What stayed stands on both sides and is found in the new.
            at = (len(indent), sum(len(text) for text, _ in before))
            sides = [*enumerate(halves)][left is not None and left == right :]
            found = [_moved(rows[n].searched, column, at[column]) for column, rows in sides if n < len(rows)]
            out.append(Row((*before, *new), searched=tuple(each for part in found for each in part)))
    return out


def _moved(searched: tuple[Stretch, ...], column: int, by: int) -> Iterator[Stretch]:
    """These stretches in another column, so many characters further on."""
    return (Stretch(column, each.start + by, each.end + by, each.goes_on) for each in searched)


def _pairs(shown: list[DiffLine]) -> Iterator[tuple[int | None, int | None]]:
    """Which line stands beside which: the removed ones beside the added ones behind them, others beside themselves."""
    n = 0
    while n < len(shown):
        first = n
        while n < len(shown) and shown[n].kind == "removed":
            n += 1
        middle = n
        while n < len(shown) and shown[n].kind == "added":
            n += 1
        if n > first:
            yield from zip_longest(range(first, middle), range(middle, n))
        else:
            yield n, n
            n += 1


def _line_rows(
    line: DiffLine,
    width: int,
    digits: int,
    indent: str,
    more: str,
    changed: Spans | None,
    filled: int = 0,
) -> list[Row]:
    if line.kind == "gap":
        return [row(indent, (f"{more:>{digits}}", "faint"))]
    if line.kind == "note":
        return flow(((line.text, "faint"),), width, first=((indent, ""),))
    sign = {"added": "+", "removed": "-", "same": " "}[line.kind]
    style = f"diff.{line.kind}"
    head = ((indent, ""), (f"{line.number:>{digits}} ", "diff.number"), (f"{sign} ", style))
    rest = ((indent, ""), (" " * (digits + 1), "diff.number"), ("  ", style))
    pieces: list[Piece] = [(line.text, style)]
    if changed is not None:
        pieces, at = [], 0
        for start, end in changed:
            pieces += [(line.text[at:start], style), (line.text[start:end], f"{style}.word")]
            at = end
        pieces.append((line.text[at:], style))
    pieces = [(text.replace("\t", TAB), named) for text, named in pieces]
    rows = flow(pieces, width, first=head, rest=rest, words=False)
    # Neither its number nor its sign is searched; where there is no room for them, they are not there.
    led = sum(len(text) for text, _ in head) if rows[0].pieces[: len(head)] == head else 0
    rows = [
        each._replace(searched=(Stretch(0, each.lead if n else led, len(each.text), bool(n)),))
        for n, each in enumerate(rows)
    ]
    if line.kind == "same":
        return rows
    end = min(width, filled or width) if len(rows) == 1 else width
    return [_to_the_end(each, end, style) for each in rows]


def _to_the_end(filled: Row, width: int, style: str) -> Row:
    """The row with its colour up to the last column."""
    left = width - cells(filled.text)
    return filled._replace(pieces=(*filled.pieces, (" " * left, style))) if left > 0 else filled
