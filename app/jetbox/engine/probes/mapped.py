"""What is known of test files: who imports what, what each was seen to use, and what has changed since."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Set
from stat import S_ISDIR, S_ISREG

from jetbox.engine.probes.imports import Graph, Module
from jetbox.engine.probes.snapshot import Entry, Snapshot
from jetbox.engine.probes.usage import Usage

MOST_GONE = 1_000
EARLIER = 200
"""Most files, as they once were, that are remembered."""


class Known:
    """The graph, the map, the test files, and what follows from them."""

    def __init__(self, graph: Graph, usage: Usage) -> None:
        self.graph = graph
        self.usage = usage
        self.tests: frozenset[str] = frozenset()
        self.certain = True
        """False where it is not known which files are collected."""
        self.named: dict[str, list[str]] = {}
        """Test files by their name without folders."""
        self.further: dict[str, set[str]] = {}
        """What depends on a file though it holds no import of it."""
        self.differ: set[str] = set()
        """Files that are not as they were when the map was made, those that came or went since among them."""
        self.reached_by_gone: dict[str, frozenset[str]] = {}
        """Test files that a file which is no more was imported by."""
        self.folders_gone: set[str] = set()
        self._files: Mapping[str, Entry] = {}
        """All that there are."""
        self._earlier: OrderedDict[tuple[str, str], Module] = OrderedDict()
        """By path and content, files that are others by now."""

    def was(self, path: str, content: str) -> Module | None:
        """The file when it had this content; None where that is not known any more."""
        module = self.graph.modules.get(path)
        return module if module is not None and module.content == content else self._earlier.get((path, content))

    def use(self, usage: Usage) -> None:
        """Take another map."""
        self.usage = usage
        self.differ = {path for path in usage.files.keys() | self._files.keys() if self._differs(path)}

    def _differs(self, path: str) -> bool:
        mode, content = self._files.get(path, (0, ""))
        return bool(self.usage.tests) and self.usage.content(path) != (content if S_ISREG(mode) else "")

    def unknown(self, collected: Set[str], cut: Set[str]) -> set[str]:
        """Test files among those `collected` of which the map tells too little, or what was so once.

        Those that are still `cut` off would be so again.
        """
        usage = self.usage
        found = {test for test in collected if test not in usage.tests}
        return (found | (usage.cut - cut) | self.stale(self.differ)) & collected

    def stale(self, paths: Iterable[str]) -> set[str]:
        """Test files that may use other things than the map says, since these are not as they were when it was made.

        They use one of them, or import one that does other things when it is imported.
        """
        usage = self.usage
        found, roots = set[str](), set[str]()
        for path in paths:
            found.update(usage.users.get(path, ()))
            roots.update(usage.while_importing.get(path, ()))
            module, seen = self.graph.modules.get(path), usage.files.get(path)
            if module is not None and (seen is None or module.shape != seen.shape or not module.parsed):
                roots.add(path)
            if seen is None or path not in self._files:
                # Test files are found by their paths.
                twins = self.graph.twins(path) - self.tests
                found.update(*(usage.users.get(twin, ()) for twin in twins))
                roots.update(twins)
                # Who listed what it came to or went from, or what that lies in, found something else since.
                folder = path
                while folder:
                    folder = folder.rpartition("/")[0]
                    found.update(usage.users.get(f"{folder or '.'}/", ()))
                    roots.update(usage.while_importing.get(f"{folder or '.'}/", ()))
        return found | self.graph.reach(roots, self.further).keys() if roots else found

    def patch(self, read: Mapping[str, Module], gone: Iterable[str]) -> None:
        """Take in files that were read, and forget others; who needed those is remembered."""
        gone = list(gone)
        for path in (*read, *gone):
            if (module := self.graph.modules.get(path)) is not None:
                self._earlier[path, module.content] = module
        while len(self._earlier) > EARLIER:
            self._earlier.popitem(last=False)
        for path in gone if len(gone) <= MOST_GONE else ():
            found = self.graph.reach([path], self.further)
            self.reached_by_gone[path] = self.reached_by_gone.get(path, frozenset()) | (found.keys() & self.tests)
        for path in read:
            self.reached_by_gone.pop(path, None)
        self.graph.update(read, gone)

    def moved(self, before: Snapshot, now: Snapshot, paths: Iterable[str]) -> None:
        """Note which of these are as they were when the map was made, and which folders are gone."""
        self._files = now.files
        if not before.digest:
            self.use(self.usage)
        for path in paths:
            if self._differs(path):
                self.differ.add(path)
            else:
                self.differ.discard(path)
            if path in now.files:
                self.folders_gone.discard(path)
            elif path in before.files and S_ISDIR(before.files[path][0]):
                self.folders_gone.add(path)

    def collect(self, tests: Iterable[str], *, certain: bool) -> None:
        """Take these for the test files."""
        self.tests = frozenset(tests)
        self.certain = certain
        self.named = {}
        self.further = {}
        for test in self.tests:
            folder, _, name = test.rpartition("/")
            self.named.setdefault(name, []).append(test)
            while True:
                # Both are executed before the tests below them, whatever these import.
                for special in ("conftest.py", "__init__.py"):
                    path = f"{folder}/{special}" if folder else special
                    if path in self.graph.modules:
                        self.further.setdefault(path, set()).add(test)
                if not folder:
                    break
                folder = folder.rpartition("/")[0]
        for importer, loaded in self.usage.loads.items():
            for path in loaded:
                self.further.setdefault(path, set()).add(importer)
