"""Notices that a path outside the tree leads elsewhere, or that what it leads to changed.

A path is looked up folder by folder, link by link; each of these look-ups is watched, and what
is found at the end, so that it is noticed when a folder above is renamed, a link is turned, or
a file appears where none was. What the kernel cannot watch (no right to read the folder, a
network file system) is looked at by stat each time it is asked.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator

from jetbox.engine.probes import inotify
from jetbox.engine.probes.inotify import Inotify
from jetbox.engine.probes.lookover import RACY_NS

LINKS = 40
"""Symbolic links followed for one path."""

_FOLDER = inotify.ENTRIES | inotify.ATTRIB | inotify.ONLYDIR | inotify.MASK_ADD
_STRUCTURE = inotify.ENTRIES | inotify.ATTRIB

Sign = tuple[int, int, int, int, int] | None


class Trails:
    """Paths by their kind; an event says which kinds have to be looked at again."""

    def __init__(self, kernel: Inotify, sound: Callable[[str], bool]) -> None:
        """`sound` says whether the kernel tells of every change in what a path leads to."""
        self._kernel = kernel
        self._sound = sound
        self._paths: dict[str, set[str]] = {}
        self._names: dict[int, dict[str, set[str]]] = {}
        self._whole: dict[int, set[str]] = {}
        self._polled: dict[str, tuple[Sign, int, set[str]]] = {}
        self.blind: set[str] = set()
        """Kinds with a folder whose entries may change unseen."""

    def known(self, kind: str) -> set[str]:
        """Paths of this kind."""
        return self._paths.setdefault(kind, set())

    def holds(self, watch: int) -> bool:
        """True for a watch that is needed here."""
        return watch in self._names or watch in self._whole

    def add(self, kind: str, paths: Iterable[str], besides: str = "") -> bool:
        """Notice changes of these paths from now on; of one that ends below `besides`, of the way alone.

        True where one of them is a folder whose entries may change unseen.
        Raises `Unwatchable` where no more can be watched.
        """
        # Many paths have the beginning of their way in common.
        done: set[tuple[str, str]] = set()
        steps: dict[str, str | None] = {}
        blind = False
        for path in paths:
            self.known(kind).add(path)
            for look in lookups(path, steps):
                if look in done:
                    continue
                done.add(look)
                folder, name = look
                if name:
                    self._folder(kind, folder, name)
                elif not besides or not (folder + "/").startswith(besides + "/"):
                    blind |= self._final(kind, folder)
        return blind

    def renew(self, kind: str, besides: str = "") -> None:
        """Follow every path of this kind anew."""
        if not self.add(kind, tuple(self.known(kind)), besides):
            self.blind.discard(kind)

    def _folder(self, kind: str, folder: str, name: str) -> None:
        watch = self._watch(folder, _FOLDER)
        if watch is None:
            self._poll(kind, folder)
        else:
            self._names.setdefault(watch, {}).setdefault(name, set()).add(kind)

    def _final(self, kind: str, path: str) -> bool:
        watch = self._watch(path, inotify.ENTRIES | inotify.CONTENT | inotify.MASK_ADD)
        if watch is None:
            self._poll(kind, path)
            if os.path.isdir(path):
                self.blind.add(kind)
                return True
        else:
            self._whole.setdefault(watch, set()).add(kind)
        return False

    def _watch(self, path: str, mask: int) -> int | None:
        try:
            return self._kernel.add(path, mask) if self._sound(path) else None
        except OSError:
            return None

    def _poll(self, kind: str, path: str) -> None:
        if path in self._polled:
            self._polled[path][2].add(kind)
        else:
            self._polled[path] = (_sign(path), time.time_ns(), {kind})

    def event(self, watch: int, mask: int, name: str) -> set[str]:
        """Kinds that this event has to do with."""
        kinds = self._whole.get(watch, set())
        names = self._names.get(watch)
        if names and mask & _STRUCTURE:
            kinds = kinds.union(names.get(name, ())) if name else kinds.union(*names.values())
        return kinds

    def lost(self, watch: int) -> None:
        """The kernel has ended this watch."""
        self._names.pop(watch, None)
        self._whole.pop(watch, None)

    def poll(self, *, doubt: bool) -> set[str]:
        """Kinds of what has to be looked at by stat, and has changed; or may have, where there is `doubt`."""
        moved: set[str] = set()
        for path, (before, at, kinds) in self._polled.items():
            now = time.time_ns()
            sign = _sign(path)
            racy = doubt and sign is not None and not sign[1] + RACY_NS <= at <= now
            if sign != before or racy:
                moved |= kinds
                self._polled[path] = (sign, now, kinds)
        return moved


def lookups(path: str, steps: dict[str, str | None]) -> Iterator[tuple[str, str]]:
    """Each folder and name that the kernel looks up on the way; last what is found, with no name.

    `steps` is filled with what each of them came to.
    """
    folder, links = "/", 0
    todo = [name for name in reversed(path.split("/")) if name]
    while todo:
        name = todo.pop()
        if name in (".", ""):
            continue
        if name == "..":
            folder = os.path.dirname(folder)
            continue
        yield folder, name
        step = f"{folder}/{name}" if folder != "/" else f"/{name}"
        if step not in steps:
            steps[step] = _leads(step)
        target = steps[step]
        if target is None:
            return
        if not target:
            folder = step
            continue
        links += 1
        if links > LINKS:
            return
        if target.startswith("/"):
            folder = "/"
        todo.extend(reversed(target.split("/")))
    yield folder, ""


def _leads(step: str) -> str | None:
    """Where a link leads; empty for what is none, None for what is not there."""
    try:
        return os.readlink(step) if stat.S_ISLNK(os.lstat(step).st_mode) else ""
    except OSError:
        return None


def _sign(path: str) -> Sign:
    try:
        seen = os.stat(path)
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino, seen.st_mode
