"""One file as it was when it was read, and which files of a folder are not as they were."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable, Iterable
from hashlib import blake2b
from itertools import repeat

import msgspec

RACY_NS = 2_000_000_000
"""A file that changed this shortly before it was read is read again: two writes within one
tick of the file system's clock carry the same time, and the coarsest tick is two seconds."""

Stat = tuple[int, int, int, int, int]
"""mtime_ns, ctime_ns, size, inode, mode."""

_BASIC, _NOFOLLOW = 0x7FF, 0x100
_FROM, _TO = 16, 128
"""The part of `struct statx` (the same on every architecture) from the number of links to the mtime."""


Packed = tuple[list[bytes], list[bytes]]
"""Names, and the answers to batches of them, one after the other."""
BATCH = 256


class Known(msgspec.Struct):
    """A file as it was when it was read."""

    stat: Stat
    content: str
    sure: Stat | None
    """The stat, where it tells of every later write."""
    name: bytes = b""
    raw: bytes = b""
    """What the kernel says of it when its stat is `sure`, access time included."""


class Folder(msgspec.Struct):
    """A folder as it was when it was listed."""

    real: str
    files: dict[str, Known] = {}
    others: dict[str, int] = {}
    """Modes of what is in scope and no file."""
    left: set[str] = set()
    """Folders that are out of scope for the mark in them, which may go."""
    repository: bool = False
    """One of git's is in it; never said of the root."""
    stat: tuple[int, int, int, int] = (0, 0, 0, 0)
    """mtime_ns, ctime_ns, inode, device."""
    settled: bool = False
    """The stat tells of every later change of its entries."""
    packed: Packed | None = None
    """What the kernel said of all its files at once; nothing where one of them is known anew since."""

    def knows(self, name: str) -> bool:
        """True for a name that was looked at before."""
        return name in self.files or name in self.others or name in self.left


class Clock:
    """Notices that the clock was set back, after which a file may get the times that it had before."""

    def __init__(self) -> None:
        self._offset = _offset()

    def went_back(self) -> bool:
        """True where that happened since the last call, or since this was made."""
        before, self._offset = self._offset, _offset()
        return self._offset < before - RACY_NS // 2


def _offset() -> int:
    return time.time_ns() - time.monotonic_ns()


def distrust(folders: Iterable[Folder], files: Iterable[Known]) -> None:
    """Read all of this again, whatever its times say."""
    for folder in folders:
        folder.settled, folder.packed = False, None
        distrust((), folder.files.values())
    for known in files:
        known.sure, known.raw = None, b""


Quick = Callable[[int, Folder], tuple[list[tuple[str, os.stat_result]], list[str]]]


def stat_of(seen: os.stat_result) -> Stat:
    """What of a stat changes with the file."""
    return seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino, seen.st_mode


def differing(handle: int, folder: Folder) -> tuple[list[tuple[str, os.stat_result]], list[str]]:
    """Files of an open folder whose stat is not the known one, and those that cannot be looked at."""
    return _differing(handle, folder.files)


def _differing(handle: int, files: dict[str, Known]) -> tuple[list[tuple[str, os.stat_result]], list[str]]:
    odd: list[tuple[str, os.stat_result]] = []
    gone: list[str] = []
    look = os.stat
    for name, known in files.items():
        try:
            seen = look(name, dir_fd=handle, follow_symlinks=False)
        except OSError:
            gone.append(name)
            continue
        if known.sure != (seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino, seen.st_mode):
            odd.append((name, seen))
    return odd, gone


def quick_look() -> Quick:
    """The same, for local file systems: asks the kernel without making Python's own object of each answer."""
    if sys.platform != "linux":
        return differing
    import ctypes

    try:
        # To let go of the interpreter's lock for each file takes as long as the question.
        statx = ctypes.PyDLL(None).statx
    except AttributeError:
        return differing
    room: ctypes.Array[ctypes.c_char] = ctypes.create_string_buffer(_TO * (BATCH - 1) + 256)
    # Of each answer the next one leaves the part that counts.
    places = [ctypes.c_void_p(ctypes.addressof(room) + _TO * n) for n in range(BATCH)]

    def asked(handle: int, names: list[bytes]) -> bytes:
        """What the kernel says of a batch of files; nothing where it cannot be asked for one of them."""
        if any(map(statx, repeat(handle), names, repeat(_NOFOLLOW), repeat(_BASIC), places)):
            return b""
        return ctypes.string_at(room, _TO * len(names))

    def same(handle: int, packed: Packed) -> bool:
        names, said = packed
        return all(asked(handle, names[n * BATCH : (n + 1) * BATCH]) == batch for n, batch in enumerate(said))

    def pack(handle: int, files: dict[str, Known]) -> Packed | None:
        """The answers, where they are those that the files are known by."""
        names = [known.name for known in files.values()]
        said = [asked(handle, names[at : at + BATCH]) for at in range(0, len(names), BATCH)]
        for n, known in enumerate(files.values()):
            at = n % BATCH * _TO
            if not known.raw or said[n // BATCH][at + _FROM : at + _TO] != known.raw:
                return None
        return names, said

    def look(handle: int, folder: Folder) -> tuple[list[tuple[str, os.stat_result]], list[str]]:
        if folder.packed is not None and same(handle, folder.packed):
            return [], []
        folder.packed = None
        doubtful: dict[str, Known] = {}
        for name, known in folder.files.items():
            known.name = known.name or os.fsencode(name)
            if asked(handle, [known.name])[_FROM:] != known.raw or not known.raw:
                doubtful[name] = known
        if not doubtful:
            folder.packed = pack(handle, folder.files)
            return [], []
        raws = {name: asked(handle, [known.name])[_FROM:] for name, known in doubtful.items()}
        # Asked before the stat: what changes in between shows in the stat, or in the next look.
        odd, gone = _differing(handle, doubtful)
        for name in doubtful.keys() - {name for name, _ in odd}:
            doubtful[name].raw = raws[name]
        return odd, gone

    return look


def read_content(path: str, seen: Stat) -> str:
    """A hash of what is in the file; where it cannot be read, that and its stat."""
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
