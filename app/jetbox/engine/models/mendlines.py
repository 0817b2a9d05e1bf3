"""Lines of a stream as servers really send them: other ends of lines, marks before them, halves of characters."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

T = TypeVar("T")
LONGEST = 4 * 1024**2
"""Bytes of one line or event; whoever sends more of it without an end speaks no protocol of a model's."""
REFUSED = 1024**2
"""Bytes of a refusal that are read; the call that a server could not read may stand in it, with a whole file."""
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder raises of what is no JSON; it may be brackets alone, ever deeper."""
MARK = b"\xef\xbb\xbf"
"""What some put before a text to say that it is UTF-8."""
_HALVES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
"""A backslash, a pair of halves, or (in the group) half of a character alone."""


def decoded(decode: Callable[[bytes], T], raw: bytes) -> T:
    """What `decode` reads of a line; half of a character, where a server cut between the two, becomes U+FFFD.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is no JSON, whatever is mended.
    """
    try:
        return decode(raw)
    except msgspec.DecodeError:
        mended = _HALVES.sub(lambda found: rb"\ufffd" if found[1] else found[0], raw.strip().removeprefix(MARK))
        if mended == raw:
            raise
        return decode(mended)


class Lines:
    """The lines, each of which ends with LF, of what comes in pieces."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []
        """Pieces of the line whose end has not come."""
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete with these bytes, without their ends.

        Raises:
            BadAnswer: one has no end.
        """
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines and self._begun:
            lines[0] = b"".join((*self._begun, lines[0]))
            self._begun.clear()
            self._size = 0
        if rest:
            self._begun.append(rest)
            self._size += len(rest)
            if self._size > LONGEST:
                from jetbox.engine.models.refusals import garbage

                raise garbage(self._begun[0])
        return lines

    def rest(self) -> bytes:
        """What stands behind the last line's end."""
        rest = b"".join(self._begun)
        self._begun.clear()
        self._size = 0
        return rest


class EventLines:
    """The lines of server-sent events, which end with LF, CR LF or CR."""

    def __init__(self, *, whole: bool = False) -> None:
        """`whole`: the body is one JSON text instead, the only event, as it is where it begins with an object."""
        self._whole = whole
        self._begun = False
        self._lines = Lines()
        self._returned = False
        """The piece before ended with CR: an LF that begins the next one belongs to it."""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete with these bytes.

        Raises:
            BadAnswer: one has no end.
        """
        if not self._begun and (begins := data.removeprefix(MARK).lstrip()):
            self._begun = True
            self._whole = self._whole or begins.startswith(b"{")
        if self._whole:
            self._lines.feed(data.replace(b"\n", b" "))
            return []
        if not data:
            return []
        if self._returned and data.startswith(b"\n"):
            data = data[1:]
        self._returned = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return [line.strip().removeprefix(MARK) for line in self._lines.feed(data)]

    def rest(self) -> bytes:
        """What stands behind the last line's end."""
        rest = self._lines.rest().strip().removeprefix(MARK)
        return b"data:" + rest.replace(b"\r", b" ") if self._whole else rest
