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

from jetbox.engine.probes.configuration import looked_for
from jetbox.engine.probes.lookover import (
    RACY_NS,
    Clock,
    Folder,
    Known,
    Quick,
    differing,
    distrust,
    quick_look,
    read_content,
    stat_of,
)
from jetbox.engine.probes.snapshot import Books, Snapshot
from jetbox.engine.workspace.ignore import ENVIRONMENT_MARK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jetbox.engine.probes.watching import Watch

__all__ = ["Snapshot", "Tree"]

LARGE = 8 * 1024 * 1024
"""Bytes above which a file is known by its stat and by what was told of it."""

MOST_ENTRIES = 200_000
"""Entries above which the tree is not proved any more."""

SMALL_TREE = 150
SMALL_BYTES = 2 * 1024 * 1024
"""Files, and bytes of them, up to which a sweep is quicker than the way to a thread."""

_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FOLDER = _ROOT | os.O_NOFOLLOW


class Tree:
    """Everything in scope below a folder, and the configuration above it; one look at a time."""

    def __init__(self, root: Path, ignored: Callable[[str, str, bool], bool]) -> None:
        """`ignored(folder, name, directory)` says whether `name` in `folder` is out of scope.

        For a file that depends on its name alone, for a folder also on a `pyvenv.cfg` in it.
        """
        self.root = os.path.realpath(root)
        self.trusts: Callable[[str, int], bool] = lambda folder, device: False
        """Says of a folder and its device whether its times tell of every change of its entries."""
        self.watcher: Watch | None = None
        self._ignored = ignored
        self._lock = asyncio.Lock()
        self._clock = Clock()
        self._quick: Quick | None = None
        self.books = Books()
        """What was found, and what happened meanwhile."""
        self._reset()

    def _reset(self) -> None:
        self._folders: dict[str, Folder] = {}
        self._outer: dict[str, Known] = {}
        self._links: set[str] = set()
        self._here = (0, 0)
        self._identities: set[tuple[int, int]] = set()
        self._beyond: list[tuple[str, str, tuple[int, int]]] = []
        self._told = self._followed = self._linked = 0
        self.books.clear()

    @property
    def last(self) -> Snapshot:
        """The latest look; empty before there was one."""
        return self.books.last

    async def sweep(self) -> Snapshot:
        """Look at everything now; what is true of the result was true after the call began."""
        async with self._lock:
            if 0 < len(self.last.files) <= SMALL_TREE and self._size() <= SMALL_BYTES:
                return self.sweep_now()
            from jetbox.engine.probes.reading import in_thread

            return await in_thread(self.sweep_now)

    def _size(self) -> int:
        return sum(known.stat[2] for folder in self._folders.values() for known in folder.files.values())

    # ------------------------------------------------------------ looking

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
        links, followed = set(self._links), (self._followed, self._linked)
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
                continue
            except OSError:
                return None
            if stat.S_ISLNK(seen.st_mode):
                return None
            self._entry(folder, above + slash, name, seen, waiting, told=True)
        if not self._walk(waiting) or (self._followed, self._linked) != followed or self._links != links:
            return None
        return self.books.commit(True)

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
            found += [f"{folder.real}/{name}/{ENVIRONMENT_MARK}" for name in folder.left]
        return (self.root, *found, *looked_for(self.root).values())

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
        odd, gone = (self._quick if folder.settled and self._quick else differing)(handle, folder.files)
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
        for name in (*(folder.files.keys() - names), *(folder.others.keys() - names)):
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

    def _leave(self, folder: Folder, path: str, name: str) -> None:
        """A folder is out of scope; where that is for its mark, notice when the mark goes."""
        real = os.path.join(folder.real, name)
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
        mode, path = seen.st_mode, prefix + name
        is_folder = stat.S_ISDIR(mode)
        if stat.S_IFMT(folder.others.get(name, 0)) not in (0, stat.S_IFMT(mode)):
            self._remove(folder, prefix, name)
        known = name in folder.files or (name in folder.others and not told)
        if not known and self._ignored(folder.real, name, is_folder):
            self._remove(folder, prefix, name)
            if is_folder:
                self._leave(folder, path, name)
            return
        folder.left.discard(name)
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
        self._links.add(path)
        self._followed += 1
        if self.watcher is not None:
            self.watcher.link(real)
        beyond, key = "", path + "/"
        try:
            self.books.put(path, (mode, os.readlink(real)))
            seen = os.stat(real)
            final = os.path.realpath(real)
            if not (final + os.sep).startswith(self.root + os.sep):
                beyond = final
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
        found = looked_for(self.root)
        if self.watcher is not None:
            self.watcher.above(found.values())
        for path, real in found.items():
            try:
                seen = os.stat(real)
            except OSError:
                seen = None
            if seen is not None and stat.S_ISREG(seen.st_mode):
                self._file(self._outer, path, path, real, seen, told=told)
            elif self._outer.pop(path, None) is not None:
                self.books.drop(path)

    # ------------------------------------------------------------ keeping the books

    def _remove(self, folder: Folder, prefix: str, name: str) -> None:
        """A name is gone, or out of scope, with all below it."""
        path = prefix + name
        if folder.files.pop(name, None) is not None and self.watcher is not None:
            self.watcher.gone(path)
        if folder.others.pop(name, None) is not None:
            self._drop(path + "/")
            self._links.discard(path)
            if self._outer.pop(path + "/", None) is not None:
                self.books.drop(path + "/")
        folder.left.discard(name)
        self.books.drop(path)

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
            for name in (*folder.files, *folder.others):
                if name in folder.others:
                    waiting.append(prefix + name + "/")
                    if self._outer.pop(prefix + name + "/", None) is not None:
                        self.books.drop(prefix + name + "/")
                elif self.watcher is not None:
                    self.watcher.gone(prefix + name)
                self._links.discard(prefix + name)
                self.books.drop(prefix + name)
