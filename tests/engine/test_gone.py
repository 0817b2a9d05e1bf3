"""A model that the server loses in mid-session, or that calls no tools any more: whoever sits there decides."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from engine.gateway import answer, gateway
from engine.rig import Rig, within
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine.models.connect import connect
from jetbox.engine.models.desk import ModelsDesk
from jetbox.engine.options import ModelOptions
from jetbox.sim.launch import ServerProcess
from scripted import WriteScript, call, finish, step

OpenRig = Callable[..., Awaitable[Rig]]
GONE, OTHER = "gpt-oss:20b", "llama3.2:3b"
NO_TOOLS = "cannot call tools, which an agent needs"


async def lose(live: Rig) -> None:
    """Somebody deletes the model."""
    body = json.dumps({"model": GONE}).encode()
    request = urllib.request.Request(f"{live.server.url}/api/delete", body, method="DELETE")
    await asyncio.to_thread(lambda: urllib.request.urlopen(request).close())


@pytest_asyncio.fixture
async def lost(rig: OpenRig) -> AsyncIterator[Rig]:
    """A goal that has found its model gone, with somebody before the screen."""
    live = await rig(step(text="Yes."), attended=True)
    desk = asyncio.create_task(ModelsDesk(live.parts).run())
    await asyncio.sleep(0)
    await lose(live)
    yield live
    desk.cancel()
    await asyncio.wait([desk])


async def begin(live: Rig) -> asyncio.Task[e.GoalEnded]:
    goal = live.start()
    missing = await live.until(e.ModelMissing)
    assert (missing.name, missing.pull) == (GONE, GONE)
    assert OTHER in missing.there
    await live.until(e.Waiting, what="choosing")
    return goal


async def test_it_is_fetched_and_the_request_sent_again(lost: Rig) -> None:
    goal = await begin(lost)
    lost.submit(c.PullModel(GONE))
    ended = await within(goal)
    assert (ended.outcome, ended.rounds) == ("answered", 1)
    assert [sent.attempt for sent in lost.events(e.RequestSent)] == [1, 2]
    assert lost.events(e.ModelSwitched) == []
    (told,) = lost.events(e.RoundEnded)
    assert told.phases["waiting for you"] > 0


async def test_another_goes_on(lost: Rig) -> None:
    goal = await begin(lost)
    lost.submit(c.SetModel("nowhere:7b"))
    await lost.until(e.Notice, text=f"the server does not have nowhere:7b; it has: {', '.join(await there(lost))}")
    lost.submit(c.SetModel(OTHER, now=True))
    assert (await within(goal)).outcome == "answered"
    (switched,) = lost.events(e.ModelSwitched)
    assert (switched.old, switched.new) == (GONE, OTHER)


async def there(live: Rig) -> list[str]:
    return [model.name for model in await live.parts.model.installed()]


async def test_it_is_asked_for_again_where_it_is_still_gone_and_the_goal_can_be_stopped(lost: Rig) -> None:
    goal = await begin(lost)
    lost.submit(c.SendAgain())
    await lost.until(e.ModelMissing)
    await lost.until(e.Waiting, what="choosing")
    lost.submit(c.Cancel())
    assert (await within(goal)).outcome == "interrupted"


async def test_without_anybody_the_goal_ends_with_how_it_is_got(rig: OpenRig) -> None:
    live = await rig(step(text="Yes."))
    await lose(live)
    ended = await live.run()
    assert (ended.outcome, ended.exit_code) == ("failed", 6)
    assert ended.reason.startswith(f"the server does not have {GONE}; it has: ")
    assert ended.hint == f"get it with `jetbox-tui models pull {GONE}`, or there with `ollama pull {GONE}`"


class Plain:
    """Before the second chat somebody makes the model anew from a template without tools: `instead` of a gateway's."""

    def __init__(self) -> None:
        self.chats = 0

    def __call__(self, asked: bytes) -> bytes | None:
        line, about = asked.split(b"\r\n", 1)[0], GONE.encode() in asked
        self.chats += line.startswith(b"POST /api/chat ")
        if self.chats < 2:
            return None
        if line.startswith(b"POST /api/chat ") and about:
            said = f"registry.ollama.ai/library/{GONE} does not support tools"
            return answer(400, json.dumps({"error": said}).encode())
        if line.startswith(b"POST /api/show ") and about:
            return answer(200, json.dumps({"capabilities": ["completion"]}).encode())
        if line.startswith(b"GET /api/tags "):
            can = {GONE: ["completion"], OTHER: ["completion", "tools"]}
            models = [{"name": name, "digest": name, "capabilities": each} for name, each in can.items()]
            return answer(200, json.dumps({"models": models}).encode())
        return None


@pytest.mark.parametrize("attended", [False, True])
async def test_a_model_that_calls_no_tools_any_more_is_asked_about_or_ends_the_goal_with_those_that_do(
    tmp_path: Path, write_script: WriteScript, sim_server: Callable[..., ServerProcess], attended: bool
) -> None:
    server = sim_server(scripts=[str(write_script(step(call("list_dir", path=".")), finish()))])
    async with gateway(server.url, instead=Plain()) as host:
        client = connect(ModelOptions(host=host, protocol="ollama"))
        live = await Rig(server, tmp_path).open(client=client, attended=attended)
        goal = live.start()
        if attended:
            missing = await live.until(e.ModelMissing)
            assert (missing.why, missing.there, missing.pull) == (f"{GONE} {NO_TOOLS}", (OTHER,), "")
            live.submit(c.SetModel(OTHER, now=True))
        ended = await within(goal)
        await live.close()
    sent = [json.loads(body["body"])["model"] for body in (await live.stats())["bodies"]]
    if attended:
        assert (ended.outcome, ended.rounds, sent) == ("unverified", 2, [GONE, OTHER])
        (switched,) = live.events(e.ModelSwitched)
        assert (switched.old, switched.new) == (GONE, OTHER)
    else:
        assert (ended.outcome, ended.exit_code, sent) == ("failed", 6, [GONE])
        assert (ended.reason, ended.hint) == (f"{GONE} {NO_TOOLS}", f"choose one that can: {OTHER}")
