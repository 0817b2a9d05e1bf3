"""Lines of a stream as servers really send them: other ends of lines, marks before them, halves of characters."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

T = TypeVar("T")
MARK = b"\xef\xbb\xbf"
"""What some put before a text to say that it is UTF-8."""
_HALVES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
"""A backslash, a pair of halves, or (in the group) half of a character alone."""


def decoded(decode: Callable[[bytes], T], raw: bytes) -> T:
    """What `decode` reads of a line; half of a character, where a server cut between the two, becomes U+FFFD.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError: it is no JSON, whatever is mended.
    """
    try:
        return decode(raw)
    except msgspec.DecodeError:
        mended = _HALVES.sub(lambda found: rb"\ufffd" if found[1] else found[0], raw.strip().removeprefix(MARK))
        if mended == raw:
            raise
        return decode(mended)


class EventLines:
    """The lines of server-sent events, which end with LF, CR LF or CR."""

    def __init__(self, *, whole: bool = False) -> None:
        """`whole`: the body is one JSON text instead, the only event."""
        self._whole = whole
        self._rest = b""
        self._returned = False
        """The piece before ended with CR: an LF that begins the next one belongs to it."""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete with these bytes."""
        if self._whole:
            self._rest += data
            return []
        if self._returned and data.startswith(b"\n"):
            data = data[1:]
        if data:
            self._returned = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.strip().removeprefix(MARK) for line in lines]

    def rest(self) -> bytes:
        """What stands behind the last line's end."""
        rest, self._rest = self._rest.strip().removeprefix(MARK), b""
        return b"data:" + rest.replace(b"\n", b" ").replace(b"\r", b" ") if self._whole else rest
