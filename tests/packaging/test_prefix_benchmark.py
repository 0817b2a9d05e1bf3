"""The benchmark of the prefix cache judges its goal, and a run of it meets that."""

from __future__ import annotations

import json
import sys

import pytest
from benchmarks import prefix

from jetbox.engine.errors import ExitCode


def test_a_short_run_meets_the_goal_and_a_rebuilt_prompt_does_not() -> None:
    rows = prefix.measured(0, 4)
    assert [row.round for row in rows] == [1, 2, 3, 4]
    assert prefix.judged(rows).met
    assert prefix.table(rows, prefix.judged(rows)).splitlines()[-2].endswith(" beyond it, met")
    for row in rows:
        row.evaluated = row.rebuilt
    verdict = prefix.judged(rows)
    assert (verdict.met, verdict.rounds) == (False, [2, 3, 4])
    assert ", in round 2, missed" in prefix.table(rows, verdict)


def test_switches_are_excepted_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        prefix.Row(1, "a", 800, 800, 800, 800, 800),
        prefix.Row(2, "a", 900, 100, 100, 900, 900),
        prefix.Row(3, "b", 990, 90, 990, 990, 990),
        prefix.Row(4, "b", 1000, 10, 8, 990, 1000),
        prefix.Row(5, "a", 1010, 10, 110, 1010, 1010),
    ]
    assert prefix.judged(rows) == prefix.Verdict(True, 0, [])
    assert not prefix.judged(rows[:1]).met, "of one round nothing can be said"
    monkeypatch.setattr(prefix, "measured", lambda speed, rounds: rows)
    monkeypatch.setattr(sys, "argv", ["prefix.py", "--json"])
    assert prefix.main() == 0
    assert json.loads(capsys.readouterr().out)["met"] is True
    rows[3].evaluated = 11
    assert prefix.main() == ExitCode.BENCH_GATE
    assert json.loads(capsys.readouterr().out)["met"] is False
