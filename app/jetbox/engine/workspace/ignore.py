"""What list, glob and grep pass over, and the walk that they share.

The search worker, which starts anew for each search, imports this module: it stays light,
without `typing`, `dataclasses` and `pathlib`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from pathspec import GitIgnoreSpec

FOLDERS = frozenset(
    [
        ".git",
        ".hg",
        ".svn",
        ".bzr",
        ".jj",
        "_darcs",
        "CVS",
        ".jetbox",
        "__pycache__",
        ".pytest_cache",
        ".ruff_cache",
        ".mypy_cache",
        ".hypothesis",
        ".pytype",
        ".tox",
        ".nox",
        ".cache",
        ".ipynb_checkpoints",
        ".eggs",
        "node_modules",
        ".venv",
    ]
)
"""Names of folders that are ignored everywhere: version control, caches, environments, our own."""
SUFFIXES = (".pyc", ".pyo", ".jetbox-tmp")
ENVIRONMENT_MARK = "pyvenv.cfg"
"""A folder that holds this file is a virtual environment, whatever its name, unless it holds code beside it."""
_PARTS = frozenset(
    (
        ENVIRONMENT_MARK, "bin", "lib", "lib64", "include", "share", "etc", "man", "Scripts", "Lib", "Include",
        "CACHEDIR.TAG", "pip-selfcheck.json",
    )
)  # fmt: skip
DEPTH = 100
"""Deeper folders are passed over."""
RULES_BYTES = 1024**2
WILDCARDS = 3
"""A pattern with more of them in a row is passed over."""

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Stamp = tuple[int, int, int, int]


class Entry:
    """A file that the walk came by."""

    __slots__ = ("folder", "link", "path", "status")

    def __init__(self, path: str, link: bool, status: os.stat_result | None, folder: int) -> None:
        self.path = path
        """Relative to the root of the rules, with `/`."""
        self.link = link
        """A symbolic link: it is named and not followed."""
        self.status = status
        """Of the entry itself; where the walk was asked for it and the file is still there."""
        self.folder = folder
        """Descriptor of the folder that holds it; good until the walk goes on."""


class IgnoreRules:
    """The rules of one folder tree; .gitignore files are read again when they change."""

    def __init__(self, root: Path | str, *, gitignore: bool = True) -> None:
        self._root = str(root)
        self._gitignore = gitignore
        self._specs: dict[str, tuple[Stamp, GitIgnoreSpec]] = {}

    def ignored(self, path: str, *, folder: bool = False) -> bool:
        """True where a walk would pass over the path (relative, `/`) or over a folder above it."""
        names = [] if path == "." else path.split("/")
        rules: list[tuple[str, GitIgnoreSpec]] = []
        above = ""
        for depth, name in enumerate(names):
            self._add_rules(rules, above)
            is_folder = folder or depth < len(names) - 1
            if self._passes_over(above + name, name, is_folder, rules):
                return True
            above += name + "/"
        return False

    def inside(self, path: str) -> Callable[[str, bool], bool]:
        """Says of a name in a folder, and whether it is a folder, if a walk of that folder would pass over it."""
        rules: list[tuple[str, GitIgnoreSpec]] = []
        above = ""
        for name in () if path == "." else path.split("/"):
            self._add_rules(rules, above)
            above += name + "/"
            if self._passes_over(above[:-1], name, True, rules):
                rules.clear()
        self._add_rules(rules, above)
        return lambda name, folder: self._passes_over(above + name, name, folder, rules)

    def walk(self, below: str = ".", *, status: bool = False) -> Iterator[Entry]:
        """Every file below a folder that is not ignored, sorted by path; links are not followed.

        What vanishes or cannot be entered meanwhile is left out. A folder that is ignored
        itself is walked when it is asked for, without the rules that ignore it.
        """
        rules: list[tuple[str, GitIgnoreSpec]] = []
        above = ""
        names = [] if below in (".", "") else below.split("/")
        folder = _open(self._root, None)
        for name in names:
            if folder is None:
                return
            self._add_rules(rules, above, folder)
            above += name + "/"
            if self._passes_over(above[:-1], name, True, rules):
                rules.clear()
            deeper = _open(name, folder)
            os.close(folder)
            folder = deeper
        if folder is not None:
            yield from self._walk(folder, above, rules, status, len(names))

    def _walk(
        self, folder: int, above: str, rules: list[tuple[str, GitIgnoreSpec]], status: bool, depth: int
    ) -> Iterator[Entry]:
        """Takes over the descriptor."""
        known = len(rules)
        try:
            entries = sorted((entry.name + "/" if _is_folder(entry) else entry.name, entry) for entry in _scan(folder))
            if any(entry.name == ".gitignore" for _, entry in entries):
                self._add_rules(rules, above, folder)
            for name, entry in entries:
                is_folder = name.endswith("/")
                path = above + entry.name
                if self._passes_over(path, entry.name, is_folder, rules):
                    continue
                if not is_folder:
                    yield Entry(path, entry.is_symlink(), _status(entry.name, folder) if status else None, folder)
                    continue
                deeper = _open(entry.name, folder) if depth < DEPTH else None
                if deeper is None:
                    continue
                if is_environment(deeper):
                    os.close(deeper)
                    continue
                yield from self._walk(deeper, path + "/", rules, status, depth + 1)
        finally:
            del rules[known:]
            os.close(folder)

    def _passes_over(self, path: str, name: str, folder: bool, rules: list[tuple[str, GitIgnoreSpec]]) -> bool:
        if name in FOLDERS or (not folder and name.endswith(SUFFIXES)):
            return True
        for above, spec in reversed(rules):
            verdict = spec.check_file(path[len(above) :] + ("/" if folder else "")).include
            if verdict is not None:
                return verdict
        return False

    def _add_rules(self, rules: list[tuple[str, GitIgnoreSpec]], above: str, folder: int | None = None) -> None:
        """Put the rules of the folder `above` (with its slash) on top."""
        if not self._gitignore:
            return
        name = ".gitignore" if folder is not None else f"{self._root}/{above}.gitignore"
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except OSError:
            self._specs.pop(above, None)
            return
        try:
            found = os.fstat(descriptor)
            stamp = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
            known = self._specs.get(above)
            if known is None or known[0] != stamp:
                known = self._specs[above] = (stamp, _parse(os.read(descriptor, RULES_BYTES)))
            rules.append((above, known[1]))
        except OSError:
            return
        finally:
            os.close(descriptor)


def _parse(data: bytes) -> GitIgnoreSpec:
    # Its import takes some 60 ms: only a workspace that has such a file pays for it.
    from pathspec import GitIgnoreSpec

    text = data.decode("utf-8", errors="surrogateescape").removeprefix("\ufeff")
    lines = [line for line in text.split("\n") if _bounded(line)]
    try:
        return GitIgnoreSpec.from_lines(lines)
    except ValueError:
        good = []
    for line in lines:
        try:
            GitIgnoreSpec.from_lines([line])
        except ValueError:
            continue  # git passes over a malformed pattern, too
        good.append(line)
    return GitIgnoreSpec.from_lines(good)


def _bounded(line: str) -> bool:
    """False for a pattern that a hostile file name would keep busy for seconds or hours."""
    segments = line.split("/")
    return segments.count("**") <= WILDCARDS and all(s.count("*") <= WILDCARDS for s in segments)


def _open(name: str, folder: int | None) -> int | None:
    try:
        return os.open(name, _OPEN, dir_fd=folder)
    except OSError:
        return None


def _scan(folder: int) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _status(name: str, folder: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None


def is_part(name: str) -> bool:
    """True for what stands in a virtual environment that holds nothing else."""
    return name in _PARTS or name.startswith(".")


def is_environment(folder: str | int) -> bool:
    """True for a virtual environment; not for a folder of code that was made one too."""
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    return ENVIRONMENT_MARK in names and all(map(is_part, names))


def open_below(root: str, path: str) -> int | None:
    """A descriptor of a folder below the root, no link followed; None where there is none."""
    folder = _open(root, None)
    for name in path.split("/") if path else ():
        if folder is None:
            return None
        deeper = _open(name, folder)
        os.close(folder)
        folder = deeper
    return folder
