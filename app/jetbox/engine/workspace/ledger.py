"""What the model knows of the files: it may change only what it has seen as it is."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

Known = Literal["ok", "changed", "unread"]


class _Entry(msgspec.Struct):
    digest: bytes
    whole: bool
    seen: list[tuple[int, int]] = []
    """Lines that were read, as closed ranges."""


class ReadLedger:
    """Files by relative path, with the content that the model saw or wrote last."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def read(self, path: str, data: bytes, lines: tuple[int, int] | None = None, total: int = 0) -> None:
        """The model saw the file as `data`; only `lines` (from 1, both ends in) of `total`, where given."""
        digest = _digest(data)
        if lines is None:
            self._entries[path] = _Entry(digest, whole=True)
            return
        entry = self._entries.get(path)
        if entry is None or entry.digest != digest:
            entry = self._entries[path] = _Entry(digest, whole=False)
        if not entry.whole:
            entry.seen = _merge([*entry.seen, lines])
            entry.whole = entry.seen[0][0] <= 1 and entry.seen[0][1] >= total

    def wrote(self, path: str, data: bytes) -> None:
        """The model wrote the file: it knows what is in it, where it knew what was."""
        self.read(path, data)

    def edited(self, path: str, data: bytes) -> None:
        """The model changed parts of the file: it knows as much of it as before."""
        entry = self._entries.get(path)
        # Lines have moved: what was seen in part cannot be told from what was not any more.
        self._entries[path] = _Entry(_digest(data), whole=entry is not None and entry.whole)

    def forget(self, path: str) -> None:
        """The file is gone."""
        self._entries.pop(path, None)

    def clear(self) -> None:
        """The model does not see any more what it has read."""
        self._entries.clear()

    def check(self, path: str, data: bytes) -> Known:
        """How the content of now stands to what the model saw; a mere touch changes nothing."""
        entry = self._entries.get(path)
        if entry is None:
            return "unread"
        return "ok" if entry.digest == _digest(data) else "changed"

    def whole(self, path: str) -> bool:
        """True where the model has seen every line."""
        entry = self._entries.get(path)
        return entry is not None and entry.whole


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _merge(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged
