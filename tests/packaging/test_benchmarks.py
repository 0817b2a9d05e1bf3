"""The benchmarks read journals as they are."""

from __future__ import annotations

import itertools
import json
import os
import random
import tarfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from benchmarks import cache_decision, exposed, headless, planning, probes, project, routing, seed_table, tasks
from benchmarks.project import copied, fetched
from benchmarks.stale_writer import GONE, KINDS, PLACES, History, Writer, numbers
from benchmarks.tasks import as_json, median, outcomes, seconds

from jetbox.engine.events import AnyEvent, GoalEnded, ModelAnswered, ProbeEnded
from jetbox.engine.options import PerformanceOptions
from jetbox.settings.load import load

ROOT = Path(__file__).parents[2]


def test_rounds_are_read_from_a_journal() -> None:
    rounds = headless.rounds_of(ROOT / "sessions/mathx/journal.jsonl")
    assert [one.number for one in rounds] == list(range(1, len(rounds) + 1))
    assert all(one.wall >= one.llm + one.exposed > 0 for one in rounds)
    # Its first round only looks at the folder; the second writes.
    assert (rounds[0].verdicts, rounds[0].exposed) == ([], 0)
    assert {verdict.name for verdict in rounds[1].given} == {"ruff", "pytest"}
    assert rounds[1].exposed > 0


def test_what_counts_as_served() -> None:
    made = headless.Round

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


def test_every_optimisation_of_the_probes_is_measured_on_its_own() -> None:
    fields = zip(PerformanceOptions.__struct_fields__, PerformanceOptions.__struct_defaults__, strict=True)
    switches = {name for name, default in fields if default is True and name.startswith(("probe", "pytest", "ruff"))}
    assert switches - {"probe_inotify"} <= set(seed_table.SWITCHES)
    assert "default - probe_inotify" in seed_table.ablations()
    for options in seed_table.ablations().values():
        set_ = [word.partition("=") for word in options if word.startswith("performance.")]
        flags = [(name, value, "--set") for name, _, value in set_]
        assert load(None, environment={}, flags=flags, profile="baseline" if "--profile" in options else "")


def test_cold_and_warm_rounds_are_told_apart() -> None:
    found = seed_table.means([[100, 10, 20, 60], [300, 10, 20, 60]])
    assert (found["cold mean"], found["cold median"]) == (200, 200)
    assert (found["warm mean"], found["warm median"]) == (30, 20)
    assert (found["all mean"], found["all median"], found["total"]) == (72.5, 40, 290)
    assert "warm mean 30, median 20.0" in seed_table.told(found)


def test_an_ablation_ends_in_its_time_and_plays_every_condition_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seed_table, "session", lambda *_, **__: [])
    clock = itertools.count(0, 50).__next__
    conditions = {name: (seed_table.LLAMA, options) for name, options in seed_table.ablations(whole=False).items()}
    assert {len(runs) for runs in seed_table.run_within(conditions, 165, clock).values()} == {3}
    assert {len(runs) for runs in seed_table.run_within(conditions, 1, clock).values()} == {1}
    assert all(name.startswith("baseline") for name in conditions)
    assert conditions.keys() < seed_table.ablations().keys()


def test_waiting_is_judged_by_what_the_tests_need_alone() -> None:
    overlap = {"rounds without a wait": 9, "rounds": 10}
    verdict = {"exposed": [100.0, 120.0], "bare": [110.0, 110.0], "plain": [500.0, 400.0]}
    free, bare, plain = exposed.judged({"overlap": overlap, "verdict": verdict})
    assert free.endswith("met")
    assert "in 1 rounds of 2" in bare
    assert bare.endswith("+10.0 ms, missed")
    assert "in 2 rounds of 2" in plain
    assert plain.endswith("met")
    assert exposed.judged({"overlap": overlap | {"rounds": 11}, "verdict": verdict})[0].endswith("missed")


def test_what_the_tests_of_an_edit_need_is_measured_both_ways(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(exposed, "PARTS", 2)
    monkeypatch.setattr(exposed, "EDITS", 1)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    needs = exposed.Needs(tests=1, pause_ms=30)
    try:
        needs.turn()
    finally:
        needs.close()
    assert (len(needs.bare), len(needs.plain)) == (1, 1)
    assert all(spent >= 30 for spent in (*needs.bare, *needs.plain))


def test_each_turn_makes_the_same_edits(monkeypatch: pytest.MonkeyPatch) -> None:
    levels: list[str] = []

    class Noted:
        def __init__(self, root: Path, tests: list[str]) -> None:
            self._part = root / "parts" / Path(tests[0]).name.removeprefix("test_")

        def run(self) -> float:
            levels.append(self._part.read_text().splitlines()[2])
            return 0.0

        def close(self) -> None:
            return

    monkeypatch.setattr(exposed, "Alone", Noted)
    monkeypatch.setattr(exposed, "timed", lambda *_: (0.0, 0.0))
    monkeypatch.setattr(exposed, "PARTS", 2)
    monkeypatch.setattr(exposed, "EDITS", 5)
    needs = exposed.Needs(tests=1, pause_ms=0)
    try:
        needs.turn()
        needs.turn()
    finally:
        needs.close()
    assert levels == [f"LEVEL = {level}" for level in (1, 1, 2, 2, 3)] * 2


def test_every_decision_is_judged() -> None:
    names = ("proof", "verdict", "ruff", "pytest", "command", "all", "before done")
    found = {f"{how} {files}": {name: {"p99": 10.0} for name in names} for how, files in cache_decision.GOALS}
    said = [words for words in cache_decision.judged(found) if words.startswith("goal ")]
    assert [words for words in said if " all: " in words and words.endswith("missed")]
    assert [words for words in said if "sweep 10000 before done: " in words and words.endswith("met")]
    assert {words.split(":")[0] for words in said if "sweep 1000 " in words} == {
        f"goal sweep 1000 {name}" for name in ("proof", "verdict", "all", "before done")
    }


def test_what_is_compared_holds_work_on_what_is_there() -> None:
    for compared in (planning.TASKS, routing.TASKS):
        assert tasks.SHIPPED.items() <= compared.items()
        assert {task.kind for task in compared.values()} == {"new", "mend", "change", "question"}
    there = [task for task in tasks.SHIPPED.values() if task.kind in ("mend", "change")]
    assert len(there) == 2
    assert all(list((tasks.WORKSPACES / task.workspace).rglob("test_*.py")) for task in there)


def test_seconds_are_those_of_the_latency_and_everything_else() -> None:
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


def test_the_writer_makes_every_kind_of_change_and_writes_down_what_it_makes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ws").mkdir()
    history = History(tmp_path / "history", create=True)
    writer = Writer(tmp_path, random.Random(1))
    writer.begin(history)
    holds = [GONE] * PLACES
    for place, number, _ in history.changes(0, history.done):
        holds[place] = number
    for _ in range(1000):
        writer.step(history)
        ((place, number, _),) = history.changes(history.done - 1, history.started)
        holds[place] = number
        assert numbers(tmp_path / "ws") == holds
    assert {kind for _, _, kind in history.changes(0, history.done)} == set(KINDS)


BACKEND = """
import pathlib

def prepare_metadata_for_build_wheel(folder, settings=None):
    made = pathlib.Path(folder, "real_one-1.0.dist-info")
    made.mkdir()
    made.joinpath("METADATA").write_text("Metadata-Version: 2.1\\nName: real-one\\nVersion: 1.0\\n")
    return made.name
"""


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_the_real_project_is_downloaded_once_and_kept_whole(index: Path, tmp_path: Path) -> None:
    files = {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        "[tool.pytest.ini_options]\n",
        "backend.py": BACKEND,
        "PKG-INFO": "Metadata-Version: 2.1\nName: real-one\nVersion: 1.0\n",
        "src/real/small.py": "",
        "src/real/large.py": "X = 1\n",
        "src/real/test_large.py": "X = 1\n" * 9,
    }
    for path, text in files.items():
        (tmp_path / "source" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / path).write_text(text)
    archive = index / "real_one-1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(tmp_path / "source", "real_one-1.0")
    found = fetched("real_one", tmp_path / "cache")
    assert found == tmp_path / "cache" / "real_one-1.0"
    assert {path.relative_to(found).as_posix() for path in found.rglob("*") if path.is_file()} == files.keys()
    archive.unlink()
    assert fetched("real_one", tmp_path / "cache") == found
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [found.name]
    assert copied(found, tmp_path / "copy") == tmp_path / "copy/src/real/large.py"
    assert 'pythonpath = ["src"]' in (tmp_path / "copy/pyproject.toml").read_text()
    assert 'pythonpath = ["src"]' not in (found / "pyproject.toml").read_text()


@pytest.mark.usefixtures("index")
def test_a_project_that_cannot_be_had_is_said_to_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "fetched", partial(project.fetched, "no-such-project-of-ours", tmp_path / "cache"))
    monkeypatch.setattr(probes, "server", no_figures)
    results, missing = probes.measure(["project"], None, 1, 1)
    assert results == {"ruff server": {}}
    (words,) = missing
    assert words.startswith("project: not measured, pip could not download no-such-project-of-ours: ")
    assert not list((tmp_path / "cache").iterdir())


async def no_figures(runs: int) -> tuple[dict[str, list[float]], list[str]]:
    return {}, []


def test_a_p95_stands_only_where_twenty_runs_show_it() -> None:
    assert "p95" in probes.summary([1.0] * 20)
    assert probes.summary([1.0] * 19).keys() == {"median", "min", "n", "max"}
    plain = "python -m pytest -q"
    figures = {"pytest: ours": [10.0], "pytest: ours, whole after an edit": [50.0], plain: [100.0]}
    said = probes.judged("large", figures)
    assert f"goal large, {plain}: x10.0 of x20, missed" in said
    assert f"large, whole after an edit: x2.00 as soon as {plain}" in said
    assert "goal tiny, pytest: ours: 10.00 of 15 ms, met" in probes.judged("tiny", figures)
    assert probes.judged("tiny", {"ruff: ours": [1.0]}) == ["goal tiny, ruff: ours: 1.00 of 1 ms, met"]
    assert probes.judged("large", {"ruff: ours": [1.2]}) == ["goal large, ruff: ours: 1.20 of 1 ms, missed"]
    assert probes.judged("project, x, y edited", {"ruff: ours": [1.2]}) == [
        "goal project, x, y edited, ruff: ours: 1.20 of 5 ms, met"
    ]
