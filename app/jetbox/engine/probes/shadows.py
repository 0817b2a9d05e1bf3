"""Forked runs are compared with runs from scratch now and then; one difference ends the forking."""

from __future__ import annotations

from pathlib import Path

import msgspec

from jetbox.engine.probes.base import Verdict
from jetbox.engine.probes.stored import load, save

FILE = "forking.json"
EVERY = 20
"""Whole forked runs from one comparison to the next; the first one is compared."""
TELLING = ("passed", "failed", "skipped", "error")
"""States that say something of the tests; one that hangs may hang for want of time alone."""


class _Kept(msgspec.Struct):
    off: str = ""
    compared: bool = False


class Shadows:
    """What the comparisons of a workspace came to."""

    def __init__(self, store: Path | None) -> None:
        """`store` keeps between sessions that forking is off here."""
        self._file = store / FILE if store is not None else None
        self._left = 0
        self._kept: _Kept | None = None

    def _known(self) -> _Kept:
        if self._kept is None:
            self._kept = (load(self._file, _Kept) if self._file is not None else None) or _Kept()
        return self._kept

    @property
    def off(self) -> str:
        """Why runs are not forked in this workspace any more; empty while they are."""
        return self._known().off

    @property
    def never(self) -> bool:
        """No forked run of this workspace was compared yet, in this session or before."""
        return not self._known().compared

    @property
    def owed(self) -> bool:
        """The next whole forked run is to be compared."""
        return not self._left and not self.off

    def due(self, verdict: Verdict) -> bool:
        """Whether this whole forked run is to be compared; asked again until one was."""
        self._left = max(0, self._left - 1)
        return verdict.state in TELLING and not self._left

    def compared(self, forked: Verdict, plain: Verdict, *, whole: bool = True) -> str:
        """Take a comparison; in words what differs, empty for nothing.

        One of some tests alone (not `whole`) leaves the whole one due.
        """
        if forked.state not in TELLING or plain.state not in TELLING:
            return ""
        if whole:
            self._left = EVERY
        said = (f"{verdict.state} ({verdict.summary})" for verdict in (forked, plain))
        words = "" if _alike(forked, plain) else "a forked run said {}, and one from scratch {}".format(*said)
        if words or self.never:
            self._kept = _Kept(words, True)
            if self._file is not None:
                save(self._file, self._kept)
        return words


def _alike(forked: Verdict, plain: Verdict) -> bool:
    if forked.state != plain.state or set(forked.failing) != set(plain.failing):
        return False
    # How a process broke off is told in words of the moment.
    return forked.state == "error" or forked.summary == plain.summary


def told(store: Path) -> str:
    """Why runs are not forked in a workspace with this store; empty where they are. Blocks."""
    kept = load(store / FILE, _Kept)
    return kept.off if kept is not None else ""
