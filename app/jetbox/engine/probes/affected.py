"""Which test files a change can have touched: what was seen of them, else what they import.

An early word and never the last one: a function that is called through a cache, a file whose mere
existence or mode is looked at, what another process does, what is read when a fixture of the whole
session is torn down, or a module that another test file imported by a name that it made up can be missed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from stat import S_ISREG

import msgspec

from jetbox.engine.probes.collected import Collected, collected
from jetbox.engine.probes.configuration import configuration, configured_below
from jetbox.engine.probes.fingerprint import Snapshot
from jetbox.engine.probes.imports import Graph, Module
from jetbox.engine.probes.mapped import Known
from jetbox.engine.probes.selection import IGNORES, Choice, Selection, nearly_all
from jetbox.engine.probes.usage import Kept, Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jetbox.engine.probes.rescan import Rescan

FILE = "affected.json"
FORMAT = 2
MANY = 100
"""Files above which the graph is patched in a thread."""


class _Store(msgspec.Struct, frozen=True):
    format: int = 0
    modules: dict[str, Module] = {}
    usage: Kept | None = None


class Affected:
    """Keeps a graph of imports and a map of what each test file uses; both outlive the session in `store`."""

    def __init__(self, root: Path, store: Path | None) -> None:
        """`store` is a folder outside the workspace."""
        self._root = os.path.realpath(root)
        self._file = store / FILE if store is not None else None
        self._lock = asyncio.Lock()
        self._known = Known(Graph(), Usage())
        self._read: dict[str, Module] = {}
        self._rescan: Rescan | None = None
        self._rules = Collected()
        self._mapped_by: Collected | None = None
        """The rules of the run that the map tells of, where they are known."""
        self._seen = Snapshot("", {})
        self._again: set[str] = set()
        self._loaded = False

    async def update(self, now: Snapshot) -> None:
        """Read what changed since the last time; early, so that `select` finds little to do."""
        async with self._lock:
            await self._update(now)

    async def select(
        self,
        before: Snapshot,
        now: Snapshot,
        changed: frozenset[str],
        failed: Set[str] = frozenset(),
        held: Set[str] = frozenset(),
    ) -> Selection:
        """Test files that these changes can have touched, likeliest first: those that `failed` before, but not
        what is `held`."""
        async with self._lock:
            await self._update(now)
            return Choice(self._known, before, now, changed, failed, held).made()

    async def tests(self, files: Snapshot, collected: Set[str], empty: Set[str]) -> frozenset[str]:
        """The test files, where a whole run found tests in those `collected` and looked at the `empty` ones in vain.

        One that is skipped as a whole is a test file: what decides that can lie in another file.
        """
        async with self._lock:
            await self._update(files)
            return frozenset(collected | {path for path in empty if self._rules.named(path)})

    async def unknown(self, files: Snapshot, collected: Set[str], cut: Set[str]) -> Set[str] | None:
        """Test files of which it has to be seen what they use; None where all are to be run for it.

        In a whole run about `files` those were `collected`, and these were `cut` off before they used all that
        they may use.
        """
        async with self._lock:
            await self._update(files)
            known = self._known
            ruled = any(configuration(path) and path not in IGNORES for path in known.differ)
            if not known.usage.tests or ruled:
                return None
            found = known.unknown(collected, cut)
            return None if nearly_all(found, collected) or configured_below(found, files.files) else found

    async def passed_over(self, files: Snapshot, collected: Set[str]) -> bool:
        """True where files count as tests that a whole run found none in."""
        async with self._lock:
            await self._update(files)
            return not self._known.tests <= collected

    async def learn(
        self,
        touched: Mapping[str, Sequence[str]],
        files: Snapshot,
        collected: Set[str],
        ran: Set[str] | None,
    ) -> None:
        """Take what `Touched.map` told of one run about `files`, which were the same before and after it.

        Of a whole run (`ran` is None) it takes the place of what was known. Of a run of some test files, those
        that `ran`, it adds to that. `collected` are all test files that there are.
        """
        async with self._lock:
            await self._update(files)
            contents = {path: content for path, (mode, content) in files.files.items() if S_ISREG(mode)}
            from jetbox.engine.probes.reading import in_thread

            usage, before = Usage(), self._known.usage
            modules, tests = self._known.graph.modules, self._known.tests

            def learn() -> None:
                usage.learn(touched, contents, modules, tests, ran or frozenset())
                usage.keep(before if ran is not None else Usage(), collected)

            await in_thread(learn)
            self._known.use(usage)
            self._mapped_by = self._rules
            self._collect()
            await self._save()

    async def _update(self, now: Snapshot) -> None:
        if not self._loaded:
            await self._load()
        if now.digest == self._seen.digest and not self._again:
            return
        moved = now.changed(self._seen) | self._again
        modules = self._known.graph.modules
        new = [path for path in moved if _python(path, now) and not self._same(path, now)]
        gone = [path for path in moved if path in modules and not _python(path, now)]
        read = await self._modules(new) if new else {}
        await self._patch(read, gone)
        # One that changed once more while it was read is read again the next time.
        self._again = {path for path, module in read.items() if module.content != now.files[path][1]}
        self._known.moved(self._seen, now, moved)
        rules = any(configuration(path) for path in moved)
        if rules:
            self._rules = await self._collection(now)
        added = any(path not in self._seen.files for path in new)
        unsure = (path for path in new if path not in self._known.usage.tests)
        if not self._seen.digest or rules or gone or added or any(self._rules.takes(path) for path in unsure):
            self._collect()
        self._seen = now
        if len(new) > MANY:
            await self._save()

    def _same(self, path: str, now: Snapshot) -> bool:
        module = self._known.graph.modules.get(path)
        return module is not None and module.content == now.files[path][1]

    async def _modules(self, paths: list[str]) -> dict[str, Module]:
        from jetbox.engine.probes.reading import read_modules
        from jetbox.engine.probes.rescan import Rescan

        self._rescan = self._rescan or Rescan()
        return await read_modules(self._root, paths, self._rescan)

    async def _patch(self, read: Mapping[str, Module], gone: list[str]) -> None:
        if len(read) + len(gone) <= MANY:
            self._known.patch(read, gone)
            return
        from jetbox.engine.probes.reading import in_thread

        await in_thread(lambda: self._known.patch(read, gone))

    async def _collection(self, now: Snapshot) -> Collected:
        from jetbox.engine.probes.reading import in_thread

        names = [path for path in now.files if configuration(path)]
        return await in_thread(lambda: collected(Path(self._root), names))

    def _collect(self) -> None:
        """Settle which files hold tests."""
        usage, modules = self._known.usage, self._known.graph.modules
        tests = {path for path in usage.tests if path in modules or not path.endswith(".py")}
        others = self._mapped_by is not None and self._mapped_by != self._rules
        if others and self._rules.certain:
            tests = {path for path in tests if self._rules.takes(path)}
        for path, module in modules.items():
            # What a whole run passed over is no test file until it is another file, or the rules are others.
            passed_over = bool(usage.tests) and not others and usage.content(path) == module.content
            if not passed_over and self._rules.takes(path):
                tests.add(path)
        self._known.collect(tests, certain=self._rules.certain or bool(usage.tests))

    async def _load(self) -> None:
        if self._file is None:
            self._loaded = True
            return
        from jetbox.engine.probes.reading import in_thread
        from jetbox.engine.probes.stored import load

        file = self._file

        def build() -> tuple[Graph, Usage] | None:
            found = load(file, _Store)
            if found is None or found.format != FORMAT:
                return None
            graph = Graph()
            graph.update({path: module for path, module in found.modules.items() if path.endswith(".py")})
            return graph, Usage.of(found.usage) if found.usage is not None else Usage()

        try:
            built = await in_thread(build)
        except IndexError:
            built = None
        if built is not None:
            self._known = Known(*built)
        self._loaded = True

    async def _save(self) -> None:
        if self._file is None:
            return
        from jetbox.engine.probes.reading import in_thread
        from jetbox.engine.probes.stored import save

        file, modules, usage = self._file, self._known.graph.modules, self._known.usage
        await in_thread(lambda: save(file, _Store(FORMAT, modules, usage.kept())))


def _python(path: str, now: Snapshot) -> bool:
    return path.endswith(".py") and path[:3] != "../" and path in now.files and S_ISREG(now.files[path][0])
