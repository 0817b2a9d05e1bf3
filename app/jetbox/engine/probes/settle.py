"""Brings every probe to a verdict that holds of the same, present files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from jetbox.engine.clock import monotonic
from jetbox.engine.errors import JetboxError
from jetbox.engine.probes.base import Probe, Scope, Verdict
from jetbox.engine.probes.cache import VerdictCache
from jetbox.engine.probes.fingerprint import Snapshot
from jetbox.engine.probes.interpreter import Answers, LookUp
from jetbox.engine.probes.known import KnownFailures
from jetbox.engine.probes.own import Own, seen
from jetbox.engine.probes.proof import Proof
from jetbox.engine.probes.reasons import Inputs
from jetbox.engine.probes.slots import (
    ATTEMPTS,
    NEVER,
    PROGRAM,
    SERVED,
    Given,
    Slot,
    Work,
    held_under,
    minded,
    short_key,
    shown_paths,
)
from jetbox.engine.probes.underway import UnderWay
from jetbox.engine.probes.variables import Variables

FRESH_NS = 5_000_000
"""A proof older than this is made again before a verdict is served from it."""

CHANGED_AROUND = "what it runs with changed while it ran"

OnStart = Callable[[str, str], None]
"""Takes a probe's name and why it runs."""
OnEnd = Callable[[Verdict], None]


class Settler:
    """Runs what has to be run, serves what is proved."""

    def __init__(
        self,
        probes: Sequence[Probe],
        files: Proof,
        cache: VerdictCache | None,
        known: KnownFailures,
        *,
        parallel: bool,
        told: Callable[[Verdict, Scope], Verdict],
        on_start: OnStart,
        on_end: OnEnd,
        round_of: Callable[[], int],
    ) -> None:
        """Without a `cache` every verdict is run for; `told` adds to one what a run under a scope could not read."""
        self.slots = {probe.name: Slot(probe) for probe in probes}
        self.files = files
        self.cache = cache
        self._memory = VerdictCache()
        self._inputs = Inputs()
        self._known = known
        self._parallel = parallel
        self._told_unread = told
        self._on_start = on_start
        self._on_end = on_end
        self._round_of = round_of
        self.under_way = UnderWay()
        self._variables = Variables()
        self._held: tuple[Snapshot, tuple[str, int, int], tuple[Given, ...]] | None = None
        """What was served, and under which state, since the latest run."""
        self.closed = False

    def forget(self, name: str = "") -> None:
        """Serve no verdict from before again; works under way lose what this probe, or any, gave them."""
        self._held = None
        self.under_way.forget(name)
        if self.cache is not None:
            self.cache.forget()
        for slot in self.slots.values():
            slot.latest = slot.start = None

    async def keys(self, now: Snapshot) -> list[tuple[str, str]]:
        """Name and key of each probe that applies to these files."""
        found, look = [], LookUp()
        for slot in self.slots.values():
            words, scope = await self._applies(slot, now, look)
            if not words:
                found.append((slot.probe.name, short_key(slot, now, scope)))
        return found

    async def still(self, given: Given, now: Snapshot, look: LookUp | None = None) -> bool:
        """True where nothing but files could have made it another one since."""
        slot = self.slots[given.verdict.name]
        return given.under is None or given.under == await self._applies(slot, now, look or LookUp())

    async def settle(self, work: Work) -> None:
        """Work until every probe has a verdict that holds of the same, present files."""
        with self.under_way.work(work):
            await self._settle(work)

    async def _settle(self, work: Work) -> None:
        if self.cache is not None:
            await self.cache.load()
        begun = 0
        """How many times the files were looked at."""
        asked, found = monotonic(), None
        if work.final or self.files.blind:
            found, served = await self._as_expected(work, asked)
            if served:
                return
        while not self.closed:
            looked, forgotten = monotonic(), self.under_way.forgotten
            asked = asked if found is not None else looked
            now, found = found or await self.files.now(sweep=work.final), None
            if not begun and self._as_before(work, now, asked):
                return
            if not begun and not now.proved:
                work.given.clear()  # nobody knows whether that is about the same files
            begun += 1
            since, outside = self.files.generation, self.files.outside_generation
            proved = monotonic()
            runs: list[tuple[Slot, Scope]] = []
            look = LookUp()
            for slot in self.slots.values():
                scope = await self._needs(work, slot, now, look, asked)
                if scope is not None:
                    runs.append((slot, scope))
            age = monotonic() - proved
            if age > FRESH_NS:
                # A sweep takes its time too: for as long again, what the kernel tells of since is enough.
                told = not self.files.blind and age < proved - looked
                again = await self.files.now(sweep=work.final and not told)
                if again.digest != now.digest or (self.files.outside_generation != outside and not self.files.blind):
                    continue
            if self.under_way.forgotten != forgotten:
                continue
            if not runs:
                if begun == 1:
                    self._keep(work, now)
                return
            young = self.files.young_s()
            if young and begun < ATTEMPTS:
                await asyncio.sleep(young)
                continue
            self._held = None
            # What changed while probes ran side by side is known by whom only when each runs alone.
            alone = not self._parallel or work.tries.total() > 0
            try:
                async with asyncio.TaskGroup() as group:
                    for slot, scope in runs[:1] if alone else runs:
                        task = group.create_task(self._run(work, slot, scope, now, since, bool(young)))
                        self.under_way.run(task, slot, now)
            except BaseExceptionGroup as failures:
                # What a callback could not write to the disk is for the session as it is.
                raise failures.exceptions[0] from None

    async def _as_expected(self, work: Work, asked: int) -> tuple[Snapshot | None, bool]:
        """Take the files for what they were, see what is served for those, and only then look at all of them: once.

        What they are found to be, where they were looked at, and whether all that was served holds of just that.
        """
        expected, outside, look = self.files.last, self.files.outside_generation, LookUp()
        forgotten = self.under_way.forgotten
        if not expected.proved or not expected.digest:
            return None, False
        tried = msgspec.structs.replace(work, given=work.given.copy())
        for slot in self.slots.values():
            if await self._needs(tried, slot, expected, look, asked) is not None:
                return None, False
        now = await self.files.now(sweep=work.final)
        counted = self.files.outside_generation == outside
        if not now.proved or now.digest != expected.digest or not counted or self.under_way.forgotten != forgotten:
            return now, False
        if self.files.blind and monotonic() - asked > FRESH_NS:
            # Nothing tells of what else counts, and it may have changed meanwhile.
            look = LookUp()
            for one in tried.given.values():
                if not await self.still(one, now, look):
                    return now, False
        work.given.update(tried.given)
        self._keep(work, now)
        return now, True

    def _keep(self, work: Work, now: Snapshot) -> None:
        """Let the same be served again for as long as nothing happens; what is red is told apart each time."""
        state = (now.digest, self.files.outside_generation, self._variables())
        served = tuple(work.given[name] for name in self.slots)
        asked = all(slot.asked == state for slot in self.slots.values())
        if asked and now.proved and not any(one.verdict.red or one.verdict.cache not in SERVED for one in served):
            self._held = (now, state, served)

    def _as_before(self, work: Work, now: Snapshot, asked: int) -> bool:
        """Serve what was served before, where nothing has happened and nothing was run since."""
        held = self._held
        if held is None or held[0] is not now or work.final or work.given or self.files.blind:
            return False
        if held[1][1:] != (self.files.outside_generation, self._variables()):
            return False
        for one in held[2]:
            slow = self.slots[one.verdict.name].probe.slow
            verdict = msgspec.structs.replace(one.verdict, duration_ns=monotonic() - asked, slow=slow)
            work.given[verdict.name] = msgspec.structs.replace(one, verdict=verdict)
        return True

    async def _needs(self, work: Work, slot: Slot, now: Snapshot, look: LookUp, asked: int) -> Scope | None:
        """Give a verdict without a run where there is one; else what the run's key needs."""
        probe, name = slot.probe, slot.probe.name
        given, files = work.given.get(name), probe.narrow(now)
        same = given is not None and (given.holds(files) or not files.proved)
        held = given is not None and same and (given.whole or not work.final)
        if given is not None and held and given.under is None:
            return None
        if not held and work.tries[name] >= ATTEMPTS:
            summary = f"files keep changing while it runs: {shown_paths(work.moved.get(name, ()))}"
            work.given[name] = Given(Verdict(name, "error", summary, cache="none", durable=False), files)
            return None
        words, scope = await self._applies(slot, now, look, again=work.final)
        if given is not None and held and given.under == (words, scope):
            return None
        # It may have looked at more than it had to.
        files = probe.narrow(now)
        if words:
            skipped = Verdict(name, "skipped", words, duration_ns=monotonic() - asked, cache="none")
            work.given[name] = Given(skipped, files, under=held_under(words, scope))
            return None
        return self._serve(work, slot, files, scope, asked)

    def _serve(self, work: Work, slot: Slot, files: Snapshot, scope: Scope, asked: int) -> Scope | None:
        """Give a stored verdict; the scope where there is none."""
        name = slot.probe.name
        hit = self.cache.get(name, files, scope) if self.cache is not None else None
        if hit is None:
            return scope
        self.cache_or_memory.judged(name, files, scope, hit.state)
        said = self._inputs(name, files, scope)
        hit = msgspec.structs.replace(hit, duration_ns=monotonic() - asked, inputs=said, slow=slot.probe.slow)
        hit = self._known.split(hit)
        work.given[name] = slot.latest = Given(hit, files, under=held_under("", scope))
        slot.under = scope
        return None

    async def _applies(self, slot: Slot, now: Snapshot, look: LookUp, *, again: bool = False) -> tuple[str, Scope]:
        """Why a probe does not apply, and its scope; asked anew only where something can have changed it.

        `again`: asked anew whatever is known.
        """
        state = (now.digest, self.files.outside_generation, self._variables())
        if slot.scope is not None and slot.asked == state and not again and not self.files.blind:
            return slot.words, slot.scope
        slot.asked = NEVER
        for _ in range(2):
            # Registered before it is asked: what changes from then on is counted.
            noticed, before = self.files.noticed, self._state()
            # What was asked for another probe before more was registered may be outdated.
            answers = look.answers((*before, len(noticed)))
            words, scope = await slot.probe.skip(answers), await slot.probe.scope(answers)
            # What is made of an equal one, keys and words, need not be made again.
            slot.scope = scope = slot.scope if scope == slot.scope and slot.scope is not None else scope
            if scope.outside is None or self.files.blind:
                break
            if noticed >= set(scope.outside):
                if before == self._state():
                    slot.asked, slot.words = (now.digest, *before[1:]), words
                break
            self.files.outside(scope.outside)
        return words, scope

    def _state(self) -> tuple[int, int, int]:
        """Another one whenever something was noticed."""
        return self.files.generation, self.files.outside_generation, self._variables()

    @property
    def cache_or_memory(self) -> VerdictCache:
        """Where the latest verdicts are remembered, so that a miss can be explained."""
        return self.cache if self.cache is not None else self._memory

    async def _run(self, work: Work, slot: Slot, scope: Scope, before: Snapshot, since: int, young: bool) -> None:
        probe, name = slot.probe, slot.probe.name
        files = probe.narrow(before)
        why = self.cache_or_memory.why(name, files, scope) if self.cache is not None else "the cache is off"
        if work.baseline:
            why = "the state before the first change"
        elif moved_before := work.moved.get(name):
            why = f"changed while it ran: {shown_paths(moved_before)}"
        self._on_start(name, why)
        if work.first == before.digest:
            slot.begin(files, scope)
        try:
            verdict = tried = await self._tried(work, slot, scope, files)
            now = await self.files.now(sweep=work.final)
            after = probe.narrow(now)
            answers: Answers = {}
            words, scope_after = await probe.skip(answers), await probe.scope(answers)
        except asyncio.CancelledError:
            words = "the session ended" if self.closed else work.cut or "the files changed"
            self._told(work, Verdict(name, "cancelled", words, cache="none", why=why, durable=False))
            raise
        said = self._inputs(name, files, scope)
        filed = short_key(slot, before, scope)
        verdict = msgspec.structs.replace(verdict, key=filed, why=why, inputs=said, slow=probe.slow)
        verdict = self._known.split(verdict)
        moved = after.changed(files) if after.proved else frozenset()
        stirred = minded(self.files.stirred(since) - moved, probe, (files, after), (before, now))
        whole = verdict.cache != "partial"
        if whole:
            slot.start = None
            self.cache_or_memory.judged(name, after, scope, verdict.state)
        if (moved or stirred) and self._moved(work, slot, verdict, (files, after), moved, stirred):
            return
        if whole and not moved and not stirred:
            slot.own = Own()  # it did without
        unchanged, under = not words and scope_after == scope, held_under(words, scope_after)
        if not unchanged and under is not None and not slot.restless:
            if work.tries[name] < ATTEMPTS - 1:
                work.tries[name] += 1
                self._told(work, msgspec.structs.replace(verdict, state="cancelled", summary=CHANGED_AROUND, output=""))
                return
            slot.restless = True
        slot.restless = slot.restless and not unchanged
        if whole and verdict.durable and unchanged and after.proved and not young:
            slot.latest, slot.under = Given(verdict, after, under=under), scope
            if self.cache is not None:
                self.cache.put(name, after, scope, verdict)
        elif not whole and verdict.durable and unchanged and after.proved and (base := slot.base(files)):
            # Kept here alone: whoever made it cannot tell whether the files held still meanwhile.
            slot.early = (base.verdict, after.digest, tried)
        self._give(work, Given(verdict, after, whole=whole, told=True, under=under))

    async def _tried(self, work: Work, slot: Slot, scope: Scope, files: Snapshot) -> Verdict:
        probe = slot.probe
        try:
            base = slot.base(files) if slot.under == scope and files.proved else None
            if not work.final and not work.behind and base is not None:
                told = slot.early if slot.early is not None and slot.early[0] == base.verdict else None
                if told is not None and told[1] == files.digest:
                    return told[2]
                early = await probe.early(base.change(files, told[1] if told is not None else ""))
                if early is not None:
                    return self._told_unread(early, scope)
            return self._told_unread(await probe.run(behind=work.behind), scope)
        except JetboxError as error:
            words = f"{error.message}; {error.hint}" if error.hint else error.message
        except OSError as error:
            words = f"it cannot be started: {error.strerror or error}"
        return Verdict(probe.name, "error", words, cache="none", durable=False)

    def _moved(
        self,
        work: Work,
        slot: Slot,
        verdict: Verdict,
        looks: tuple[Snapshot, Snapshot],
        moved: frozenset[str],
        stirred: frozenset[str],
    ) -> bool:
        """Files changed during a run; False where its verdict holds all the same.

        It is dropped, unless the probe has done this in each of its runs, `ATTEMPTS` of them at the least:
        people and agents edit, too, but not the same files each time it runs. A probe that leaves other
        program text is not believed to be the writer: a verdict about older text would be given as new.
        `stirred` files are afterwards as they were before.
        """
        name, (files, after) = verdict.name, looks
        did = seen(moved | stirred, files.files)
        work.moved[name] = work.moved.get(name, frozenset()) | moved | stirred
        shown = shown_paths(moved | stirred)
        last = work.tries[name] == ATTEMPTS - 1
        own = slot.own.both(work.did.get(name, Own())) if last else slot.own
        work.did[name] = work.did.get(name, did).kept_to(did)
        work.tries[name] += 1
        if own.covers(moved | stirred, files.files) and not any(path.endswith(PROGRAM) for path in moved):
            slot.own = slot.own.both(did) if verdict.cache == "partial" else did
            # What came and went is neither in the files before nor in those after.
            if not moved and not any(path in files.files or path.endswith(PROGRAM) for path in stirred):
                return False
            kept = msgspec.structs.replace(verdict, why=f"{verdict.why}; not kept: it changes {shown}", durable=False)
            self._give(work, Given(kept, after, whole=verdict.cache != "partial", told=True))
        else:
            words = f"changed while it ran: {shown}"
            self._told(work, msgspec.structs.replace(verdict, state="cancelled", summary=words, output=""))
        return True

    def _give(self, work: Work, given: Given) -> None:
        self.slots[given.verdict.name].cut = 0
        work.given[given.verdict.name] = msgspec.structs.replace(given, verdict=self._told(work, given.verdict))

    def _told(self, work: Work, verdict: Verdict) -> Verdict:
        """Tell of a run that has ended, under the round that it was begun for."""
        late = work.round if work.round != self._round_of() else 0
        verdict = msgspec.structs.replace(verdict, of_round=late, baseline=work.baseline)
        self._on_end(verdict)
        return verdict
