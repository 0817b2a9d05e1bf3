"""What the files of a workspace are: a sweep that proves, by stat and content, that nothing changed."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path

import msgspec

from jetbox.engine.probes.configuration import CONFIGURATION

RACY_NS = 2_000_000_000
"""A file that changed this shortly before it was read is read again: two writes within one
tick of the file system's clock carry the same time, and the coarsest tick is two seconds."""

LARGE = 8 * 1024 * 1024
"""Bytes above which a file is known by its stat alone."""

MOST_ENTRIES = 200_000
"""Entries above which the tree is not proved any more."""

SMALL_TREE = 150
SMALL_BYTES = 2 * 1024 * 1024
"""Files, and bytes of them, up to which a sweep is quicker than the way to a thread."""

Stat = tuple[int, int, int, int, int]
"""mtime_ns, ctime_ns, size, inode, mode."""


class Snapshot(msgspec.Struct, frozen=True):
    """The files in scope at one moment."""

    digest: str
    files: dict[str, tuple[int, str]]
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


class _Known(msgspec.Struct):
    stat: Stat
    content: str
    read_at: int


class _Walk(msgspec.Struct):
    files: dict[str, tuple[int, str]] = {}
    known: dict[str, _Known] = {}
    links: set[tuple[int, int]] = set()
    whole: bool = True


class Tree:
    """Everything in scope below a folder, and the configuration above it; one sweep at a time."""

    def __init__(self, root: Path, ignored: Callable[[str, str, bool], bool]) -> None:
        """`ignored(folder, name, directory)` says whether `name` in `folder` is out of scope."""
        self.root = os.path.realpath(root)
        self._ignored = ignored
        self._known: dict[str, _Known] = {}
        self._bytes = 0
        self._last = Snapshot("", {})
        self._lock = asyncio.Lock()

    @property
    def last(self) -> Snapshot:
        """The latest sweep; empty before there was one."""
        return self._last

    async def sweep(self) -> Snapshot:
        """Look at everything now; what is true of the result was true after the call began."""
        async with self._lock:
            if 0 < len(self._known) <= SMALL_TREE and self._bytes <= SMALL_BYTES:
                return self.sweep_now()
            thread = asyncio.ensure_future(asyncio.to_thread(self.sweep_now))
            try:
                return await asyncio.shield(thread)
            except asyncio.CancelledError:
                # The thread goes on; another sweep beside it would share its tables.
                await asyncio.wait([thread])
                raise

    def sweep_now(self) -> Snapshot:
        """The sweep itself, without waiting for anything but the disk."""
        walk = _Walk()
        try:
            here = os.stat(self.root)
            walk.links.add((here.st_dev, here.st_ino))
            self._folder(walk, self.root, "")
            walk.whole = len(walk.files) <= MOST_ENTRIES
        except OSError:
            walk.whole = False
        self._above(walk)
        self._known = walk.known
        self._bytes = sum(known.stat[2] for known in walk.known.values())
        last = self._last
        if walk.files != last.files or walk.whole != last.proved or not last.digest:
            self._last = Snapshot(_digest(walk.files), walk.files, walk.whole)
        return self._last

    def _folder(self, walk: _Walk, folder: str, prefix: str) -> None:
        waiting = [(folder, prefix)]
        while waiting and len(walk.files) <= MOST_ENTRIES:
            folder, prefix = waiting.pop()
            for entry, seen in self._entries(walk, folder, prefix):
                path = prefix + entry.name
                mode = seen.st_mode
                if self._ignored(folder, entry.name, stat.S_ISDIR(mode)):
                    continue
                if stat.S_ISREG(mode):
                    self._file(walk, path, entry.path, seen)
                elif stat.S_ISDIR(mode):
                    walk.files[path] = (mode, "")
                    waiting.append((entry.path, path + "/"))
                elif stat.S_ISLNK(mode):
                    inside = self._link(walk, path, entry.path, mode)
                    if inside:
                        waiting.append((inside, path + "/"))
                else:
                    walk.files[path] = (mode, "")

    @staticmethod
    def _entries(walk: _Walk, folder: str, prefix: str) -> Iterator[tuple[os.DirEntry[str], os.stat_result]]:
        try:
            with os.scandir(folder) as found:
                entries = list(found)
        except FileNotFoundError:
            return
        except OSError as error:
            walk.files[prefix + "?"] = (0, f"unreadable: {error.errno}")
            return
        for entry in entries:
            try:
                yield entry, entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue

    def _file(self, walk: _Walk, path: str, real: str, seen: os.stat_result) -> None:
        now = (seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino, seen.st_mode)
        known = self._known.get(path)
        if (
            known is None
            or known.stat != now
            or seen.st_ctime_ns + RACY_NS > known.read_at
            or seen.st_mtime_ns + RACY_NS > known.read_at
        ):
            known = _Known(now, "", time.time_ns())
            known.content = _content(real, now)
        walk.known[path] = known
        walk.files[path] = (seen.st_mode, known.content)

    def _link(self, walk: _Walk, path: str, real: str, mode: int) -> str:
        """Note a symbolic link and what it leads to; returns a folder outside to look into."""
        try:
            target = os.readlink(real)
            walk.files[path] = (mode, target)
            seen = os.stat(real)
            final = os.path.realpath(real)
        except OSError:
            return ""
        if final == self.root or final.startswith(self.root + os.sep):
            return ""
        if stat.S_ISREG(seen.st_mode):
            self._file(walk, path + "/", final, seen)
        elif stat.S_ISDIR(seen.st_mode) and not self._either_ignored(real, final):
            identity = (seen.st_dev, seen.st_ino)
            if identity not in walk.links:
                walk.links.add(identity)
                return final
        return ""

    def _either_ignored(self, link: str, target: str) -> bool:
        return any(self._ignored(os.path.dirname(path), os.path.basename(path), True) for path in (link, target))

    def _above(self, walk: _Walk) -> None:
        """The configuration that is found by walking up, and what git says of branch and exclusions."""
        folder, prefix = self.root, ""
        for name in ("HEAD", "info/exclude"):
            self._outside(walk, f".git/{name}", os.path.join(self.root, ".git", name))
        while (parent := os.path.dirname(folder)) != folder:
            folder, prefix = parent, prefix + "../"
            for name in CONFIGURATION:
                self._outside(walk, prefix + name, os.path.join(folder, name))

    def _outside(self, walk: _Walk, path: str, real: str) -> None:
        try:
            seen = os.stat(real)
        except OSError:
            return
        if stat.S_ISREG(seen.st_mode):
            self._file(walk, path, real, seen)


def _content(path: str, seen: Stat) -> str:
    if seen[2] > LARGE:
        return repr(seen)
    try:
        # A file may have become a pipe since its stat; opening that must not wait.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return "moved"
            digest = blake2b(digest_size=16)
            while block := os.read(handle, 1 << 20):
                digest.update(block)
            return digest.hexdigest()
        finally:
            os.close(handle)
    except OSError as error:
        # Not readable is a property like any other; the stat stands for the content.
        return f"unreadable: {error.errno} {seen!r}"


def _digest(files: dict[str, tuple[int, str]]) -> str:
    digest = blake2b(digest_size=16)
    for path in sorted(files):
        mode, content = files[path]
        digest.update(f"{path}\0{mode:o}\0{content}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()
