"""The choice of test files for a change, by what is known of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Set, Sized
from stat import S_ISDIR

import msgspec

from jetbox.engine.probes.configuration import configuration
from jetbox.engine.probes.imports import Module, stem
from jetbox.engine.probes.mapped import Known
from jetbox.engine.probes.snapshot import Snapshot
from jetbox.engine.probes.usage import Parts, Seen

IGNORES = frozenset({".gitignore", ".ignore", "ruff.toml", ".ruff.toml"})
"""Configuration that no test run reads."""
BINARY = (".so", ".pyd", ".dylib", ".dll", ".pth", ".egg-link")
"""Files that are loaded without being opened in a way that could be seen."""


class Selection(msgspec.Struct, frozen=True):
    """Which test files a change can have touched."""

    files: tuple[str, ...]
    """Likeliest first; empty with `whole` unset: it touches none."""
    whole: bool
    """Only the whole suite can tell, or it is what would be run anyway."""
    why: str
    """In words, for the summary of a verdict."""
    reached: int = 0
    """How many there are where `files` are only the nearest of them, else 0."""
    held: int = 0
    """How many more there are that need no run."""


class Choice:
    """Made once, for one change."""

    def __init__(
        self,
        known: Known,
        before: Snapshot,
        now: Snapshot,
        changed: frozenset[str],
        failed: Set[str] = frozenset(),
        held: Set[str] = frozenset(),
    ) -> None:
        """Test files that `failed` before are chosen in any case; what is `held` needs no run."""
        self._known = known
        self._before = before
        self._now = now
        self._changed = changed
        self._failed = failed
        self._held = held
        self._ranks: dict[str, tuple[int, int]] = {}
        """By test file: kind of the reason, and distance; less is likelier."""
        self._changed_parts: dict[str, Parts] = {}
        usage = known.usage
        self._seen_whole = (usage.tests.keys() & known.tests) - usage.open - known.stale(known.differ - changed)
        """Test files of which the map says all there is."""

    def made(self) -> Selection:
        """Choose."""
        if not self._known.tests:
            return Selection((), True, "no test files are known")
        if not self._known.certain:
            return Selection((), True, "code decides which tests are collected")
        unknown = []
        for path in sorted(self._changed):
            if self._folder(path):
                continue
            reason = self._beyond(path)
            if reason:
                return Selection((), True, reason)
            if not self._take(path):
                unknown.append(path)
        self._take_imports()
        for path in unknown:
            if not self._take_unknown(path):
                return Selection((), True, f"which tests {path} touches is not known")
        files, usage = self._files(), self._known.usage
        data = not all(path.endswith(".py") for path in files)
        if data or (files and usage.tests):
            # They may use it as well as those that were seen to; where nothing was seen, imports tell of modules.
            self._rank(self._known.tests - self._seen_whole, 4)
        if data:
            self._rank(usage.spawned, 4)
        self._ranks.update(dict.fromkeys(self._failed & self._now.files.keys(), (0, 0)))
        return self._bounded()

    def _folder(self, path: str) -> bool:
        entry = self._now.files.get(path)
        return S_ISDIR(entry[0]) if entry is not None else path in self._known.folders_gone

    def _beyond(self, path: str) -> str:
        """Why only the whole suite can tell; empty where that is not so."""
        name = path.rpartition("/")[2]
        if path in (".git/info/exclude",) or name in IGNORES:
            return ""
        if name == "conftest.py" or configuration(path) or path.startswith(("../", ".git/")):
            return f"{path} changed"
        if name.endswith(BINARY):
            return f"{path} changed, which is not text"
        if path not in self._before.files and len(self._known.named.get(name, ())) > 1:
            return f"several test files are named {name}"
        if path in self._known.usage.everywhere:
            return f"{path} is used outside of the tests"
        return ""

    def _rank(self, tests: Iterable[str], rank: int, distance: int = 0) -> bool:
        found = False
        for test in tests:
            if test in self._known.tests:
                found = True
                self._ranks[test] = min(self._ranks.get(test, (9, 0)), (rank, distance))
        return found

    def _take(self, path: str) -> bool:
        """Rank what uses the path itself; True where something does, or imports tell the rest."""
        known, usage = self._known, self._known.usage
        found = self._rank([path], 0)
        users = usage.users.get(path, {})
        if users:
            parts = self._parts(path)
            self._rank((test for test, used in users.items() if _meet(used, parts)), 1)
            if not self._of_one_shape(path):
                self._rank(users, 3)
            found |= bool(users.keys() & known.tests)
        if path not in self._now.files or path not in self._before.files or path not in usage.files:
            found |= self._rank(self._listers(path), 1)
            twins = known.graph.twins(path) - known.tests
            for twin in twins:
                self._rank(usage.users.get(twin, ()), 2)
            self._rank(known.graph.reach(twins, known.further), 3, 1)
        if path in known.graph.modules or path in known.reached_by_gone:
            found |= self._rank(self._of_same_name(path), 2)
            needed_by = known.reached_by_gone.get(path, frozenset())
            self._rank(needed_by, 3, 1)
            found |= bool(needed_by)
        return found

    def _listers(self, path: str) -> Iterable[str]:
        """Who listed the folder that it came to or went from; of new folders, those around them."""
        folder = path.rpartition("/")[0]
        known, folders = self._known, [f"{folder or '.'}/"]
        while folder in self._changed:
            folder = folder.rpartition("/")[0]
            folders.append(f"{folder or '.'}/")
        found = {test for each in folders for test in known.usage.users.get(each, ())}
        by = {module for each in folders for module in known.usage.while_importing.get(each, ())}
        return found | (known.graph.reach(by, known.further).keys() & known.tests) if by else found

    def _of_same_name(self, path: str) -> list[str]:
        name = stem(path).strip("_")
        named = self._known.named
        return [*named.get(f"test_{name}.py", ()), *named.get(f"{name}_test.py", ())]

    def _take_imports(self) -> None:
        """Rank what imports the changed modules."""
        known, usage = self._known, self._known.usage
        modules = [path for path in self._changed if path in known.graph.modules]
        during = {
            by
            for path in self._changed & usage.while_importing.keys()
            for by, used in usage.while_importing[path].items()
            if _meet(used, self._parts(path))
        }
        if during:
            self._rank(known.graph.reach(during, known.further).keys() & known.tests, 2, 1)
        others = [path for path in modules if not self._of_one_shape(path)]
        reached = known.graph.reach(others, known.further)
        if others:
            for test in reached.keys() & known.tests:
                self._rank([test], 3, reached[test])
        rest = known.tests - self._seen_whole
        if modules and (rest or usage.spawned):
            found = reached if others == modules else known.graph.reach(modules, known.further)
            for test, roots in usage.spawned.items():
                if any(root in found or found.keys() & _packages(root) for root in roots):
                    self._rank([test], 1, 1)
            for test in rest & found.keys():
                self._rank([test], 3, found[test])

    def _versions(self, path: str) -> list[Module] | None:
        """The file before and after the change, as far as it is not what the map is about; None where that is unknown.

        What it is now can be what the map is about, and what it was something else.
        """
        found = []
        for files in (self._before, self._now):
            entry = files.files.get(path)
            module = self._known.was(path, entry[1]) if entry is not None else None
            if module is None or not module.parsed:
                return None
            found.append(module)
        modes = {files.files[path][0] for files in (self._before, self._now)}
        return found if len(modes) == 1 else None

    def _of_one_shape(self, path: str) -> bool:
        """True where nothing but bodies of functions differs from what the map is about."""
        versions, seen = self._versions(path), self._known.usage.files.get(path)
        return versions is not None and seen is not None and all(seen.shape == each.shape for each in versions)

    def _parts(self, path: str) -> Parts:
        """The functions, as they were seen, that are or were not in it; None where that is not known."""
        if path not in self._changed_parts:
            self._changed_parts[path] = self._compared(path)
        return self._changed_parts[path]

    def _compared(self, path: str) -> Parts:
        versions, seen = self._versions(path), self._known.usage.files.get(path)
        if versions is None or seen is None or not seen.shape:
            return None
        return frozenset[int]().union(*(_missing(seen, module) for module in versions))

    def _take_unknown(self, path: str) -> bool:
        """Rank who may use a file that nobody is known to use; False where that can be anyone."""
        known = self._known
        rest = known.tests - self._seen_whole
        if path in known.graph.modules and known.graph.reach([path], known.further).keys() & known.tests:
            return True
        if 2 * len(rest) > len(known.tests) or not self._seen_whole:
            return False
        self._rank(rest, 4)
        return True

    def _bounded(self) -> Selection:
        tests, ranks = self._known.tests, self._ranks
        held = ranks.keys() & self._held
        if ranks.keys() == held:
            other = "other " if held else ""
            return Selection((), False, f"no {other}test touches {_listed(self._files())}", held=len(held))
        order = sorted(ranks.keys() - held, key=lambda test: (*ranks[test], self._breadth(test), test))
        why = f"{len(order)} of {len(tests)} test files can be touched by {_listed(self._files())}"
        reached = 0
        if 2 * len(order) > len(tests):
            words, near = self._nearer(order)
            if near and not nearly_all(near, order):
                why = f"{len(order)} of {len(tests)} test files reach {_listed(self._files())}; {len(near)} {words}"
                reached, order = len(order), near
        return Selection(tuple(order), nearly_all(order, tests), why, reached, len(held))

    def _nearer(self, order: list[str]) -> tuple[str, list[str]]:
        """Those of too many that come before the others, and in words why."""
        ranks = self._ranks
        importing = [test for test in order if ranks[test] < (3, 2)]
        if all(ranks[test][0] != 1 for test in order):
            used = any(ranks[test] == (3, 0) for test in order)
            return "use it or import it themselves" if used else "import it themselves", importing
        if 2 * len(importing) <= len(self._known.tests):
            return "run its code or import it themselves", importing
        return "run its code", [test for test in order if ranks[test] < (3, 0)]

    def _files(self) -> list[str]:
        return sorted(path for path in self._changed if not self._folder(path))

    def _breadth(self, test: str) -> int:
        """One that uses little is likelier to be about what changed than one that uses all."""
        return len(self._known.usage.tests.get(test, ()))


def nearly_all(some: Sized, tests: Sized) -> bool:
    """True where it is no longer worth while to run these alone and not all the tests: for more than three of four."""
    return 4 * len(some) > 3 * len(tests)


def _missing(seen: Seen, module: Module) -> set[int]:
    """The functions, as they were seen, that are not in this version of the file."""
    now = tuple(body for _, _, body in module.functions)
    if seen.shape == module.shape:
        return {at for at, body in enumerate(seen.functions) if now[at : at + 1] != (body,)}
    # Of several with the same text it cannot be told which one is gone.
    fewer = Counter(seen.functions) - Counter(now)
    return {at for at, body in enumerate(seen.functions) if fewer[body]}


def _meet(used: Parts, changed: Parts) -> bool:
    return used is None or changed is None or not used.isdisjoint(changed)


def _packages(path: str) -> set[str]:
    """The `__init__.py` files that are executed before a module."""
    parts = path.split("/")[:-1]
    return {"/".join([*parts[:length], "__init__.py"]) for length in range(1, len(parts) + 1)}


def _listed(paths: list[str]) -> str:
    if len(paths) > 2:
        return f"{len(paths)} changed files"
    return " and ".join(paths) or "the change"
