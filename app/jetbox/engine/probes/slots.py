"""What is known of each probe, and of one call for verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

import msgspec

from jetbox.engine.probes.base import Change, Probe, Scope, Verdict
from jetbox.engine.probes.cache import key
from jetbox.engine.probes.fingerprint import Snapshot
from jetbox.engine.probes.own import Own

ATTEMPTS = 3
"""Runs of a probe for one verdict before files that keep changing are an error."""
NEVER = ("", -1, -1)
"""A state that never is."""
SERVED = ("hit", "none")
"""How a verdict came that was not run for."""
PROGRAM = (".py", ".pyi", ".pyx", ".ipynb", ".toml", ".cfg", ".ini")
"""Suffixes of program text and configuration: a probe is not believed to have written such a file."""


class Given(msgspec.Struct, frozen=True):
    """A verdict, and the files that it is about."""

    verdict: Verdict
    files: Snapshot
    whole: bool = True
    """False for one on what a change can have touched."""
    told: bool = False
    under: tuple[str, Scope] | None = None
    """Why the probe did not apply, and its scope; None where it is not judged by them."""

    def holds(self, now: Snapshot) -> bool:
        """True where it is about the files as they are, and that is proved."""
        return now.proved and now.digest == self.files.digest

    def change(self, now: Snapshot, early: str) -> Change:
        """What happened to the files since; `early` is as in `Change`."""
        return Change(self.verdict, self.files, now, now.changed(self.files), early)


class Slot(msgspec.Struct):
    """What is known of one probe."""

    probe: Probe
    latest: Given | None = None
    """Its latest whole verdict that was worth keeping: what an early one starts from."""
    under: Scope | None = None
    """The scope that `latest` was given under, or that `start` is about."""
    start: Given | None = None
    """No verdict, and the files before the first change; until there is a whole one."""
    written: set[str] = set()
    """What the agent has changed since."""
    early: tuple[Verdict, str, Verdict] | None = None
    """What the latest early verdict started from, the digest of the files that it is about, and itself."""
    own: Own = Own()
    """What the probe itself changes each time it runs."""
    restless: bool = False
    """Its scope changed during each of its latest runs: it changes that itself."""
    cut: int = 0
    """Runs in a row that were cut off for what was heard: one that goes on changing files itself is let be."""
    asked: tuple[str, int, int] = NEVER
    """The state of files, of what is outside and of variables that `words` and `scope` are about."""
    words: str = ""
    scope: Scope | None = None

    def begin(self, files: Snapshot, scope: Scope) -> None:
        """These are the files before the first change."""
        if self.latest is None:
            self.start, self.under = Given(Verdict(self.probe.name, "cancelled"), files), scope

    def base(self, files: Snapshot) -> Given | None:
        """What an early verdict on these starts from: the latest whole one, else the files before the first change,
        where all that the agent wrote since shows beside them."""
        if self.latest is not None or self.start is None:
            return self.latest
        return self.start if self.written and self.written <= files.changed(self.start.files) else None


class Work(msgspec.Struct):
    """One call for verdicts."""

    final: bool = False
    """For the gate: whole verdicts, and every proof is a sweep."""
    behind: bool = False
    """Nobody waits: runs have the lowest priority."""
    baseline: bool = False
    """About the files before the first change."""
    first: str = ""
    """Their digest, where nothing can have changed while they were looked at."""
    round: int = 0
    """The round in which it was asked for."""
    cut: str = ""
    """Why its runs are ended before their time, where that is not for other files."""
    given: dict[str, Given] = {}
    tries: Counter[str] = msgspec.field(default_factory=Counter)
    moved: dict[str, frozenset[str]] = {}
    did: dict[str, Own] = {}
    """By probe: what it changed in each of its runs."""

    def forget(self, name: str) -> None:
        """Drop what was given so far, by this probe alone or, without one, by any: it is asked for again."""
        for each in [name] if name else list(self.given):
            self.given.pop(each, None)


def minded(
    stirred: frozenset[str], probe: Probe, narrow: tuple[Snapshot, Snapshot], whole: tuple[Snapshot, Snapshot]
) -> frozenset[str]:
    """Those that its verdict can depend on: before or after, they are among the files that it does, or nowhere."""

    def among(path: str, looks: tuple[Snapshot, Snapshot]) -> bool:
        return path in looks[0].files or path in looks[1].files

    return frozenset(path for path in stirred if among(path, narrow) or (not among(path, whole) and probe.minds(path)))


def short_key(slot: Slot, now: Snapshot, scope: Scope) -> str:
    """What a verdict shows of its key."""
    return key(slot.probe.name, slot.probe.narrow(now), scope)[:12]


def shown_paths(paths: Collection[str]) -> str:
    """The first few, in words."""
    return ", ".join(sorted(paths)[:3])


def held_under(words: str, scope: Scope) -> tuple[str, Scope] | None:
    """What has to be the same for a verdict to hold; None where that cannot be told."""
    return (words, scope) if scope.outside is not None else None
