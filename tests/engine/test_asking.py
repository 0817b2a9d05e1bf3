"""The model asks the user: what is told, what is counted, and that nobody is waited for who is not there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from engine.rig import Rig, within
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine.tools.arguments import decode_arguments
from jetbox.engine.tools.ask import NO_ANSWER, NOBODY, AskUser
from jetbox.engine.tools.registry import specs, standard_tools
from scripted import call, finish, step

OpenRig = Callable[..., Awaitable[Rig]]
ASK = call("ask_user", question="Which database?\nIt is kept.", choices=["sqlite", "postgres"])


async def test_the_user_is_asked_and_the_model_gets_the_answer(rig: OpenRig) -> None:
    live = await rig(step(ASK), finish(), attended=True, asks=True)
    goal = live.start()
    asked = await live.until(e.QuestionAsked)
    assert (asked.question, asked.choices) == ("Which database?\nIt is kept.", ("sqlite", "postgres"))
    called = live.events(e.ToolCalled)[0]
    assert (asked.call, called.title) == (called.call, "ask_user Which database?")
    live.submit(c.Reply(asked.id, " sqlite "))
    assert (await within(goal)).exit_code == 0
    assert [(a.id, a.text, a.by) for a in live.events(e.QuestionAnswered)] == [(asked.id, "sqlite", "user")]
    assert live.results()[0].startswith("the user answers: sqlite")
    assert not live.events(e.PermissionAsked)


async def test_no_answer_is_an_answer_that_is_told(rig: OpenRig) -> None:
    live = await rig(step(ASK), finish(), attended=True, asks=True)
    goal = live.start()
    live.submit(c.Reply((await live.until(e.QuestionAsked)).id))
    await within(goal)
    assert live.events(e.QuestionAnswered)[0].text == ""
    assert live.results()[0].startswith(NO_ANSWER)


async def test_the_time_is_the_users_and_other_calls_go_on(rig: OpenRig) -> None:
    live = await rig(step(ASK, call("list_dir", path=".")), finish(), attended=True, asks=True)
    goal = live.start()
    asked = await live.until(e.QuestionAsked)
    other = await live.until(e.ToolEnded)
    assert other.call != asked.call
    await live.has(e.ModelAnswered)
    before = live.parts.session.now()
    while live.parts.session.now() < before + 30_000_000:
        await asyncio.sleep(0)
    live.submit(c.Reply(asked.id, "sqlite"))
    await within(goal)
    first = live.events(e.RoundEnded)[0]
    assert first.phases["waiting for you"] >= 30_000_000
    assert sum(first.phases.values()) == first.wall_ns
    ended = next(x for x in live.events(e.ToolEnded) if x.call == asked.call)
    tools = [s for s in first.spans if s.phase == "tools" and s.ref == asked.call]
    assert ended.duration_ns + sum(s.end - s.start for s in tools) < 30_000_000
    assert live.parts.control.waited_ns >= 30_000_000


async def test_an_interruption_ends_the_question(rig: OpenRig) -> None:
    live = await rig(step(ASK), attended=True, asks=True)
    goal = live.start()
    await live.until(e.QuestionAsked)
    live.submit(c.Cancel())
    assert (await within(goal)).outcome == "interrupted"
    assert [(a.text, a.by) for a in live.events(e.QuestionAnswered)] == [("", "limit")]
    assert live.events(e.ToolEnded)[0].state == "cancelled"


async def test_a_permission_and_a_question_wait_for_one_another(rig: OpenRig) -> None:
    write = call("write_file", path="a.txt", content="one\n")
    live = await rig(step(ASK, write), finish(), attended=True, asks=True, permissions={"mode": "ask"})
    goal = live.start()
    asked = await live.until(e.QuestionAsked)
    held = await live.until(e.ToolHeld)
    await live.has(e.ModelAnswered)
    assert not live.events(e.PermissionAsked)
    live.submit(c.Reply(asked.id, "sqlite"))
    assert await live.until(e.ToolHeld) == e.ToolHeld(call=held.call, held=False)
    live.submit(c.Answer((await live.until(e.PermissionAsked)).id, "once"))
    await within(goal)
    assert (live.root / "a.txt").exists()


async def test_where_nobody_is_there_the_model_is_told_and_the_tool_is_not_offered(rig: OpenRig) -> None:
    live = await rig(step(ASK), finish(), attended=True)
    assert (await live.run()).exit_code == 0
    assert live.results()[0].startswith(NOBODY)
    assert not live.events(e.QuestionAsked)
    assert b"ask_user" not in live.parts.tool_specs


async def test_secrets_are_in_neither_question_nor_answer(rig: OpenRig) -> None:
    secret = "hunter2-hunter2"
    question = step(call("ask_user", question=f"Is {secret} yours?"))
    live = await rig(question, finish(), attended=True, asks=True, environ={"MY_TOKEN": secret})
    goal = live.start()
    live.submit(c.Reply((await live.until(e.QuestionAsked)).id, f"{secret} is"))
    await within(goal)
    told = [*live.events(e.QuestionAsked), *live.events(e.QuestionAnswered), *live.events(e.ToolEnded)]
    assert secret not in repr(told)


@pytest.mark.parametrize(
    ("given", "choices"),
    [
        ('{"question": "Which?"}', []),
        ('{"question": "Which?", "choices": null}', []),
        ('{"prompt": "Which?", "options": "[\\"a\\", \\"b\\"]"}', ["a", "b"]),
        ('{"question": "Which?", "choices": "a\\nb"}', ["a", "b"]),
        ('{"question": "Which?", "choices": [{"label": "a", "value": 1}, 2, "", {}, " c  d "]}', ["a", "2", "c d"]),
        ('{"question": "Which?", "choices": [1,2,3,4,5,6,7,8,9,10]}', list("123456789")),
    ],
)  # fmt: skip
def test_choices_are_read_however_they_are_written(given: str, choices: list[str]) -> None:
    arguments, _ = decode_arguments(AskUser(), given)
    assert (arguments["question"], arguments.get("choices", [])) == ("Which?", choices)


def test_it_costs_little_in_each_prompt() -> None:
    with_it, without = specs(standard_tools(ask=True)), specs(standard_tools())
    assert len(with_it) - len(without) < 300
    assert with_it.startswith(without[:-1])
    assert [t["function"]["name"] for t in msgspec.json.decode(with_it)][-1] == "ask_user"
