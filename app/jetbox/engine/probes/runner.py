"""The probe engine: runs what has to be run, serves what is proved, and never tells of older files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from jetbox.engine.clock import monotonic
from jetbox.engine.options import PerformanceOptions, ProbeOptions
from jetbox.engine.probes.base import Probe, Verdict
from jetbox.engine.probes.cache import VerdictCache
from jetbox.engine.probes.choose import choose_probes
from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.inscope import left_out, out_of_scope
from jetbox.engine.probes.known import KnownFailures
from jetbox.engine.probes.proof import Proof
from jetbox.engine.probes.pytest import PytestProbe
from jetbox.engine.probes.ruff import RuffProbe
from jetbox.engine.probes.settle import OnEnd, OnStart, Settler
from jetbox.engine.probes.slots import Given, Work
from jetbox.engine.probes.snapshot import Snapshot
from jetbox.engine.probes.unawaited import Task, Unawaited, end
from jetbox.engine.probes.unread import Unread
from jetbox.engine.safety.process import ProcessRunner
from jetbox.engine.tasks import end_tasks

OTHERS = ("you", "git", "command")
"""Whose changes end runs as soon as they are heard of; the agent's own are told of at once, by `wrote`."""

UNKNOWN = "the first change came before the probes had ended: what failed before it cannot be told from what is new"


class ProbeEngine:
    """Implements `Probes`."""

    def __init__(
        self,
        workspace_root: Path,
        processes: ProcessRunner,
        options: ProbeOptions,
        performance: PerformanceOptions,
        *,
        on_start: OnStart,
        on_end: OnEnd,
        round_of: Callable[[], int] = lambda: 0,
        on_notice: Callable[[str], None] = lambda words: None,
        python: Path | None = None,
        read_outside: Sequence[str] = (),
        store: Path | None = None,
        redact: Callable[[str], str] | None = None,
        probes: Sequence[Probe] | None = None,
    ) -> None:
        """`python` goes before the configured interpreter; `probes` stand in for those of the options.

        What `read_outside` names may come and go: what can be read is part of each scope.

        `on_end` is called for each verdict that is given and for each run that was dropped
        (state `cancelled`), so that it follows each `on_start`. `round_of` tells the present
        round. What is worth keeping between sessions goes into `store`, text by way of `redact`.
        """
        self.tree = Tree(workspace_root, out_of_scope)
        self.files = Proof(self.tree, watch=performance.probe_inotify)
        # A name in each has the way to it noticed, and not all that lies there.
        self.files.outside(os.path.join(os.path.abspath(os.path.expanduser(path)), ".jetbox") for path in read_outside)
        self._ruff: RuffProbe | None = None
        self._final = False
        """At the gate nothing is taken as it was."""
        if probes is None:
            chosen = choose_probes(workspace_root, processes, options, performance, self.tree, python, store, on_notice)
            probes, self._ruff, self.interpreters = chosen.probes, chosen.ruff, chosen.interpreters
            self.interpreters.moves = lambda places: None if self._final else self.files.counted(places)
        probes = probes if options.enabled else ()
        self._wait = options.wait
        self._ttl_ns = int(performance.probe_ttl_s * 1e9)
        self._baseline = performance.probe_baseline and performance.probe_cache
        self._begin_early = performance.probe_early
        self._lint = performance.lint_candidates
        self._round_of = round_of
        self._known = KnownFailures(store, self._write)
        self._settler = Settler(
            probes,
            self.files,
            VerdictCache(store, redact=redact) if performance.probe_cache else None,
            self._known,
            parallel=performance.probe_parallel,
            told=Unread(self.tree, processes).told,
            on_start=on_start,
            on_end=on_end,
            round_of=round_of,
        )
        self.probes = tuple(probes)
        """What is checked."""
        self._pytests = [probe for probe in self.probes if isinstance(probe, PytestProbe)]
        for probe in self._pytests:
            probe.on_disproved = self._disproved
        self._on_end = on_end
        self._notice = on_notice
        self._first: Snapshot | None = None
        """The files before the first change, once they were looked at."""
        self._python = False
        """The agent has written Python."""
        self._cut = False
        """The first change came before all probes had judged those."""
        self._lock = asyncio.Lock()
        self._ahead: Task | None = None
        self._behind: Task | None = None
        self._unawaited = Unawaited(
            self.probes, self.files, self._settler, give=self._given, on_end=on_end, round_of=round_of
        )
        self._young: tuple[int, list[Verdict]] = (0, [])
        self._prepared = False
        self._heard = False
        """Something was heard since the files were looked at."""
        self._hearing: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._closed = False

    def prepare(self) -> None:
        """Start the servers, and look at the files as they are before the first change."""
        if self._closed or self._prepared or not self.probes:
            return
        self._prepared = True
        for probe in self.probes:
            probe.prepare()
        if self._baseline and self._wait != "off":
            self._set_behind(Work(behind=True, baseline=True))

    def start(self, why: str) -> None:
        """Begin now what `verdicts` will ask for; `why` is for people who read a trace."""
        busy = self._ahead is not None and not self._ahead.task.done()
        if self._closed or busy or not self.probes or not self._begin_early or self._wait == "off":
            return
        if self._python:
            for probe in self._pytests:
                probe.anticipate()
        work = Work(round=self._round_of())
        self._ahead = Task(work, asyncio.create_task(self._settler.settle(work), name=f"probes: {why}"))

    async def lint(self, path: str, text: str) -> str:
        """What ruff says of a text that is about to be written; empty where it has nothing to say in time."""
        if self._ruff is None or not self._lint or self._closed:
            return ""
        return await self._ruff.words(path, text)

    def expect(self, path: str, text: str | None) -> None:
        """A write of this file is on its way, with this text where that has come: begin with what it will need."""
        if self._closed or not self._begin_early:
            return
        for probe in self.probes:
            probe.prepare()
        if self._ruff is not None and self._lint:
            self._ruff.expect(path, text)

    def wrote(self, paths: tuple[str, ...], by: str = "agent") -> None:
        """End runs that are about older files; where verdicts are awaited, they begin anew."""
        if not paths:
            return
        if self._ruff is not None:
            self._ruff.wrote()
        for slot in self._settler.slots.values():
            slot.written.update(paths)
        self._python = self._python or any(path.endswith(".py") for path in paths)
        if self._settler.cache is not None:
            self._settler.cache.heard(paths, by)
        self._young = (0, [])
        if any(left_out(str(self.tree.root), path) for path in paths):
            # The sweep does not see it, and yet a test may read it: no verdict from before holds.
            self._settler.forget()
            self._unawaited.forget()
            if self._ahead is not None:
                self._ahead.work.forget("")
        if self._behind is not None:
            self._behind.task.cancel()
        self._unawaited.cancel()
        self._settler.under_way.stop()
        for probe in self._pytests:
            probe.compile(paths)

    def heard(self, paths: tuple[str, ...], by: str) -> None:
        """An observer saw who changed these files: a miss will say so, and runs about older files are over."""
        if self._settler.cache is not None:
            self._settler.cache.heard(paths, by)
        if by in OTHERS and self._settler.under_way.busy and not self._closed:
            self._heard = True
            if self._hearing is None or self._hearing.done():
                self._hearing = asyncio.create_task(self._hear(), name="probes: heard")

    async def _hear(self) -> None:
        """Look which runs are about older files, and let them begin anew."""
        while self._heard:
            self._heard = False
            await self.files.now()
            self._settler.under_way.stop_outdated(self.tree.last)
            behind = self._behind
            if behind is not None and behind.files and not behind.task.done():
                behind.files = self.tree.last.digest

    async def verdicts(self, *, final: bool = False) -> list[Verdict]:
        """Verdicts about the files as they are; for the gate whole ones, each proved by a sweep."""
        if self._closed or not self.probes or (self._wait == "off" and not final):
            return []
        stamp, young = self._young
        if young and not final and monotonic() - stamp < self._ttl_ns:
            return self._unproven(young)
        async with self._lock:
            if self._wait == "overlap" and not final:
                ahead, self._ahead = self._ahead, None
                return await self._unawaited.at_once(ahead)
            await self._unawaited.end("verdicts on everything were asked for")
            given = await self._settled(final=final)
        if self._ttl_ns:
            self._young = (monotonic(), given)
        return given

    async def whole(self) -> list[Verdict]:
        """The same as at the gate, because somebody wants to see it; what was pending is not lost by it."""
        pending = self.pending
        given = await self.verdicts(final=True)
        now, narrow = self.tree.last, {probe.name: probe.narrow for probe in self.probes}
        self._unawaited.add(Given(v, narrow[v.name](now)) for v in given if v.name in pending)
        return given

    async def _settled(self, *, final: bool) -> list[Verdict]:
        """Wait for every verdict."""
        self._final = final
        try:
            work = await self._take_ahead(final=final)
            await self._join_behind(work)
            await self._settler.settle(work)
        finally:
            self._final = False
        if self._closed:
            return []
        if final:
            for probe in self._pytests:
                probe.idle()
        return self._given(work)

    def _given(self, work: Work, skip: frozenset[str] = frozenset()) -> list[Verdict]:
        """Hand out what the work has come to, and begin with what stands behind early verdicts."""
        given = [work.given[probe.name] for probe in self.probes if probe.name in work.given]
        for one in given:
            if not one.told and one.verdict.name not in skip:
                self._on_end(one.verdict)
        if not all(one.whole for one in given):
            self._set_behind(Work(behind=True, round=self._round_of()))
        if self._cut and any(one.verdict.failing and not self._known.has(one.verdict.name) for one in given):
            self._cut = False  # told once
            self._notice(UNKNOWN)
        return [one.verdict for one in given]

    async def _take_ahead(self, *, final: bool) -> Work:
        """The work that was begun early, brought to its end; new work where there is none."""
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            return Work(final=final, round=self._round_of())
        try:
            await _ended(ahead.task)
        except asyncio.CancelledError:
            await end(ahead)
            raise
        ahead.work.final = final
        ahead.work.tries.clear()
        return ahead.work

    def _unproven(self, young: list[Verdict]) -> list[Verdict]:
        """Serve by age alone, and say so."""
        given = []
        for verdict in young:
            served = msgspec.structs.replace(
                verdict, cache="hit", proved=False, saved_ns=verdict.duration_ns, duration_ns=0, why=""
            )
            given.append(verdict if verdict.state == "skipped" else served)
            self._on_end(given[-1])
        return given

    @property
    def pending(self) -> tuple[str, ...]:
        """Names of the probes that still work on the present files."""
        return self._unawaited.pending

    async def late(self) -> list[Verdict]:
        """Verdicts that came since they were asked for; those on older files are dropped."""
        return await self._unawaited.late()

    async def coming(self) -> list[Verdict]:
        """What `late` will give, once something is red or nothing is pending."""
        return await self._unawaited.coming()

    def _set_behind(self, work: Work) -> None:
        """Begin with whole verdicts on the present files that nobody waits for."""
        if self._closed or (self._behind is not None and not self._behind.task.done()):
            return
        files = "" if work.baseline else self.tree.last.digest
        behind = Task(work, asyncio.create_task(self._work_behind(work), name="probes: behind"), files)
        behind.task.add_done_callback(lambda _: self._came_behind(behind))
        self._behind = behind

    async def _work_behind(self, work: Work) -> None:
        if work.baseline:
            from jetbox.engine.probes.reading import in_thread

            await in_thread(self._known.load)
            before = await self.files.now(sweep=True)
            for probe in self._pytests:
                probe.prepare()
            if self._behind is not None:
                self._behind.files = before.digest
            self._first = before
            # A command may have begun to change files.
            if before.proved and not self.files.blind and not self.files.stirred(0):
                work.first = before.digest
            for name, filed in await self._settler.keys(before):
                self._known.recall(name, filed)
        # Not again and again: once files change, it is about other files than it was begun for.
        await self._settler.settle(work)

    def _disproved(self, plain: Verdict, files: Snapshot) -> None:
        """A forked run was wrong, and so may be every verdict of one, the baseline's among them."""
        # Where other probes still run, this one is run again after them.
        self._settler.forget(plain.name)
        self._unawaited.forget(plain.name)
        for one in filter(None, (self._ahead, self._behind)):
            one.work.forget(plain.name)
        if self._known.has(plain.name):
            self._known.forget(plain.name)
            first = self._first is not None and self._first.digest == files.digest
            if first and plain.cache != "partial":
                self._known.baseline(plain)

    def _came_behind(self, behind: Task) -> None:
        cut = behind.task.cancelled()
        if self._closed or (not cut and behind.task.exception() is not None):
            return
        self._cut = self._cut or (cut and behind.work.baseline)
        narrow = {probe.name: probe.narrow for probe in self.probes}
        for name, one in behind.work.given.items():
            if behind.work.baseline:
                # Where a command changed files meanwhile, it has settled on those.
                if self._first is not None and one.holds(narrow[name](self._first)):
                    self._known.baseline(one.verdict)
            elif one.whole and one.verdict.red and not cut:
                self._unawaited.add([one])

    async def _join_behind(self, work: Work) -> None:
        """Let what runs behind come to its end where it works on the present files; else end it."""
        behind = self._behind
        if behind is None or behind.task.done():
            return
        now = await self.files.now(sweep=work.final)
        if behind.files == now.digest and (work.final or behind.work.baseline):
            for probe in self._pytests:
                probe.hurry()
            try:
                await asyncio.wait({behind.task})
            except asyncio.CancelledError:
                await end(behind)
                raise
        elif behind.files and behind.files != now.digest:
            await end(behind)

    def _write(self, work: Callable[[], object]) -> None:
        """Do what blocks in a thread, one after the other."""
        before = self._writing

        async def done() -> None:
            from jetbox.engine.probes.reading import in_thread

            if before is not None:
                await asyncio.wait({before})
            await in_thread(work)

        self._writing = asyncio.create_task(done(), name="probes: keep what is known")

    async def close(self) -> None:
        """End everything that still runs."""
        self._closed = self._settler.closed = True
        await end_tasks(self._hearing)
        for one in (self._ahead, self._behind):
            await end(one)
        await self._unawaited.end(wait=True)
        self._settler.under_way.stop()
        if self._writing is not None:
            await asyncio.wait({self._writing})
        for probe in self.probes:
            await probe.close()
        self.files.close()
        if self._settler.cache is not None:
            await self._settler.cache.save()


async def _ended(task: asyncio.Task[None]) -> None:
    """Wait for a task that is not ours to cancel; what it raised is raised here."""
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
