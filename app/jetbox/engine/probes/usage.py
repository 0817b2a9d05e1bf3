"""What test files were seen to make use of, by the files that they used."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence, Set

import msgspec

from jetbox.engine.probes.imports import Module

Parts = frozenset[int] | None
"""Which functions of a file, counted from its beginning; None for the file itself."""
Uses = dict[str, Parts]
"""By path, what was used of it; folders that were listed end with `/`."""


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """A file as it was when its use was seen."""

    path: str
    content: str = ""
    shape: str = ""
    functions: tuple[str, ...] = ()
    """Hashes of their texts."""


class Kept(msgspec.Struct, frozen=True):
    """The form in which it is stored; files are numbers in `files`."""

    files: list[Seen] = []
    tests: dict[str, list[tuple[int, list[int] | None]]] = {}
    imported: dict[str, list[tuple[int, list[int] | None]]] = {}
    open: list[str] = []
    cut: list[str] = []
    loads: dict[str, list[str]] = {}
    spawned: dict[str, list[str]] = {}
    everywhere: list[str] = []


class Usage:
    """What `touched.py` told, turned round: of one whole run, and of runs of some test files since."""

    def __init__(self) -> None:
        self.tests: dict[str, Uses] = {}
        """By test file, what was executed or opened for it."""
        self.imported: dict[str, Uses] = {}
        """By file, what was executed or opened while it was imported."""
        self.open: set[str] = set()
        """Test files that use more than could be seen."""
        self.cut: set[str] = set()
        """Those among them that failed or were skipped as a whole, and may have been stopped before they used more."""
        self.loads: dict[str, frozenset[str]] = {}
        """By file, what it imported."""
        self.spawned: dict[str, frozenset[str]] = {}
        """By test file, what it ran as a process."""
        self.everywhere: frozenset[str] = frozenset()
        self.files: dict[str, Seen] = {}
        self.users: dict[str, dict[str, Parts]] = {}
        """By file, the test files that use it."""
        self.while_importing: dict[str, dict[str, Parts]] = {}
        """By file, those during whose import it was used."""

    def content(self, path: str) -> str:
        """What it was when its use was seen; empty for none."""
        seen = self.files.get(path)
        return seen.content if seen is not None else ""

    def learn(
        self,
        touched: Mapping[str, Sequence[str]],
        contents: Mapping[str, str],
        modules: Mapping[str, Module],
        tests: Iterable[str],
        ran: Set[str] = frozenset(),
    ) -> None:
        """Take what a run told; where it does not say what was collected, these are the `tests`.

        Those that `ran` are some even where nothing was found in them.
        """
        collected = {name for name, used in touched.items() if "@" in used} or touched.keys() & set(tests)
        collected |= touched.keys() & ran
        # Lines mean something in the text that was run alone.
        same = {path: m for path, m in modules.items() if contents.get(path, m.content) == m.content}
        for name, used in touched.items():
            plain = _uses(used, same)
            loads = frozenset(path[1:] for path in used if path[0] == "+")
            if loads:
                self.loads[name] = loads
            if not name:
                self.everywhere = frozenset(plain)
            elif name in collected:
                self.tests[name] = plain | {name: None}
                spawned = frozenset(path[1:] for path in used if path[0] == ">")
                if spawned:
                    self.spawned[name] = spawned
                if "!" in used:
                    self.cut.add(name)
                if "*" in used or "!" in used:
                    self.open.add(name)
            elif plain:
                self.imported[name] = plain
        for path in contents.keys() | same.keys():
            module = same.get(path, Module(""))
            hashes = tuple(body for _, _, body in module.functions)
            self.files[path] = Seen(path, contents.get(path, module.content), module.shape, hashes)
        self._turn()

    def keep(self, before: Usage, collected: Set[str]) -> None:
        """Of what was known `before`, keep what a run of some test files says nothing about.

        The tests are those `collected` from then on: others are dropped, and one of which nothing was known is open.
        """
        differ = {path for path in before.files if before.content(path) != self.content(path)}
        fresh = self.tests.keys() & collected
        imported = set().union(fresh, *self.loads.values())
        for test in collected - fresh:
            old = before.tests.get(test)
            self.tests[test] = {test: None} if old is None else _blurred(old, differ)
            if old is None or test in before.open:
                self.open.add(test)
            if test in before.cut:
                self.cut.add(test)
            if test in before.spawned:
                self.spawned[test] = before.spawned[test]
        for test in self.tests.keys() - collected:
            del self.tests[test]
        for path, uses in before.imported.items():
            if path not in self.imported and path not in imported:
                self.imported[path] = _blurred(uses, differ)
        for path, loads in before.loads.items():
            # Only the first one that imports a file is seen to do so.
            if path not in differ or path not in imported:
                self.loads[path] = self.loads.get(path, frozenset()) | loads
        self.everywhere |= before.everywhere
        self.users.clear()
        self.while_importing.clear()
        self._turn()

    def kept(self) -> Kept:
        """For the disk."""
        named = {path for uses in (*self.tests.values(), *self.imported.values()) for path in uses}
        paths = sorted(self.files.keys() | named)
        numbers = {path: number for number, path in enumerate(paths)}

        def packed(table: dict[str, Uses]) -> dict[str, list[tuple[int, list[int] | None]]]:
            return {
                name: [(numbers[path], None if parts is None else sorted(parts)) for path, parts in uses.items()]
                for name, uses in table.items()
            }

        return Kept(
            [self.files.get(path, Seen(path)) for path in paths],
            packed(self.tests),
            packed(self.imported),
            sorted(self.open),
            sorted(self.cut),
            {name: sorted(used) for name, used in self.loads.items()},
            {name: sorted(used) for name, used in self.spawned.items()},
            sorted(self.everywhere),
        )

    @staticmethod
    def of(kept: Kept) -> Usage:
        """From the disk.

        Raises:
            IndexError: it does not fit together.
        """

        def unpacked(table: dict[str, list[tuple[int, list[int] | None]]]) -> dict[str, Uses]:
            return {
                name: {kept.files[n].path: None if parts is None else frozenset(parts) for n, parts in uses}
                for name, uses in table.items()
            }

        usage = Usage()
        usage.tests = unpacked(kept.tests)
        usage.imported = unpacked(kept.imported)
        usage.open = set(kept.open)
        usage.cut = set(kept.cut)
        usage.loads = {name: frozenset(used) for name, used in kept.loads.items()}
        usage.spawned = {name: frozenset(used) for name, used in kept.spawned.items()}
        usage.everywhere = frozenset(kept.everywhere)
        usage.files = {seen.path: seen for seen in kept.files if seen.content}
        usage._turn()
        return usage

    def _turn(self) -> None:
        for table, users in ((self.tests, self.users), (self.imported, self.while_importing)):
            for name, uses in table.items():
                for path, parts in uses.items():
                    users.setdefault(path, {})[name] = parts


def _blurred(uses: Uses, differ: Set[str]) -> Uses:
    """Which functions of a file are meant cannot be told once the file is another."""
    return {path: None if path in differ else parts for path, parts in uses.items()}


def _uses(used: Sequence[str], modules: Mapping[str, Module]) -> Uses:
    uses: Uses = {}
    for word in used:
        if word[0] in "*!@+>":
            continue
        path, null, lines = word.partition("\0")
        if not null:
            uses[path] = None
        elif path not in uses:
            module = modules.get(path)
            uses[path] = _parts(lines, module) if module is not None else None
    return uses


def _parts(lines: str, module: Module) -> Parts:
    """The functions that hold these lines; what is in none of them belongs to the shape of the file."""
    firsts = [first for first, _, _ in module.functions]
    found = set()
    for word in lines.split(","):
        line = int(word)
        at = bisect_right(firsts, line) - 1
        if at >= 0 and line <= module.functions[at][1]:
            found.add(at)
    return frozenset(found)
