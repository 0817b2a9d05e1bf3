"""The comparison of routing plays whole sessions, and tells where a rule pays and where it does not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]


@pytest.fixture
def routing(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    from benchmarks import routing

    return routing


def test_a_small_model_that_fails_is_told_beside_the_rule_that_helps_it(routing: ModuleType) -> None:
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
