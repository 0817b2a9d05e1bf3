"""The proof that the files are as they were: the kernel's own queue of changes, or a sweep.

Where the queue is used, a look-up that finds it empty has proved that no change of what is
watched has been completed since the last look; else just what changed is looked at again.
Everything is looked at at the start, when events were lost, and whenever the caller asks for it
(`sweep`), which also covers what the kernel does not tell: the first store into a page through a memory
map that is still open, and writes through a hard link that was made after the file was last looked at.
A later store into that page moves no time until the kernel has written the page back: a sweep sees
it where it comes within two seconds (`RACY_NS`), and the close of the map's file tells of it. To have
every file written back at each look would cost more than the look, and does nothing where files lie in memory.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterable, Set

import msgspec

from jetbox.engine.clock import monotonic
from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.snapshot import Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jetbox.engine.probes.watching import Changes, Watch

FEW_PATHS = 32
FEW_BYTES = 1024 * 1024
"""Changed files, and bytes of them, up to which looking at them is quicker than the way to a thread."""

FEW_OUTSIDE = 200
"""Paths outside that are followed anew sooner than a thread is reached."""

TICK_NS = 20_000_000
"""More than a tick of the clock that files have their times from."""

QUIET_NS = 1_000_000
PATIENT_NS = 250_000_000
"""How long to go on looking while files keep changing: at once, and in a thread."""

ENDED = "the session ended"
WORDS = {"above": "what lies above the workspace", "links": "what links lead to"}

_moving = itertools.count(1)


class Proof:
    """Says what the files are, as of the moment of asking."""

    def __init__(self, tree: Tree, *, watch: bool = True) -> None:
        """`watch`: use the kernel's own queue of changes where there is one."""
        self._tree = tree
        self.how = "sweep: nothing was looked at yet" if watch else "sweep: watching is switched off"
        """"inotify", or "sweep: " and why."""
        self.outside_generation = 0
        """Changes with everything that happened outside the tree and was registered."""
        self.on_change: Callable[[frozenset[str]], None] | None = None
        """Is given the paths that were found to be new, gone or different."""
        self._wanted = watch
        self._watch: Watch | None = None
        self._outside: set[str] = set()
        self._late = False
        self._begun = False
        self._comings = 0
        self._torn = True
        """A look did not come to its end, so that what was taken from the queue is lost."""
        self._left: Changes | None = None
        """Taken from the queue, and not looked at yet."""
        self._lock = asyncio.Lock()

    async def now(self, *, sweep: bool = False) -> Snapshot:
        """The files as they are; `sweep`: look at every one, whatever else is known.

        Where files change faster than they can be looked at, the digest is one that no other has.
        """
        async with self._lock:
            before = self._tree.last
            try:
                now = await (self._tree.sweep() if self._begun and self._watch is None else self._watched(sweep))
            finally:
                self._register()
                if self._comings != self._tree.comings:
                    # By them files of exclusions count that else say nothing.
                    self._comings = self._tree.comings
                    self.outside_generation += 1
                if not self._wanted and self._watch is not None:
                    self._give_up(ENDED)
            if now is before and not self._tree.books.moved:
                return now
            moved = frozenset(self._tree.books.moved)
            self._tree.books.moved.clear()
        if moved and before.digest and self.on_change is not None:
            self.on_change(moved)
        return now

    @property
    def last(self) -> Snapshot:
        """The files as they were found by the latest look."""
        return self._tree.last

    def young_s(self) -> float:
        """Seconds until each further change of the files has another time than those that were seen; 0 where it has.

        What comes and goes within a tick of the file system's clock shows in no time: only the queue tells of it.
        """
        left = self._tree.newest() + TICK_NS - time.time_ns() if self._watch is None else 0
        return left / 1e9 if 0 < left <= TICK_NS else 0.0

    @property
    def generation(self) -> int:
        """Grows with all that happens to the files; read it when `now` has returned."""
        return self._tree.books.generation

    def stirred(self, since: int) -> frozenset[str]:
        """What something happened to after that generation, up to the latest `now`, in paths or in words.

        Other than by the snapshots before and after, it shows also in what came and went, or was
        changed and changed back.
        """
        return self._tree.books.stirred(since)

    def outside(self, paths: Iterable[str]) -> None:
        """Notice changes of these files and folders outside the tree too.

        Of a folder that is what happens to its own entries, not to those of folders in it.
        """
        new = set(paths) - self._outside
        self._outside |= new
        if not new or self._watch is None:
            return
        if self._lock.locked():
            # A thread is at work on the watches.
            self._late = True
        else:
            self._add_outside(self._watch, new)

    @property
    def noticed(self) -> Set[str]:
        """What is outside and noticed by now: `outside_generation` counts each change of it that comes."""
        return self._outside.copy() if self._watch is not None and not self._late else frozenset()

    def counted(self, paths: Iterable[str]) -> int | None:
        """`outside_generation` as of the latest `now`, where it counts what happens to these; else None."""
        return self.outside_generation if not (self._late or self.blind) and self._outside.issuperset(paths) else None

    @property
    def blind(self) -> bool:
        """What is outside may change without being counted."""
        return self._watch is None or self._watch.blind

    def _register(self) -> None:
        """Watch what came while a thread was at work; what happened to it since is not known."""
        if self._late and self._watch is not None:
            self.outside_generation += 1
            self._add_outside(self._watch, self._outside)
        self._late = False

    def _add_outside(self, watch: Watch, paths: set[str]) -> None:
        watch.outside(paths)
        if watch.broken:
            self._give_up(watch.broken)

    def close(self) -> None:
        """End the watch."""
        self._wanted = False
        if self._watch is not None and not self._lock.locked():
            self._give_up(ENDED)

    async def _watched(self, sweep: bool) -> Snapshot:
        watch = self._watch
        if watch is not None and not sweep and not self._torn:
            changes = self._left or watch.changes()
            if changes is None:
                return self._tree.last
            self._left = changes
            if self._is_little(changes) and self._catch_up(watch, changes, QUIET_NS):
                return self._tree.last
        from jetbox.engine.probes.reading import in_thread

        quiet = await in_thread(lambda: self._look(sweep))
        now = self._tree.last
        if quiet:
            return now
        return msgspec.structs.replace(now, digest=f"moving {next(_moving)}")

    def _is_little(self, changes: Changes) -> bool:
        if changes.lost or changes.folders or "links" in changes.kinds or len(changes.paths) > FEW_PATHS:
            return False
        if "outside" in changes.kinds and len(self._outside) > FEW_OUTSIDE:
            return False
        size = 0
        for path in changes.paths:
            try:
                size += os.stat(os.path.join(self._tree.root, path)).st_size
            except OSError:
                continue
        return size <= FEW_BYTES

    def _catch_up(self, watch: Watch, changes: Changes, limit: int) -> bool:
        """Look at what changed until nothing has while looking; False where that takes too long."""
        until = monotonic() + limit
        after: Changes | None = changes
        while after is not None:
            self._left, self._torn = None, True
            self._apply(watch, after)
            after = None if watch.broken else watch.changes(again=True)
            self._left, self._torn = after, False
            if after is not None and (monotonic() > until or (limit == QUIET_NS and not self._is_little(after))):
                return False
        return True

    def _apply(self, watch: Watch, changes: Changes) -> None:
        kinds = {"above", "links", "outside"} if changes.lost else changes.kinds
        self.outside_generation += "outside" in kinds
        self._note(changes)
        watch.renew(kinds)
        only_sweep = changes.lost or "links" in kinds
        only_sweep = only_sweep or ("above" in kinds and self._tree.above_now() is None)
        if only_sweep or (changes.paths and self._tree.touched_now(changes.paths) is None):
            self._tree.sweep_now()

    def _note(self, changes: Changes) -> None:
        """Remember what happened, whatever the files are afterwards."""
        books = self._tree.books
        for words in (changes.lost, *(WORDS.get(kind, "") for kind in changes.told)):
            if words:
                books.stir(words)
        for path in changes.paths:
            if self._tree.in_scope(path):
                books.stir(path)

    def _look(self, sweep: bool) -> bool:
        """Bring the tree up to date, in a thread; False where it did not hold still."""
        watch = self._watch or self._begin()
        if watch is None:
            self._tree.sweep_now()
            return True
        if sweep or self._torn:
            # What is in the queue by now is covered by looking at everything.
            changes = self._left or watch.changes()
            if changes is not None:
                # Looking at everything does not show what came and went.
                self._note(changes)
            if changes is not None or self._torn:
                self.outside_generation += self._torn or changes is None or "outside" in changes.kinds
                watch.renew(("above", "links", "outside"))
            self._left, self._torn = None, True
            self._tree.sweep_now()
            self._torn = False
        quiet = True
        changes = None if watch.broken else self._left or watch.changes(again=sweep)
        if changes is not None:
            quiet = self._catch_up(watch, changes, PATIENT_NS)
        if watch.broken:
            self._give_up(watch.broken)
        return quiet

    def _begin(self) -> Watch | None:
        self._begun = True
        if sys.platform != "linux":
            self._give_up("this system has no inotify")
            return None
        from jetbox.engine.probes.inotify import Devices, Unwatchable

        if not self._wanted:
            self._tree.trusts = Devices().sound
            return None
        from jetbox.engine.probes.watching import Watch

        try:
            watch = Watch(self._tree.root)
        except Unwatchable as error:
            self._give_up(str(error))
            return None
        watch.outside(self._outside)
        self._tree.trusts = watch.devices.sound
        self._tree.watcher = self._watch = watch
        self._torn = True
        self.how = "inotify"
        return watch

    def _give_up(self, why: str) -> None:
        """Prove by sweeps from now on."""
        self.how = f"sweep: {why}"
        self.outside_generation += 1
        self._wanted = False
        watch, self._watch, self._left = self._watch, None, None
        self._tree.watcher = None
        if watch is not None:
            watch.close()
