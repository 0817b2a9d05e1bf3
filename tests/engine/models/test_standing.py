from __future__ import annotations

from jetbox.engine.models.standing import Standing, best_at

SMALL = Standing(decode=112.0, calls=40, calls_ok=38, goals=8, green=4)
LARGE = Standing(decode=60.0, calls=40, calls_ok=40, goals=8, green=8)


def test_the_fastest_and_the_surest_have_their_words() -> None:
    assert best_at([SMALL, LARGE]) == ["quick goals", "hard goals"]
    both = Standing(decode=150.0, calls=40, calls_ok=40, goals=8, green=8)
    assert best_at([SMALL, both]) == ["", "all goals"]


def test_a_model_whose_calls_fail_is_no_agent_however_fast() -> None:
    failing = Standing(decode=300.0, calls=10, calls_ok=7, goals=8, green=8)
    assert best_at([failing, SMALL, LARGE]) == ["questions: its calls fail", "quick goals", "hard goals"]
    assert best_at([Standing(decode=300.0, usable=False), SMALL, LARGE]) == ["", "quick goals", "hard goals"]


def test_nothing_is_said_where_there_is_too_little_to_compare() -> None:
    assert best_at([]) == []
    assert best_at([LARGE]) == [""]
    assert best_at([LARGE, Standing()]) == ["", ""]
    few = Standing(decode=50.0, calls=5, calls_ok=1, goals=2, green=0)
    assert best_at([few, LARGE]) == ["", "quick goals"], "the shares of a few calls and goals are chance"
