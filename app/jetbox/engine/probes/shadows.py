"""Forked runs are compared with runs from scratch now and then; one difference ends the forking."""

from __future__ import annotations

from pathlib import Path

import msgspec

from jetbox.engine.probes.base import Verdict
from jetbox.engine.probes.stored import load, save

FILE = "forking.json"
EVERY = 20
"""Whole forked runs from one comparison to the next; the first one is compared."""
TELLING = ("passed", "failed", "skipped")
"""States that say something of the tests, and not of the machine."""


class _Kept(msgspec.Struct):
    off: str = ""


class Shadows:
    """What the comparisons of a workspace came to."""

    def __init__(self, store: Path | None) -> None:
        """`store` keeps between sessions that forking is off here."""
        self._file = store / FILE if store is not None else None
        self._left = 0
        self._off: str | None = None

    @property
    def off(self) -> str:
        """Why runs are not forked in this workspace any more; empty while they are."""
        if self._off is None:
            kept = load(self._file, _Kept) if self._file is not None else None
            self._off = kept.off if kept is not None else ""
        return self._off

    def due(self, verdict: Verdict) -> bool:
        """Whether this whole forked run is to be compared; asked again until one was."""
        self._left = max(0, self._left - 1)
        return verdict.state in TELLING and not self._left

    def compared(self, forked: Verdict, plain: Verdict) -> str:
        """Take a comparison; in words what differs, empty for nothing."""
        self._left = EVERY
        if plain.state not in TELLING:
            return ""
        same = forked.state == plain.state and set(forked.failing) == set(plain.failing)
        if same and forked.summary == plain.summary:
            return ""
        said = (f"{verdict.state} ({verdict.summary})" for verdict in (forked, plain))
        self._off = "a forked run said {}, and one from scratch {}".format(*said)
        if self._file is not None:
            save(self._file, _Kept(self._off))
        return self._off


def told(store: Path) -> str:
    """Why runs are not forked in a workspace with this store; empty where they are. Blocks."""
    kept = load(store / FILE, _Kept)
    return kept.off if kept is not None else ""
