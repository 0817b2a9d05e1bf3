"""Which changes during a run are the probe's own: what it does to the workspace each time it runs."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable

import msgspec

RANDOM = re.compile(r"tmp[a-z0-9_]{8}|[0-9a-f]*[0-9][0-9a-f]*")
"""Parts of a name that may be another one each time: numbers of processes, times, digests."""


class Own(msgspec.Struct, frozen=True):
    """Paths that it changed in an earlier run."""

    paths: frozenset[str] = frozenset()
    shapes: frozenset[str] = frozenset()
    """Those of names with a random part, without that."""

    def covers(self, changed: Iterable[str], standing: Container[str]) -> bool:
        """True where all of this is what it did before; a name is told by its shape alone where no file was
        there both before and after (`standing`): what is there already may be somebody's input."""
        return all(path in self.paths or (path not in standing and shape(path) in self.shapes) for path in changed)

    def more(self, paths: Iterable[str]) -> Own:
        """With these too."""
        paths = frozenset(paths)
        shapes = frozenset(short for path in paths if (short := shape(path)) != path)
        return Own(self.paths | paths, self.shapes | shapes)


def shape(path: str) -> str:
    """The name without its random parts: `out/run-17.txt` is what `out/run-18.txt` was."""
    return RANDOM.sub("#", path)
