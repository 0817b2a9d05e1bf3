"""Unified diffs for people, and counts of lines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from jetbox.engine.workspace import text as texts

CONTEXT = 3
THREAD_LINES = 200
THREAD_CHARS = 200_000
"""Larger texts are compared in a thread."""
SUMMARY_LINES = 5000
"""More lines to compare than this are counted, and not compared."""
TEXT_CHARS = 200_000
"""A longer diff is cut."""

Opcode = tuple[str, int, int, int, int]


class Diff(msgspec.Struct, frozen=True):
    """What changed between two states of a file."""

    text: str
    """Unified; a line about it where it would be too long."""
    added: int
    removed: int


async def compare(path: str, old: str | None, new: str) -> Diff:
    """The difference; `old` is None for a file that was not there. The event loop stays free."""
    shared = 0 if old is None else min(old.count("\n"), new.count("\n"))
    if shared > THREAD_LINES or len(old or "") + len(new) > THREAD_CHARS:
        return await asyncio.to_thread(_compare, path, old, new)
    return _compare(path, old, new)


def _compare(path: str, old: str | None, new: str) -> Diff:
    before, after = texts.lines(old or ""), texts.lines(new)
    head, tail = alike(before, after)
    removed, added = len(before) - head - tail, len(after) - head - tail
    if max(removed, added) > SUMMARY_LINES:
        where = (
            f"[lines {head + 1}-{head + max(removed, added)}: {added} lines in, {removed} lines out; too long to show]"
        )
        return Diff(f"{_names(path, old)}{where}\n", added, removed)
    return _diff(path, old, before, after, head, tail)


def _diff(path: str, old: str | None, before: list[str], after: list[str], head: int, tail: int) -> Diff:
    changes = _changes(before, after, head, tail)
    added = sum(j2 - j1 for _, _, _, j1, j2 in changes)
    removed = sum(i2 - i1 for _, i1, i2, _, _ in changes)
    if not changes:
        return Diff("", 0, 0)
    parts = [_names(path, old)]
    for group in _groups(changes):
        parts.extend(_hunk(group, before, after))
    return Diff(_bounded("".join(parts)), added, removed)


def _bounded(text: str) -> str:
    if len(text) <= TEXT_CHARS:
        return text
    return text[: text.rfind("\n", 0, TEXT_CHARS) + 1 or TEXT_CHARS] + "\n[the rest of the diff is too long to show]\n"


def _changes(before: list[str], after: list[str], head: int, tail: int) -> list[Opcode]:
    """What differs, between a common head and a common tail."""
    i2, j2 = len(before) - tail, len(after) - tail
    if head == i2 and head == j2:
        return []
    if head in (i2, j2):
        return [("replace", head, i2, head, j2)]
    from difflib import SequenceMatcher

    found = SequenceMatcher(None, before[head:i2], after[head:j2]).get_opcodes()
    return [(tag, a + head, b + head, c + head, d + head) for tag, a, b, c, d in found if tag != "equal"]


def _groups(changes: list[Opcode]) -> list[list[Opcode]]:
    """Changes whose context would touch stand in one hunk."""
    groups: list[list[Opcode]] = []
    for change in changes:
        if groups and change[1] - groups[-1][-1][2] <= 2 * CONTEXT:
            groups[-1].append(change)
        else:
            groups.append([change])
    return groups


def _hunk(group: list[Opcode], before: list[str], after: list[str]) -> list[str]:
    first, last = group[0], group[-1]
    lead = min(CONTEXT, first[1])
    trail = min(CONTEXT, len(before) - last[2])
    i1, i2 = first[1] - lead, last[2] + trail
    j1, j2 = first[3] - lead, last[4] + trail
    out = [f"@@ -{_span(i1, i2)} +{_span(j1, j2)} @@\n"]
    at = i1
    for _, a, b, c, d in group:
        out += [_line(" ", line) for line in before[at:a]]
        out += [_line("-", line) for line in before[a:b]]
        out += [_line("+", line) for line in after[c:d]]
        at = b
    out += [_line(" ", line) for line in before[at:i2]]
    return out


def _span(start: int, end: int) -> str:
    length = end - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"


def _line(sign: str, line: str) -> str:
    bare = line.rstrip("\r\n")
    return f"{sign}{bare}\n" if bare != line else f"{sign}{bare}\n\\ No newline at end of file\n"


def _names(path: str, old: str | None) -> str:
    return f"--- {'/dev/null' if old is None else 'a/' + path}\n+++ b/{path}\n"


def alike(a: Sequence[object], b: Sequence[object]) -> tuple[int, int]:
    """How many items are equal at the start, and how many of the others at the end."""
    most = min(len(a), len(b))
    head = next((n for n in range(most) if a[n] != b[n]), most)
    most -= head
    tail = next((n for n in range(most) if a[-1 - n] != b[-1 - n]), most)
    return head, tail
