"""Lines of a file within a budget of bytes, with words on how to go on."""

from __future__ import annotations

from typing import BinaryIO

import msgspec

CHUNK = 1024**2


class Reading(msgspec.Struct, frozen=True):
    """A part of a file."""

    text: str
    head: str
    """Which part it is and how to go on; empty for the whole file."""
    first: int = 1
    last: int = 0
    total: int = 0


def read_lines(text: str, offset: int, limit: int, budget: int) -> Reading:
    """Lines from `offset` (1 is the first), at most `limit` (0 for all), of at most `budget` bytes."""
    if offset == 1 and not limit and len(text) <= budget // 4:
        return Reading(text, "")
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    total = len(lines)
    if offset > total:
        return Reading("", f"there is no line {offset}; the file has {_count(total)}", offset, offset - 1, total)
    end = min(offset - 1 + limit, total) if limit else total
    taken, used = 0, 0
    for line in lines[offset - 1 : end]:
        size = len(line.encode("utf-8", errors="replace")) + 1
        if used + size > budget:
            break
        used += size
        taken += 1
    if taken == 0:
        cut = lines[offset - 1].encode("utf-8", errors="replace")[:budget].decode("utf-8", errors="ignore")
        return Reading(
            cut, f"line {offset} of {total}, cut after {budget} bytes{_on(offset, total)}", offset, offset - 1, total
        )
    last = offset - 1 + taken
    whole = offset == 1 and last == total
    body = text if whole else "\n".join(lines[offset - 1 : last]) + "\n"
    head = "" if whole else f"lines {offset}-{last} of {total}{_on(last, total)}"
    return Reading(body, head, offset, last, total)


def read_long(file: BinaryIO, offset: int, limit: int, budget: int) -> Reading:
    """The same from a file that is never held as a whole; its number of lines stays unknown."""
    start = file.read(8192)
    if b"\0" in start:
        return Reading("", "binary file, not shown")
    file.seek(0)
    if not _skip(file, offset - 1):
        return Reading("", f"there is no line {offset}")
    data = file.read(budget + 1)
    if b"\0" in data:
        return Reading("", "binary file, not shown")
    ends_here = len(data) <= budget
    lines = data[:budget].split(b"\n")
    rest = lines.pop()
    if ends_here and rest:
        lines.append(rest)
    if not lines:
        return Reading(_text(rest), f"line {offset}, cut after {budget} bytes", offset, offset - 1)
    more = not ends_here or (limit and limit < len(lines))
    lines = lines[:limit] if limit else lines
    last = offset - 1 + len(lines)
    head = f"lines {offset}-{last}" + (f"; go on with offset={last + 1}" if more else "")
    return Reading("\n".join(_text(line).rstrip("\r") for line in lines) + "\n", head, offset, last)


def _skip(file: BinaryIO, count: int) -> bool:
    """Go behind so many line ends; False where there are not so many lines."""
    if count == 0:
        return True
    while chunk := file.read(CHUNK):
        found = chunk.count(b"\n")
        if found < count:
            count -= found
            continue
        at = -1
        for _ in range(count):
            at = chunk.index(b"\n", at + 1)
        file.seek(at + 1 - len(chunk), 1)
        return bool(file.read(1)) and bool(file.seek(-1, 1) or True)
    return False


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace")


def _on(last: int, total: int) -> str:
    return f"; go on with offset={last + 1}" if last < total else ""


def _count(lines: int) -> str:
    return "1 line" if lines == 1 else f"{lines} lines"
