"""Which files a command changed: a look at all of them before and after."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from jetbox.engine.events import ChangeKind, FileChange
from jetbox.engine.workspace.ignore import IgnoreRules

FILES = 20_000
"""In a larger workspace a command's changes are not looked for."""
DIGEST_BYTES = 2_000_000
"""A larger file that a command made is not hashed."""
_GIT_FILES = ("config", "HEAD", "index", "packed-refs", "hooks", "info/exclude", "info/attributes")

Stamp = tuple[tuple[int, int, int, int], int, int]
"""What only a change of the file changes; the change time, and the links, of which one more or less sets it too."""


class Sweep(msgspec.Struct, frozen=True):
    """Every file that is not ignored, as it was at a time."""

    files: Mapping[str, Stamp]
    git: Mapping[str, Stamp]
    """What in `.git` could run code or rewrite history."""
    complete: bool


def sweep(root: Path) -> Sweep:
    """Look at all files; to be called in a thread."""
    files: dict[str, Stamp] = {}
    # A command's output in an ignored folder is no change that matters; .gitignore is not asked,
    # since a file that git does not track may matter all the same.
    for entry in IgnoreRules(root, gitignore=False).walk(status=True):
        if len(files) >= FILES:
            return Sweep({}, _git(root), complete=False)
        if entry.status is not None:
            files[entry.path] = _stamp(entry.status)
    return Sweep(files, _git(root), complete=True)


def _git(root: Path) -> dict[str, Stamp]:
    found: dict[str, Stamp] = {}
    for name in _GIT_FILES:
        path = root / ".git" / name
        try:
            found[name] = _stamp(path.lstat())
            if name == "hooks":
                found.update({f"hooks/{hook}": _stamp((path / hook).lstat()) for hook in os.listdir(path)})
        except OSError:
            continue
    return found


def _stamp(status: os.stat_result) -> Stamp:
    own = (status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode)
    return own, status.st_ctime_ns, status.st_nlink


def _same(old: Stamp | None, new: Stamp | None) -> bool:
    return old == new or (old is not None and new is not None and old[0] == new[0] and old[2] != new[2])


def changes(before: Sweep, after: Sweep) -> tuple[FileChange, ...]:
    """What a command made of the files; lines are not counted, since the old content is not known."""
    if not (before.complete and after.complete):
        return ()
    found = []
    for path in before.files.keys() | after.files.keys():
        old, new = before.files.get(path), after.files.get(path)
        if _same(old, new):
            continue
        kind: ChangeKind = "created" if old is None else "deleted" if new is None else "modified"
        found.append(FileChange(path=path, kind=kind))
    # Only what changed is sorted: sorting holds the interpreter, and with it the screen, for as long as it takes.
    return tuple(sorted(found, key=lambda change: change.path))


def with_digests(root: Path, found: tuple[FileChange, ...]) -> tuple[FileChange, ...]:
    """The changes with the hashes of what is there now: undoing tells by them whether somebody changed it since."""
    import hashlib

    out = []
    for change in found:
        try:
            path = root / change.path
            small = path.is_file() and not path.is_symlink() and path.stat().st_size <= DIGEST_BYTES
            after = hashlib.sha256(path.read_bytes()).hexdigest() if small and change.kind == "created" else ""
        except OSError:
            after = ""
        out.append(msgspec.structs.replace(change, after=after) if after else change)
    return tuple(out)


def git_changes(before: Sweep, after: Sweep) -> list[str]:
    """Names in `.git` that are not as they were."""
    names = before.git.keys() | after.git.keys()
    return sorted(name for name in names if before.git.get(name) != after.git.get(name))
