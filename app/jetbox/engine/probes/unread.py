"""What a red verdict may owe to the sandbox: places outside that the workspace or its interpreter names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Set

import msgspec

from jetbox.engine.probes.base import Scope, Verdict
from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.safety.process import ProcessRunner
from jetbox.engine.safety.readable import is_readable

MISSING = r"No module named '([^'.]+)"
QUOTED = r"'([^'\n]+)'|\"([^\"\n]+)\""
DENIED = r"Permission denied: '([^'\n]+)'"
BETWEEN = r"[\s'\"`:;,=|<>()\[\]{}]+"
"""What stands between words, paths among them."""
LONGEST = 4096
"""Characters of a path."""
MOST = 2
"""Places that are named."""


class Unread:
    """Adds to what is red which place the run could not read, and what opens it."""

    def __init__(self, tree: Tree, processes: ProcessRunner) -> None:
        self._tree = tree
        self._processes = processes

    def told(self, verdict: Verdict, scope: Scope) -> Verdict:
        """The verdict with that in its summary, where the run speaks of such a place."""
        if verdict.state not in ("failed", "error"):
            return verdict
        if verdict.name == "pytest" and (above := self._unlisted(verdict.output)):
            # Configuration there makes it the folder where pytest begins to look for tests.
            words = f"{above} is above the workspace, where the sandbox lets nothing be listed; cure: a pytest.ini here"
            return msgspec.structs.replace(verdict, summary=f"{verdict.summary}; {words}")
        found: list[str] = []
        for place in sorted(self._places(f"{verdict.summary}\n{verdict.output}", scope.outside or ())):
            if not any(f"{place}/".startswith(f"{above}/") for above in found):
                found.append(place)
        if not found:
            return verdict
        places, one = ", ".join(found[:MOST]), len(found) == 1
        words = f"{places} {'lies' if one else 'lie'} outside the workspace, where the sandbox lets nothing be read"
        cure = "permissions.read_outside opens a folder there"
        return msgspec.structs.replace(verdict, summary=f"{verdict.summary}; {words}; cure: {cure}")

    def _places(self, said: str, named: Iterable[str]) -> Iterator[str]:
        modules = set(re.findall(MISSING, said))
        paths = _paths(said, self._tree.root)
        for link, place in self._tree.leading_out():
            if (link in paths or place in paths) and self._is_shut(place):
                yield place
        for place in named:
            spoken = place in paths or any(_holds(place, name) for name in modules)
            if spoken and self._is_shut(place):
                yield place

    def _unlisted(self, said: str) -> str:
        above = (place for place in re.findall(DENIED, said) if self._tree.root.startswith(os.path.join(place, "")))
        return next(filter(self._is_shut, above), "")

    def _is_shut(self, place: str) -> bool:
        readable = self._processes.sandbox.readable
        return os.path.exists(place) and not is_readable(place, self._tree.root, readable)


def _paths(said: str, root: str) -> Set[str]:
    """Whole words that may be paths, and what lies above these; relative to the root where they lie in it."""
    words = {word for pair in re.findall(QUOTED, said) for word in pair}
    words.update(re.split(BETWEEN, said))
    found: set[str] = set()
    for word in (word for word in words if len(word) <= LONGEST):
        path = word.rstrip(".").removeprefix("./").removeprefix(f"{root}/")
        while path and path not in found:
            found.add(path)
            path = path.rpartition("/")[0]
    return found


def _holds(folder: str, name: str) -> bool:
    """True for a folder that a module of this name is imported from, and for the module itself."""
    itself = os.path.basename(folder).partition(".")[0] == name
    return itself or any(os.path.lexists(os.path.join(folder, kind)) for kind in (name, f"{name}.py"))
