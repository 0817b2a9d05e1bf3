"""Forked runs are compared with runs from scratch now and then; one difference ends the forking."""

from __future__ import annotations

from pathlib import Path

import msgspec

from jetbox.engine.probes.base import Verdict
from jetbox.engine.probes.stored import load, save

FILE = "forking.json"
EVERY = 20
"""Whole forked runs between two comparisons; the first one is compared."""


class _Kept(msgspec.Struct):
    off: str = ""


class Shadows:
    """What the comparisons of a workspace came to."""

    def __init__(self, store: Path | None) -> None:
        """`store` keeps between sessions that forking is off here."""
        self._file = store / FILE if store is not None else None
        self._runs = 0
        self._off: str | None = None

    @property
    def off(self) -> str:
        """Why runs are not forked in this workspace any more; empty while they are."""
        if self._off is None:
            kept = load(self._file, _Kept) if self._file is not None else None
            self._off = kept.off if kept is not None else ""
        return self._off

    def due(self, verdict: Verdict) -> bool:
        """Whether this whole forked run is to be compared."""
        if verdict.state not in ("passed", "failed"):
            return False
        self._runs += 1
        return self._runs % EVERY == 1

    def compared(self, forked: Verdict, plain: Verdict) -> str:
        """Take a comparison; in words what differs, empty for nothing."""
        same = forked.state == plain.state and set(forked.failing) == set(plain.failing)
        if same and forked.summary == plain.summary:
            return ""
        self._off = (
            f"a forked run said {forked.state} ({forked.summary}) and one from scratch {plain.state} ({plain.summary})"
        )
        if self._file is not None:
            save(self._file, _Kept(self._off))
        return self._off
