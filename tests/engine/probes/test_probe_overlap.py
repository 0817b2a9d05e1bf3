"""Verdicts that nobody waits for: early ones, what runs behind them, and what comes late."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from jetbox.engine.options import PerformanceOptions
from jetbox.engine.probes.base import Change, Verdict, Whole
from jetbox.engine.probes.base import Scope as ProbeScope

if TYPE_CHECKING:
    from engine.probes.conftest import Bench
    from jetbox.engine.probes.interpreter import Answers
    from jetbox.engine.probes.runner import ProbeEngine


class Stepwise(Whole):
    """A probe whose runs end when they are told to, and whose early verdicts come at once."""

    def __init__(self, name: str = "suite") -> None:
        self.name = name
        self.state: str = "passed"
        self.runs: list[bool] = []
        """For each run: whether it ran behind."""
        self.changes: list[Change] = []
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.begun = asyncio.Event()

    async def skip(self, answers: Answers) -> str:
        return ""

    async def scope(self, answers: Answers) -> ProbeScope:
        return ProbeScope()

    async def run(self, *, behind: bool = False) -> Verdict:
        self.runs.append(behind)
        self.begun.set()
        await self.may_end.wait()
        failing = ("t::a",) if self.state == "failed" else ()
        return Verdict(self.name, self.state, "whole", duration_ns=1_000, failing=failing)  # type: ignore[arg-type]

    async def early(self, change: Change) -> Verdict | None:
        self.changes.append(change)
        return Verdict(self.name, "passed", "part", cache="partial")


class NeverEarly(Stepwise):
    """One that has nothing to say before its run has ended."""

    async def early(self, change: Change) -> Verdict | None:
        return None


async def drained(engine: ProbeEngine) -> None:
    """Wait for what runs behind."""
    behind = engine._behind
    assert behind is not None
    await asyncio.wait({behind.task})


async def test_a_change_gets_an_early_verdict_and_a_whole_one_behind_it(bench: Bench) -> None:
    bench.write("a.py", "1")
    probe = Stepwise()
    engine = bench.engine(probes=[probe])
    assert (await engine.verdicts())[0].summary == "whole"
    bench.write("a.py", "2")
    (early,) = await engine.verdicts()
    assert (early.summary, early.cache) == ("part", "partial")
    assert probe.changes[0].paths == {"a.py"}
    await drained(engine)
    assert probe.runs == [False, True]
    (hit,) = await engine.verdicts()
    assert (hit.summary, hit.cache) == ("whole", "hit")


async def test_the_gate_never_takes_an_early_verdict(bench: Bench) -> None:
    bench.write("a.py", "1")
    probe = Stepwise()
    engine = bench.engine(probes=[probe])
    await engine.verdicts()
    bench.write("a.py", "2")
    await engine.verdicts()
    (final,) = await engine.verdicts(final=True)
    assert final.summary == "whole"
    assert probe.runs == [False, True], "the gate waits for what runs behind, and runs nothing twice"


async def test_what_turns_red_behind_is_told_once_and_only_of_present_files(bench: Bench) -> None:
    bench.write("a.py", "1")
    probe = Stepwise()
    engine = bench.engine(probes=[probe])
    await engine.verdicts()
    bench.write("a.py", "2")
    probe.state = "failed"
    await engine.verdicts()
    await drained(engine)
    assert [(v.name, v.state) for v in await engine.late()] == [("suite", "failed")]
    assert await engine.late() == []
    bench.write("a.py", "3")
    await engine.verdicts()
    await drained(engine)
    bench.write("a.py", "4")
    assert await engine.late() == []


async def test_a_write_ends_what_runs_behind(bench: Bench) -> None:
    bench.write("a.py", "1")
    probe = Stepwise()
    engine = bench.engine(probes=[probe])
    await engine.verdicts()
    bench.write("a.py", "2")
    probe.may_end.clear()
    probe.begun.clear()
    await engine.verdicts()
    await probe.begun.wait()
    bench.write("a.py", "3")
    engine.wrote(("a.py",))
    await drained(engine)
    assert bench.ended[-1].state == "cancelled"
    (early,) = await engine.verdicts()
    assert early.cache == "partial"


async def test_without_waiting_the_rest_is_pending_and_comes_late(bench: Bench) -> None:
    bench.write("a.py", "1")
    slow, quick = Stepwise("slow"), Stepwise("quick")
    engine = bench.engine(probes=[slow, quick], wait="overlap")
    slow.may_end.clear()
    engine.start("the agent wrote")
    assert engine._ahead is not None
    while "quick" not in engine._ahead.work.given:
        await asyncio.sleep(0)
    assert [v.name for v in await engine.verdicts()] == ["quick"]
    assert set(engine.pending) == {"slow"}
    slow.state = "failed"
    slow.may_end.set()
    assert [(v.name, v.state) for v in await engine.coming()] == [("slow", "failed")]
    assert not engine.pending


async def test_what_turns_red_is_told_while_another_still_works(bench: Bench) -> None:
    bench.write("a.py", "1")
    slow, red = Stepwise("slow"), Stepwise("red")
    red.state = "failed"
    slow.may_end.clear()
    red.may_end.clear()
    engine = bench.engine(probes=[slow, red], wait="overlap")
    assert await engine.verdicts() == []
    coming = asyncio.create_task(engine.coming())
    await red.begun.wait()
    red.may_end.set()
    assert [(v.name, v.state) for v in await coming] == [("red", "failed")]
    assert engine.pending == ("slow",)
    assert [v.name for v in await engine.late()] == ["red"]
    slow.may_end.set()
    assert [v.name for v in await engine.coming()] == ["slow"], "each is told once"
    assert [v.name for v in await engine.late()] == ["slow"]


async def test_what_was_told_is_pending_and_told_again_once_somebody_changed_what_it_is_about(bench: Bench) -> None:
    bench.write("a.py", "1")
    slow, quick = NeverEarly("slow"), NeverEarly("quick")
    slow.may_end.clear()
    quick.may_end.clear()
    engine = bench.engine(probes=[slow, quick], wait="overlap")
    assert await engine.verdicts() == []
    await quick.begun.wait()
    quick.may_end.set()
    while engine.pending != ("slow",):
        await asyncio.sleep(0)
        assert {verdict.name for verdict in await engine.late()} <= {"quick"}
    bench.write("a.py", "2")
    quick.state = "failed"
    quick.may_end.clear()
    quick.begun.clear()
    slow.may_end.set()
    await quick.begun.wait()
    assert "quick" in engine.pending, "it judges other files than those that it was told of"
    quick.may_end.set()
    assert ("quick", "failed") in [(v.name, v.state) for v in await engine.coming()]
    assert ("quick", "failed") in [(v.name, v.state) for v in await engine.late()]


async def test_what_came_late_is_not_told_after_a_write_that_no_sweep_sees(bench: Bench) -> None:
    bench.write("a.py", "1")
    probe = Stepwise()
    probe.state = "failed"
    engine = bench.engine(probes=[probe], wait="overlap")
    for path in ("__pycache__/data", ""):
        assert await engine.verdicts() == []
        assert [v.state for v in await engine.coming()] == ["failed"]
        engine.wrote((path,) if path else ())
        assert [v.state for v in await engine.late()] == ([] if path else ["failed"])


class Around(Stepwise):
    """One whose verdict depends on what lies in a folder elsewhere."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    async def scope(self, answers: Answers) -> ProbeScope:
        await asyncio.sleep(0)  # to look takes a while
        return ProbeScope(tuple(os.listdir(self.folder)), outside=(str(self.folder),))


async def test_what_came_late_is_not_told_once_what_it_runs_with_changed(bench: Bench, tmp_path: Path) -> None:
    bench.write("a.py", "1")
    folder = tmp_path / "installed"
    folder.mkdir()
    probe = Around(folder)
    probe.state = "failed"
    engine = bench.engine(probes=[probe], wait="overlap")
    assert await engine.verdicts() == []
    assert [v.state for v in await engine.coming()] == ["failed"]
    (folder / "package").mkdir()
    assert await engine.coming() == []
    assert await engine.late() == []
    assert await engine.verdicts() == []
    assert [v.state for v in await engine.coming()] == ["failed"]
    (folder / "other").mkdir()
    (folder / "other").rmdir()
    asked = asyncio.create_task(engine.late())
    await asyncio.sleep(0)
    engine.wrote(("__pycache__/data",))
    assert await asked == [], "it was written to while that was asked"


async def test_what_the_gate_ends_is_told_as_that(bench: Bench) -> None:
    bench.write("a.py", "1")
    probe = Stepwise()
    probe.may_end.clear()
    engine = bench.engine(probes=[probe], wait="overlap")
    assert await engine.verdicts() == []
    await probe.begun.wait()
    gate = asyncio.create_task(engine.verdicts(final=True))
    while not bench.ended:
        await asyncio.sleep(0)
    assert [(v.state, v.summary) for v in bench.ended] == [("cancelled", "verdicts on everything were asked for")]
    probe.may_end.set()
    assert [v.summary for v in await gate] == ["whole"]


async def test_where_nobody_asks_only_the_gate_has_verdicts(bench: Bench) -> None:
    bench.write("a.py", "1")
    probe = Stepwise()
    engine = bench.engine(probes=[probe], wait="off")
    assert await engine.verdicts() == []
    assert [v.summary for v in await engine.verdicts(final=True)] == ["whole"]


async def test_a_verdict_served_by_its_age_is_unproven_and_does_not_open_the_gate(bench: Bench) -> None:
    bench.write("a.py", "1")
    probe = Stepwise()
    engine = bench.engine(
        probes=[probe], performance=PerformanceOptions(probe_ttl_s=600.0, probe_cache=False, probe_inotify=False)
    )
    await engine.verdicts()
    bench.write("a.py", "2")
    (young,) = await engine.verdicts()
    assert (young.cache, young.proved, young.saved_ns) == ("hit", False, 1_000)
    (final,) = await engine.verdicts(final=True)
    assert (final.cache, final.proved) == ("ran", True)
    engine.wrote(("a.py",))
    (after,) = await engine.verdicts()
    assert after.proved


async def test_the_state_before_the_first_change_is_looked_at_in_the_background(bench: Bench) -> None:
    bench.write("a.py", "1")
    probe = Stepwise()
    probe.state = "failed"
    engine = bench.engine(probes=[probe])
    engine.prepare()
    await drained(engine)
    assert probe.runs == [True]
    assert [(v.baseline, v.why) for v in bench.ended] == [(True, "the state before the first change")]
    assert await engine.late() == []
    bench.write("a.py", "2")
    probe.state = "failed"
    (final,) = await engine.verdicts(final=True)
    assert final.known == ("t::a",)
    assert final.excused
    assert final.red


async def test_work_begun_with_a_write_is_what_the_round_waits_for(bench: Bench) -> None:
    bench.write("a.py", "1")
    probe = Stepwise()
    engine = bench.engine(probes=[probe])
    engine.wrote(("a.py",))
    engine.start("the agent wrote")
    await probe.begun.wait()
    assert [v.summary for v in await engine.verdicts()] == ["whole"]
    assert probe.runs == [False]
    assert len(bench.ended) == 1
    assert msgspec.structs.asdict(bench.ended[0])["of_round"] == 0


async def test_what_somebody_else_changes_ends_the_run_that_it_outdates_as_soon_as_it_is_heard_of(bench: Bench) -> None:
    bench.write("a.py", "1")
    probe = Stepwise()
    probe.may_end.clear()
    engine = bench.engine(probes=[probe])
    asking = asyncio.create_task(engine.verdicts())
    await probe.begun.wait()
    probe.begun.clear()
    bench.write("a.py", "2")
    engine.heard(("a.py",), "you")
    await probe.begun.wait()
    assert probe.runs == [False, False]
    assert bench.told[-2:] == [("end", "suite", "cancelled"), ("start", "suite", "first run")]
    probe.may_end.set()
    assert [(v.state, v.summary) for v in await asking] == [("passed", "whole")]


async def test_what_runs_behind_begins_anew_with_what_was_heard_of(bench: Bench) -> None:
    bench.write("a.py", "1")
    probe = Stepwise()
    engine = bench.engine(probes=[probe])
    await engine.verdicts()
    bench.write("a.py", "2")
    probe.may_end.clear()
    probe.begun.clear()
    await engine.verdicts()
    await probe.begun.wait()
    probe.begun.clear()
    bench.write("a.py", "3")
    engine.heard(("a.py",), "git")
    await probe.begun.wait()
    probe.may_end.set()
    (final,) = await engine.verdicts(final=True)
    assert (final.summary, probe.runs) == ("whole", [False, True, True]), "the gate takes what runs behind"


async def test_what_changes_nothing_ends_no_run(bench: Bench) -> None:
    bench.write("a.py", "1")
    probe = Stepwise()
    probe.may_end.clear()
    engine = bench.engine(probes=[probe])
    asking = asyncio.create_task(engine.verdicts())
    await probe.begun.wait()
    (bench.root / "a.py").touch()
    for by in ("you", "probe"):
        if by == "probe":
            bench.write("a.log", "of the run itself")
        engine.heard(("a.py",), by)
        while engine._hearing is None or not engine._hearing.done():
            await asyncio.sleep(0)
    assert bench.told == [("start", "suite", "first run")]
    probe.may_end.set()
    assert (await asking)[0].state == "passed"


async def test_a_run_that_writes_program_text_each_time_comes_to_its_end(bench: Bench) -> None:
    """An observer takes it for somebody else's."""

    class Generating(Stepwise):
        async def run(self, *, behind: bool = False) -> Verdict:
            self.runs.append(behind)
            bench.write("made.py", f"n = {len(self.runs)}")
            engine.heard(("made.py",), "you")
            assert engine._hearing is not None
            await asyncio.wait({engine._hearing})
            await asyncio.sleep(0)
            return Verdict(self.name, "passed", "whole")

    probe = Generating()
    engine = bench.engine(probes=[probe])
    async with asyncio.timeout(120):
        (verdict,) = await engine.verdicts()
    assert (verdict.state, len(probe.runs) <= 8) == ("error", True), (verdict, probe.runs)
