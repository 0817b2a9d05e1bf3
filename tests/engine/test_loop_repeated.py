"""Answers that repeat themselves over and over."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from engine.rig import Rig
from jetbox.engine import events as e
from scripted import finish, step

OpenRig = Callable[..., Awaitable[Rig]]

AGAIN = "I will now look at the file. " * 300


async def test_it_is_stopped_and_the_model_is_told(rig: OpenRig) -> None:
    live = await rig(step(text=AGAIN), finish(), match="^Do it")
    assert (await live.run()).outcome == "unverified"
    assert live.events(e.ModelAnswered)[0].done_reason == "repeated"
    assert len("".join(delta.text for delta in live.events(e.TextDelta))) < len(AGAIN)
    second = (await live.stats())["bodies"][1]
    assert "repeated itself" in json.loads(second["body"])["messages"][-1]["content"]


async def test_one_that_never_stops_ends_the_goal(rig: OpenRig) -> None:
    live = await rig(*[step(think=AGAIN, text="x")] * 4)
    ended = await live.run()
    assert (ended.outcome, ended.exit_code) == ("guard", 4)
