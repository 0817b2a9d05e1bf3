"""The probe engine: runs what has to be run, serves what is proved, and never tells of older files."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from jetbox.engine.clock import monotonic
from jetbox.engine.errors import JetboxError
from jetbox.engine.options import PerformanceOptions, ProbeOptions
from jetbox.engine.probes.base import Probe, Scope, Verdict
from jetbox.engine.probes.cache import VerdictCache, key
from jetbox.engine.probes.fingerprint import Snapshot, Tree
from jetbox.engine.probes.inscope import out_of_scope
from jetbox.engine.probes.interpreter import Interpreters
from jetbox.engine.probes.pytest import PytestProbe
from jetbox.engine.probes.ruff import RuffProbe
from jetbox.engine.safety.process import ProcessRunner

ATTEMPTS = 3
"""Runs of a probe for one verdict before files that keep changing are an error."""

FRESH_NS = 5_000_000
"""A sweep older than this is made again before a verdict is served from it."""

PROGRAM = (".py", ".pyi", ".pyx", ".ipynb", ".toml", ".cfg", ".ini")

OnStart = Callable[[str, str], None]
"""Takes a probe's name and why it runs."""
OnEnd = Callable[[Verdict], None]


class _Given(msgspec.Struct, frozen=True):
    """A verdict, and the files that it is about."""

    verdict: Verdict
    files: Snapshot
    own: frozenset[str] = frozenset()
    """Shapes of the files that the probe itself changes each time it runs."""
    told: bool = False

    def holds(self, now: Snapshot) -> bool:
        """True where it is about the files as they are."""
        if not now.proved:
            return True
        return now.digest == self.files.digest or (bool(self.own) and _shapes(now.changed(self.files)) <= self.own)


class _Work(msgspec.Struct):
    """One call for verdicts."""

    given: dict[str, _Given] = {}
    tries: Counter[str] = msgspec.field(default_factory=Counter)
    moved: dict[str, frozenset[str]] = {}


class ProbeEngine:
    """Implements `Probes` with plain runs and a cache that is checked by a sweep."""

    def __init__(
        self,
        workspace_root: Path,
        processes: ProcessRunner,
        options: ProbeOptions,
        performance: PerformanceOptions,
        *,
        on_start: OnStart,
        on_end: OnEnd,
        python: Path | None = None,
        probes: Sequence[Probe] | None = None,
    ) -> None:
        """`python` goes before the configured interpreter; `probes` stand in for ruff and pytest.

        `on_end` is called for each verdict that is given and for each run that was dropped
        (state `cancelled`), so that it follows each `on_start`.
        """
        self.tree = Tree(workspace_root, out_of_scope)
        self.interpreters = Interpreters(workspace_root, processes, str(python or options.python))
        if probes is None:
            probes = (
                RuffProbe(workspace_root, processes, options, self.tree, self.interpreters),
                PytestProbe(workspace_root, processes, options, performance, self.tree, self.interpreters),
            )
            wanted = {"ruff": options.ruff, "pytest": options.pytest}
            probes = tuple(probe for probe in probes if wanted[probe.name])
        self._probes = tuple(probes) if options.enabled else ()
        self._parallel = performance.probe_parallel
        self._caching = performance.probe_cache
        self._on_start = on_start
        self._on_end = on_end
        self._cache = VerdictCache()
        self._lock = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()
        self._early: asyncio.Task[None] | None = None
        self._ahead: dict[str, _Given] = {}
        self._own: dict[str, frozenset[str]] = {}
        self._closed = False

    def start(self, why: str) -> None:
        """Begin now what `verdicts` will ask for; `why` is for people who read a trace."""
        if self._closed or not self._probes or (self._early is not None and not self._early.done()):
            return
        self._early = asyncio.create_task(self._work_ahead(), name=f"probes: {why}")

    async def verdicts(self, *, final: bool = False) -> list[Verdict]:
        """Verdicts about the files as they are; every call sweeps, so `final` asks for nothing more."""
        early, self._early = self._early, None
        if early is not None:
            await early
        if self._closed or not self._probes:
            return []
        async with self._lock:
            work = _Work(given=self._ahead)
            self._ahead = {}
            await self._settle(work)
            if self._closed:
                return []
            given = [work.given[probe.name] for probe in self._probes]
            for one in given:
                if not one.told:
                    self._on_end(one.verdict)
            return [one.verdict for one in given]

    def wrote(self, paths: tuple[str, ...]) -> None:
        """End runs that are about older files; where verdicts are awaited, they begin anew."""
        if not paths:
            return
        if any(self._is_left_out(path) for path in paths):
            # The sweep does not see it, and yet a test may read it: no verdict from before holds.
            self._cache = VerdictCache()
            self._ahead = {}
        for task in tuple(self._running):
            task.cancel()

    def _is_left_out(self, path: str) -> bool:
        """Whether the agent's own file lies where the sweep does not look."""
        parts = path.split("/")
        folder = str(self.tree.root)
        for at, name in enumerate(parts):
            if out_of_scope(folder, name, directory=at < len(parts) - 1):
                return True
            folder = f"{folder}/{name}"
        return False

    async def close(self) -> None:
        """End everything that still runs."""
        self._closed = True
        early, self._early = self._early, None
        tasks = [*self._running, *([early] if early is not None else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _work_ahead(self) -> None:
        async with self._lock:
            work = _Work()
            await self._settle(work)
            self._ahead = {name: one for name, one in work.given.items() if one.told}

    async def _settle(self, work: _Work) -> None:
        """Work until every probe has a verdict that holds of the same, present files."""
        while not self._closed:
            asked = monotonic()
            now = await self.tree.sweep()
            swept = monotonic()
            asking = [probe for probe in self._probes if not self._has(work, probe, now)]
            runs: list[tuple[Probe, Scope]] = []
            for probe in asking:
                scope = await self._serve(work, probe, now, asked)
                if scope is not None:
                    runs.append((probe, scope))
            if monotonic() - swept > FRESH_NS and (await self.tree.sweep()).digest != now.digest:
                continue
            if not runs:
                return
            # What changed while probes ran side by side is known by whom only when each runs alone.
            alone = not self._parallel or work.tries.total() > 0
            try:
                async with asyncio.TaskGroup() as group:
                    for probe, scope in runs[:1] if alone else runs:
                        task = group.create_task(self._run(work, probe, scope, now))
                        self._running.add(task)
                        task.add_done_callback(self._running.discard)
            except BaseExceptionGroup as failures:
                # What a callback could not write to the disk is for the session as it is.
                raise failures.exceptions[0] from None

    @staticmethod
    def _has(work: _Work, probe: Probe, now: Snapshot) -> bool:
        given = work.given.get(probe.name)
        return given is not None and given.holds(now)

    async def _serve(self, work: _Work, probe: Probe, now: Snapshot, asked: int) -> Scope | None:
        """Give a verdict without a run where there is one; else what the run's key needs."""
        name = probe.name
        if work.tries[name] >= ATTEMPTS:
            shown = ", ".join(sorted(work.moved.get(name, ()))[:3])
            summary = f"files keep changing while it runs: {shown}"
            work.given[name] = _Given(Verdict(name, "error", summary, cache="none", durable=False), now)
            return None
        words = await probe.skip()
        if words:
            spent = monotonic() - asked
            work.given[name] = _Given(Verdict(name, "skipped", words, duration_ns=spent, cache="none"), now)
            return None
        scope = await probe.scope()
        hit = self._cache.get(name, now, scope) if self._caching else None
        if hit is None:
            return scope
        self._cache.judged(name, now, scope, hit.state)
        work.given[name] = _Given(msgspec.structs.replace(hit, duration_ns=monotonic() - asked), now)
        return None

    async def _run(self, work: _Work, probe: Probe, scope: Scope, before: Snapshot) -> None:
        name = probe.name
        why = self._cache.why(name, before, scope) if self._caching else "the cache is off"
        self._on_start(name, why)
        try:
            verdict = await self._tried(probe)
            after = await self.tree.sweep()
            unchanged = await probe.scope() == scope
        except asyncio.CancelledError:
            self._on_end(Verdict(name, "cancelled", "the files changed", cache="none", why=why, durable=False))
            raise
        verdict = msgspec.structs.replace(verdict, key=key(name, before, scope)[:12], why=why)
        moved = after.changed(before) if after.proved else frozenset()
        self._cache.judged(name, after, scope, verdict.state)
        if not moved:
            if self._caching and verdict.durable and unchanged and after.proved:
                self._cache.put(name, after, scope, verdict)
            self._give(work, _Given(verdict, after, told=True))
            return
        self._moved(work, verdict, after, moved)

    def _moved(self, work: _Work, verdict: Verdict, after: Snapshot, moved: frozenset[str]) -> None:
        """Files changed during a run: drop its verdict, unless the probe writes these files each time.

        A probe that writes program text is not believed to be the writer: that is what people
        and agents change, and a verdict about older text would be given as new.
        """
        name = verdict.name
        work.tries[name] += 1
        earlier = work.moved.get(name, frozenset())
        work.moved[name] = earlier | moved
        shown = ", ".join(sorted(moved)[:3])
        own = self._own.get(name, frozenset()) | _shapes(earlier)
        if _shapes(moved) <= own and not any(path.endswith(PROGRAM) for path in moved):
            self._own[name] = own
            kept = msgspec.structs.replace(verdict, why=f"{verdict.why}; not kept: it changes {shown}", durable=False)
            self._give(work, _Given(kept, after, own=own, told=True))
        else:
            self._on_end(
                msgspec.structs.replace(verdict, state="cancelled", summary=f"changed while it ran: {shown}", output="")
            )

    def _give(self, work: _Work, given: _Given) -> None:
        work.given[given.verdict.name] = given
        self._on_end(given.verdict)

    @staticmethod
    async def _tried(probe: Probe) -> Verdict:
        try:
            return await probe.run()
        except JetboxError as error:
            words = f"{error.message}; {error.hint}" if error.hint else error.message
        except OSError as error:
            words = f"it cannot be started: {error.strerror or error}"
        return Verdict(probe.name, "error", words, cache="none", durable=False)


def _shapes(paths: frozenset[str]) -> frozenset[str]:
    """Paths without their numbers and random parts: `out/run-17.txt` is what `out/run-18.txt` was."""
    return frozenset(re.sub(r"tmp[a-z0-9_]{8}|[0-9a-f]*[0-9][0-9a-f]*", "#", path) for path in paths)
