"""Reads a JSON object that comes in pieces: its own strings, each as soon as it is whole."""

from __future__ import annotations

import re

import msgspec

_MARK = re.compile(r'["{}\[\],:]')
_QUOTE = re.compile(r'["\\]')


class Members:
    """The members of one object whose values are strings; of anything else nothing is told."""

    def __init__(self) -> None:
        self._rest = ""
        """A backslash whose letter has not come."""
        self._string: list[str] | None = None
        """Pieces of the string that is being read; None outside of strings."""
        self._depth = 0
        self._key: str | None = None
        self._latest: str | None = None
        """The latest string at the top, which is a key where a colon follows."""
        self.found: dict[str, str] = {}

    def feed(self, piece: str) -> bool:
        """Take a piece; True where a member became whole by it."""
        before = len(self.found)
        text, self._rest = self._rest + piece, ""
        at = 0
        while at < len(text):
            at = self._outside(text, at) if self._string is None else self._inside(self._string, text, at)
        return len(self.found) > before

    def _outside(self, text: str, at: int) -> int:
        """Read up to and with the next mark."""
        mark = _MARK.search(text, at)
        if mark is None:
            return len(text)
        match mark[0]:
            case '"':
                self._string = []
            case "{" | "[":
                self._depth += 1
            case "}" | "]":
                self._depth -= 1
            case ":" if self._depth == 1:
                self._key, self._latest = self._latest, None
            case "," if self._depth == 1:
                self._key = None
            case _:
                pass
        return mark.end()

    def _inside(self, pieces: list[str], text: str, at: int) -> int:
        """Read up to the end of the string, or as far as it has come."""
        began = at
        while (mark := _QUOTE.search(text, at)) is not None:
            if mark[0] == '"':
                pieces.append(text[began : mark.start()])
                self._string = None
                if self._depth == 1:
                    self._took("".join(pieces))
                return mark.end()
            if mark.end() == len(text):
                pieces.append(text[began : mark.start()])
                self._rest = mark[0]
                return len(text)
            at = mark.end() + 1
        pieces.append(text[began:])
        return len(text)

    def _took(self, raw: str) -> None:
        try:
            value: str = msgspec.json.decode(f'"{raw}"', type=str)
        except (msgspec.DecodeError, UnicodeEncodeError):
            return
        if self._key is None:
            self._latest = value
        else:
            self.found[self._key] = value
            self._key = None
