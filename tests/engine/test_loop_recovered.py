"""Calls that the server left in the answer's text."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from engine.rig import Rig
from jetbox.engine import events as e
from scripted import finish, step

OpenRig = Callable[..., Awaitable[Rig]]

WRITE = json.dumps({"name": "write_file", "arguments": {"path": "a.txt", "content": "one\n"}})


async def test_a_call_in_the_text_is_run_and_marked(rig: OpenRig) -> None:
    live = await rig(step(text=f"I write it.\n<tool_call>{WRITE}</tool_call>"), finish())
    assert (await live.run()).outcome == "unverified"
    assert (live.root / "a.txt").read_text() == "one\n"
    assert [called.recovered for called in live.events(e.ToolCalled)] == ["tool_call tags", ""]
    second = json.loads((await live.stats())["bodies"][1]["body"])["messages"]
    assert second[-2]["content"] == "I write it."
    assert second[-2]["tool_calls"][0]["function"] == {
        "name": "write_file",
        "arguments": {"path": "a.txt", "content": "one\n"},
        "index": 0,
    }
    assert second[-1]["role"] == "tool"


async def test_a_call_that_is_talked_about_is_not_run(rig: OpenRig) -> None:
    live = await rig(step(text=f"To write it, one would answer `{WRITE}`, and nothing else."))
    assert (await live.run()).outcome == "answered"
    assert not (live.root / "a.txt").exists()
    assert not live.events(e.ToolCalled)
