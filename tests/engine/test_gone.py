"""A model that the server loses in mid-session: work goes on with it, or with another, as whoever sits there says."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest_asyncio

from engine.rig import Rig, within
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine.models.desk import ModelsDesk
from scripted import step

OpenRig = Callable[..., Awaitable[Rig]]
GONE, OTHER = "gpt-oss:20b", "llama3.2:3b"


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
