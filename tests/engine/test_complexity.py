"""The score of a goal, and its parts."""

from __future__ import annotations

import pytest

from jetbox.engine.complexity import MOST, TIERS, complexity


def test_parts_sum_to_the_score_and_are_bounded() -> None:
    goal = "Fix, write, add, test, move, split `a_b()` in x.py y.py z_z: why, how, all, every, ensure, race " * 20
    scored = complexity(goal, tokens=16_000, window=16_000)
    assert scored.score == sum(scored.parts.values()) == 5 * MOST
    assert set(scored.parts.values()) == {MOST}
    assert (scored.tier, complexity("Hi").tier) == ("expert", "trivial")


@pytest.mark.parametrize(
    ("goal", "tier"),
    [
        ("What is a tuple?", "trivial"),
        ("Add a function multiply() to mathx.py and test it", "simple"),
        (
            "Refactor weather_report() in report.py and stats.py: split parsing from output, keep every test green, "
            "and explain why the design is safe without locks",
            "moderate",
        ),
    ],
)
def test_goals_have_their_tiers(goal: str, tier: str) -> None:
    assert complexity(goal).tier == tier


def test_what_was_said_before_counts_and_is_explained() -> None:
    scored = complexity("Add it", tokens=8192, window=16_384)
    assert scored.parts == {"length": 0, "code": 0, "tools": 5, "reasoning": 0, "context": 10}
    assert scored.words == "trivial, 15: tools 5, context 10"
    assert complexity("x").words == "trivial, 0"
    assert len(TIERS) == 5
