"""The benchmarks read journals as they are."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from jetbox.engine.events import ProbeEnded
from jetbox.engine.options import PerformanceOptions
from jetbox.settings.load import load

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType]:
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    from benchmarks import headless, seed_table

    return headless, seed_table


def test_rounds_are_read_from_a_journal(benchmarks: tuple[ModuleType, ModuleType]) -> None:
    rounds = benchmarks[0].rounds_of(ROOT / "sessions/mathx/journal.jsonl")
    assert [one.number for one in rounds] == list(range(1, len(rounds) + 1))
    assert all(one.wall >= one.llm + one.exposed > 0 for one in rounds)
    # Its first round only looks at the folder; the second writes.
    assert (rounds[0].verdicts, rounds[0].exposed) == ([], 0)
    assert {verdict.name for verdict in rounds[1].given} == {"ruff", "pytest"}
    assert rounds[1].exposed > 0


def test_what_counts_as_served(benchmarks: tuple[ModuleType, ModuleType]) -> None:
    made = benchmarks[0].Round

    def verdict(name: str, state: str, cache: str, ms: int, **more: bool) -> ProbeEnded:
        return ProbeEnded(name=name, state=state, cache=cache, duration_ns=ms * 1_000_000, **more)  # type: ignore[arg-type]

    ran, hit = verdict("ruff", "passed", "ran", 30), verdict("ruff", "passed", "hit", 1)
    skipped, early = verdict("pytest", "skipped", "none", 2), verdict("pytest", "passed", "partial", 50)
    whole, cut = verdict("pytest", "passed", "ran", 900), verdict("pytest", "cancelled", "none", 5000)
    before = verdict("pytest", "passed", "ran", 700, baseline=True)
    assert made(1, verdicts=[hit, skipped]).hit
    assert made(1, verdicts=[hit, skipped]).idle
    assert not made(1, verdicts=[skipped]).hit
    assert not made(1, verdicts=[hit, early]).idle
    assert made(1, verdicts=[before, cut]).idle
    both = made(1, verdicts=[before, ran, cut, early, whole])
    assert (both.first, both.glyphs, both.hit) == (50.0, "⚡◐⚡", False)


def test_every_optimisation_of_the_probes_is_measured_on_its_own(benchmarks: tuple[ModuleType, ModuleType]) -> None:
    fields = zip(PerformanceOptions.__struct_fields__, PerformanceOptions.__struct_defaults__, strict=True)
    switches = {name for name, default in fields if default is True and name.startswith(("probe", "pytest", "ruff"))}
    assert switches - {"probe_inotify"} <= set(benchmarks[1].SWITCHES)
    for options in benchmarks[1].ablations().values():
        flags = [(*word.split("=", 1), "--set") for word in options if word.startswith("performance.")]
        assert load(None, environment={}, flags=flags, profile="baseline" if "--profile" in options else "")


def test_what_is_compared_holds_work_on_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    from benchmarks import planning, routing
    from benchmarks.tasks import SHIPPED, WORKSPACES

    for compared in (planning.TASKS, routing.TASKS):
        assert SHIPPED.items() <= compared.items()
        assert {task.kind for task in compared.values()} == {"new", "mend", "change", "question"}
    there = [task for task in SHIPPED.values() if task.kind in ("mend", "change")]
    assert len(there) == 2
    assert all(list((WORKSPACES / task.workspace).rglob("test_*.py")) for task in there)


def test_seconds_are_those_of_the_latency_and_everything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    from benchmarks.tasks import as_json, median, outcomes, seconds

    from jetbox.engine.events import AnyEvent, GoalEnded, ModelAnswered

    answers = [ModelAnswered(attempt=1, wall_ns=ms * 1_000_000) for ms in (100, 300)]
    ended = GoalEnded(goal=1, outcome="done", reason="", exit_code=0, rounds=2, wall_ns=1_000_000_000)
    happened: list[AnyEvent] = [*answers, ended]
    assert seconds(happened, 4.0) == pytest.approx(0.4 * 4 + 0.6)

    class Made(NamedTuple):
        outcome: str
        took: float

    runs = [Made("red", 3.0), Made("done", 1.0), Made("done", 2.0)]
    assert (median(runs, lambda run: run.took), outcomes(runs)) == (2.0, "done red")
    assert json.loads(as_json({("A", "notes", "plan"): runs}))[0]["runs"][1] == {"outcome": "done", "took": 1.0}
