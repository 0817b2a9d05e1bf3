"""Scripts that anyone can write: what is checked, and how conditions and jumps play."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jetbox.sim import player
from jetbox.sim.conditions import ConditionError, compile_when, is_red
from jetbox.sim.script import ScriptError, load, load_shipped, parse

HEAD = '[script]\nname = "own"\nmatch = "go"\n'
STEP = '[[step]]\nid = "a"\ntext = "x"\n'
RED = "[probes] ruff: passed (0 problems); pytest: failed (1 of 3 failed: test_mul)\n1 failed"
GREEN = "[probes] ruff: passed (0 problems); pytest: passed (no test failed: good)"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[script]\nname = \n", ["own.toml: not TOML", "line 2"]),
        ("", ["own.toml: key 'script': missing"]),
        ('[script]\nname = "x"\n' + STEP, ["script, key 'match': missing"]),
        ('[script]\nname = "x"\nmatch = "("\n' + STEP, ["key 'match'", "regular expression"]),
        (HEAD, ["key 'step'", "[[step]]"]),
        (HEAD + '[model]\ncalls = "late"\n' + STEP, ["model, key 'calls'", "late"]),
        (HEAD + "[modle]\n" + STEP, ["key 'modle': unknown (did you mean 'model'?)"]),
        (HEAD + STEP + "wen = {}\n", ["step 'a', key 'wen': unknown (did you mean 'when'?)"]),
        (HEAD + STEP + STEP, ["step 'a', key 'id': is used twice"]),
        (HEAD + STEP + 'goto = "b"\n', ["step 'a', key 'goto': no step 'b'"]),
        (HEAD + STEP + 'else = "a"\n', ["step 'a', key 'else'"]),
        (HEAD + STEP + "when = { rad = true }\n", ["step 'a', key 'when.rad'", "red"]),
        (HEAD + STEP + "when = { red = 1 }\n", ["step 'a', key 'when.red': must be true or false"]),
        (HEAD + STEP + 'when = { any = [{ tool = "" }] }\n', ["key 'when.any[0].tool'"]),
        (HEAD + STEP + 'when = { not = { last_tool_matches = "[" } }\n', ["key 'when.not.last_tool_matches'"]),
        (HEAD + STEP + 'fault = "explode"\n', ["step 'a', key 'fault'", "explode"]),
        (HEAD + STEP + "[[step.call]]\n", ["step 'a', call 1, key 'name': missing"]),
        (HEAD + STEP + '[[step.call]]\nname = "x"\narguments = 1\n', ["call 1, key 'arguments'"]),
        (HEAD + STEP + '[[step.call]]\nname = "x"\narguments = { t = 2026-01-01 }\n', ["key 'arguments'"]),
        (HEAD + '[[step]]\nid = "e"\n', ["step 'e'", "says nothing"]),
        (HEAD + '[[step]]\nid = "end"\ntext = "x"\n', ["'end'", "reserved"]),
        (HEAD + STEP + "plan = 1\n", ["step 'a', key 'plan': must be a list of texts"]),
        (HEAD + STEP + 'plan = ["a"]\n', ["step 'a', key 'plan': no step 'a'"]),
        (HEAD + STEP + '[[step]]\nid = "b"\nplan = ["aa"]\n', ["key 'plan': no step 'aa' (did you mean 'a'?)"]),
    ],
)
def test_errors_name_file_step_and_key(text: str, words: list[str]) -> None:
    with pytest.raises(ScriptError) as caught:
        parse(text, "own.toml")
    assert "\n" not in str(caught.value)
    for word in ["own.toml", *words]:
        assert word in str(caught.value)


def test_an_unknown_name_tells_the_nearest() -> None:
    with pytest.raises(ScriptError, match="did you mean 'mathx'"):
        load("matx")
    with pytest.raises(ScriptError, match=r"nowhere\.toml: cannot be read"):
        load("nowhere.toml")


def test_the_shipped_scripts_know_their_goals_and_no_others() -> None:
    scripts = load_shipped()
    assert [script.name for script in scripts] == ["fix-test", "mathx", "question", "refactor"]
    for script in scripts:
        matching = [other.name for other in scripts if other.match.search(script.goal)]
        assert matching == [script.name]


@pytest.mark.parametrize(
    ("content", "red"),
    [
        (RED, True),
        (GREEN, False),
        ("text before\n" + RED, True),
        (RED + "\n" + GREEN, False),
        ("[probes] pytest: timeout", True),
        ("[probes] ruff: error (no such file)", True),
        ("[probes] ruff: skipped (failed to find anything); pytest: cancelled", False),
        ("a line about [probes] pytest: failed", False),
        ("nothing", False),
    ],
)
def test_red_is_read_from_the_newest_verdict(content: str, red: bool) -> None:
    assert is_red([{"role": "tool", "content": content}]) is red
    assert is_red([{"role": "user", "content": content}, {"role": "assistant", "content": RED}]) is red


def conversation(content: str, name: str = "run_cmd") -> list[dict[str, Any]]:
    call = {"id": "call_1", "function": {"name": name, "arguments": {}}}
    return [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": content},
    ]


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ({"last_tool_contains": "2 failed"}, True),
        ({"last_tool_contains": ["2 failed", "passed"]}, False),
        ({"last_tool_matches": r"^\d failed"}, True),
        ({"tool": "run_cmd"}, True),
        ({"tool": "grep"}, False),
        ({"tool": "grep", "last_tool_contains": "failed"}, False),
        ({"last_message_contains": "test_mul"}, True),
        ({"last_message_matches": "MUL"}, False),
        ({"not": {"tool": "grep"}}, True),
        ({"any": [{"tool": "grep"}, {"last_tool_contains": "failed"}]}, True),
        ({"red": False, "last_tool_contains": "failed"}, True),
        ({"red": True}, False),
    ],
)
def test_conditions(when: dict[str, Any], holds: bool) -> None:
    assert compile_when(when)(conversation("2 failed: test_mul")) is holds


def test_an_empty_condition_is_an_error() -> None:
    with pytest.raises(ConditionError):
        compile_when({})


BRANCHES = """
[[step]]
id = "try"
[[step.call]]
name = "run_cmd"
[[step]]
id = "repair"
when = { last_tool_contains = "failed" }
else = "bye"
goto = "try"
[[step.call]]
name = "edit_file"
[[step]]
id = "skipped"
text = "never"
[[step]]
id = "bye"
text = "bye"
"""


def steps_of(results: list[str]) -> list[str]:
    """Identifiers of the steps that a conversation with these tool results goes through."""
    script = parse(HEAD + BRANCHES, "own.toml")
    messages: list[dict[str, Any]] = [{"role": "user", "content": "go"}]
    ids = []
    for result in results:
        step = player.next_turn(messages, [script]).step
        ids.append(step.id)
        calls = [{"function": {"name": call.name, "arguments": call.arguments}} for call in step.calls]
        messages.append({"role": "assistant", "content": step.text, "tool_calls": calls})
        messages.append({"role": "tool", "content": result})
    return ids


def test_jumps_and_branches() -> None:
    assert steps_of(["ok", "", ""]) == ["try", "bye", "over"]
    assert steps_of(["failed", "edited", "failed", "edited", "ok", ""]) == [
        "try",
        "repair",
        "try",
        "repair",
        "try",
        "bye",
    ]


def test_branches_in_a_circle_end() -> None:
    circle = '[[step]]\nid = "a"\ntext = "x"\nwhen = { red = true }\nelse = "a"\n'
    script = parse(HEAD + circle, "own.toml")
    assert player.next_turn([{"role": "user", "content": "go"}], [script]).step.id == "over"


def test_a_red_verdict_after_the_end_goes_on_in_the_same_script() -> None:
    more = '[[step]]\nid = "cure"\ntext = "cured"\nwhen = { red = true }\n'
    script = parse(HEAD + STEP + more, "own.toml")
    messages = [{"role": "user", "content": "go"}, {"role": "assistant", "content": "x"}]
    assert player.next_turn([*messages, {"role": "user", "content": RED}], [script]).step.id == "cure"
    assert player.next_turn([*messages, {"role": "user", "content": GREEN}], [script]).step.id == "over"
    again = player.next_turn([*messages, {"role": "user", "content": "go"}], [script])
    assert (again.step.id, again.goal, again.round) == ("a", 2, 1)


def test_a_script_alone_answers_any_goal() -> None:
    script = parse(HEAD + STEP, "own.toml")
    hello = [{"role": "user", "content": "hello"}]
    assert player.next_turn(hello, [script], alone=True).step.id == "a"
    assert player.next_turn(hello, [script]).script.name == "unknown-goal"


def test_a_goal_may_follow_other_words_of_the_user() -> None:
    script = parse(HEAD + STEP, "own.toml")
    opening = [{"role": "user", "content": "The folder is empty."}, {"role": "user", "content": "go"}]
    turn = player.next_turn(opening, [script])
    assert (turn.script.name, turn.goal, turn.round) == ("own", 1, 1)


PLANS = """
[[step]]
id = "plan"
plan = ["look", "write"]
goto = "end"

[[step]]
id = "look"
call = [{ name = "list_dir", arguments = { path = "." } }]

[[step]]
id = "write"
call = [{ name = "write_file", arguments = { path = "a", content = "b" } }]
"""


def test_a_step_that_plans_is_there_where_plans_are_offered(client_of: Any, script_file: Any) -> None:
    client = client_of(scripts=[script_file(HEAD + PLANS)])
    (plain,) = client.chat("go")
    assert [call["function"]["name"] for call in plain["message"]["tool_calls"]] == ["list_dir"]
    (planned,) = client.chat("go", tools=[{"type": "function", "function": {"name": "plan", "parameters": {}}}])
    (call,) = planned["message"]["tool_calls"]
    assert call["function"]["name"] == "plan"
    assert call["function"]["arguments"] == {
        "steps": [
            {"tool": "list_dir", "arguments": {"path": "."}},
            {"tool": "write_file", "arguments": {"path": "a", "content": "b"}},
        ]
    }


def test_the_example_of_the_documentation_plays(agent: Any, client_of: Any, script_file: Any) -> None:
    page = Path(__file__).parents[2] / "docs" / "scripted-models.md"
    example = page.read_text().split("```toml\n")[1].split("```")[0]
    agent.client = client_of(scripts=[script_file(example)])
    agent.folder = agent.folder / "work"
    agent.folder.mkdir()
    agent.play("Write a greeting.")
    assert agent.finished
    assert [verdict.split("; ")[0] for verdict in agent.verdicts] == [
        "[probes] ruff: failed (summary)",
        "[probes] ruff: passed (summary)",
    ]
    assert (agent.folder / "greet.py").read_text() == 'print("hello")\n'
