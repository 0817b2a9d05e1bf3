"""Verdicts that nobody waits for: they come late, and are told only where they are about the files as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import msgspec

from jetbox.engine.probes.base import Probe, Verdict
from jetbox.engine.probes.fingerprint import Snapshot
from jetbox.engine.probes.proof import Proof
from jetbox.engine.probes.settle import Settler
from jetbox.engine.probes.slots import Given, Work
from jetbox.engine.tasks import end_tasks

LOOK_S = 0.02
"""How often it is looked whether one of several probes has turned red."""


class Task(msgspec.Struct):
    """Work that goes on by itself."""

    work: Work
    task: asyncio.Task[None]
    files: str = ""
    """Digest of the files that it began with; empty where that does not matter."""
    told: dict[str, Given] = {}
    """By probe: the verdict that was given while it went on."""

    def stands(self, name: str) -> bool:
        """Whether what was given is what it has come to: where files change meanwhile, the probe is run again."""
        told, given = self.told.get(name), self.work.given.get(name)
        if told is None or given is None:
            return False
        same = told.files.digest == given.files.digest and told.verdict.failing == given.verdict.failing
        return told is given or (same and told.verdict.state == given.verdict.state)


class Unawaited:
    """What is asked for without waiting, and what has come of it."""

    def __init__(
        self,
        probes: Sequence[Probe],
        files: Proof,
        settler: Settler,
        *,
        give: Callable[[Work, frozenset[str]], list[Verdict]],
        on_end: Callable[[Verdict], None],
        round_of: Callable[[], int],
    ) -> None:
        """`give` hands out what a work has come to, but for the probes that are named."""
        self._narrow = {probe.name: probe.narrow for probe in probes}
        self._files = files
        self._settler = settler
        self._give = give
        self._on_end = on_end
        self._round_of = round_of
        self._late: Task | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        """Cancelled, and not gone yet."""
        self._news: list[Given] = []

    @property
    def pending(self) -> tuple[str, ...]:
        """Names of the probes that still work on the present files."""
        late = self._late
        if late is None or late.task.done():
            return ()
        now, told = self._files.last, late.told
        return tuple(n for n, narrow in self._narrow.items() if n not in told or not told[n].holds(narrow(now)))

    def add(self, news: Iterable[Given]) -> None:
        """Tell of these too, as long as they hold."""
        self._news += news

    def forget(self, name: str = "") -> None:
        """Tell nothing that has come so far, of this probe or of any: it may not hold though the files are the same."""
        self._news = [one for one in self._news if name and one.verdict.name != name]
        if self._late is not None and name:
            # Where other probes still run, this one is run again after them.
            self._late.work.given.pop(name, None)
            self._late.told.pop(name, None)

    async def at_once(self, ahead: Task | None) -> list[Verdict]:
        """What is there, or served without a run; the rest of what was begun `ahead`, or begins now, comes late."""
        old, self._late = self._late, None
        if old is not None and not old.task.done():
            # What it ran needs a while to be gone, and nobody has to wait for that here.
            old.task.cancel()
            self._leaving.add(old.task)
            old.task.add_done_callback(self._leaving.discard)
        fresh = ahead is None or ahead.task.done()
        if ahead is None or ahead.task.done():
            work = ahead.work if ahead is not None else Work(round=self._round_of())
            ahead = Task(work, asyncio.create_task(self._after_leaving(work)))
        self._late = begun = ahead
        try:
            if fresh:
                # One turn: enough for what needs no run, and before anything else begins to work.
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            await end(begun)
            raise
        if begun.task.done():
            self._late = None
            await self._settler.settle(begun.work)
            return self._give(begun.work, frozenset())
        held = self._ended(begun, await self._files.now()) if begun.work.given else []
        begun.task.add_done_callback(lambda _: self._came(begun))
        return [one.verdict for one in held]

    def _ended(self, late: Task, now: Snapshot) -> list[Given]:
        """What has ended and holds, though other probes still work, and is told from here on."""
        given = late.work.given
        fresh = [(name, narrow) for name, narrow in self._narrow.items() if name in given and not late.stands(name)]
        held = [name for name, narrow in fresh if given[name].holds(narrow(now))]
        late.told |= {name: given[name] for name in held}
        for name in held:
            if not given[name].told:
                self._on_end(given[name].verdict)
        return [given[name] for name in held]

    async def _after_leaving(self, work: Work) -> None:
        if self._leaving:
            await asyncio.wait(set(self._leaving))
        await self._settler.settle(work)

    def _came(self, late: Task) -> None:
        """The rest of what the next request did not wait for is there."""
        if late.task.cancelled() or late.task.exception() is not None or self._settler.closed:
            return
        told = frozenset(filter(late.stands, late.told))
        self._give(late.work, told)
        self._news += [one for name, one in late.work.given.items() if name not in told]

    async def late(self) -> list[Verdict]:
        """Verdicts that came since they were asked for; those on older files are dropped."""
        await self._look()
        asked = tuple(self._news)
        held = await self._held(asked)
        # What came meanwhile is for the next one who asks.
        self._news = [one for one in self._news if not _among(one, asked)]
        return held

    async def coming(self) -> list[Verdict]:
        """What `late` will give, once something is red or nothing is pending."""
        while (late := self._late) is not None and not late.task.done():
            await self._look()
            held = await self._held(tuple(self._news))
            if any(verdict.red for verdict in held):
                return held
            await asyncio.wait({late.task}, timeout=LOOK_S)
        if self._late is not None:
            await asyncio.wait({self._late.task})  # until `_came` has been called, too
        return await self._held(tuple(self._news))

    async def _look(self) -> None:
        """What has ended is news, though other probes still work."""
        late = self._late
        if late is None or all(map(late.stands, late.work.given)):
            return
        now = await self._files.now()
        if self._late is late and not late.task.done() and not self._settler.closed:
            self._news += self._ended(late, now)

    async def _held(self, asked: tuple[Given, ...]) -> list[Verdict]:
        if not asked:
            return []
        now = await self._files.now()
        held = []
        for one in asked:
            if one.holds(self._narrow[one.verdict.name](now)) and await self._settler.still(one, now):
                held.append(one)
        # Some may have been forgotten while that was asked.
        verdicts, present = [one.verdict for one in held if _among(one, self._news)], self._round_of()
        return [msgspec.structs.replace(v, of_round=v.of_round if v.of_round != present else 0) for v in verdicts]

    def cancel(self) -> None:
        """What goes on is about older files."""
        if self._late is not None:
            self._late.task.cancel()

    async def end(self, words: str = "", *, wait: bool = False) -> None:
        """End what goes on, for a reason in words; `wait` for what was cancelled before, too."""
        if self._late is not None:
            self._late.work.cut = words
        await end(self._late)
        if wait and self._leaving:
            await asyncio.wait(set(self._leaving))


def _among(one: Given, others: Iterable[Given]) -> bool:
    """Whether it is there itself: another one may be equal to it."""
    return any(one is other for other in others)


async def end(one: Task | None) -> None:
    """Cancel it where it goes on, and wait until it is gone."""
    if one is not None:
        await end_tasks(one.task)
