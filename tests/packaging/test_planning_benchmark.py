"""The comparison of planning plays whole sessions, and tells what a plan spares and what it costs."""

from __future__ import annotations

from benchmarks import planning


def test_five_reads_take_two_requests_as_a_plan() -> None:
    planned = planning.run(planning.TASKS["notes"], "plan", "A", 1000)
    assert (planned.calls, planned.plan, planned.outcome) == (2, "done", "answered")
    assert planned.model > 0
    plain = planned._replace(model=2 * planned.model, calls=6, plan="")
    rows = planning.table({("A", "notes", "calls"): [plain], ("A", "notes", "plan"): [planned]}).splitlines()
    assert rows[3].startswith("| A | notes | plan | ")
    assert " | 0.50 | " in rows[3]
    assert " | 2 | 5 | " in rows[3]
