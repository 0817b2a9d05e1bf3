"""What changed in a tree, told from the kernel's queue by the paths of the tree."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from jetbox.engine.probes import inotify
from jetbox.engine.probes.inotify import Devices, Inotify, Unwatchable
from jetbox.engine.probes.trails import Trails
from jetbox.engine.workspace.ignore import ENVIRONMENT_MARK, is_part

ABOVE, LINKS, OUTSIDE = "above", "links", "outside"

_FOLDER = inotify.ENTRIES | inotify.CONTENT | inotify.ONLYDIR | inotify.EXCL_UNLINK | inotify.MASK_ADD
_MARK = inotify.ENTRIES | inotify.ONLYDIR | inotify.MASK_ADD
_FILE = inotify.CONTENT | inotify.MASK_ADD


class Changes(msgspec.Struct):
    """What happened since the last look into the queue."""

    paths: set[str] = msgspec.field(default_factory=set)
    """Entries of the tree that may be different."""
    folders: bool = False
    """Some of them are folders, so that there may be much to look at."""
    kinds: set[str] = msgspec.field(default_factory=set)
    """Trails that may lead elsewhere."""
    told: set[str] = msgspec.field(default_factory=set)
    """Those of them of which the kernel told that something happened."""
    lost: str = ""
    """Why everything has to be looked at, in words."""


class Watch:
    """Watches folders before they are listed, and what lies outside that the tree depends on.

    One folder may stand in the tree under several paths (links, bind mounts), and events name
    the folder: each watch has a set of targets. A folder's target ends with `/`, the root's
    is empty; a file's does not, and stands for a file with several hard links, each of whose
    other names would else change unseen.
    """

    def __init__(self, root: str) -> None:
        """Raises `Unwatchable` where the kernel has no queue for us."""
        self._root = root
        self.kernel = Inotify()
        self.devices = Devices()
        self.trails = Trails(self.kernel, self.devices.sound)
        self.broken = ""
        """Why the queue cannot prove anything; empty while it can."""
        self._targets: dict[int, set[str]] = {}
        self._watches: dict[str, int] = {}
        self._marks: dict[int, str] = {}
        self._deleted: set[int] = set()

    def has(self, target: str) -> bool:
        """True where this is watched already."""
        return target in self._watches

    def folder(self, real: str, prefix: str) -> None:
        """Watch a folder of the tree; call before it is listed."""
        self._add(real, prefix, _FOLDER)

    def file(self, real: str, path: str) -> None:
        """Watch a file that has other names too; call before it is read."""
        self._add(real, path, _FILE)

    def mark(self, real: str, path: str) -> None:
        """Watch a folder that is out of scope only for the mark it holds."""
        if self.broken:
            return
        try:
            self._marks[self.kernel.add(real, _MARK)] = path
        except OSError:
            return
        except Unwatchable as error:
            self.broken = str(error)

    def gone(self, target: str) -> None:
        """This is no part of the tree any more."""
        watch = self._watches.pop(target, None)
        if watch is None:
            return
        targets = self._targets[watch]
        targets.discard(target)
        if not targets:
            del self._targets[watch]
            if not self.trails.holds(watch) and watch not in self._marks:
                self.kernel.remove(watch)

    def link(self, real: str) -> None:
        """Notice when a link leads elsewhere; call before it is followed."""
        self._trail(LINKS, (real,))

    def above(self, paths: Iterable[str]) -> None:
        """Notice when these come or change; call before they are looked at."""
        self._trail(ABOVE, paths)

    def outside(self, paths: Iterable[str]) -> None:
        """Notice when these change, on behalf of others."""
        self._trail(OUTSIDE, paths)

    @property
    def blind(self) -> bool:
        """What is outside may change without being noticed."""
        return OUTSIDE in self.trails.blind

    def _add(self, real: str, target: str, mask: int) -> None:
        if self.broken:
            return
        try:
            watch = self.kernel.add(real, mask)
        except OSError:
            # Gone or not readable: the folder above tells of it when that changes.
            self.gone(target)
            return
        except Unwatchable as error:
            self.broken = str(error)
            return
        if self._watches.get(target, watch) != watch:
            self.gone(target)
        self._watches[target] = watch
        self._targets.setdefault(watch, set()).add(target)
        self._deleted.discard(watch)

    def _trail(self, kind: str, paths: Iterable[str]) -> None:
        known = self.trails.known(kind)
        new = [path for path in paths if path not in known]
        if self.broken or not new:
            return
        try:
            self.trails.add(kind, new, self._root if kind == LINKS else "")
        except Unwatchable as error:
            self.broken = str(error)

    def renew(self, kinds: Iterable[str]) -> None:
        """Follow the trails of these kinds anew; call before what they lead to is looked at."""
        try:
            for kind in kinds:
                self.trails.renew(kind, self._root if kind == LINKS else "")
        except Unwatchable as error:
            self.broken = str(error)

    def device(self, real: str, device: int) -> None:
        """Note the file system of a folder of the tree."""
        if not self.broken and not self.devices.sound(real, device):
            self.broken = f"the file system of {real} does not tell of every change"

    def changes(self, *, again: bool = False) -> Changes | None:
        """What happened up to now; None where nothing did.

        `again`: everything that may have changed without showing it was just looked at.
        """
        events, mounted = self.kernel.pending()
        polled = self.trails.poll(doubt=not again)
        if not (events or mounted or polled):
            return None
        found = Changes(kinds=polled)
        if mounted:
            self.devices.forget()
            found.lost = "something was mounted"
        if events:
            for watch, mask, name in self.kernel.drain():
                self._event(found, watch, mask, name)
        if not (found.paths or found.kinds or found.lost):
            return None
        return found

    def _event(self, found: Changes, watch: int, mask: int, name: str) -> None:
        if mask & (inotify.OVERFLOW | inotify.UNMOUNT):
            found.lost = "too much happened at once" if mask & inotify.OVERFLOW else "something was unmounted"
            return
        if mask & inotify.IGNORED:
            self._ended(found, watch)
            return
        if mask & inotify.DELETE_SELF:
            self._deleted.add(watch)
        targets = self._targets.get(watch, ())
        for target in targets:
            self._target(found, target, mask, name)
        if watch in self._marks and (name == ENVIRONMENT_MARK or not is_part(name)):
            found.paths.add(self._marks[watch])
            found.folders = True
        kinds = self.trails.event(watch, mask, name)
        # What a link passes through in the tree is told of as an entry of the tree.
        found.told |= kinds - {LINKS} if targets else kinds
        found.kinds |= found.told

    @staticmethod
    def _target(found: Changes, target: str, mask: int, name: str) -> None:
        if name:
            found.paths.add(target + name)
            found.folders |= bool(mask & inotify.ISDIR)
            if name != ENVIRONMENT_MARK:
                return
        if target:
            found.paths.add(target.removesuffix("/"))
            found.folders |= target.endswith("/")
        elif not name:
            found.lost = "the workspace itself changed"

    def _ended(self, found: Changes, watch: int) -> None:
        """The kernel has ended a watch: rightly where its folder is gone."""
        needed = watch in self._targets or self.trails.holds(watch) or watch in self._marks
        if needed and watch not in self._deleted:
            found.lost = "a watch was lost"
        self._deleted.discard(watch)
        self._marks.pop(watch, None)
        self.trails.lost(watch)
        for target in self._targets.pop(watch, set()):
            self._watches.pop(target, None)

    def close(self) -> None:
        """End every watch."""
        self.kernel.close()
