"""Hard links that lead out of the workspace.

A file with several names may be one that lies elsewhere, too, and whose content is then not
the workspace's alone. Package managers, `cp -al` and builds make such files by the thousand
without any meaning, so a name is asked about where neither git knows the very file, nor a
tool's environment holds it, nor all its names are found in the workspace.

The search worker imports this module: it stays light.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from stat import S_ISREG

ENVIRONMENTS = frozenset(["node_modules", ".venv", ".tox", ".nox"])
"""Folders that package managers fill with hard links into their stores."""
MARKS = ("pyvenv.cfg", "conda-meta")
"""What makes a folder such an environment, whatever its name."""
ENTRIES = 50_000
"""Looked at for other names of a file, in all; about 40 ms."""
INDEX_BYTES = 256 * 1024**2
_HEADER = 12
_BEFORE_NAME = 62
"""Bytes of an entry of git's index up to its name."""


class Links:
    """Tells which files of a workspace have names outside it; it keeps what it saw, so it is for one search."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._names: dict[int, int] | None = None
        self._index: tuple[str, bytes] | None = None

    def lead_out(self, path: str, status: os.stat_result) -> bool:
        """Whether the file at a resolved path (relative, `/`) has a name outside, as far as can be seen."""
        if status.st_nlink < 2 or not S_ISREG(status.st_mode):
            return False
        if self._in_environment(path) or self._tracked(path, status):
            return False
        return self._count(status) < status.st_nlink

    def _in_environment(self, path: str) -> bool:
        names = path.split("/")[:-1]
        if not ENVIRONMENTS.isdisjoint(names):
            return True
        folder = self._root
        for name in names:
            folder = f"{folder}/{name}"
            if any(os.path.lexists(f"{folder}/{mark}") for mark in MARKS):
                return True
        return False

    def _tracked(self, path: str, status: os.stat_result) -> bool:
        """Whether git's index has this name for this very file.

        An index of format 4, which shortens names, tells nothing.
        """
        if self._index is None:
            self._index = _read_index(self._root)
        prefix, data = self._index
        name = os.fsencode(prefix + path)
        at = data.find(name + b"\0")
        while at >= 0:
            start = at - _BEFORE_NAME
            length = int.from_bytes(data[at - 2 : at], "big") & 0xFFF
            if start >= _HEADER and (start - _HEADER) % 8 == 0 and length == min(len(name), 0xFFF):
                inode = int.from_bytes(data[start + 20 : start + 24], "big")
                return inode in (0, status.st_ino & 0xFFFFFFFF)
            at = data.find(name + b"\0", at + 1)
        return False

    def _count(self, status: os.stat_result) -> int:
        """How many of the file's names lie in the workspace, as far as it was looked through."""
        try:
            device = os.stat(self._root).st_dev
        except OSError:
            return 0
        if status.st_dev != device:
            return 0
        if self._names is None:
            self._names = {}
            for inode in _inodes(self._root, device):
                self._names[inode] = self._names.get(inode, 0) + 1
        return self._names.get(status.st_ino, 0)


def find_linked_out(root: str, most: int) -> list[str]:
    """Up to so many files of a workspace that lead out, sorted; a large workspace is looked through in part."""
    links = Links(root)
    found = []
    for path, status in _files(root):
        if links.lead_out(path, status):
            found.append(path)
            if len(found) >= most:
                break
    return sorted(found)


def _files(root: str) -> Iterator[tuple[str, os.stat_result]]:
    for entry in _entries(root, None):
        try:
            yield entry.path[len(root.rstrip("/")) + 1 :], entry.stat(follow_symlinks=False)
        except OSError:
            continue  # it is gone


def _inodes(root: str, device: int) -> Iterator[int]:
    for entry in _entries(root, device):
        yield entry.inode()


def _entries(root: str, device: int | None) -> Iterator[os.DirEntry[str]]:
    """Everything below that is no folder; with a device, only what lies on it."""
    folders, left = [root], ENTRIES
    while folders:
        folder = folders.pop()
        try:
            if device is not None and os.lstat(folder).st_dev != device:
                continue
            with os.scandir(folder) as found:
                for entry in found:
                    left -= 1
                    if left < 0:
                        return
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        yield entry
        except OSError:
            continue  # it is gone, or closed to us: what it holds is not found


def _read_index(root: str) -> tuple[str, bytes]:
    """The index of the repository that holds the root, and the root's path in it with its slash."""
    folder, prefix = root, ""
    while not os.path.lexists(f"{folder}/.git"):
        above, _, name = folder.rpartition("/")
        if not above:
            return "", b""
        folder, prefix = above, f"{name}/{prefix}"
    try:
        with open(f"{_git_folder(folder)}/index", "rb") as file:
            data = file.read(INDEX_BYTES)
    except OSError:
        return "", b""
    known = data[:4] == b"DIRC" and int.from_bytes(data[4:8], "big") in (2, 3)
    return (prefix, data) if known else ("", b"")


def _git_folder(folder: str) -> str:
    """`.git`, or the folder that a file of this name points to, as in a worktree."""
    git = f"{folder}/.git"
    if os.path.isdir(git):
        return git
    with open(git, "rb") as file:
        text = os.fsdecode(file.read(4096)).removeprefix("gitdir:").strip()
    return text if text.startswith("/") else f"{folder}/{text}"
