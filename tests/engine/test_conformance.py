"""What every request holds, and what bytes of a server come to, where no other test says it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.conftest import OpenRig
from engine.rig import Rig, within
from jetbox.engine import events as e
from jetbox.engine import retries
from jetbox.engine.models.manage import warm
from scripted import call, finish, step


async def bodies(live: Rig) -> list[dict[str, Any]]:
    return [json.loads(entry["body"]) for entry in (await live.stats())["bodies"]]


async def two_rounds(rig: OpenRig) -> Rig:
    live = await rig(step(call("write_file", path="a.txt", content="a\n")), finish())
    assert (await live.run()).outcome == "unverified"
    assert len(await bodies(live)) == 2
    return live


async def test_every_request_forbids_cuts_and_bounds_its_answer(rig: OpenRig) -> None:
    for body in await bodies(await two_rounds(rig)):
        assert body["truncate"] is False
        assert "shift" not in body
        assert "format" not in body
        assert 0 < body["options"]["num_predict"] < body["options"]["num_ctx"]


async def test_launch_options_never_change_within_a_session(rig: OpenRig) -> None:
    live = await two_rounds(rig)
    sent = await bodies(live)
    launch = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread", "draft_num_predict")
    assert len({json.dumps({name: body["options"].get(name) for name in launch}) for body in sent}) == 1
    assert len({json.dumps(body["keep_alive"]) for body in sent}) == 1
    await within(warm(live.parts.model, "gpt-oss:20b", live.parts.options.model, live.parts.budget.num_ctx))
    assert (await live.stats())["loads"] == 1, "warming up is sent the same"


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
    first, second = live.events(e.RequestSent)
    assert (first.head, first.attempt, second.attempt) == (second.head, 1, 2)
    assert "garbage in the answer's stream" in live.events(e.Notice)[0].text
