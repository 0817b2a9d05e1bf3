"""edit_file: exact replacements, all or nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import msgspec

from jetbox.engine.errors import ToolError
from jetbox.engine.tools.arguments import ALIASES
from jetbox.engine.tools.base import Access, Output, Plan, ToolContext
from jetbox.engine.tools.change import (
    change_plan,
    in_thread,
    lint,
    look,
    refuse_secret_marks,
    unchanged_plan,
    writable,
)
from jetbox.engine.tools.diff import alike, compare
from jetbox.engine.workspace.names import shown
from jetbox.engine.workspace.text import Undecodable, ending, lines, normalise

SHOWN_PLACES = 8
SIMILAR_LINES = 2000
TELLING = 12
"""Shorter texts are found by accident."""
_WORD = re.compile(r"\w+")


class Edit(msgspec.Struct, frozen=True):
    """One replacement; both texts with newlines as line ends."""

    old: str
    new: str
    replace_all: bool = False


class _Place(msgspec.Struct, frozen=True):
    start: int
    end: int
    new: str
    edit: int


class EditFile:
    """Replaces exact pieces of a file that the model has read."""

    name: ClassVar[str] = "edit_file"
    description: ClassVar[str] = (
        "Replace exact text in a file you have read. old must occur once (add lines around it) unless replace_all."
    )
    parameters: ClassVar[dict[str, Any]] = {
        "properties": {
            "path": {"type": "string"},
            "edits": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "old": {"type": "string"},
                        "new": {"type": "string"},
                        "replace_all": {"type": "boolean"},
                    },
                },
            },
        },
        "required": ["path", "edits"],
    }
    refused: ClassVar[dict[str, str]] = {
        "regex": "old is exact text",
        "dry_run": "the file would be changed",
    }

    def prepare(self, given: dict[str, Any], notes: list[str]) -> dict[str, Any]:
        """A single edit that was given without its list."""
        if given.get("edits") is not None:
            return given
        flat: dict[str, Any] = {}
        rest = dict(given)
        for name in ("old", "new", "replace_all"):
            key = next((k for k in (name, *ALIASES[name]) if rest.get(k) is not None), None)
            if key is not None:
                flat[name] = rest.pop(key)
        if "old" not in flat:
            return given
        notes.append("one edit taken as edits")
        return {**rest, "edits": [flat]}

    def access(self, arguments: dict[str, Any], context: ToolContext) -> Access:
        """It writes one file."""
        return Access(writes=frozenset([writable(arguments, context)]))

    async def plan(self, arguments: dict[str, Any], context: ToolContext, output: Output) -> Plan:
        """Find every place, and compare."""
        path = writable(arguments, context)
        edits = _edits(arguments["edits"])
        before = await look(path, context)
        if before.decoded is None:
            raise ToolError(f"{shown(path)} does not exist; create it with write_file")
        old = before.decoded.text
        new = await in_thread(len(old), lambda: apply_edits(old, edits, shown(path)))
        try:
            data = before.decoded.encode(new)
        except Undecodable as error:
            raise ToolError(f"{path}: {error}") from None
        if data == before.data:
            return unchanged_plan(self.name, path)
        diff = await compare(path, old, new)
        return change_plan(self.name, before, data, diff, context, "edited", await lint(path, new, context))


def _edits(given: Sequence[dict[str, Any]]) -> list[Edit]:
    if not given:
        raise ToolError("edits is empty; give at least one {old, new}")
    edits = []
    for n, item in enumerate(given):
        label = _label(n, len(given))
        if "old" not in item or "new" not in item:
            missing = "old" if "old" not in item else "new"
            raise ToolError(f"{label}: {missing} is missing; each edit has old, new and, on wish, replace_all")
        old, new = normalise(item["old"]), normalise(item["new"])
        if not old:
            raise ToolError(
                f"{label}: old is empty; give the exact text to replace, or use write_file for a whole file"
            )
        if old == new:
            raise ToolError(f"{label}: old and new are the same")
        refuse_secret_marks(old + new)
        edits.append(Edit(old, new, bool(item.get("replace_all", False))))
    return edits


def apply_edits(text: str, edits: Sequence[Edit], path: str) -> str:
    """The text with every edit made, each against the original.

    Line ends count as equal for matching; those of untouched lines stay as they are, new
    lines get the ending that is usual at their place.

    Raises:
        ToolError: an edit does not match, matches more than once, or overlaps another one.
    """
    plain = normalise(text)
    places: list[_Place] = []
    for n, edit in enumerate(edits):
        found = _occurrences(plain, edit)
        if not found:
            raise ToolError(f"{_label(n, len(edits))}: old was not found in {path}{_why_not(plain, edit)}")
        if len(found) > 1 and not edit.replace_all:
            where = ", ".join(str(plain.count("\n", 0, at) + 1) for at in found[:SHOWN_PLACES])
            more = ", ..." if len(found) > SHOWN_PLACES else ""
            raise ToolError(
                f"{_label(n, len(edits))}: old occurs {len(found)} times in {path} (lines {where}{more}); "
                "add lines around it, or set replace_all"
            )
        places += [_Place(at, at + len(edit.old), edit.new, n) for at in found]
    places.sort(key=lambda place: (place.start, place.end))
    for one, other in pairwise(places):
        if other.start < one.end:
            raise ToolError(
                f"edits {one.edit + 1} and {other.edit + 1} overlap at line {plain.count(chr(10), 0, other.start) + 1} "
                f"of {path}; nothing was changed: join them into one edit"
            )
    if plain == text:
        return _spliced(text, [(p.start, p.end, p.new) for p in places])
    return _spliced(text, _with_endings(text, plain, places))


def _occurrences(plain: str, edit: Edit) -> list[int]:
    """Where old begins; side by side for replace_all, overlapping ones included otherwise."""
    step = len(edit.old) if edit.replace_all else 1
    found = []
    at = plain.find(edit.old)
    while at >= 0:
        found.append(at)
        at = plain.find(edit.old, at + step)
    return found


def _spliced(text: str, pieces: Sequence[tuple[int, int, str]]) -> str:
    parts, at = [], 0
    for start, end, new in pieces:
        parts += [text[at:start], new]
        at = end
    return "".join([*parts, text[at:]])


def _with_endings(text: str, plain: str, places: Sequence[_Place]) -> list[tuple[int, int, str]]:
    """The places in the text with its own line ends, trimmed to what really differs."""
    usual = ending(text)
    own = lines(text)
    starts, raw_starts, at, raw = [], [], 0, 0
    for line in own:
        starts.append(at)
        raw_starts.append(raw)
        at += len(line.rstrip("\r\n")) + (line[-1] in "\r\n")
        raw += len(line)

    from bisect import bisect_right

    def line_of(offset: int) -> int:
        return max(bisect_right(starts, offset) - 1, 0)

    def raw_offset(offset: int) -> int:
        if offset >= at:
            return len(text)
        n = line_of(offset)
        return raw_starts[n] + offset - starts[n]

    def ending_at(offset: int) -> str:
        line = own[line_of(offset)]
        return line[len(line.rstrip("\r\n")) :] or usual

    pieces = []
    for place in places:
        old = plain[place.start : place.end]
        head, tail = alike(old, place.new)
        start, end = place.start + head, place.end - tail
        new = place.new[head : len(place.new) - tail]
        # What is put in behind a line end of the old text goes on in that line's manner.
        near = start - 1 if start == end and head else start
        pieces.append((raw_offset(start), raw_offset(end), new.replace("\n", ending_at(near))))
    return pieces


def _label(n: int, total: int) -> str:
    return "edit_file" if total == 1 else f"edit {n + 1} of {total}"


def _why_not(plain: str, edit: Edit) -> str:
    """What may be wrong with text that was not found."""
    if len(edit.new.strip()) >= TELLING and edit.new in plain:
        return "; the new text is already there"
    if "\\n" in edit.old and edit.old.replace("\\n", "\n") in plain:
        return "; it would match with real line breaks in place of \\n"
    wanted = next((line for line in edit.old.split("\n") if line.strip()), "")
    if not wanted:
        return "; it must match exactly, white space included"
    there = plain.split("\n")
    squeezed = "".join(wanted.split())
    for n, line in enumerate(there):
        if line != wanted and "".join(line.split()) == squeezed:
            return f"; line {n + 1} differs in white space: {line[:200]!r}"
    for n, line in enumerate(there):
        if line == wanted:
            return f"; its first line stands at line {n + 1}, what follows differs: read the file again"
    near = _similar(wanted, there[:SIMILAR_LINES])
    if near is not None:
        return f"; the most similar line is {near + 1}: {there[near][:200]!r}"
    return "; it must match exactly, white space included: read the file again"


def _similar(wanted: str, there: Sequence[str]) -> int | None:
    """The line that shares most words with the wanted one; None where none shares half of them."""
    words = set(_WORD.findall(wanted))
    best, score = None, 0.5
    for n, line in enumerate(there):
        other = set(_WORD.findall(line))
        common = len(words & other)
        if common and common / len(words | other) > score:
            best, score = n, common / len(words | other)
    return best
