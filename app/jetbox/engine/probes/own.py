"""Which changes during a run are the probe's own: what it does to the workspace each time it runs."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable

import msgspec

RANDOM = re.compile(r"tmp[a-z0-9_]{8}|[0-9a-f]*[0-9][0-9a-f]*")
"""Parts of a name that may be another one each time: numbers of processes, times, digests."""


class Own(msgspec.Struct, frozen=True):
    """What it changed in earlier runs."""

    paths: frozenset[str] = frozenset()
    shapes: frozenset[str] = frozenset()
    """Names of what came, without their random parts."""

    def covers(self, changed: Iterable[str], before: Container[str]) -> bool:
        """True where all of this is what it did before. A name is told by its shape alone where no file was there
        `before`: one that was may be somebody's input."""
        return all(path in self.paths or (path not in before and shape(path) in self.shapes) for path in changed)

    def both(self, other: Own) -> Own:
        """What either holds."""
        return Own(self.paths | other.paths, self.shapes | other.shapes)

    def kept_to(self, other: Own) -> Own:
        """What both hold."""
        return Own(self.paths & other.paths, self.shapes & other.shapes)


def seen(changed: Iterable[str], before: Container[str]) -> Own:
    """What a run changed."""
    changed = frozenset(changed)
    return Own(changed, frozenset(shape(path) for path in changed if path not in before))


def shape(path: str) -> str:
    """The name without its random parts: `out/run-17.txt` is what `out/run-18.txt` was."""
    return RANDOM.sub("#", path)
