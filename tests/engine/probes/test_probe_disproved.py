"""A forked run of pytest that says something else than one from scratch, from its verdict to the sessions after it."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest

from engine.probes.test_probe_bad_days import bench, only_pytest, verdict_of
from engine.probes.test_probe_forked import DIFFERS
from engine.probes.test_probe_overlap import Stepwise
from jetbox.cli import health
from jetbox.engine.probes.pytest import PytestProbe
from jetbox.engine.probes.slots import Slot
from jetbox.record.places import probes_folder

if TYPE_CHECKING:
    from engine.probes.conftest import Bench
    from jetbox.engine.probes.runner import ProbeEngine

__all__ = ["bench"]
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forked runs need Linux")
WRONG = "a forked run said failed (1 of 1 failed: test_a), and one from scratch passed (1 passed)"
TOLD = f"pytest runs from scratch: {WRONG}"


def probe_of(engine: ProbeEngine) -> PytestProbe:
    (probe,) = engine.probes
    assert isinstance(probe, PytestProbe)
    return probe


async def compared(engine: ProbeEngine) -> None:
    """Wait for what follows the latest run."""
    following = probe_of(engine)._following
    assert following is not None
    await asyncio.wait({following})


def beside_a_slow_one(engine: ProbeEngine) -> Stepwise:
    """Give it a second probe, whose run ends when it is told to."""
    slow = Stepwise("slow")
    slow.may_end.clear()
    engine._settler.slots["slow"] = Slot(slow)
    engine.probes += (slow,)
    return slow


async def test_it_is_told_and_taken_back_and_no_run_is_forked_here_again(bench: Bench) -> None:
    bench.write("test_m.py", DIFFERS)
    store = probes_folder(bench.root)
    engine = only_pytest(bench, True, store=store)
    engine.prepare()
    assert engine._behind is not None
    await asyncio.wait({engine._behind.task})
    (baseline,) = bench.ended
    assert (baseline.state, baseline.baseline, baseline.failing) == ("failed", True, ("test_m.py::test_a",))
    await compared(engine)
    assert bench.notices == [TOLD]
    assert not engine._known.split(baseline).known, "what was red in forked runs alone was not red before"

    verdict = await verdict_of(engine)
    assert (verdict.state, verdict.summary, verdict.cache, verdict.slow) == ("passed", "1 passed", "ran", WRONG)
    assert not probe_of(engine).sessions.forks
    check = health.probes(str(bench.root))
    assert (check.state, check.said) == ("warn", f"pytest runs from scratch here: {WRONG}")
    bench.write("test_m.py", "def test_a():\n    assert 0\n")
    (red,) = await engine.verdicts(final=True)
    assert (red.state, red.known) == ("failed", ()), "it was green before the first change"
    await engine.close()

    bench.write("test_m.py", DIFFERS)
    later = only_pytest(bench, True, store=store)
    verdict = await verdict_of(later)
    assert (verdict.state, verdict.slow) == ("passed", WRONG)
    bench.write("test_m.py", "def test_a():\n    pass\n")
    verdict = await verdict_of(later)
    assert (verdict.state, verdict.cache, verdict.slow) == ("passed", "ran", WRONG)
    assert not probe_of(later).sessions.forks
    assert bench.notices == [TOLD, TOLD], "once in each session"
    assert health.probes(str(bench.root)).state == "warn"


async def test_a_work_that_is_awaited_takes_the_right_verdict(bench: Bench) -> None:
    bench.write("test_m.py", DIFFERS)
    engine = only_pytest(bench, True)
    slow = beside_a_slow_one(engine)
    gate = asyncio.create_task(engine.verdicts(final=True))
    await bench.noticed.wait()
    slow.may_end.set()
    assert [(v.name, v.state) for v in await gate] == [("pytest", "passed"), ("slow", "passed")]


async def test_a_baseline_that_another_probe_holds_up_takes_the_right_verdict(bench: Bench) -> None:
    bench.write("test_m.py", DIFFERS)
    engine = only_pytest(bench, True)
    slow = beside_a_slow_one(engine)
    engine.prepare()
    assert engine._behind is not None
    await bench.noticed.wait()
    slow.may_end.set()
    await asyncio.wait({engine._behind.task})
    assert [(v.name, v.state) for v in bench.ended] == [("pytest", "failed"), ("slow", "passed"), ("pytest", "passed")]
    bench.write("test_m.py", "def test_a():\n    assert 0\n")
    (red, _) = await engine.verdicts(final=True)
    assert (red.state, red.known) == ("failed", ())
