"""Plans as models write them: what is read, what is refused, what waits for what."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jetbox.engine.errors import ToolError
from jetbox.engine.plan import STEPS_MOST, PlanRefused, accessed, direct, read_plan, resolved, waits
from jetbox.engine.tools.base import Access, Tool
from jetbox.engine.tools.registry import find, standard_tools
from jetbox.sim.script import load_shipped

TOOLS = standard_tools(plan=True)


def do(tool: str, /, **arguments: Any) -> dict[str, Any]:
    return {"tool": tool, "arguments": arguments}


def write(path: str, content: str = "x") -> dict[str, Any]:
    return do("write_file", path=path, content=content)


def read(steps: Any) -> tuple[list[Any], list[str]]:
    return read_plan(json.dumps({"steps": steps}), lambda name: find(TOOLS, name))


def touches(tool: Tool, arguments: dict[str, Any]) -> Access:
    if tool.name == "run_cmd":
        return Access(barrier=True)
    if arguments["path"].startswith("/"):
        raise ToolError("outside")
    paths = frozenset([arguments["path"]])
    return Access(writes=paths) if tool.name == "write_file" else Access(reads=paths)


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([write("a") | {"after": ["1"]}], "step 1 refers to itself"),
        ([write("a", "${steps.1}")], "step 1 refers to itself"),
        ([write("a") | {"after": ["7"]}], "step 1 refers to step 7, which there is not"),
        ([write("a"), write("b", "${steps.9:1}")], "step 2 refers to step 9, which there is not"),
        ([write("a"), write("b", "${steps.lst}")], "step 2 refers to step lst, which there is not"),
        ([write("a"), write("b", "see ${steps.lst:1}")], "step 2 refers to step lst, which there is not"),
        ([write("a"), write("b", "see ${step.9}")], "step 2 refers to step 9, which there is not"),
        ([write("a", "${steps.2}"), write("b", "${steps.3}"), write("c", "${steps.1}")], "steps 1, 2, 3 wait for"),
        ([write("a"), do("write_file", path="b")], "step 2: write_file: missing content"),
        ([write("a") | {"id": "x"}, write("b") | {"id": "x"}], "two steps are called x"),
        ([write("a") | {"id": 2}, write("b")], "two steps are called 2"),
        ([write(f"f{n}") for n in range(100)], f"the plan has 100 steps; {STEPS_MOST} are the most"),
        ([write("a"), do("plan", steps=[])], "step 2: a plan cannot hold another one"),
        ([do("cat", path="a")], "step 1: there is no tool 'cat'; use read_file"),
        ([write("a"), {"arguments": {"path": "b"}}], "step 2 names no tool"),
        ([write("a"), "then b"], "step 2 must be an object"),
        ([write("a") | {"after": {"x": 1}}], "step 1: after must be a list of steps"),
        ([write("a") | {"after": [None]}], "step 1: after must be a list of steps"),
        ([write("a") | {"arguments": "{"}], "step 1: the arguments are no JSON"),
        ([write("a") | {"arguments": 5}], "step 1: the arguments must be an object"),
        ([do("finish", summary="")], "the plan has no steps"),
        ([], "the plan has no steps"),
        ("first this, then that", "the plan is no JSON"),
        (None, "the plan must be a list of steps"),
        (7, "the plan must be a list of steps"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_with_the_reason(steps: Any, why: str) -> None:
    with pytest.raises(PlanRefused) as refused:
        read(steps)
    assert str(refused.value).startswith(why)


@pytest.mark.parametrize("raw", ["", "{", "[" * 100_000, '{"steps": "{\\"steps\\": 1}"}', '"\\ud800"', "null"])
def test_no_text_breaks_it(raw: str) -> None:
    with pytest.raises(PlanRefused):
        read_plan(raw, lambda name: find(TOOLS, name))


@pytest.mark.parametrize(
    "step",
    [
        {"tool": "read_file", "arguments": {"path": "a"}},
        {"tool": "read_file", "arguments": '{"path": "a"}'},
        {"name": "functions.read_file", "args": {"path": "a"}},
        {"tool": "read_file", "path": "a"},
    ],
)
def test_steps_are_read_as_models_write_them(step: dict[str, Any]) -> None:
    (made,), notes = read([step])
    assert (made.id, made.tool, made.arguments, made.needs, notes) == ("1", "read_file", {"path": "a"}, (), [])


@pytest.mark.parametrize("after", [[1], ["1"], "1", 1, ["$1"], ["${steps.1}"], ["step 1"], ["step_1"], ["step1"]])
def test_an_earlier_step_may_be_named_in_many_ways(after: Any) -> None:
    steps, _ = read([write("a"), write("b", "$1") | {"after": after}])
    assert steps[1].needs == ("1",)
    assert resolved(steps[1], {"1": "told"})["content"] == "told"


def test_what_a_result_says_is_not_looked_through_again() -> None:
    steps, _ = read([write("a"), write("b"), write("c", "${steps.1} $${steps.2} ${steps.2:2} $1 ${HOME}")])
    filled = resolved(steps[2], {"1": "${steps.2} $${steps.2}", "2": "first\nsecond"})
    assert filled["content"] == "${steps.2} $${steps.2} ${steps.2} second $1 ${HOME}"
    with pytest.raises(PlanRefused, match="the result of step 2 has no line 2"):
        resolved(steps[2], {"1": "", "2": "one"})


COMMANDS = ["echo ${steps.1:1}", "echo '${steps.1:1}'", 'echo "${steps.1:1}"', ["sh", "-c", "echo ${steps.1:1}"]]
NO_WORDS = ["hello; touch pwned", "$(touch pwned)", "`id`", "a'b", "a b", "-rf", "", "~", "*", "A=b", "a\\b", "#", "!x"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("line", NO_WORDS)
def test_what_a_result_says_becomes_no_code_of_a_command(command: Any, line: str) -> None:
    steps, _ = read([do("read_file", path="a"), do("run_cmd", command=command)])
    with pytest.raises(PlanRefused, match="no plain word"):
        resolved(steps[1], {"1": f"{line}\nmore"})


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("word", ["src/a.py", "tests/test_a.py::test_b", "ü.txt", "3.11", "a-b@c"])
def test_a_plain_word_of_a_result_is_a_part_of_a_command(command: Any, word: str) -> None:
    steps, _ = read([do("read_file", path="a"), do("run_cmd", command=command)])
    assert word in str(resolved(steps[1], {"1": f"{word}\nmore"})["command"])


@pytest.mark.parametrize(
    "text",
    [
        "`${step.list} ${step.label} $${step.price}`",
        "`${steps.length} steps, $${steps.total}`",
        "${list} ${state.list} $list",
    ],
)
def test_templates_of_other_languages_stay_as_they_are(text: str) -> None:
    steps, notes = read([do("list_dir", path=".") | {"id": "list"}, write("wizard.js", text)])
    assert (steps[1].needs, resolved(steps[1], {"list": "a", "2": ""})["content"]) == ((), text)
    assert notes == (
        ["step 2: ${steps.length} stays as it is, since no step is called length"] if "length" in text else []
    )


def test_a_number_cannot_be_meant_in_another_way() -> None:
    steps, _ = read([write("a"), write("b", "${step.1}, ${step.1:2} of it, not $${step.1}")])
    assert resolved(steps[1], {"1": "x\ny", "2": ""})["content"] == "x\ny, y of it, not ${step.1}"


def test_steps_come_behind_what_they_name_and_else_as_they_were_written() -> None:
    steps, _ = read([write("a") | {"after": ["3"]}, write("b"), write("c"), write("d")])
    assert [step.id for step in steps] == ["2", "3", "1", "4"]


def test_what_is_touched_decides_where_nothing_is_said() -> None:
    steps, _ = read(
        [
            do("read_file", path="a"),
            write("a"),
            write("b", "${steps.1}"),
            do("read_file", path="${steps.1}"),
            do("read_file", path="c"),
            do("run_cmd", command="true"),
        ]
    )
    accesses = [accessed(step, TOOLS[step.tool], touches) for step in steps]
    assert accesses[2] == Access(writes=frozenset("b"))  # what is written does not matter
    assert accesses[3].barrier  # nobody knows yet what it will read
    found = waits(steps, accesses)
    assert direct(found) == {"1": (), "2": ("1",), "3": ("1",), "4": ("2", "3"), "5": ("4",), "6": ("5",)}
    assert found == {
        "1": (),
        "2": ("1",),
        "3": ("1",),
        "4": ("1", "2", "3"),
        "5": ("4",),
        "6": ("1", "2", "3", "4", "5"),
    }
    (outside,), _ = read([write("/etc/x")])
    assert accessed(outside, TOOLS["write_file"], touches).barrier


def test_the_plans_of_the_shipped_scripts_can_be_carried_out() -> None:
    calls = [call for script in load_shipped() for step in script.steps for call in step.calls if call.name == "plan"]
    assert [len(read(call.arguments["steps"])[0]) for call in calls] == [3, 10, 6]
