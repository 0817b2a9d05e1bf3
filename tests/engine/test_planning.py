"""A goal is planned in one answer, its steps run together, one more answer joins; over real HTTP, with real files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from engine.rig import Rig, within
from jetbox.engine import commands as c
from jetbox.engine import events as e
from scripted import Step, call, finish, step

OpenRig = Callable[..., Awaitable[Rig]]
PLAN = {"plan": True}


def planned(*steps: dict[str, Any], **more: Any) -> Step:
    """An answer that plans."""
    return step(call("plan", steps=list(steps)), **more)


def do(tool: str, /, after: tuple[str, ...] = (), id: str = "", **arguments: Any) -> dict[str, Any]:
    """A step of a plan."""
    made: dict[str, Any] = {"tool": tool, "arguments": arguments}
    return made | ({"after": list(after)} if after else {}) | ({"id": id} if id else {})


def write(path: str, content: str = "X = 1\n", **more: Any) -> dict[str, Any]:
    return do("write_file", path=path, content=content, **more)


def states(live: Rig) -> dict[str, str]:
    return {ended.step: ended.state for ended in live.events(e.StepEnded)}


async def told(live: Rig, request: int = 1) -> str:
    """What the model read of its plan."""
    return str((await live.requests())[request][-1]["content"])


async def test_work_of_many_calls_takes_two_requests(rig: OpenRig) -> None:
    live = await rig(
        planned(write("a.py"), write("b.py", "Y = 2\n"), do("run_cmd", command="cat a.py b.py")), finish(), loop=PLAN
    )
    ended = await live.run()
    assert (ended.outcome, ended.rounds) == ("unverified", 2)
    assert (live.root / "b.py").read_text() == "Y = 2\n"
    (made,) = live.events(e.PlanMade)
    assert [(one.id, one.title, one.after) for one in made.steps] == [
        ("1", "write_file a.py", ()),
        ("2", "write_file b.py", ()),
        ("3", "run_cmd cat a.py b.py", ("1", "2")),
    ]
    (over,) = live.events(e.PlanEnded)
    assert (over.outcome, over.done) == ("done", 3)
    assert over.wall_ns > 0
    assert [joined.done for joined in live.events(e.PlanJoined)] == [True]
    first, second = await live.requests()
    assert second[: len(first)] == first
    assert second[-2]["tool_calls"][0]["function"]["name"] == "plan"
    assert (second[-1]["role"], second[-1]["tool_name"]) == ("tool", "plan")
    assert "[step 3: run_cmd cat a.py b.py]\nexit code 0\nX = 1\nY = 2" in await told(live)
    assert "call finish if the goal is reached" in await told(live)
    bodies = [json.loads(entry["body"]) for entry in (await live.stats())["bodies"]]
    assert all("format" not in body and body["tools"] == bodies[0]["tools"] for body in bodies)


async def test_without_the_option_nobody_is_told_of_plans(rig: OpenRig) -> None:
    live = await rig(planned(write("a.py")), finish())
    await live.run()
    assert live.events(e.PlanMade) == []
    assert not (live.root / "a.py").exists()
    body = json.loads((await live.stats())["bodies"][0]["body"])
    assert "plan" not in [tool["function"]["name"] for tool in body["tools"]]
    assert "plan" not in body["messages"][0]["content"]


async def test_steps_that_touch_nothing_in_common_run_together(rig: OpenRig) -> None:
    live = await rig(
        planned(write("a.py"), write("b.py")), finish(), loop=PLAN, attended=True, permissions={"mode": "ask"}
    )
    running = live.start()
    first = await live.until(e.PermissionAsked)
    assert [begun.step for begun in live.events(e.StepBegun)] == ["1", "2"]
    live.submit(c.Answer(first.id, "once"))
    second = await live.until(e.PermissionAsked)
    live.submit(c.Answer(second.id, "once"))
    assert (await within(running)).outcome == "unverified"
    assert live.events(e.PlanEnded)[0].together == 2


async def test_a_step_waits_for_what_it_names_and_for_what_it_touches(rig: OpenRig) -> None:
    live = await rig(
        planned(
            do("read_file", path="b.txt", after=("write",)),
            write("a.txt", "one\n", id="write"),
            write("b.txt", "two\n", after=("write",)),
            do("read_file", path="a.txt"),
        ),
        finish(),
        loop=PLAN,
    )
    await live.run()
    (made,) = live.events(e.PlanMade)
    assert {one.id: one.after for one in made.steps} == {
        "write": (),
        "1": ("write",),
        "3": ("1",),
        "4": ("write",),
    }
    assert states(live) == {"write": "ok", "1": "failed", "3": "ok", "4": "ok"}  # a read that fails keeps no write


async def test_a_step_gets_the_result_of_an_earlier_one(rig: OpenRig) -> None:
    live = await rig(
        planned(
            do("run_cmd", command="printf 'a.txt\\nb.txt\\n'", id="names"),
            do("read_file", path="${steps.names:2}"),
            write("copy.txt", "$2", after=("2",)),
            write("all.txt", "It says: ${steps.2}; not $2, nor $${steps.2}\n"),
        ),
        finish(),
        loop=PLAN,
    )
    (live.root / "b.txt").write_text("bee")
    await live.run()
    assert set(states(live).values()) == {"ok"}
    assert (live.root / "copy.txt").read_text() == "bee"
    assert (live.root / "all.txt").read_text() == "It says: bee; not $2, nor ${steps.2}\n"


@pytest.mark.parametrize("command", ["echo ${steps.1:1}", "echo '${steps.1:1}'", ["sh", "-c", "echo ${steps.1:1}"]])
@pytest.mark.parametrize("line", ["hello; touch pwned", "'; touch pwned; '", "$(touch pwned)"])
async def test_what_a_file_says_is_no_code_of_a_command(rig: OpenRig, command: object, line: str) -> None:
    steps = planned(do("read_file", path="notes.md"), do("run_cmd", command=command))
    live = await rig(steps, finish(), loop=PLAN)
    (live.root / "notes.md").write_text(f"{line}\n")
    await live.run()
    assert states(live) == {"1": "ok", "2": "failed"}
    assert "is no plain word" in await told(live)
    assert {path.name for path in live.root.iterdir()} == {"notes.md"}


async def test_a_file_is_copied_as_it_is_and_a_command_without_the_words_around_it(rig: OpenRig) -> None:
    odd = "\nexit code 0\n[no output]\n\n[arguments: none]\n[files changed: all]\n\n"
    live = await rig(
        planned(
            do("read_file", path="odd.txt", shown="all", id="odd"),
            write("copy.txt", "${steps.odd}"),
            do("read_file", path="empty.txt", id="empty"),
            write("nothing.txt", "${steps.empty}"),
            do("run_cmd", command="printf '\\n[arguments: x]\\n\\n' | tee made.txt", id="made"),
            write("said.txt", "${steps.made}"),
            do("run_cmd", command="true", id="silent"),
            write("silence.txt", "${steps.silent}"),
        ),
        finish(),
        loop=PLAN,
    )
    (live.root / "odd.txt").write_text(odd)
    (live.root / "empty.txt").write_text("")
    await live.run()
    assert "[arguments: " in (await told(live)).partition("[step 2:")[0].rpartition("\n[arguments: none]")[2]
    assert "[files changed: made.txt]" in await told(live)
    said = [(live.root / f"{name}.txt").read_text() for name in ("copy", "nothing", "said", "silence")]
    assert said == [odd, "", "\n[arguments: x]", ""]


async def test_what_breaks_off_goes_on_call_by_call(rig: OpenRig) -> None:
    live = await rig(
        planned(
            do("edit_file", path="gone.py", edits=[{"old": "a", "new": "b"}]),
            do("run_cmd", command="cat gone.py"),
            write("b.py", id="other"),
            write("c.py", "${steps.1}"),
        ),
        step(call("write_file", path="gone.py", content="b\n")),
        finish(),
        loop=PLAN,
    )
    ended = await live.run()
    assert (ended.outcome, ended.rounds) == ("unverified", 3)
    assert states(live) == {"1": "failed", "2": "skipped", "other": "skipped", "4": "skipped"}
    (over,) = live.events(e.PlanEnded)
    assert over.outcome == "broken"
    assert over.why.startswith("step 1 failed: ")
    assert "the plan broke off: step 1 failed" in await told(live)
    assert "not run: it needs step 1, which failed" in await told(live)
    assert [(joined.done, joined.why) for joined in live.events(e.PlanJoined)] == [(False, "")]
    assert (live.root / "gone.py").exists()


async def test_steps_beside_one_that_fails_run_all_the_same(rig: OpenRig) -> None:
    live = await rig(
        planned(do("read_file", path="gone.py"), write("b.py"), write("c.py", after=("2",))), finish(), loop=PLAN
    )
    await live.run()
    assert states(live) == {"1": "failed", "2": "ok", "3": "ok"}


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([write("a", id="x", after=("y",)), write("b", id="y", after=("x",))], "steps x, y wait for each other"),
        ([write("a"), do("launch", rocket=1)], "step 2: there is no tool 'launch'"),
    ],
)
async def test_a_plan_that_cannot_be_is_not_begun(rig: OpenRig, steps: list[Any], why: str) -> None:
    live = await rig(planned(*steps), step(call("write_file", path="z.py", content="Z = 1\n")), finish(), loop=PLAN)
    ended = await live.run()
    assert ended.outcome == "unverified"
    (over,) = live.events(e.PlanEnded)
    assert (over.outcome, live.events(e.PlanMade), live.events(e.PlanJoined)) == ("refused", [], [])
    assert over.why.startswith(why)
    assert (await told(live)).startswith(f"the plan was not run: {why}")
    assert sorted(path.name for path in live.root.iterdir()) == ["z.py"]


async def test_a_goal_has_one_plan_and_the_next_goal_another(rig: OpenRig) -> None:
    live = await rig(
        step(call("list_dir", path=".")),
        planned(write("a.py"), do("finish", summary="")),
        planned(write("b.py")),
        finish(),
        loop=PLAN,
    )
    assert (await live.run()).rounds == 4
    assert "this goal has had its plan" in await told(live, 3)
    assert not (live.root / "b.py").exists()
    assert live.events(e.PlanMade)[0].notes == ("step 2 left out: finish is for when the results are there",)
    await live.run("Again")
    assert len(live.events(e.PlanMade)) == len({made.plan for made in live.events(e.PlanMade)}) == 2


async def test_calls_beside_a_plan_are_answered_in_their_places(rig: OpenRig) -> None:
    live = await rig(
        step(call("list_dir", path="."), call("plan", steps=[write("a.py")]), call("glob", pattern="*.txt")),
        finish(),
        loop=PLAN,
    )
    await live.run()
    second = (await live.requests())[1]
    assert [message["tool_name"] for message in second[-3:]] == ["list_dir", "plan", "glob"]


async def test_a_step_that_is_not_allowed_takes_with_it_what_needs_it(rig: OpenRig) -> None:
    live = await rig(
        planned(write("a.py"), do("read_file", path="a.py"), do("list_dir", path="sub")),
        finish(),
        loop=PLAN,
        attended=True,
        permissions={"mode": "ask"},
    )
    (live.root / "sub").mkdir()
    running = live.start()
    asked = await live.until(e.PermissionAsked)
    live.submit(c.Answer(asked.id, "no"))
    await within(running)
    assert states(live) == {"1": "denied", "2": "skipped", "3": "ok"}
    assert "it needs step 1, which was not allowed" in await told(live)


async def test_interrupting_ends_the_steps_and_keeps_what_was_done(rig: OpenRig) -> None:
    live = await rig(
        planned(write("a.py"), do("run_cmd", command="sleep 60"), do("read_file", path="a.py")), finish(), loop=PLAN
    )
    running = live.start()
    await live.until(e.ToolStarted, call=(await live.until(e.StepBegun, step="2")).call)
    live.submit(c.Cancel())
    assert (await within(running)).outcome == "interrupted"
    assert states(live) == {"1": "ok", "2": "cancelled", "3": "cancelled"}
    assert live.events(e.PlanEnded)[0].outcome == "cancelled"
    assert live.parts.history.parts[1][-1].startswith(b'{"role":"tool","tool_name":"plan"')
    assert all(task is asyncio.current_task() or "Planner" not in repr(task) for task in asyncio.all_tasks())


async def test_a_plan_that_the_connection_cuts_off_is_carried_out_and_not_asked_for_again(rig: OpenRig) -> None:
    live = await rig(planned(write("a.py"), fault="no_done"), finish(), loop=PLAN)
    ended = await live.run()
    assert (ended.outcome, ended.rounds) == ("unverified", 2)
    assert len(live.events(e.PlanMade)) == len(live.events(e.PlanEnded)) == 1


async def test_red_probes_are_told_with_the_plan_and_mended_after_it(rig: OpenRig) -> None:
    live = await rig(
        planned(write("a.py", "import os\n"), write("b.py", "Y = 1\n")),
        step(call("write_file", path="a.py", content="X = 1\n")),
        finish(),
        loop=PLAN,
        probes={"pytest": False},
    )
    ended = await live.run()
    assert (ended.outcome, ended.rounds) == ("done", 3)
    assert "[probes] ruff: failed" in await told(live)


async def test_a_plan_in_the_text_is_taken_from_there(rig: OpenRig) -> None:
    text = "Here is my plan.\n```json\n" + json.dumps({"steps": [write("a.py"), write("b.py")]}) + "\n```"
    live = await rig(step(text=text), finish(), loop=PLAN)
    assert (await live.run()).rounds == 2
    assert sorted(path.name for path in live.root.iterdir()) == ["a.py", "b.py"]


async def test_a_question_is_answered_without_a_plan(rig: OpenRig) -> None:
    live = await rig(step(text="It is so."), loop=PLAN)
    ended = await live.run("Is it so?")
    assert (ended.outcome, ended.rounds) == ("answered", 1)
    assert live.events(e.PlanEnded) == []


async def test_steps_run_one_by_one_where_calls_do(rig: OpenRig) -> None:
    live = await rig(
        planned(write("a.py"), write("b.py"), do("read_file", path="a.py")),
        finish(),
        loop=PLAN,
        performance={"parallel_tools": False},
    )
    assert (await live.run()).outcome == "unverified"
    order = [kind for kind in live.kinds if kind in (e.ToolStarted, e.ToolEnded)]
    assert order == [e.ToolStarted, e.ToolEnded] * 4  # finish is the fourth


async def test_a_step_that_nobody_can_allow_ends_the_goal(rig: OpenRig) -> None:
    live = await rig(planned(write("a.py")), finish(), loop=PLAN, permissions={"mode": "ask"})
    assert (await live.run()).outcome == "denied"
    assert states(live) == {"1": "denied"}
    assert not (live.root / "a.py").exists()
