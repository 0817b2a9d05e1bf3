"""Verdicts on the disk: one file for each workspace, read as nothing where it is damaged or not ours."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

import jetbox
from jetbox.engine.probes.base import Scope, Verdict
from jetbox.engine.probes.cache import Kept, Last, Memory
from jetbox.engine.probes.fingerprint import Snapshot
from jetbox.engine.probes.stored import load, save

FILE = "verdicts.json"
FORMAT = 1
OF_ONE = 20
"""Verdicts kept of each probe."""
BYTES = 1024 * 1024
"""Of text in all verdicts together."""
ENTRIES = 50_000
"""Of files in all lists together."""
AGE_S = 24 * 3600.0
"""An older verdict is found out anew: what a test reads besides files (a date, a service) is in no key."""


class _Verdict(msgspec.Struct, frozen=True):
    key: str
    at: float
    verdict: Verdict


class _Probe(msgspec.Struct, frozen=True):
    name: str
    verdicts: list[_Verdict]
    state: str = ""
    scope: Scope | None = None
    digest: str = ""


class _Store(msgspec.Struct, frozen=True):
    format: int = 0
    made_by: str = ""
    machine: str = ""
    probes: list[_Probe] = []
    lists: dict[str, dict[str, tuple[int, str]]] = {}
    """Files of the latest states, by digest: probes with the same scope share one."""


def read(store: Path, now: float) -> dict[str, Memory]:
    """What earlier processes kept, without what is too old; `now` is wall time in s. Blocks."""
    found = load(store / FILE, _Store)
    if found is None or (found.format, found.made_by, found.machine) != _identity():
        return {}
    memories = {}
    for probe in found.probes:
        kept = OrderedDict(
            (one.key, Kept(one.verdict, one.at))
            for one in probe.verdicts
            if 0 <= now - one.at <= AGE_S and one.verdict.name == probe.name and _worth_keeping(one.verdict)
        )
        last = None
        if probe.scope is not None:
            files = found.lists.get(probe.digest)
            snapshot = Snapshot(probe.digest, files) if files is not None else None
            last = Last(probe.state, probe.scope, probe.digest, snapshot)
        memories[probe.name] = Memory(kept, last)
    return memories


def write(store: Path, memories: Mapping[str, Memory], now: float, redact: Callable[[str], str] | None) -> bool:
    """Replace the file, keeping what other processes wrote meanwhile; False where the disk did not let us. Blocks."""
    merged = read(store, now)
    for name, memory in memories.items():
        older = merged.setdefault(name, Memory())
        older.kept = OrderedDict({**{k: v for k, v in older.kept.items() if k not in memory.kept}, **memory.kept})
        older.last = memory.last or older.last
    left = BYTES
    lists: dict[str, dict[str, tuple[int, str]]] = {}
    probes = []
    for name, memory in merged.items():
        verdicts, left = _bounded(memory, left, now, redact)
        last = memory.last
        probes.append(
            _Probe(name, verdicts, last.state, last.scope, last.digest) if last is not None else _Probe(name, verdicts)
        )
        files = last.files if last is not None else None
        if last is None or files is None or not files.proved:
            continue
        if sum(map(len, lists.values())) + len(files.files) <= ENTRIES:
            lists[last.digest] = files.files
    format, made_by, machine = _identity()
    # A name that is no text cannot stand in the file: then it goes without the lists.
    return any(save(store / FILE, _Store(format, made_by, machine, probes, kept)) for kept in (lists, {}))


def remove(store: Path) -> None:
    """Nothing is kept any more."""
    with suppress(OSError):
        os.unlink(store / FILE)


def _bounded(memory: Memory, left: int, now: float, redact: Callable[[str], str] | None) -> tuple[list[_Verdict], int]:
    """The newest verdicts, oldest first, and how many bytes there is room for after them."""
    found: list[_Verdict] = []
    for key, kept in reversed(memory.kept.items()):
        verdict = kept.verdict
        size = len(verdict.output) + len(verdict.summary) + sum(map(len, verdict.failing))
        if len(found) >= OF_ONE or size > left:
            break
        if not 0 <= now - kept.at <= AGE_S or not _worth_keeping(verdict):
            continue
        left -= size
        # What was known from before an earlier session says nothing of a later one.
        verdict = msgspec.structs.replace(verdict, of_round=0, baseline=False, why="", inputs={}, slow="")
        if redact is not None:
            verdict = msgspec.structs.replace(
                verdict,
                summary=redact(verdict.summary),
                output=redact(verdict.output),
                failing=tuple(map(redact, verdict.failing)),
                known=tuple(map(redact, verdict.known)),
            )
        found.append(_Verdict(key, kept.at, verdict))
    return found[::-1], left


def _worth_keeping(verdict: Verdict) -> bool:
    return (
        verdict.durable
        and verdict.proved
        and verdict.cache == "ran"
        and verdict.state in ("passed", "failed", "error", "skipped")
    )


def _identity() -> tuple[int, str, str]:
    """Format, and what wrote it where: another version may judge otherwise, another machine is another."""
    system = os.uname() if hasattr(os, "uname") else ()
    return FORMAT, jetbox.__version__, " ".join(map(str, system[:3] + system[4:])) if system else ""
