from __future__ import annotations

import pytest

from jetbox.engine.events import CallState, FileChange
from jetbox.engine.guards import Guards
from jetbox.engine.tools.calls import Done


def done(name: str = "read_file", arguments: str = '{"path":"a"}', text: str = "x", state: CallState = "ok") -> Done:
    return Done("c", "", name, arguments, state, text)


def actions(guards: Guards, rounds: list[list[Done]]) -> list[tuple[str, str]]:
    found = [guards.observe(calls, spoke=True) for calls in rounds]
    return [(f.guard, f.action) for f in found if f is not None]


def test_the_same_call_with_the_same_result_is_warned_about_then_stopped() -> None:
    assert actions(Guards(), [[done()]] * 6) == [("repeat", "warn"), ("repeat", "stop")]


def test_the_order_of_arguments_makes_no_difference() -> None:
    calls = [[done(arguments='{"a":1,"b":2}')], [done(arguments='{"b":2,"a":1}')]] * 3
    assert ("repeat", "stop") in actions(Guards(), calls)


def test_the_same_call_with_another_result_is_work() -> None:
    assert actions(Guards(), [[done(text=str(n))] for n in range(10)]) == []


def test_two_calls_in_turn_are_a_loop() -> None:
    a, b = [done()], [done("list_dir", "{}")]
    assert ("alternate", "warn") in actions(Guards(), [a, b, a, b])
    assert ("alternate", "stop") in actions(Guards(), [a, b] * 4)


def test_an_error_that_differs_by_numbers_is_the_same_error() -> None:
    rounds = [[done(arguments=f'{{"n":{n}}}', text=f"line {n}: no match at 0x{n:x}", state="failed")] for n in range(8)]
    assert actions(Guards(), rounds) == [("error", "warn"), ("error", "stop")]


def test_text_that_speaks_of_errors_is_no_error() -> None:
    rounds = [[done(arguments=f'{{"path":"{n}"}}', text="error: failed")] for n in range(9)]
    assert actions(Guards(), rounds) == []


def test_a_file_written_again_and_again() -> None:
    change = (FileChange("a.py", "modified"),)
    rounds = [[Done("c", "", "write_file", f"{n}", "ok", f"{n}", change)] for n in range(12)]
    assert actions(Guards(), rounds) == [("rewrite", "warn"), ("rewrite", "stop")]


@pytest.mark.parametrize("between", [0, 1])
def test_empty_answers_stop_unless_something_comes_between(between: int) -> None:
    guards = Guards()
    tripped = [guards.observe([], spoke=False)]
    if between:
        guards.observe([done()], spoke=False)
    tripped.append(guards.observe([], spoke=False))
    assert tripped[0] is not None
    assert tripped[0].action == "warn"
    assert (tripped[1] is not None and tripped[1].action == "stop") is (not between)
