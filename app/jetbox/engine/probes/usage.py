"""What test files were seen to make use of, by the files that they used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec


class Kept(msgspec.Struct, frozen=True):
    """The form in which it is stored; files are numbers in `files`."""

    files: list[tuple[str, str, str]] = []
    """Path, content hash and shape, each as they were when it was seen."""
    tests: dict[str, list[int]] = {}
    open: list[str] = []
    imported: dict[str, list[str]] = {}
    loads: dict[str, list[str]] = {}
    spawned: dict[str, list[str]] = {}
    everywhere: list[str] = []


class Usage:
    """What `touched.py` told of one whole run, turned round."""

    def __init__(self) -> None:
        self.tests: dict[str, frozenset[str]] = {}
        """By test file, what was executed or opened for it; folders that were listed end with `/`."""
        self.open: set[str] = set()
        """Test files that use more than could be seen."""
        self.imported: dict[str, frozenset[str]] = {}
        """By file, what was executed or opened while it was imported."""
        self.loads: dict[str, frozenset[str]] = {}
        """By file, what it imported."""
        self.spawned: dict[str, frozenset[str]] = {}
        """By test file, what it ran as a process."""
        self.everywhere: frozenset[str] = frozenset()
        self.contents: dict[str, str] = {}
        self.shapes: dict[str, str] = {}
        self.users: dict[str, set[str]] = {}
        """By file, the test files that use it."""
        self.while_importing: dict[str, set[str]] = {}
        """By file, those during whose import it was used."""

    def learn(
        self,
        touched: Mapping[str, Sequence[str]],
        contents: Mapping[str, str],
        shapes: Mapping[str, str],
        tests: Iterable[str],
    ) -> None:
        """Take what a whole run told; where it does not say what was collected, these are the `tests`."""
        collected = {name for name, used in touched.items() if "@" in used} or touched.keys() & set(tests)
        for name, used in touched.items():
            plain = frozenset(path for path in used if path[0] not in "*@+>")
            loads = frozenset(path[1:] for path in used if path[0] == "+")
            if loads:
                self.loads[name] = loads
            if not name:
                self.everywhere = plain
            elif name in collected:
                self.tests[name] = plain | {name}
                spawned = frozenset(path[1:] for path in used if path[0] == ">")
                if spawned:
                    self.spawned[name] = spawned
                if "*" in used:
                    self.open.add(name)
            elif plain:
                self.imported[name] = plain
        self.contents = dict(contents)
        self.shapes = dict(shapes)
        self._turn()

    def kept(self) -> Kept:
        """For the disk."""
        paths = sorted({*self.contents, *self.shapes, *(path for used in self.tests.values() for path in used)})
        numbers = {path: number for number, path in enumerate(paths)}
        return Kept(
            [(path, self.contents.get(path, ""), self.shapes.get(path, "")) for path in paths],
            {name: sorted(numbers[path] for path in used) for name, used in self.tests.items()},
            sorted(self.open),
            {name: sorted(used) for name, used in self.imported.items()},
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
        usage = Usage()
        usage.tests = {name: frozenset(kept.files[n][0] for n in used) for name, used in kept.tests.items()}
        usage.open = set(kept.open)
        usage.imported = {name: frozenset(used) for name, used in kept.imported.items()}
        usage.loads = {name: frozenset(used) for name, used in kept.loads.items()}
        usage.spawned = {name: frozenset(used) for name, used in kept.spawned.items()}
        usage.everywhere = frozenset(kept.everywhere)
        usage.contents = {path: content for path, content, _ in kept.files if content}
        usage.shapes = {path: shape for path, _, shape in kept.files if shape}
        usage._turn()
        return usage

    def _turn(self) -> None:
        for name, used in self.tests.items():
            for path in used:
                self.users.setdefault(path, set()).add(name)
        for name, used in self.imported.items():
            for path in used:
                self.while_importing.setdefault(path, set()).add(name)
