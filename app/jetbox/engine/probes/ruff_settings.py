"""What ruff reads its settings from, in the workspace, above it and in the user's home."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from stat import S_ISDIR, S_ISREG

import msgspec

from jetbox.engine.probes.configuration import OF_RUFF
from jetbox.engine.probes.entries import GIT
from jetbox.engine.probes.fingerprint import Snapshot, Tree

NAMES = OF_RUFF | {".gitignore", ".ignore", GIT}
"""Files that settings or exclusions are read from, in every folder, and what makes those of git count."""
COMMON = "commondir"
MOST_BYTES = 1_000_000
"""Of a file of settings."""

_EXTENDS = re.compile(r"""\bextend["']?\s*=\s*(["'])(.+?)\1""")
_EXTENSION = re.compile(r"\bextension\b")
_INCLUDE = re.compile(r"(?<!-)\binclude\b")
_EXCLUDES = re.compile(r"^\s*excludesfile\s*=\s*\"?(.+?)\"?\s*$", re.MULTILINE | re.IGNORECASE)

Sign = tuple[int, int, int, int, int] | None


class Look(msgspec.Struct, frozen=True):
    """Every file that settings can come from, as it was at one moment."""

    signs: dict[str, Sign]
    """By absolute path; None where there is none."""
    renames: bool
    """They say that a suffix stands for another language, which the server does not go by."""
    includes: bool
    """They say which files are looked at, in patterns of their own."""
    blind: bool
    """It was not known yet which folders there are."""
    repositories: frozenset[str] = frozenset()
    """Those of git, in folders of the workspace."""


class _Read(msgspec.Struct, frozen=True):
    """What one file of settings leads to."""

    sign: Sign
    leads: tuple[str, ...] = ()
    renames: bool = False
    includes: bool = False


class RuffSettings:
    """Looks at files of settings by their stat, and follows what they extend."""

    def __init__(self, tree: Tree, environment: Mapping[str, str] | None = None) -> None:
        self._tree = tree
        self._root = str(tree.root)
        self._environment = os.environ if environment is None else environment
        self._above = tuple(_above(self._root))
        self._read: dict[str, _Read] = {}
        self._inside: tuple[Snapshot | None, list[str]] = (None, [])

    def look(self) -> Look:
        """All of them as they are now."""
        signs: dict[str, Sign] = {}
        repositories = frozenset(self._tree.repositories)
        waiting = [*self._above, *self._within(), *self._users()]
        waiting += [f"{self._root}/{path}{name}" for path in repositories for name in ("", "/info/exclude")]
        renames = includes = False
        while waiting:
            path = waiting.pop()
            if path in signs:
                continue
            read = self._reading(path)
            signs[path] = read.sign
            renames, includes = renames or read.renames, includes or read.includes
            waiting += read.leads
        return Look(signs, renames, includes, not self._tree.last.digest, repositories)

    def same(self, look: Look, path: str = "") -> bool:
        """True where nothing changed since that can bear on the file at `path`, relative to the workspace."""
        if (look.blind and self._tree.last.digest) or look.repositories != self._tree.repositories:
            return False
        if any(_sign(known) != sign for known, sign in look.signs.items()):
            return False
        folder = self._root
        for part in path.split("/")[:-1]:
            folder = f"{folder}/{part}"
            if any(f"{folder}/{name}" not in look.signs and os.path.lexists(f"{folder}/{name}") for name in NAMES):
                return False
        return True

    def outside(self) -> dict[str, Sign]:
        """Those that are not in the tree, by path; None for one that is not there."""
        return {path: sign for path, sign in sorted(self.look().signs.items()) if not self._in_tree(path)}

    def _in_tree(self, path: str) -> bool:
        prefix = self._root + os.sep
        if path.startswith(prefix):
            return path[len(prefix) :] in self._tree.last.files or os.path.dirname(path) == self._root
        folder, _, name = path.rpartition("/")
        return name in NAMES - {GIT} and prefix.startswith(folder + "/")

    def _within(self) -> list[str]:
        """In the folders below the root, as far as the tree knows."""
        last, found = self._inside
        now = self._tree.last
        if last is not now:
            found = [f"{self._root}/{path}" for path in now.files if path.rpartition("/")[2] in NAMES]
            found = [path for path in found if "/../" not in path]
            self._inside = (now, found)
        return found

    def _users(self) -> list[str]:
        """The user's own settings of ruff, which count where a project has none, and those of git."""
        home = self._environment.get("HOME") or os.path.expanduser("~")
        folders = [os.path.join(home, ".config"), os.path.join(home, "Library", "Application Support")]
        if beside := self._environment.get("XDG_CONFIG_HOME"):
            folders.append(beside)
        found = [os.path.join(home, ".gitconfig")]
        for folder in folders:
            found += [os.path.join(folder, "ruff", name) for name in OF_RUFF]
            found += [os.path.join(folder, "git", name) for name in ("config", "ignore")]
        return found

    def _reading(self, path: str) -> _Read:
        sign = _sign(path)
        known = self._read.get(path)
        if known is None or known.sign != sign:
            known = self._read[path] = _look_into(path, sign)
        return known


def _above(folder: str) -> Iterator[str]:
    """In the root and in the folders above it, and what makes git's exclusions count there."""
    while True:
        yield from (os.path.join(folder, name) for name in NAMES)
        yield os.path.join(folder, GIT, "info", "exclude")
        parent = os.path.dirname(folder)
        if parent == folder:
            return
        folder = parent


def _look_into(path: str, sign: Sign) -> _Read:
    if sign is None or not S_ISREG(sign[4]) or sign[2] > MOST_BYTES or os.path.basename(path).endswith("ignore"):
        return _Read(sign)
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return _Read(sign)
    folder, name = os.path.split(path)
    if name in (GIT, COMMON):
        return _Read(sign, tuple(_of_worktree(folder, name, text)))
    if path.endswith(".toml"):
        leads = [found[2] for found in _EXTENDS.finditer(text)]
        renames, includes = bool(_EXTENSION.search(text)), bool(_INCLUDE.search(text))
    else:
        leads, renames, includes = [found[1] for found in _EXCLUDES.finditer(text)], False, False
    paths = (os.path.normpath(os.path.join(folder, os.path.expandvars(os.path.expanduser(lead)))) for lead in leads)
    return _Read(sign, tuple(lead for lead in paths if "\0" not in lead), renames, includes)


def _of_worktree(folder: str, name: str, text: str) -> Iterator[str]:
    """Where a file in the place of a repository leads, and the one in there that says what it shares with others."""
    place = os.path.normpath(os.path.join(folder, text.removeprefix("gitdir:").strip()))
    if "\0" not in place:
        yield os.path.join(place, "info", "exclude")
        if name == GIT:
            yield os.path.join(place, COMMON)


def _sign(path: str) -> Sign:
    try:
        seen = os.stat(path)
    except OSError:
        return None
    if path.endswith(f"/{GIT}") and S_ISDIR(seen.st_mode):
        # Without it `.gitignore` says nothing; what is in it changes all the time.
        return 0, 0, 0, seen.st_ino, seen.st_mode
    return seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino, seen.st_mode
