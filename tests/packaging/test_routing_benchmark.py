"""The comparison of routing plays whole sessions, and tells where a rule pays and where it does not."""

from __future__ import annotations

from benchmarks import routing


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
