"""Why ruff's server is not used in a workspace any more: told once, and kept for later sessions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from jetbox.engine.probes.stored import load, save

FILE = "ruff_server.json"


class _Kept(msgspec.Struct):
    off: str = ""
    program: str = ""
    """Identity of the ruff that this is about."""
    lasting: bool = False
    """False for a failure that a later session need not have."""


class Aside:
    """What is known of one workspace's server."""

    def __init__(self, store: Path | None, notice: Callable[[str], None] | None = None) -> None:
        """`notice` gets why it is not used, once."""
        self._file = store / FILE if store is not None else None
        self._notice = notice
        self._off = ""
        self._kept: _Kept | None = None

    def why(self, program: Callable[[], str]) -> str:
        """Why it is not used; empty where it is. `program` names the ruff of now, where that matters."""
        if self._kept is None:
            self._kept = (load(self._file, _Kept) if self._file is not None else None) or _Kept()
            if self._kept.lasting and self._kept.program == program():
                self._off = self._kept.off
                self._tell()
        return self._off

    def put(self, why: str, program: str, *, lasting: bool) -> None:
        """It is not used any more."""
        self._off, self._kept = why, _Kept(why, program, lasting)
        if self._file is not None:
            save(self._file, self._kept)
        self._tell()

    def works(self) -> None:
        """It has started: what an earlier session met is over."""
        if self._kept is not None and self._kept.off and self._file is not None:
            with suppress(OSError):
                self._file.unlink()
        self._kept = _Kept()

    def _tell(self) -> None:
        if self._notice is not None:
            self._notice(f"ruff runs from scratch: {self._off}")


def told(store: Path) -> str:
    """What the latest session of a workspace with this store met; empty for nothing. Blocks."""
    kept = load(store / FILE, _Kept)
    return kept.off if kept is not None else ""
