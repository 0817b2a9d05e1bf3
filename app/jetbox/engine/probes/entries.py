"""What is known of each file, folder and link, and how it is noted."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from jetbox.engine.probes.configuration import looked_for
from jetbox.engine.probes.lookover import RACY_NS, Folder, Known, read_content, stat_of
from jetbox.engine.probes.snapshot import Books, Snapshot
from jetbox.engine.workspace.ignore import ENVIRONMENT_MARK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jetbox.engine.probes.watching import Watch

GIT = ".git"
LARGE = 8 * 1024 * 1024
"""Bytes above which a file is known by its stat and by what was told of it."""


class Entries:
    """Everything in scope below a folder, and the configuration above it."""

    def __init__(self, root: Path, ignored: Callable[[str, str, bool], bool]) -> None:
        """`ignored(folder, name, directory)` says whether `name` in `folder` is out of scope.

        For a file that depends on its name alone, for a folder also on a `pyvenv.cfg` in it.
        """
        self.root = os.path.realpath(root)
        self.watcher: Watch | None = None
        self._ignored = ignored
        self._looked_for = looked_for(self.root)
        self.books = Books()
        """What was found, and what happened meanwhile."""
        self.comings = 0
        """Grows whenever a repository comes or goes."""
        self._reset()

    def _reset(self) -> None:
        self._folders: dict[str, Folder] = {}
        self._outer: dict[str, Known] = {}
        self.repositories: set[str] = set()
        """Paths of those of git that lie in folders; what is in them is out of scope, and where they are is not."""
        self._links: dict[str, str] = {}
        """To where each leads outside the root; empty for one that does not."""
        self._here = (0, 0)
        self._identities: set[tuple[int, int]] = set()
        self._beyond: list[tuple[str, str, tuple[int, int]]] = []
        self._told = self._followed = self._linked = 0
        self.books.clear()

    @property
    def last(self) -> Snapshot:
        """The latest look; empty before there was one."""
        return self.books.last

    def in_scope(self, path: str) -> bool:
        """True for a path in a folder that is known, where neither a file nor a folder of this name is left out."""
        above, slash, name = path.rpartition("/")
        folder = self._folders.get(above + slash)
        return folder is not None and not any(self._ignored(folder.real, name, kind) for kind in (False, True))

    def places(self) -> tuple[str, ...]:
        """Every folder and file whose change can change the latest look; of a folder, that of its own entries."""
        found = [folder.real for folder in self._folders.values()]
        found += [f"{self.root}/{path}" for path in self._links]
        for folder in self._folders.values():
            found += [f"{folder.real}/{name}" for name in folder.left]
        return (self.root, *found, *self._looked_for.values())

    def leading_out(self) -> list[tuple[str, str]]:
        """Links that led out of the root at the latest look, and to where."""
        return [(path, place) for path, place in self._links.copy().items() if place]

    def _leave(self, folder: Folder, path: str, name: str) -> None:
        """A folder is out of scope; where that is for its mark, notice when the mark goes."""
        real = os.path.join(folder.real, name)
        if name == GIT and path != GIT:
            folder.repository = True
            self.repositories.add(path)
            self.comings += 1
        if os.path.lexists(os.path.join(real, ENVIRONMENT_MARK)):
            folder.left.add(name)
            if self.watcher is not None:
                self.watcher.mark(real, path)

    def _entry(
        self,
        folder: Folder,
        prefix: str,
        name: str,
        seen: os.stat_result,
        waiting: list[tuple[str, str]],
        *,
        told: bool = False,
    ) -> None:
        """Note what a name in a folder stands for; `told`: it is known to have changed."""
        folder.packed = None
        mode, path = seen.st_mode, prefix + name
        is_folder = stat.S_ISDIR(mode)
        if stat.S_IFMT(folder.others.get(name, 0)) not in (0, stat.S_IFMT(mode)):
            self._remove(folder, prefix, name)
        known = (name in folder.files and not is_folder) or (name in folder.others and not told)
        if not known and self._ignored(folder.real, name, is_folder):
            if name == GIT and folder.repository:
                return
            self._remove(folder, prefix, name)
            if is_folder:
                self._leave(folder, path, name)
            return
        folder.left.discard(name)
        self._bare(folder, path)
        real = os.path.join(folder.real, name)
        if stat.S_ISREG(mode):
            self._file(folder.files, name, path, real, seen, told=told)
            return
        if name in folder.files:
            self._remove(folder, prefix, name)
        folder.others[name] = mode
        if is_folder:
            self.books.put(path, (mode, ""))
            waiting.append((real, path + "/"))
        elif stat.S_ISLNK(mode):
            self._link(path, real, mode)
        else:
            self.books.put(path, (mode, ""))

    def _file(
        self, table: dict[str, Known], key: str, path: str, real: str, seen: os.stat_result, *, told: bool = False
    ) -> None:
        now = stat_of(seen)
        known = table.get(key)
        if known is not None and known.sure == now and not told:
            return
        if known is not None and known.stat != now:
            self.books.stir(path)
        if self.watcher is not None:
            if seen.st_nlink > 1:
                # Its other names in the tree are found by their change time.
                self._linked += not self.watcher.has(path)
                self.watcher.file(real, path)
            elif known is not None and known.stat[3] != now[3]:
                self.watcher.gone(path)
        read_at = time.time_ns()
        if now[2] <= LARGE:
            content = read_content(real, now)
        elif told or known is None or known.stat != now:
            self._told += told
            content = f"{now!r} {self._told}" if told else repr(now)
        else:
            content = known.content
        table[key] = Known(now, content, now if max(now[0], now[1]) + RACY_NS <= read_at else None)
        self.books.put(path, (seen.st_mode, content))

    def _link(self, path: str, real: str, mode: int) -> None:
        """Note a symbolic link and what it leads to outside."""
        self._links[path] = ""
        self._followed += 1
        if self.watcher is not None:
            self.watcher.link(real)
        beyond, key = "", path + "/"
        try:
            self.books.put(path, (mode, os.readlink(real)))
            seen = os.stat(real)
            final = os.path.realpath(real)
            if not (final + os.sep).startswith(self.root + os.sep):
                self._links[path] = beyond = final
        except OSError:
            pass
        if beyond and stat.S_ISREG(seen.st_mode):
            self._drop(key)
            self._file(self._outer, key, key, beyond, seen)
            return
        if self._outer.pop(key, None) is not None:
            self.books.drop(key)
        ways = (real, beyond)
        out = any(self._ignored(os.path.dirname(path), os.path.basename(path), True) for path in ways)
        if beyond and stat.S_ISDIR(seen.st_mode) and not out:
            self._beyond.append((key, beyond, (seen.st_dev, seen.st_ino)))
            return
        self._drop(key)

    def _above(self, *, told: bool = False) -> None:
        """The configuration that is found by walking up, and what git says of branch and exclusions."""
        if self.watcher is not None:
            self.watcher.above(self._looked_for.values())
        for path, real in self._looked_for.items():
            try:
                # Few of them exist, and to be told so by an exception takes as long again.
                seen = os.stat(real) if os.access(real, os.F_OK) else None
            except OSError:
                seen = None
            if seen is not None and stat.S_ISREG(seen.st_mode):
                self._file(self._outer, path, path, real, seen, told=told)
            elif self._outer.pop(path, None) is not None:
                self.books.drop(path)

    def _remove(self, folder: Folder, prefix: str, name: str) -> None:
        """A name is gone, or out of scope, with all below it."""
        folder.packed = None
        path = prefix + name
        if folder.files.pop(name, None) is not None and self.watcher is not None:
            self.watcher.gone(path)
        if folder.others.pop(name, None) is not None:
            self._drop(path + "/")
            self._links.pop(path, None)
            if self._outer.pop(path + "/", None) is not None:
                self.books.drop(path + "/")
        folder.left.discard(name)
        self._bare(folder, path)
        self.books.drop(path)

    def _bare(self, folder: Folder, path: str) -> None:
        """No repository is at this path of a folder any more."""
        if folder.repository and path in self.repositories:
            folder.repository = False
            self.repositories.discard(path)
            self.comings += 1

    def _drop(self, prefix: str) -> None:
        """Forget what is in a folder."""
        waiting = [prefix]
        while waiting:
            prefix = waiting.pop()
            folder = self._folders.pop(prefix, None)
            if folder is None:
                continue
            if self.watcher is not None:
                self.watcher.gone(prefix)
            self._bare(folder, prefix + GIT)
            for name in (*folder.files, *folder.others):
                if name in folder.others:
                    waiting.append(prefix + name + "/")
                    if self._outer.pop(prefix + name + "/", None) is not None:
                        self.books.drop(prefix + name + "/")
                elif self.watcher is not None:
                    self.watcher.gone(prefix + name)
                self._links.pop(prefix + name, None)
                self.books.drop(prefix + name)
