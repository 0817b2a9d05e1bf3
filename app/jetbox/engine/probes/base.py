"""The contract of a probe, and its verdict."""

from __future__ import annotations

from typing import Protocol

import msgspec

from jetbox.engine.events import RED, CacheState, VerdictState
from jetbox.engine.probes.fingerprint import Snapshot
from jetbox.engine.probes.inscope import own_output
from jetbox.engine.probes.interpreter import Answers
from jetbox.engine.safety.sandbox import Sandbox


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
    proved: bool = True
    """False for one that was served without a proof that nothing changed; it never opens the gate."""
    failing: tuple[str, ...] = ()
    """What is red, by stable names (test ids); empty where it has none."""
    known: tuple[str, ...] = ()
    """Those of `failing` that were red before the session began."""
    hollow: bool = False
    """It looked at nothing although there is something to look at: the work is not verified."""

    of_round: int = 0
    """The round whose files it judges, where that is over; 0 for the present one."""
    baseline: bool = False
    """About the files before the first change."""
    inputs: dict[str, str] = {}
    """What went into its key, as name and words for people."""
    slow: str = ""
    """Why its probe runs from scratch where a server could tell sooner; empty where it does not."""

    @property
    def excused(self) -> bool:
        """All that is red was red before the session began."""
        return self.state == "failed" and bool(self.failing) and len(self.known) == len(self.failing)

    @property
    def red(self) -> bool:
        """True where the work does not hold, or where that could not be found out."""
        return self.state in RED


class Scope(msgspec.Struct, frozen=True):
    """What a probe's verdict depends on besides the files of the workspace."""

    arguments: tuple[str, ...] = ()
    versions: dict[str, str] = {}
    environment: dict[str, str] = {}
    outside: tuple[str, ...] | None = None
    """Every file and folder outside the tree whose change can change this scope, or whether the probe
    applies; None where they are not known, and the scope is asked for each time."""
    confines: tuple[str, ...] = ()
    """The sandbox and what can be read in it, limits of time and memory, and files of the workspace that do not
    count because our own words go there, in words."""


def confines(sandbox: Sandbox, root: str, *, memory: int = 0, seconds: float = 0.0) -> tuple[str, ...]:
    """`Scope.confines` of a run in this sandbox, with its limits in bytes and seconds; 0 is none."""
    bounds = ([f"{memory / 2**30:g} GiB of memory"] if memory else []) + ([f"{seconds:g} s"] if seconds else [])
    gaps = (f"not forbidden: {words}" for words in sandbox.cannot)
    told = (f"own output: {path}" for path in own_output(root))
    readable = sandbox.readable
    read = [f"readable: {', '.join(readable)}"] if readable else []
    return (f"sandbox {sandbox.name}", *gaps, *bounds, *told, *read)


class Change(msgspec.Struct, frozen=True):
    """What happened since a probe's latest whole verdict, or since the session began."""

    verdict: Verdict
    """That verdict; `cancelled` while there is none."""
    before: Snapshot
    """The files that it was about, or that the session began with."""
    now: Snapshot
    paths: frozenset[str]
    """New, gone or different, in content or mode."""
    early: str = ""
    """The digest of the files that held still for the latest early verdict since, empty for none."""


class Probe(Protocol):
    """A check; its run has no effect on the files in its scope."""

    name: str

    @property
    def slow(self) -> str:
        """Why it runs from scratch where a server could tell sooner; empty where it does not."""
        ...

    async def skip(self, answers: Answers) -> str:
        """Why it does not apply now, in words; empty where it does. `answers` are those of this look-up."""
        ...

    async def scope(self, answers: Answers) -> Scope:
        """What goes into the key besides the files; `answers` as for `skip`."""
        ...

    async def run(self, *, behind: bool = False) -> Verdict:
        """Run it in full; `behind`: nobody waits, so at low priority.

        Never raises for what the workspace holds; cancellable.
        """
        ...

    async def early(self, change: Change) -> Verdict | None:
        """A verdict on what the change can have touched, much sooner than `run`; None where only `run` can tell.

        Its `cache` is `partial`, and it never stands for a whole one. Cancellable.
        """
        ...

    def narrow(self, files: Snapshot) -> Snapshot:
        """The part of the files that its verdict depends on; quick when asked again for the same."""
        ...

    def minds(self, path: str) -> bool:
        """True where its verdict can depend on what came to this path and is gone again."""
        ...

    def prepare(self) -> None:
        """Begin to start what later runs need (a server), without waiting; may be called often."""
        ...

    async def close(self) -> None:
        """End whatever it keeps running."""
        ...


class Whole:
    """What a probe inherits that has no server and no early verdict."""

    @property
    def slow(self) -> str:
        """There is no other way."""
        return ""

    async def early(self, change: Change) -> Verdict | None:
        """There is none."""
        return None

    def narrow(self, files: Snapshot) -> Snapshot:
        """All of them."""
        return files

    def minds(self, path: str) -> bool:
        """On all of it."""
        return True

    def prepare(self) -> None:
        """There is nothing to start."""

    async def close(self) -> None:
        """There is nothing to end."""


class Probes(Protocol):
    """The probe engine as the loop sees it."""

    def prepare(self) -> None:
        """Begin with what later verdicts need (servers, the state before the first change); never waits."""
        ...

    def start(self, why: str) -> None:
        """Begin to work on verdicts for the present files, where that pays; may be called often."""
        ...

    async def verdicts(self, *, final: bool = False) -> list[Verdict]:
        """Verdicts about the files as they are when this returns; `final` is the gate before done.

        Where the options say that nobody waits, some are missing: they are `pending`.
        """
        ...

    async def whole(self) -> list[Verdict]:
        """The same as at the gate, because somebody wants to see it; the model misses nothing by it."""
        ...

    @property
    def pending(self) -> tuple[str, ...]:
        """Names of the probes whose verdict on the present files has been asked for and is still to come."""
        ...

    async def late(self) -> list[Verdict]:
        """Verdicts that came after they were asked for, and are about the files as they are; each once."""
        ...

    async def coming(self) -> list[Verdict]:
        """What `late` will give, once something is red or nothing is pending; it is not taken."""
        ...

    async def lint(self, path: str, text: str) -> str:
        """What a linter says of a text that is about to be written, in words; empty for nothing."""
        ...

    def expect(self, path: str, text: str | None) -> None:
        """A write of this file is on its way, with this text where that has come; never waits."""
        ...

    def wrote(self, paths: tuple[str, ...], by: str = "agent") -> None:
        """The agent, or a command of its, wrote these files (relative, `/`)."""
        ...

    def heard(self, paths: tuple[str, ...], by: str) -> None:
        """An observer saw who changed these files (relative, `/`), some time after that."""
        ...

    async def close(self) -> None:
        """End everything that still runs."""
        ...
