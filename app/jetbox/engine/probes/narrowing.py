"""The part of a workspace's files that a verdict depends on, for probes that name it."""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Callable
from hashlib import blake2b

from jetbox.engine.probes.fingerprint import Snapshot

HOPS = 4
"""Links in a row that are followed by name."""
NAMES = 64
"""A file that has more names by way of links is kept unseen."""

Entry = tuple[int, str]
Wanted = Callable[[str, bool], bool]
"""Takes a path, and whether it is a folder."""


class Narrowing:
    """Keeps of a snapshot what is wanted, under a digest of its own.

    What cannot be read, and every symbolic link, is always kept: both can lead to what is wanted.
    Files that a link inside the workspace leads to count under the link's name too.
    """

    def __init__(self, root: str, wanted: Wanted) -> None:
        self._root = root
        self._wanted = wanted
        self._decided: dict[tuple[str, bool], bool] = {}
        self._links: dict[str, str] = {}
        self._leads: list[tuple[str, str]] = []
        self._hashes: dict[str, tuple[Entry, int]] = {}
        self._asked = ("", True)
        self._narrow = Snapshot("", {})

    def __call__(self, files: Snapshot) -> Snapshot:
        """The wanted part; at once where it was asked for the same files before."""
        asked = (files.digest, files.proved)
        if asked == self._asked and files.digest:
            return self._narrow
        links = {path: entry[1] for path, entry in files.files.items() if stat.S_ISLNK(entry[0])}
        if links != self._links or len(self._decided) > 4 * len(files.files) + 1000:
            self._links, self._decided = links, {}
            leads = ((link, self._inside(link, target)) for link, target in links.items())
            self._leads = [(link, target) for link, target in leads if target]
        kept = {path: entry for path, entry in files.files.items() if self._keeps(path, entry[0])}
        if kept != self._narrow.files or files.proved != self._narrow.proved or not self._narrow.digest:
            self._narrow = Snapshot(self._digest(kept), kept, files.proved)
        self._asked = asked
        return self._narrow

    def _keeps(self, path: str, mode: int) -> bool:
        folder = stat.S_ISDIR(mode)
        known = self._decided.get((path, folder))
        if known is None:
            # A file behind a link out of the workspace stands there with a slash at its end.
            names = self._names(path.removesuffix("/"))
            known = len(names) > NAMES or any(self._wanted(name, folder) for name in names)
            self._decided[path, folder] = known
        return known or stat.S_ISLNK(mode) or not mode

    def _names(self, path: str) -> list[str]:
        """A path, and what it is called by way of links inside the workspace."""
        names = new = [path]
        for _ in range(HOPS):
            more = (
                link + name[len(target) :]
                for link, target in self._leads
                for name in new
                if name == target or name.startswith(target + "/")
            )
            new = [name for name in dict.fromkeys(more) if name not in names]
            names = names + new
            if not new or len(names) > NAMES:
                break
        return names

    def _inside(self, link: str, leads_to: str) -> str:
        """What a link leads to, relative to the workspace; empty where that is outside, or all of it."""
        if leads_to.startswith("/"):
            if not leads_to.startswith(self._root + "/"):
                return ""
            target = posixpath.normpath(leads_to[len(self._root) + 1 :])
        else:
            target = posixpath.normpath(posixpath.join(posixpath.dirname(link), leads_to))
        return "" if target == "." or target.startswith("..") else target

    def _digest(self, kept: dict[str, Entry]) -> str:
        """Of the sum of all entries' hashes: only those of changed entries are computed anew."""
        hashes: dict[str, tuple[Entry, int]] = {}
        total = 0
        for path, entry in kept.items():
            known = self._hashes.get(path)
            if known is None or known[0] != entry:
                text = f"{path}\0{entry[0]:o}\0{entry[1]}".encode(errors="surrogateescape")
                known = (entry, int.from_bytes(blake2b(text, digest_size=16).digest()))
            hashes[path] = known
            total += known[1]
        self._hashes = hashes
        return f"{total % (1 << 128):032x}"
