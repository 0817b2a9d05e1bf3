"""The files at one moment, and a digest of them that is patched as they change."""

from __future__ import annotations

import itertools
from hashlib import blake2b, shake_256

import msgspec

Entry = tuple[int, str]
"""Mode, and content hash or target of a link."""

MOST_STIRRED = 20_000
"""Paths of which it is known when something last happened to them."""

_SUM_BYTES = 256
_MODULUS = 1 << (8 * _SUM_BYTES)


class Snapshot(msgspec.Struct, frozen=True):
    """The files in scope at one moment."""

    digest: str
    files: dict[str, Entry]
    """Mode and content hash by path, relative to the workspace with `/`."""
    proved: bool = True
    """False where the tree is too large, or could not be read whole."""

    def changed(self, before: Snapshot) -> frozenset[str]:
        """Paths that are new, gone or different since `before`."""
        if self.digest == before.digest:
            return frozenset()
        old = before.files
        paths = {path for path, entry in self.files.items() if old.get(path) != entry}
        paths.update(path for path in old if path not in self.files)
        return frozenset(paths)


class Books:
    """Collects what looks find, and makes a snapshot of it."""

    def __init__(self) -> None:
        self.moved: set[str] = set()
        """Paths that were different in any snapshot from the one before; whoever cares empties it."""
        self.generation = 0
        """Counts everything that happened, whether or not it left a difference."""
        self._stirred: dict[str, int] = {}
        self._forgotten = 0
        """When something last happened to a path, the latest at the end."""
        self.clear()

    def stir(self, path: str) -> None:
        """Something happened to this path; that it is as it was before says nothing of the time between."""
        if not self.last.digest:
            return
        self.generation += 1
        self._stirred.pop(path, None)
        self._stirred[path] = self.generation
        if len(self._stirred) > MOST_STIRRED:
            for old in list(itertools.islice(self._stirred, MOST_STIRRED // 2)):
                self._forgotten = self._stirred.pop(old)

    def stirred(self, since: int) -> frozenset[str]:
        """Paths to which something happened after that generation."""
        found = itertools.takewhile(lambda path: self._stirred[path] > since, reversed(self._stirred))
        return frozenset((*found, "too much to tell") if since < self._forgotten else found)

    def clear(self) -> None:
        """Begin with nothing."""
        self.last = Snapshot("", {})
        self.entries = 0
        """How many there are by now."""
        self._sum = 0
        self._delta: dict[str, Entry | None] = {}

    def put(self, path: str, entry: Entry) -> None:
        """This is there now."""
        old = self.last.files.get(path)
        self.entries += self._delta.get(path, old) is None
        if old == entry:
            self._delta.pop(path, None)
        else:
            self._delta[path] = entry
            self.stir(path)

    def drop(self, path: str) -> None:
        """This is not there any more."""
        old = self.last.files.get(path)
        self.entries -= self._delta.get(path, old) is not None
        if old is None:
            self._delta.pop(path, None)
        else:
            self._delta[path] = None
            self.stir(path)

    def commit(self, whole: bool) -> Snapshot:
        """What was found up to now is the latest snapshot; `whole`: nothing is missing."""
        last, delta = self.last, self._delta
        if not delta and whole == last.proved and last.digest:
            return last
        files = last.files.copy()
        for path, entry in delta.items():
            old = files.get(path)
            if old is not None:
                self._sum -= _weight(path, old)
            if entry is None:
                files.pop(path, None)
            else:
                files[path] = entry
                self._sum += _weight(path, entry)
        self._sum %= _MODULUS
        self.moved.update(delta)
        self._delta = {}
        digest = blake2b(self._sum.to_bytes(_SUM_BYTES), digest_size=16).hexdigest()
        self.last = Snapshot(digest, files, whole)
        return self.last


def _weight(path: str, entry: Entry) -> int:
    """What an entry adds to the sum that stands for all of them.

    A sum can be patched; it is this wide since for a narrow one other files with the same sum are easily found.
    """
    text = f"{path}\0{entry[0]:o}\0{entry[1]}".encode(errors="surrogateescape")
    return int.from_bytes(shake_256(text).digest(_SUM_BYTES))
