"""What the files of a workspace are: a sweep that proves, by stat and content, that nothing changed.

A sweep sees what changed size, times, inode or mode. It does not see a write that leaves all of
them as they were: one to a file that was last looked at more than two seconds after its change
would have to be made with the clock set back to that very tick, and then every file is read again.
"""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from jetbox.engine.probes.entries import GIT, Entries
from jetbox.engine.probes.lookover import (
    RACY_NS,
    Clock,
    Folder,
    Quick,
    differing,
    distrust,
    quick_look,
)
from jetbox.engine.probes.snapshot import Snapshot
from jetbox.engine.workspace.ignore import ENVIRONMENT_MARK

__all__ = ["Snapshot", "Tree"]

MOST_ENTRIES = 200_000
"""Entries above which the tree is not proved any more."""

SMALL_TREE = 150
SMALL_BYTES = 2 * 1024 * 1024
"""Files, and bytes of them, up to which a sweep is quicker than the way to a thread."""

_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FOLDER = _ROOT | os.O_NOFOLLOW


class Tree(Entries):
    """Looks at these entries; one look at a time."""

    def __init__(self, root: Path, ignored: Callable[[str, str, bool], bool]) -> None:
        """`ignored(folder, name, directory)` says whether `name` in `folder` is out of scope.

        For a file that depends on its name alone, for a folder also on a `pyvenv.cfg` in it.
        """
        super().__init__(root, ignored)
        self.trusts: Callable[[str, int], bool] = lambda folder, device: False
        """Says of a folder and its device whether its times tell of every change of its entries."""
        self._lock = asyncio.Lock()
        self._clock = Clock()
        self._steady = Clock()
        self._turned = False
        self._quick: Quick | None = None

    @property
    def turned(self) -> bool:
        """The clock was set back since this was made: what is older by its times may be younger."""
        self._turned = self._steady.went_back() or self._turned
        return self._turned

    async def sweep(self) -> Snapshot:
        """Look at everything now; what is true of the result was true after the call began."""
        async with self._lock:
            if 0 < len(self.last.files) <= SMALL_TREE and self._size() <= SMALL_BYTES:
                return self.sweep_now()
            from jetbox.engine.probes.reading import in_thread

            return await in_thread(self.sweep_now)

    def newest(self) -> int:
        """When anything was last changed, as far as was seen, in ns of wall time; nobody can set that."""
        folders = tuple(self._folders.values())  # a thread may be at work on what they are of
        files = (known.stat[1] for folder in folders for known in tuple(folder.files.values()))
        return max(max((folder.stat[1] for folder in folders), default=0), max(files, default=0))

    def _size(self) -> int:
        return sum(known.stat[2] for folder in self._folders.values() for known in folder.files.values())

    def sweep_now(self) -> Snapshot:
        """The sweep itself, without waiting for anything but the disk."""
        if not self.last.proved:
            self._reset()
        if self._clock.went_back():
            # A file may get the times that it had before.
            distrust(self._folders.values(), self._outer.values())
        whole = True
        try:
            here = os.stat(self.root)
            self._links.clear()
            self._beyond.clear()
            self._here = (here.st_dev, here.st_ino)
            self._identities = {self._here}
            self._above()
            whole = self._walk([(self.root, "")]) and self._walk_beyond() and "" in self._folders
        except OSError:
            whole = False
        except BaseException:
            # Half a look must not pass for a whole one.
            self._reset()
            raise
        return self.books.commit(whole)

    def touched_now(self, paths: Iterable[str]) -> Snapshot | None:
        """Look at these entries again, whatever their stat says; None where only a sweep can tell."""
        if not self.last.digest or not self.last.proved:
            return None
        waiting: list[tuple[str, str]] = []
        links, followed = self._links.copy(), (self._followed, self._linked)
        # Parents before what is in them.
        for path in sorted(paths):
            above, slash, name = path.rpartition("/")
            folder = self._folders.get(above + slash)
            if folder is None:
                continue
            if path in self._links:
                return None
            real = os.path.join(folder.real, name)
            try:
                seen = os.lstat(real)
            except (FileNotFoundError, NotADirectoryError):
                self._remove(folder, above + slash, name)
                if above and folder.knows(ENVIRONMENT_MARK):
                    # It may have been the last that was no part of an environment.
                    self._out(folder, above + slash)
                continue
            except OSError:
                return None
            if stat.S_ISLNK(seen.st_mode):
                return None
            self._entry(folder, above + slash, name, seen, waiting, told=True)
        if not self._walk(waiting) or (self._followed, self._linked) != followed or self._links != links:
            return None
        return self.books.commit(True)

    def above_now(self) -> Snapshot | None:
        """Look again at the configuration above the root and at what git says; None where only a sweep can tell."""
        try:
            here = os.stat(self.root)
        except OSError:
            return None
        if (here.st_dev, here.st_ino) != self._here or not self.last.proved:
            return None
        self._above(told=True)
        return self.books.commit(self.last.proved)

    def _walk(self, waiting: list[tuple[str, str]]) -> bool:
        """Look at folders and all below them; False where there is too much of it."""
        while waiting:
            if self.books.entries > MOST_ENTRIES:
                return False
            real, prefix = waiting.pop()
            self._look(real, prefix, waiting)
        return self.books.entries <= MOST_ENTRIES

    def _walk_beyond(self) -> bool:
        """Look at folders outside that links lead to, each once, by the link whose path comes first."""
        while self._beyond:
            found, self._beyond = sorted(self._beyond), []
            for prefix, real, identity in found:
                if identity in self._identities:
                    self._drop(prefix)
                    continue
                self._identities.add(identity)
                if not self._walk([(real, prefix)]):
                    return False
        return True

    def _look(self, real: str, prefix: str, waiting: list[tuple[str, str]]) -> None:
        folder = self._folders.get(prefix)
        if folder is None or folder.real != real:
            self._drop(prefix)
            folder = self._folders[prefix] = Folder(real)
        try:
            handle = os.open(real, _FOLDER if prefix else _ROOT)
        except (FileNotFoundError, NotADirectoryError):
            self._drop(prefix)
            return
        except OSError as error:
            self._unreadable(folder, real, prefix, error)
            return
        try:
            self._names(folder, prefix, handle, waiting)
        except OSError as error:
            self._unreadable(folder, real, prefix, error)
        finally:
            os.close(handle)

    def _unreadable(self, folder: Folder, real: str, prefix: str, error: OSError) -> None:
        """The folder cannot be listed, which is a property like any other."""
        self._drop(prefix)
        folder = self._folders[prefix] = Folder(real)
        folder.others["?"] = 0
        self.books.put(prefix + "?", (0, f"unreadable: {error.errno}"))

    def _names(self, folder: Folder, prefix: str, handle: int, waiting: list[tuple[str, str]]) -> None:
        """Look at each name in an open folder."""
        fresh = self._listed(folder, prefix, handle)
        if fresh is None:
            return
        # Where folders are to be trusted, the file system is a local one.
        if folder.settled and self._quick is None:
            self._quick = quick_look()
        odd, gone = (self._quick if folder.settled and self._quick else differing)(handle, folder)
        fresh += gone
        for name in (*folder.others, *folder.left, *fresh):
            try:
                seen = os.stat(name, dir_fd=handle, follow_symlinks=False)
                if folder.others.get(name) == seen.st_mode and stat.S_ISDIR(seen.st_mode):
                    waiting.append((f"{folder.real}/{name}", f"{prefix}{name}/"))
                else:
                    odd.append((name, seen))
            except FileNotFoundError:
                self._remove(folder, prefix, name)
            except OSError as error:
                self._remove(folder, prefix, name)
                folder.others[name] = 0
                self.books.put(prefix + name, (0, f"unreadable: {error.errno}"))
        for name, seen in odd:
            self._entry(folder, prefix, name, seen, waiting)

    def _listed(self, folder: Folder, prefix: str, handle: int) -> list[str] | None:
        """List an open folder where that may have changed: its new names; None where it is out of scope."""
        read_at = time.time_ns()
        here = os.fstat(handle)
        now = (here.st_mtime_ns, here.st_ctime_ns, here.st_ino, here.st_dev)
        if self.watcher is not None and not (folder.stat[2:] == now[2:] and self.watcher.has(prefix)):
            self.watcher.folder(folder.real, prefix)
            folder.settled = False
        if folder.settled and folder.stat == now:
            return []
        if self.watcher is not None:
            self.watcher.device(folder.real, here.st_dev)
        names = set(os.listdir(handle))
        if prefix and ENVIRONMENT_MARK in names and self._out(folder, prefix):
            return None
        gone = {GIT} - names if folder.repository else set()
        for name in (*(folder.files.keys() - names), *(folder.others.keys() - names), *gone):
            self._remove(folder, prefix, name)
        folder.left &= names
        if self.watcher is None and folder.stat not in (now, Folder("").stat) and all(map(folder.knows, names)):
            # A name came and went, or one of those that are out of scope, where there are such.
            self.books.stir(prefix or ".")
        folder.stat = now
        quiet = max(here.st_mtime_ns, here.st_ctime_ns) + RACY_NS <= read_at
        folder.settled = quiet and self.trusts(folder.real, here.st_dev)
        return [name for name in names if not folder.knows(name)]

    def _out(self, folder: Folder, prefix: str) -> bool:
        """Take a folder out of scope that has become an environment."""
        if not self._ignored(os.path.dirname(folder.real), os.path.basename(folder.real), True):
            return False
        above, _, name = prefix[:-1].rpartition("/")
        parent = self._folders.get(above + "/" if above else "")
        self._drop(prefix)
        if parent is not None and stat.S_ISDIR(parent.others.get(name, 0)):
            self._remove(parent, above + "/" if above else "", name)
            self._leave(parent, prefix[:-1], name)
        return True
