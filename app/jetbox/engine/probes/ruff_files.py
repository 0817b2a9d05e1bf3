"""Which files ruff looks at, in its own words: exclusions, `.gitignore` and its like are for it to say."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from stat import S_ISLNK

import msgspec

from jetbox.engine.probes.fingerprint import Snapshot, Tree
from jetbox.engine.probes.ruff_settings import Look, RuffSettings
from jetbox.engine.safety.process import Limits, ProcessRunner
from jetbox.engine.tasks import end_tasks

ARGUMENTS = ("check", "--show-files", "--force-exclude", "--no-cache", ".")
MOST_BYTES = 16_000_000
SECONDS = 20.0


class RuffFiles(msgspec.Struct, frozen=True):
    """One answer, and what it was given under."""

    names: frozenset[str]
    """Relative to the workspace."""
    linked: bool
    """Some of them are symbolic links, so that one text stands under several names."""
    files: Snapshot
    """As they were known when it was asked."""
    look: Look


class RuffListing:
    """Asks ruff once for each state of settings and set of files."""

    def __init__(
        self,
        tree: Tree,
        settings: RuffSettings,
        processes: ProcessRunner,
        program: Callable[[], str | None],
        alike: Callable[[Snapshot, Snapshot], bool],
    ) -> None:
        """`alike` says of two snapshots that only texts differ, from which no settings are read."""
        self._tree = tree
        self._root = str(tree.root)
        self._settings = settings
        self._processes = processes
        self._program = program
        self._alike = alike
        self._latest: RuffFiles | None = None
        self._asking: asyncio.Task[RuffFiles | None] | None = None
        self._closed = False

    def prepare(self) -> None:
        """Begin to ask, where there is no answer yet or where it is about other files."""
        latest, now = self._latest, self._tree.last
        if latest is None or not self._holds(latest, now, now):
            self._ask()

    async def under(self, path: str) -> RuffFiles | None:
        """An answer under the settings that hold for this path; the set of files may be another one by now."""
        latest = await self._newest()
        if latest is None or not self._settings.same(latest.look, path):
            latest = await self._again()
        return latest

    async def about(self, before: Snapshot, now: Snapshot) -> RuffFiles | None:
        """An answer that holds for both, which differ in texts alone."""
        latest = await self._newest()
        if latest is None or not self._holds(latest, before, now):
            latest = await self._again()
        if latest is None or not self._holds(latest, before, now):
            return None
        return latest

    def _holds(self, latest: RuffFiles, before: Snapshot, now: Snapshot) -> bool:
        if not latest.files.digest or not self._settings.same(latest.look):
            return False
        return latest.files.digest in (before.digest, now.digest) or self._alike(latest.files, now)

    async def _newest(self) -> RuffFiles | None:
        asking = self._asking
        if asking is not None:
            await asyncio.wait({asking})
        return self._latest

    async def _again(self) -> RuffFiles | None:
        task = self._ask()
        if task is not None:
            await asyncio.wait({task})
        return self._latest

    def _ask(self) -> asyncio.Task[RuffFiles | None] | None:
        if self._closed:
            return None
        if self._asking is None:
            self._asking = asyncio.create_task(self._answer(), name="ruff: files")
        return self._asking

    async def _answer(self) -> RuffFiles | None:
        files, look = self._tree.last, self._settings.look()
        self._latest = None
        try:
            program = self._program()
            if program is None:
                return None
            done = await self._processes.run(
                [program, *ARGUMENTS], limits=Limits(SECONDS, MOST_BYTES), cwd=Path(self._root), env={"NO_COLOR": "1"}
            )
            if done.state != "exited" or done.code or done.total_bytes > MOST_BYTES:
                return None
            prefix = self._root + os.sep
            lines = (line for line in done.output.split("\n") if line.startswith(prefix))
            names = frozenset(line[len(prefix) :] for line in lines)
            linked = any(S_ISLNK(files.files[name][0]) for name in names if name in files.files)
            self._latest = RuffFiles(names, linked, files, look)
            return self._latest
        except OSError:
            return None
        finally:
            self._asking = None

    async def close(self) -> None:
        """End what runs."""
        self._closed = True
        await end_tasks(self._asking)
