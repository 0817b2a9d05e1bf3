"""Looks at changed files again: only the statements around what differs are parsed.

To parse a file of 150 KB takes as long as the tests of an edit can afford to wait in all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from jetbox.engine.probes.scan import (
    LARGE,
    UNREADABLE,
    Scanned,
    Statement,
    decoded,
    maybe_dynamic,
    scan,
    statements,
    summed_up,
)

SMALL = 10_000
"""Bytes up to which a file is parsed as a whole."""
MOST_KEPT = 16
"""Files that were looked at last."""
BLOCK = 1024


class Parsed(msgspec.Struct, frozen=True):
    """A file that could be parsed."""

    text: bytes
    dynamic: bool
    statements: Sequence[Statement]


class Rescan:
    """Says what `scan` says, sooner where it has seen the file before."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Parsed] = OrderedDict()

    def scan(self, path: str, data: bytes) -> Scanned:
        """Look at the file of this path; never raises for what it holds."""
        if not SMALL < len(data) <= LARGE:
            return scan(data)
        try:
            text, dynamic = decoded(data), maybe_dynamic(data)
            encoded, before = text.encode(), self._kept.get(path)
            found: Sequence[Statement] | None = None
            if before is not None and before.dynamic == dynamic:
                found = _patched(before, encoded)
            if found is None:
                found = statements(text, dynamic=dynamic)
        except UNREADABLE:
            return scan(data)
        self._kept[path] = Parsed(encoded, dynamic, found)
        self._kept.move_to_end(path)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return summed_up(data, encoded, found)


def _patched(before: Parsed, text: bytes) -> Sequence[Statement] | None:
    """The statements of the text; None where what differs makes no statements of its own.

    A statement that begins a line with nothing open is where it was as long as that line and all before it are the
    same, and what stands before it is complete. So it is with those behind, once what stands between is complete.
    """
    old, known = before.text, before.statements
    head = _same_head(old, text)
    tail = _same_tail(old, text, min(len(old), len(text)) - head)
    kept = behind = 0
    for n, each in enumerate(known):
        if each.alone and old.find(b"\n", each.at, head) >= 0:
            kept = n
        elif each.at >= head:
            break
    grown = len(text) - len(old)
    for n in range(len(known), kept, -1):
        # The end of the line above is the same, too.
        if known[n - 1].at <= len(old) - tail:
            break
        behind = len(known) - n + 1 if known[n - 1].alone else behind
    at, line = (known[kept].at, known[kept].line) if kept else (0, 1)
    rest = known[len(known) - behind :] if behind else ()
    until = rest[0].at + grown if rest else len(text)
    try:
        middle = statements(text[at:until].decode(), dynamic=before.dynamic, at=at, line=line)
    except UNREADABLE:
        return None
    lower = text.count(b"\n", at, until) - old.count(b"\n", at, until - grown)
    return [*known[:kept], *middle, *(_moved(each, grown, lower) for each in rest)]


def _moved(each: Statement, by: int, lines: int) -> Statement:
    if not by and not lines:
        return each
    bodies = (
        one._replace(first=one.first + lines, last=one.last + lines, begin=one.begin + by, end=one.end + by)
        for one in each.functions
    )
    return each._replace(at=each.at + by, line=each.line + lines, functions=tuple(bodies))


def _same_head(one: bytes, other: bytes) -> int:
    """How many bytes they begin with alike."""
    most, at = min(len(one), len(other)), 0
    while at < most and one[at : at + BLOCK] == other[at : at + BLOCK]:
        at += BLOCK
    while at < most and one[at] == other[at]:
        at += 1
    return min(at, most)


def _same_tail(one: bytes, other: bytes, most: int) -> int:
    """How many bytes, at the most so many, they end with alike."""
    at = 0
    while at + BLOCK <= most and _block(one, at) == _block(other, at):
        at += BLOCK
    while at < most and one[-at - 1] == other[-at - 1]:
        at += 1
    return at


def _block(text: bytes, after: int) -> bytes:
    return text[len(text) - after - BLOCK : len(text) - after]
