"""What every request holds, and what bytes of a server come to, where no other test says it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from engine.conftest import OpenRig
from engine.rig import Rig, within
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine import retries
from jetbox.engine.loop import serve
from jetbox.engine.models.manage import warm
from scripted import call, finish, step

LAUNCH = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread", "draft_num_predict")
ENDS: dict[type, type[e.Event]] = {c.Goal: e.GoalEnded, c.Compact: e.Compacted, c.SetModel: e.ModelSwitched}


async def bodies(live: Rig) -> list[dict[str, Any]]:
    return [json.loads(entry["body"]) for entry in (await live.stats())["bodies"]]


def launched(body: dict[str, Any]) -> str:
    """What of a request the server loads a model with, and for how long."""
    return json.dumps([body["keep_alive"], {name: body["options"].get(name) for name in LAUNCH}])


async def two_rounds(rig: OpenRig, **options: Any) -> Rig:
    live = await rig(step(call("write_file", path="a.txt", content="a\n")), finish(), **options)
    assert (await live.run()).outcome == "unverified"
    assert len(await bodies(live)) == 2
    return live


async def test_every_request_forbids_cuts_and_bounds_its_answer(rig: OpenRig) -> None:
    live = await two_rounds(rig, context={"num_ctx": 4096})
    read = [answer.metrics["prompt_eval_count"] for answer in live.events(e.ModelAnswered)]
    for body, prompt in zip(await bodies(live), read, strict=True):
        assert body["truncate"] is False
        assert "shift" not in body
        assert "format" not in body
        assert 0 < body["options"]["num_predict"] <= body["options"]["num_ctx"] - prompt


async def test_launch_options_never_change_within_a_session(rig: OpenRig) -> None:
    live = await two_rounds(rig)
    sent = await bodies(live)
    assert len({launched(body) for body in sent}) == 1
    await within(warm(live.parts.model, "gpt-oss:20b", live.parts.options.model, live.parts.budget.num_ctx))
    assert (await live.stats())["loads"] == 1, "warming up is sent the same"


async def test_launch_options_are_the_same_for_a_plan_a_summary_and_after_a_switch_and_back(rig: OpenRig) -> None:
    other = "llama3.2:3b"
    summary = {**step(text="It was written, and nothing is left."), "id": "top"}
    plan = call("plan", steps=[{"tool": "write_file", "arguments": {"path": "a.txt", "content": "long\n" * 3000}}])
    live = await rig(
        {**summary, "when": {"last_message_contains": "Write a summary"}},
        {**finish(), "when": {"last_message_contains": "Go on"}, "goto": "top"},
        {**step(plan), "goto": "top"},
        loop={"plan": True},
    )
    serving = asyncio.create_task(serve(live.parts))
    try:
        for wanted in (c.Goal("Plan it"), c.Compact(), c.SetModel(other), c.Goal("Go on"), c.SetModel("gpt-oss:20b")):
            live.submit(wanted)
            await live.until(ENDS[type(wanted)])
        live.submit(c.Goal("Go on"))
        await live.until(e.GoalEnded)
    finally:
        live.submit(c.Close())
        await within(serving)
    assert live.events(e.PlanMade)
    sent = await bodies(live)
    assert any("Write a summary" in body["messages"][-1]["content"] for body in sent)
    assert {body["model"] for body in sent} == {"gpt-oss:20b", other}
    for name in ("gpt-oss:20b", other):
        assert len({launched(body) for body in sent if body["model"] == name}) == 1
    assert (await live.stats())["loads"] == 2, "each model once"


async def test_a_line_ends_at_a_line_feed_alone(rig: OpenRig) -> None:
    text = "one\u0085two\u2028three\u2029 <four> & \x0bfive"
    live = await rig(step(text=text))
    assert (await live.run()).outcome == "answered"
    assert "".join(delta.text for delta in live.events(e.TextDelta)) == text


async def test_garbage_in_the_stream_is_an_error_and_asked_for_again(
    rig: OpenRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "BACKOFF_S", (0.01, 0.01, 0.01, 0.01))
    live = await rig(step(text="Yes and no."), faults=("garbage@1:1",))
    assert (await live.run()).outcome == "answered"
    assert [sent.attempt for sent in live.events(e.RequestSent)] == [1, 2]
    first, second = [entry["body"] for entry in (await live.stats())["bodies"]]
    assert first == second, "byte for byte"
    assert "garbage in the answer's stream" in live.events(e.Notice)[0].text
