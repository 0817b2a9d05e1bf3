"""Sees what a process changed in `.git` and `.jetbox` where no sandbox keeps them read-only."""

from __future__ import annotations

import os
from asyncio import to_thread
from collections.abc import Iterator, Sequence
from pathlib import Path

from jetbox.engine.workspace.names import PROTECTED, shown

ENTRIES = 4000
"""Looked at in all, what can run programs before what cannot; 4,000 take about 20 ms."""
NAMED = 6
LENGTH = 80
"""Of a name and of the command, when they are told."""

_TELLING = ("hooks", "info", "objects/info", "modules", "worktrees", "refs", "objects/pack")
"""Looked at in this order and at any depth; single objects are named by what they hold."""
_PASSED = ("objects", "logs")
"""Passed over in the repositories of submodules and worktrees."""

Stamp = tuple[int, int, int, int, int]
Look = dict[str, Stamp]


class GitWatch:
    """Compares looks at one workspace; a change is told once, however many processes ran meanwhile."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._told: dict[str, Stamp | None] = {}

    async def before(self, *, outside: bool) -> Look:
        """Every watched file as it is now.

        `outside` also follows a `.git` that names a folder outside the workspace, which a
        process without a sandbox can write.
        """
        found = await to_thread(look, self._root, outside=outside)
        self._told = {name: stamp for name, stamp in self._told.items() if found.get(name) == stamp}
        return found

    async def after(self, before: Look, *, outside: bool) -> list[str]:
        """Names that are not as they were and that were not told in this state already."""
        now = await to_thread(look, self._root, outside=outside)
        found = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
        found = [name for name in found if name not in self._told or self._told[name] != now.get(name)]
        self._told.update((name, now.get(name)) for name in found)
        return found


def look(root: Path, *, outside: bool) -> Look:
    """Status of every watched file."""
    found: Look = {}
    for name, path in _entries(root, outside):
        if len(found) >= ENTRIES:
            break
        try:
            found[name] = _stamp(os.lstat(path))
        except OSError:
            continue
    return found


def in_words(names: Sequence[str], argv: Sequence[str]) -> str:
    """What changed, and while what ran: one line that a terminal can show."""
    import shlex

    command = argv[2] if len(argv) == 3 and argv[1] == "-c" else shlex.join(argv)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    told = ", ".join(map(_short, names[:NAMED]))
    return f"{told}{more} changed while this ran: {_short(' '.join(command.split()))}"


def _short(text: str) -> str:
    text = shown(text)
    return text if len(text) <= LENGTH else f"{text[:LENGTH]}…"


def _stamp(status: os.stat_result) -> Stamp:
    """What cannot stay the same when a file is written; a folder is there or not."""
    if status.st_mode & 0o170000 == 0o040000:
        return status.st_mode, 0, 0, 0, 0
    return status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _entries(root: Path, outside: bool) -> Iterator[tuple[str, str]]:
    """Shown name and path of what is watched, the most telling before the rest."""
    for name in PROTECTED:
        yield name, os.path.join(root, name)
    for folder in _git_folders(root, outside):
        label = os.path.relpath(folder, root) if _inside(folder, root) else folder
        for name in _names(folder):
            yield f"{label}/{name}", f"{folder}/{name}"
        for name in _TELLING:
            passed = _PASSED if name in ("modules", "worktrees") else ()
            yield from _below(f"{folder}/{name}", f"{label}/{name}", passed)
    yield from _below(os.path.join(root, ".jetbox"), ".jetbox")


def _git_folders(root: Path, outside: bool) -> list[str]:
    """The repository's folder and, in a worktree, the one that it shares with others."""
    path = os.path.join(root, ".git")
    target = path if os.path.isdir(path) else _named_in(path, "gitdir: ")
    if not target:
        return []
    folder = os.path.realpath(os.path.join(root, target))
    common = _named_in(os.path.join(folder, "commondir"), "")
    folders = [folder, *([os.path.realpath(os.path.join(folder, common))] if common else [])]
    return [f for f in dict.fromkeys(folders) if outside or _inside(f, root)]


def _named_in(path: str, prefix: str) -> str:
    """The path that a small file of git's names; empty where it names none."""
    try:
        with open(path, "rb", opener=_no_waiting) as file:
            text = os.fsdecode(file.read(4096)).rstrip("\n")
    except OSError:
        return ""
    return text.removeprefix(prefix) if text.startswith(prefix) and "\0" not in text else ""


def _no_waiting(path: str, flags: int) -> int:
    """A pipe in the place of a file is not waited for."""
    return os.open(path, flags | os.O_NONBLOCK)


def _below(folder: str, label: str, passed: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Everything in a folder, at any depth; links are named and not followed."""
    waiting = [(folder, label)]
    while waiting:
        folder, label = waiting.pop()
        if os.path.islink(folder):
            continue
        for name in _names(folder):
            path = f"{folder}/{name}"
            yield f"{label}/{name}", path
            if name not in passed and os.path.isdir(path):
                waiting.append((path, f"{label}/{name}"))


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _inside(path: str, root: Path) -> bool:
    real = os.path.realpath(root)
    return path == real or path.startswith(f"{real}/")
