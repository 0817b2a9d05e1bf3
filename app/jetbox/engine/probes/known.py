"""Failures that were there before the session's first change, told apart from new ones."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from jetbox.engine.probes.base import Verdict

FILE = "known.json"
FORMAT = 1
STATES = 100
"""States of the files whose failures are kept between sessions."""
NAMES_OF_ONE = 2_000
"""A state with more failures is not kept between sessions."""
NAMES_OF_ALL = 10_000
SHOWN = 3

_JUDGED = ("passed", "failed", "error")
_PLACE = r"^(?P<file>[^:\n]+):\d+:\d+(?=[:\s])"
_COUNT = r"^(?P<lead>.*?)(?P<count>\d+ of \d+) failed\b"


class _State(msgspec.Struct, frozen=True, array_like=True):
    probe: str
    key: str
    failing: list[str]


class _Store(msgspec.Struct, frozen=True):
    format: int = 0
    states: list[_State] = []


class KnownFailures:
    """Which names of `Verdict.failing` were red before the first change of this session.

    Nothing known: nothing is called known. What was red then and was mended since is still
    known where it is red once more.
    """

    def __init__(self, store: Path | None, write: Callable[[Callable[[], object]], None] | None = None) -> None:
        """`store` is the folder, outside the workspace, where states are kept between sessions.

        `write` does work that blocks, one after the other; without it, it is done at once.
        """
        self._file = store / FILE if store is not None else None
        self._write = write or _at_once
        self._kept: OrderedDict[tuple[str, str], list[str]] | None = None
        self._before: dict[str, tuple[str, ...]] = {}

    def has(self, probe: str) -> bool:
        """True where it is known what was red before the first change."""
        return probe in self._before

    def baseline(self, verdict: Verdict) -> None:
        """Take a verdict on the files as they were before the first change; others than whole ones say nothing."""
        if verdict.state not in _JUDGED or verdict.cache == "partial" or not verdict.proved:
            return
        if verdict.red and not verdict.failing:
            return
        self._before[verdict.name] = verdict.failing
        if verdict.key and verdict.durable:
            self._keep(verdict.name, verdict.key, verdict.failing)

    def forget(self, probe: str) -> None:
        """What was taken for its baseline, and what is kept of it, was wrong."""
        self._before.pop(probe, None)
        kept = self._states()
        for filed in [filed for filed in kept if filed[0] == probe]:
            del kept[filed]
        self._save()

    def recall(self, probe: str, key: str) -> bool:
        """Take the baseline from an earlier session that began with exactly this state (`Verdict.key`).

        For a session whose first change came before its own baseline; True where there was one.
        """
        failing = self._states().get((probe, key)) if key else None
        if failing is None or probe in self._before:
            return False
        self._before[probe] = tuple(failing)
        return True

    def split(self, verdict: Verdict) -> Verdict:
        """The verdict with `known` filled, and its summary in these terms; others as they are.

        `failing` has to be complete: a name that is left out would count as neither.
        """
        if not verdict.red or not (verdict.failing or verdict.known):
            return verdict
        known, new = told_apart(verdict.failing, self._before.get(verdict.name, ()))
        if not known and not verdict.known:
            return verdict
        return msgspec.structs.replace(verdict, known=known, summary=_summary(verdict, len(known), new))

    def load(self) -> None:
        """Read what earlier sessions kept. Blocks; done once, and at the latest when it is needed."""
        self._states()

    def _states(self) -> OrderedDict[tuple[str, str], list[str]]:
        if self._kept is None:
            from jetbox.engine.probes.stored import load

            found = load(self._file, _Store) if self._file is not None else None
            states = found.states if found is not None and found.format == FORMAT else []
            self._kept = OrderedDict(((state.probe, state.key), state.failing) for state in states)
        return self._kept

    def _keep(self, probe: str, key: str, failing: tuple[str, ...]) -> None:
        kept = self._states()
        if self._file is None or len(failing) > NAMES_OF_ONE or kept.get((probe, key)) == list(failing):
            return
        kept[probe, key] = list(failing)
        kept.move_to_end((probe, key))
        names = sum(map(len, kept.values()))
        while len(kept) > STATES or names > NAMES_OF_ALL:
            names -= len(kept.popitem(last=False)[1])
        self._save()

    def _save(self) -> None:
        if self._file is not None:
            from jetbox.engine.probes.stored import save

            file = self._file
            kept = _Store(FORMAT, [_State(*filed, names) for filed, names in self._states().items()])
            self._write(lambda: save(file, kept))


def _at_once(work: Callable[[], object]) -> None:
    work()


def told_apart(failing: Sequence[str], before: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Known and new ones.

    A finding `path:line:column what` is known where there were as many like it in the file:
    lines move when something is written above them.
    """
    exact = Counter(before)
    left: Counter[str] = Counter()
    known: set[int] = set()
    for at, name in enumerate(failing):
        if exact[name]:
            exact[name] -= 1
            known.add(at)
    for name, count in exact.items():
        left[_placeless(name)] += count
    for at, name in enumerate(failing):
        moved = _placeless(name)
        if at not in known and moved != name and left[moved]:
            left[moved] -= 1
            known.add(at)
    return (
        tuple(name for at, name in enumerate(failing) if at in known),
        tuple(name for at, name in enumerate(failing) if at not in known),
    )


def _placeless(name: str) -> str:
    return re.sub(_PLACE, r"\g<file>", name)


def _summary(verdict: Verdict, known: int, new: tuple[str, ...]) -> str:
    count = len(verdict.failing)
    if verdict.state == "error":
        words = re.sub(r", all known from before$| \(\d+ known from before\)$", "", verdict.summary)
        return words + ("" if not known else f" ({known} known from before)" if new else ", all known from before")
    found = re.match(_COUNT, verdict.summary, re.DOTALL)
    names = ", ".join(_short(name) for name in new[:SHOWN]) + (", …" if len(new) > SHOWN else "")
    if new and known:
        lead = found["lead"] if found else ""
        return f"{lead}{len(new)} new of {count} {_noun(verdict)}: {names} ({known} known)"
    head = f"{found['lead']}{found['count']} failed" if found else f"{count} {_noun(verdict)}"
    if new:
        return f"{head}: {names}"
    every = {1: "", 2: " both"}.get(count, " all")
    return f"{head},{every} known from before"


def _noun(verdict: Verdict) -> str:
    if verdict.name == "pytest":
        return "failed"
    return "problem" if len(verdict.failing) == 1 else "problems"


def _short(name: str) -> str:
    return name.rpartition("::")[2] if "::" in name else name
