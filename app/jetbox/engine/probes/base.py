"""The contract of a probe, and its verdict."""

from __future__ import annotations

from typing import Protocol

import msgspec

from jetbox.engine.events import CacheState, VerdictState


class Verdict(msgspec.Struct, frozen=True):
    """What a probe says about the files as they are."""

    name: str
    state: VerdictState
    summary: str = ""
    output: str = ""
    duration_ns: int = 0
    cache: CacheState = "ran"
    saved_ns: int = 0
    key: str = ""
    why: str = ""
    durable: bool = True
    """False where another run on the same files might say something else; such a verdict is not kept."""

    @property
    def red(self) -> bool:
        """True where the work does not hold, or where that could not be found out."""
        return self.state in ("failed", "error", "timeout")


class Scope(msgspec.Struct, frozen=True):
    """What a probe's verdict depends on besides the files of the workspace."""

    arguments: tuple[str, ...] = ()
    versions: dict[str, str] = {}
    environment: dict[str, str] = {}


class Probe(Protocol):
    """A check; its run has no effect on the files in its scope."""

    name: str

    async def skip(self) -> str:
        """Why it does not apply now, in words; empty where it does."""
        ...

    async def scope(self) -> Scope:
        """What goes into the key besides the files."""
        ...

    async def run(self) -> Verdict:
        """Run it in full. Never raises for what the workspace holds; cancellable."""
        ...


class Probes(Protocol):
    """The probe engine as the loop sees it."""

    def start(self, why: str) -> None:
        """Begin to work on verdicts for the present files, where that pays; may be called often."""
        ...

    async def verdicts(self, *, final: bool = False) -> list[Verdict]:
        """Verdicts about the files as they are when this returns; `final` is the gate before done."""
        ...

    def wrote(self, paths: tuple[str, ...]) -> None:
        """The agent wrote these files (relative, `/`)."""
        ...

    async def close(self) -> None:
        """End everything that still runs."""
        ...
