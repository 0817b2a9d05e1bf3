"""Tells of files that change while a session runs, and who changed them; for the screen and early invalidation.

Its silence is no proof of anything. Who it was is concluded: a file tool told of its write, a
command ran when the file changed, git changed its own files at the same time; else it was the user.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

from jetbox.engine.events import FileChange, FilesChanged, Notice
from jetbox.engine.session import Session
from jetbox.engine.workspace.doings import By, Doings, Seen
from jetbox.engine.workspace.ignore import IgnoreRules
from jetbox.engine.workspace.watcher import CannotWatch, Ignored, Look, Raw, Watch, look

OnChange = Callable[[tuple[str, ...], By], None]
"""Takes paths relative to the workspace, and who changed them."""

QUIET_S = 0.06
MOST_S = 1.0
"""What goes on longer is told in several events."""
GIT_S = 30.0
"""The same while git works: a branch switch is one event."""
NAMED = 20
"""Files that an event names; of more it tells the number."""
LATE_NS = 600_000_000
"""What is told now happened at most so long ago."""
STALE_S = 60.0
"""A lock of git's that is older was left behind."""
TRIES = 3
"""How often watching is begun again where folders vanish meanwhile."""
ADDED = 1
"""How `watchfiles` counts what is new."""
UNWATCHED = 0
"""Our own kind: a folder in which something may have happened before it was watched."""
PASSING = (".swp", ".swx", "~", ".tmp")
"""Ends of names of files that editors keep for a while."""
GIT_FILES = frozenset({"HEAD", "HEAD.lock", "index", "index.lock", "packed-refs", "ORIG_HEAD", "MERGE_HEAD"})
LOST = "changes by others are not shown: the workspace cannot be watched"
HINT = "verdicts do not depend on it: each is proved by itself"


class Observer:
    """Watches one workspace for one session."""

    def __init__(
        self,
        session: Session,
        root: str | os.PathLike[str],
        ignored: Ignored,
        *,
        on_change: OnChange | None = None,
        doings: Doings | None = None,
        watch: Callable[..., Watch] = Watch,
    ) -> None:
        """`doings` may have begun before.

        `ignored(folder, name, directory)` says whether `name` in `folder` is out of scope.
        """
        self._session = session
        self._root = os.path.realpath(root)
        self._ignored = ignored
        self._on_change = on_change
        self._watch = watch
        self._doings = doings if doings is not None else Doings(session)
        self._rules = IgnoreRules(self._root)
        self._watches: list[Watch] = []
        self._look = Look(frozenset(), (), ())
        self._files: dict[str, int] = {}
        """Known files, and when each was changed last as far as that was looked at; wall time in ns."""
        self._raw: dict[str, int] = {}
        self._began = 0
        self._wake = asyncio.Event()
        self._failure: Exception | None = None
        self._tries = 0
        self.ready = asyncio.Event()
        """Set once what happens is seen."""

    async def run(self) -> None:
        """Observe until cancelled; what cannot be watched is told once."""
        try:
            await self._begin()
            while True:
                await self._wake.wait()
                if self._failure is not None:
                    await self._begin_again(self._failure)
                await self._settle()
                await self._tell()
        except CannotWatch as error:
            self._session.emit(Notice(level="warning", text=f"{LOST}: {error}", hint=HINT))
        finally:
            self._stop(tuple(self._watches))
            self._doings.close()

    async def _begin(self) -> None:
        """Watch the folders as they are now; after that, no longer those that were watched before."""
        before = self._look
        self._look = await asyncio.to_thread(look, self._root, self._ignored)
        old, left = tuple(self._watches), 1 + bool(self._look.whole)
        new = {*self._look.single, *self._look.whole} - {*before.single, *before.whole} if old else set()
        loop = asyncio.get_running_loop()

        def soon(call: Callable[..., None]) -> Callable[..., None]:
            def later(*values: object) -> None:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(call, *values)

            return later

        def readied() -> None:
            nonlocal left
            left -= 1
            if not left:
                self._stop(old)
                self.ready.set()
                if new:
                    self._came([(UNWATCHED, os.path.join(self._root, path)) for path in new])

        def begin(paths: list[str], *, recursive: bool) -> None:
            came, failed = soon(self._came), soon(self._fail)
            watch = self._watch(paths, recursive=recursive, on_raw=came, on_ready=soon(readied), on_failure=failed)
            self._watches.append(watch)

        if not old:
            self._files = dict.fromkeys(self._look.files, 0)
        single = [os.path.join(self._root, path) for path in self._look.single]
        begin([*single, *_git_folders(self._root)], recursive=False)
        if self._look.whole:
            whole = [os.path.join(self._root, path) for path in self._look.whole]
            begin(whole, recursive=True)

    async def _begin_again(self, failure: Exception) -> None:
        """Watch once more where only a folder had gone.

        Raises:
            CannotWatch: that is not why it failed, or it fails again and again.
        """
        self._failure = None
        self._tries += 1
        if not isinstance(failure, FileNotFoundError) or self._tries > TRIES or not os.path.isdir(self._root):
            raise CannotWatch(str(failure).strip() or type(failure).__name__)
        await self._begin()

    def _stop(self, watches: tuple[Watch, ...]) -> None:
        for watch in watches:
            watch.stop()
        self._watches = [watch for watch in self._watches if watch not in watches]

    def _came(self, raw: Raw) -> None:
        if not self._raw:
            self._began = time.time_ns()
        for kind, path in raw:
            self._raw[path] = kind
        self._wake.set()

    def _fail(self, why: Exception) -> None:
        self._failure = self._failure or why
        self._wake.set()

    async def _settle(self) -> None:
        """Wait until it is quiet, and until who changes files now has told of it."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        count = -1
        while True:
            self._doings.update()
            git = _git_works(self._root)
            busy = bool(self._doings.writers)
            spent = loop.time() - began
            if spent > (GIT_S if git else MOST_S) or (len(self._raw) == count and not git and not busy):
                return
            count = len(self._raw)
            await asyncio.sleep(QUIET_S)

    async def _tell(self) -> None:
        raw, self._raw = self._raw, {}
        began, ended = self._began - LATE_NS, time.time_ns()
        self._wake.clear()
        git = any(_of_git(self._root, path) for path in raw) or _git_wrote(self._root) >= self._began
        seen, anew = await asyncio.to_thread(self._seen, raw)
        self._doings.update()
        changed: dict[By, list[Seen]] = {}
        for one in seen:
            by = self._doings.who(one, began, ended, git=git)
            if by is not None:
                changed.setdefault(by, []).append(one)
        for by, found in changed.items():
            if self._on_change is not None:
                self._on_change(tuple(one.path for one in found), by)
            told = [one for one in found if one.shown]
            if told:
                named = tuple(FileChange(one.path, one.kind) for one in told[:NAMED])
                self._session.emit(FilesChanged(changes=named, by=by, count=len(told) if len(told) > NAMED else 0))
        if anew:
            await self._begin()

    def _seen(self, raw: dict[str, int]) -> tuple[list[Seen], bool]:
        """What became of the files, by path, and whether folders must be watched that are not; blocks."""
        paths: set[str] = set()
        gone: set[str] = set()
        anew = False
        inside: dict[str, bool] = {"": True}
        for path, kind in raw.items():
            name = self._relative(path)
            if not name or not self._in_scope(name, inside):
                continue
            if os.path.isdir(path) and not os.path.islink(path):
                if kind in (ADDED, UNWATCHED):
                    paths.update(self._below(name))
                anew = anew or (kind == ADDED and name.rpartition("/")[0] in self._look.single)
            elif name in self._files or os.path.lexists(path):
                paths.add(name)
            else:
                gone.add(name)
        if gone:
            paths.update(path for path in self._files if any(above in gone for above in _above(path)))
        shown = _Shown(self._rules)
        return [one for name in sorted(paths) if (one := self._one(name, shown)) is not None], anew

    def _one(self, name: str, shown: _Shown) -> Seen | None:
        known, path = name in self._files, os.path.join(self._root, name)
        try:
            status = os.lstat(path)
        except OSError:
            self._files.pop(name, None)
            # What came and went meanwhile is nobody's business.
            return Seen(name, "deleted", _left(path), shown(name)) if known else None
        if self._files.get(name) == status.st_ctime_ns:
            return None  # told of already
        self._files[name] = status.st_ctime_ns
        return Seen(name, "modified" if known else "created", status.st_ctime_ns, shown(name))

    def _relative(self, path: str) -> str:
        """The path below the root, with `/`; empty for the root itself and for git's own folder."""
        if not path.startswith(self._root + os.sep):
            return ""
        name = path[len(self._root) + 1 :]
        return name.replace(os.sep, "/") if os.sep != "/" else name

    def _in_scope(self, name: str, inside: dict[str, bool]) -> bool:
        parent, _, last = name.rpartition("/")
        if parent not in inside:
            inside[parent] = self._in_scope(parent, inside)
        path = os.path.join(self._root, parent)
        return inside[parent] and not self._ignored(path, last, os.path.isdir(os.path.join(path, last)))

    def _below(self, folder: str) -> set[str]:
        """Files of a folder that was not watched: of what happened there before, nobody else tells."""
        found = look(os.path.join(self._root, folder), self._ignored)
        return {f"{folder}/{path}" for path in found.files if self._files.get(f"{folder}/{path}") != 0}


class _Shown:
    """Says of files whether people care for them; rules are looked up once for each folder."""

    def __init__(self, rules: IgnoreRules) -> None:
        self._rules = rules
        self._folders: dict[str, Callable[[str, bool], bool] | None] = {}

    def __call__(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        if name.endswith(PASSING) or name.startswith(".#"):
            return False
        if folder not in self._folders:
            hidden = bool(folder) and self._rules.ignored(folder, folder=True)
            self._folders[folder] = None if hidden else self._rules.inside(folder or ".")
        passes = self._folders[folder]
        return passes is not None and not passes(name, False)


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:at]) for at in range(1, len(parts))]


def _left(path: str) -> int:
    """When something went from a folder last; 0 where the folder is gone too."""
    try:
        return os.stat(os.path.dirname(path)).st_mtime_ns
    except OSError:
        return 0


def _git_works(root: str) -> bool:
    try:
        return time.time() - os.lstat(os.path.join(root, ".git", "index.lock")).st_mtime < STALE_S
    except OSError:
        return False


def _git_wrote(root: str) -> int:
    """When git last wrote its index, wall time in ns: its own news may come with another batch than the files'."""
    try:
        return os.lstat(os.path.join(root, ".git", "index")).st_mtime_ns
    except OSError:
        return 0


def _git_folders(root: str) -> list[str]:
    """Where git notes what it does in the workspace."""
    folder = os.path.join(root, ".git")
    names = ("", "refs", os.path.join("refs", "heads"))
    return [path for name in names if os.path.isdir(path := os.path.join(folder, name).rstrip(os.sep))]


def _of_git(root: str, path: str) -> bool:
    folder = os.path.join(root, ".git") + os.sep
    name = path.removeprefix(folder)
    return name != path and (name in GIT_FILES or name.startswith("refs" + os.sep))
