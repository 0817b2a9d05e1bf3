"""The comparison of routing plays whole sessions, and tells where a rule pays and where it does not."""

from __future__ import annotations

import pytest
from benchmarks import cases, routing, tasks

from jetbox.engine.events import ToolEnded
from stories.kit import LEAN


@pytest.fixture(autouse=True)
def lean(monkeypatch: pytest.MonkeyPatch) -> None:
    variable, passed = LEAN
    monkeypatch.setenv(variable, LEAN[variable])
    words = ("--set", f"permissions.pass_env={LEAN[passed]}")
    for name, options in routing.CONDITIONS.items():
        monkeypatch.setitem(routing.CONDITIONS, name, (*options, *words))


def test_a_small_model_that_fails_is_told_beside_the_rule_that_helps_it() -> None:
    task = routing.TASKS["slips"]
    small = routing.run(task, "small", "own", 100)
    helped = routing.run(task, "cascade", "own", 100)
    assert (small.outcome, small.switches, small.switching) == ("red", 0, 0)
    assert small.red >= 3
    assert (helped.outcome, helped.switches) == ("done", 1)
    assert helped.calls < small.calls
    assert 0 < helped.switching < helped.seconds
    found = {("own", "slips", "small"): [small], ("own", "slips", "cascade"): [helped]}
    rows = routing.table(found).splitlines()
    assert len(rows) == 4
    assert rows[2].endswith("| red |")
    assert rows[3].endswith("| done |")


@pytest.mark.parametrize(("case", "calls", "results"), [("triage", 2, 50), ("review", 2, 10), ("incident", 3, 7)])
def test_the_seeds_cases_are_looked_at_in_one_answer(case: str, calls: int, results: int) -> None:
    happened = tasks.play(cases.CASES[case], routing.CONDITIONS["small"], profile="", speed=100)
    ended = [event for event in happened if isinstance(event, ToolEnded)]
    assert [event.state for event in ended] == ["ok"] * results
    run = routing.summary(happened, 100)
    assert (run.calls, run.outcome) == (calls, "done" if case == "incident" else "answered")
    assert routing.TASKS[case] is cases.CASES[case]
