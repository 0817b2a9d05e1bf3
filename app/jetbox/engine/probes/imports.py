"""Which file imports which: a graph of the workspace that is patched, not built anew, when files change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

STANDARD_ROOTS = ("", "src")
"""Folders, relative to the workspace, that are taken to be on the path whoever imports."""


class Module(msgspec.Struct, frozen=True, array_like=True):
    """What is known of one Python file."""

    content: str
    """Hash of the text that this was read from."""
    shape: str = ""
    """Hash of what is executed when it is imported."""
    imports: tuple[str, ...] = ()
    """As `scan` writes them."""
    parsed: bool = True
    functions: tuple[tuple[int, int, str], ...] = ()
    """First and last line, and a hash of the text, of each function that is in no other one."""


def stem(path: str) -> str:
    """The name that an import statement has for a file: that of its folder for an `__init__.py`."""
    folder, _, name = path.rpartition("/")
    return folder.rpartition("/")[2] if name == "__init__.py" else name[:-3]


class Graph:
    """Edges from files to the files that import them."""

    def __init__(self) -> None:
        self.modules: dict[str, Module] = {}
        self.importers: dict[str, set[str]] = {}
        """By path, who imports it; an `__init__.py` is imported by whoever imports below it."""
        self.targets: dict[str, frozenset[str]] = {}
        self.version = 0
        """Another number after each update."""
        self._named: dict[str, set[str]] = {}
        self._mentions: dict[str, set[str]] = {}

    def update(self, changed: Mapping[str, Module], gone: Iterable[str] = ()) -> None:
        """Take in files that are new or different, and forget those that are gone.

        One that cannot be parsed keeps the imports that it had.
        """
        gone = {path for path in gone if path in self.modules}
        added = [path for path in changed if path not in self.modules]
        for path in gone:
            self._mention(path, self.modules.pop(path), there=False)
            self._named[stem(path)].discard(path)
            self._aim(path, frozenset())
        for path, read in changed.items():
            before = self.modules.get(path)
            module = read
            if before is not None:
                self._mention(path, before, there=False)
                if not read.parsed:
                    kept = tuple(sorted({*before.imports, *read.imports}))
                    module = msgspec.structs.replace(read, imports=kept)
            self._mention(path, module, there=True)
            self.modules[path] = module
            self._named.setdefault(stem(path), set()).add(path)
        # A name can lead elsewhere once a file of that name came or went.
        again = set(changed)
        for name in self._names_of([*gone, *added]):
            again |= self._mentions.get(name, frozenset())
        for path in again:
            self._aim(path, frozenset(self._resolved(path)))
        self.version += 1

    def reach(self, start: Iterable[str], more: Mapping[str, Iterable[str]] = {}) -> dict[str, int]:
        """Whoever imports one of these, directly or not, and over how many steps; themselves at 0.

        `more` holds further files that depend on a path.
        """
        edge = set(start)
        seen = set(edge)
        found = dict.fromkeys(edge, 0)
        steps = 0
        while edge:
            steps += 1
            beyond: set[str] = set()
            for table in (self.importers, more):
                beyond.update(*(table[path] for path in edge & table.keys()))
            edge = beyond - seen
            seen |= edge
            found.update(dict.fromkeys(edge, steps))
        return found

    def find(self, dotted: str, importer: str = "") -> frozenset[str]:
        """The files that `import dotted` executes, as seen from another file."""
        return frozenset(self._absolute(importer, dotted.split(".")))

    def twins(self, path: str) -> set[str]:
        """Other modules that go by the same name, and are imported where they come first on the path."""
        name = stem(path)
        root = path.removesuffix("/__init__.py").removesuffix(".py").removesuffix(name)
        if not path.endswith(".py") or (root and f"{root}__init__.py" in self.modules):
            return set()
        return set().union(*(self._below(place, [name]) for place in self._roots([name]))) - {path}

    def _names_of(self, paths: list[str]) -> set[str]:
        names = set()
        for path in paths:
            names.add(stem(path))
            if path.endswith("/__init__.py"):
                # With or without it, the folder is a package, or a place where imports begin.
                below = path[: -len("__init__.py")]
                names.update(
                    m[len(below) :].partition("/")[0].removesuffix(".py") for m in self.modules if m.startswith(below)
                )
        return names

    def _mention(self, path: str, module: Module, *, there: bool) -> None:
        for name in _mentioned(path, module.imports):
            if there:
                self._mentions.setdefault(name, set()).add(path)
            else:
                self._mentions[name].discard(path)

    def _aim(self, path: str, targets: frozenset[str]) -> None:
        before = self.targets.get(path, frozenset())
        for target in before - targets:
            self.importers[target].discard(path)
            if not self.importers[target]:
                del self.importers[target]
        for target in targets - before:
            self.importers.setdefault(target, set()).add(path)
        if targets:
            self.targets[path] = targets
        else:
            self.targets.pop(path, None)

    def _resolved(self, path: str) -> set[str]:
        found: set[str] = set()
        for words in self.modules[path].imports:
            origin, colon, name = words.partition(":")
            level = len(origin) - len(origin.lstrip("."))
            parts = [part for part in origin[level:].split(".") if part]
            longer = [*parts, name] if colon and name != "*" else parts
            found |= self._relative(path, level, longer) if level else self._absolute(path, longer)
        found.discard(path)
        return found

    def _relative(self, path: str, level: int, parts: list[str]) -> set[str]:
        folders = path.split("/")[:-1]
        if level - 1 > len(folders):
            return set()
        base = "/".join(folders[: len(folders) - (level - 1)])
        return self._below(base, parts)

    def _absolute(self, path: str, parts: list[str]) -> set[str]:
        """The longest part of a dotted name that is a file; the rest are names in it."""
        far: set[str] = set()
        for length in range(len(parts), 0, -1):
            roots = self._roots(parts[:length])
            near = [root for root in roots if root in STANDARD_ROOTS or path.startswith(root + "/")]
            if near:
                return far.union(*(self._below(root, parts[:length]) for root in near))
            if not far:
                # No folder that is surely on the path: it may be put there, so each counts.
                far = far.union(*(self._below(root, parts[:length]) for root in roots))
        return far

    def _roots(self, parts: list[str]) -> list[str]:
        """Folders below which such a module lies, and that are no packages themselves."""
        tail = "/".join(parts)
        ends = (f"/{tail}.py", f"/{tail}/__init__.py")
        roots = []
        for path in self._named.get(parts[-1], ()):
            for end in ends:
                if ("/" + path).endswith(end):
                    root = path[: max(0, len(path) - len(end))]
                    if f"{root}/__init__.py" not in self.modules or not root:
                        roots.append(root)
        return roots

    def _below(self, base: str, parts: list[str]) -> set[str]:
        """What is executed to import such a module: packages on the way, and the module."""
        found: set[str] = set()
        here = base
        if here and f"{here}/__init__.py" in self.modules:
            found.add(f"{here}/__init__.py")
        for part in parts:
            here = f"{here}/{part}" if here else part
            found.update(path for path in (f"{here}.py", f"{here}/__init__.py") if path in self.modules)
        return found


def _mentioned(path: str, imports: Iterable[str]) -> set[str]:
    """Every name that decides where the imports of a file lead."""
    names: set[str] = set()
    for words in imports:
        names.update(part for part in words.replace(":", ".").split(".") if part)
        if words.startswith("."):
            # Its own package, and those around it.
            names.update(path.split("/")[:-1])
    return names
