"""A model that is not there: it is fetched, or another is used, as whoever sits there says; over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, Never

import pytest
import pytest_asyncio

from engine.rig import Rig, within
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine.errors import KeyWanted, ModelNotFound, ServerUnreachable
from jetbox.engine.loop import serve
from jetbox.engine.models.base import ChatModel, ModelInfo, PullStep
from jetbox.engine.models.choose import choose_model
from jetbox.engine.models.desk import ModelsDesk
from jetbox.engine.models.missing import choose_or_ask, with_usable_rule
from jetbox.engine.models.ollama import OllamaModel
from jetbox.engine.models.openai_compat import OpenAIModel
from jetbox.engine.options import EngineOptions, RoutingOptions
from jetbox.engine.session import Feed, NoRecorder, Session
from jetbox.sim.launch import ServerProcess
from scripted import step

Serve = Callable[..., ServerProcess]
FETCHED = "qwen3:8b"


class Asking:
    """A session that looks for its model."""

    def __init__(self, model: ChatModel) -> None:
        self.session = Session(NoRecorder())
        self.feed: Feed = self.session.feed()
        self.model = model
        self.seen: list[e.Event] = []
        self.choosing: asyncio.Task[ModelInfo]

    def begin(self, name: str, *, waits: bool = False) -> None:
        self.choosing = asyncio.create_task(choose_or_ask(self.session, self.model, name, waits=waits))

    async def told(self, kind: type[e.Event]) -> e.Event:
        async def look() -> e.Event:
            await asyncio.sleep(0)  # what is there already gives nobody else a turn, from Python 3.12 on
            while True:
                self.seen += [stamped.event for stamped in self.feed.drain().events]
                found = [event for event in self.seen if isinstance(event, kind)]
                if found:
                    return found[-1]
                await self.feed.ready()

        return await within(look())


@pytest_asyncio.fixture
async def asking(sim_server: Serve) -> AsyncIterator[Asking]:
    model = OllamaModel(sim_server().url)
    yield Asking(model)
    await model.close()


async def test_it_can_be_fetched(asking: Asking) -> None:
    asking.begin(FETCHED)
    missing = await asking.told(e.ModelMissing)
    assert isinstance(missing, e.ModelMissing)
    assert (missing.name, missing.pull) == (FETCHED, FETCHED)
    assert "gpt-oss:20b" in missing.there
    assert "gemma2:2b" not in missing.there, "it cannot call tools"
    asking.session.submit(c.Goal("Meanwhile"))
    asking.session.submit(c.PullModel(FETCHED))
    info = await within(asking.choosing)
    assert info.name == FETCHED
    done = await asking.told(e.ModelPulled)
    assert isinstance(done, e.ModelPulled)
    assert (done.state, done.completed) == ("done", done.total)
    assert done.total > 10**9
    assert await within(asking.session.next_command()) == c.Goal("Meanwhile")


async def test_another_can_be_used(asking: Asking) -> None:
    asking.begin(FETCHED)
    await asking.told(e.ModelMissing)
    asking.session.submit(c.SetModel("llama3.2:3b"))
    assert (await within(asking.choosing)).name == "llama3.2:3b"


async def test_one_that_is_not_fit_is_not_fetched_and_none_that_is_named_is_asked_for(asking: Asking) -> None:
    asking.begin("gemma2:2b")
    missing = await asking.told(e.ModelMissing)
    assert isinstance(missing, e.ModelMissing)
    assert "cannot call tools" in missing.why
    assert missing.pull == ""
    asking.session.submit(c.SetModel("gpt-oss:20b"))
    await within(asking.choosing)
    asking.begin("")
    asking.seen.clear()
    unnamed = await asking.told(e.ModelMissing)
    assert isinstance(unnamed, e.ModelMissing)
    assert (unnamed.name, unnamed.pull) == ("", "")
    asking.session.submit(c.SetModel("gpt-oss:20b"))
    await within(asking.choosing)


async def test_what_nobody_has_is_said_and_asked_about_again(asking: Asking) -> None:
    asking.begin("nowhere:7b")
    await asking.told(e.ModelMissing)
    asking.session.submit(c.PullModel("nowhere:7b"))
    notice = await asking.told(e.Notice)
    assert isinstance(notice, e.Notice)
    assert notice.text.startswith("nobody has a model nowhere:7b")
    asking.session.submit(c.Close())
    with pytest.raises(ModelNotFound):
        await within(asking.choosing)
    assert await within(asking.session.next_command()) == c.Close()


async def test_a_server_that_is_not_there_is_waited_for_with_what_was_typed(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    up = asyncio.Event()
    installed, version, info = asking.model.installed, asking.model.version, asking.model.info

    def when_up(ask: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def asked(*about: str) -> Any:
            if not up.is_set():
                raise ServerUnreachable("nothing answers", "start it")
            return await ask(*about)

        return asked

    for name, ask in (("installed", installed), ("version", version), ("info", info)):
        monkeypatch.setattr(asking.model, name, when_up(ask))
    asking.begin("gpt-oss:20b")
    with pytest.raises(ServerUnreachable):
        await within(asking.choosing)  # nobody sits there
    asking.begin("gpt-oss:20b", waits=True)
    notice, waiting = await asking.told(e.Notice), await asking.told(e.Waiting)
    assert isinstance(notice, e.Notice)
    assert isinstance(waiting, e.Waiting)
    assert (notice.text, notice.hint, waiting.what) == ("nothing answers", "start it", "connecting")
    asking.session.submit(c.Goal("Do it"))
    asking.session.submit(c.ListModels())
    listed = await asking.told(e.ModelsListed)
    assert isinstance(listed, e.ModelsListed)
    assert listed.problem == "nothing answers — start it"
    asking.session.submit(c.SetModel("llama3.2 :3b "))
    asking.session.submit(c.SetModel("llama3.2:3b"))
    while (told := await asking.told(e.Notice)) and "llama3.2:3b" not in told.text:  # type: ignore[attr-defined]
        pass
    texts = [event.text for event in asking.seen if isinstance(event, e.Notice)]
    assert texts[-2:] == [
        "no model can have the name 'llama3.2 :3b ': it holds spaces",
        "llama3.2:3b is queued until the server answers, and not known to be there",
    ]
    up.set()
    asking.session.submit(c.SendAgain())
    assert (await within(asking.choosing)).name == "llama3.2:3b"
    assert await within(asking.session.next_command()) == c.Goal("Do it")
    up.clear()
    asking.begin("gpt-oss:20b", waits=True)
    asking.session.submit(c.Close())
    with pytest.raises(ServerUnreachable):
        await within(asking.choosing)


async def test_a_server_that_wants_a_key_when_it_comes_is_waited_for_no_longer(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    says: list[ServerUnreachable] = [ServerUnreachable("nothing answers")]

    async def asked(*about: str) -> Never:
        raise says[-1]

    for name in ("installed", "version", "info"):
        monkeypatch.setattr(asking.model, name, asked)
    asking.begin("gpt-oss:20b", waits=True)
    await asking.told(e.Waiting)
    says.append(KeyWanted("a key is wanted"))
    asking.session.submit(c.SendAgain())
    with pytest.raises(KeyWanted):
        await within(asking.choosing)


@pytest.mark.parametrize("stop", [c.Cancel(), c.StopPull(FETCHED)], ids=["cancel", "stop"])
async def test_fetching_can_be_stopped(sim_server: Serve, stop: c.AnyCommand) -> None:
    model = OllamaModel(sim_server(speed=0.01).url)
    asking = Asking(model)
    asking.begin(FETCHED)
    await asking.told(e.ModelMissing)
    asking.session.submit(c.PullModel(FETCHED))
    await asking.told(e.ModelPulled)
    asking.session.submit(stop)
    asking.session.submit(c.SetModel("gpt-oss:20b"))
    assert (await within(asking.choosing)).name == "gpt-oss:20b"
    last = await asking.told(e.ModelPulled)
    assert isinstance(last, e.ModelPulled)
    assert last.state == "cancelled"
    await model.close()


async def test_meanwhile_the_list_is_told_and_the_question_not_again(asking: Asking) -> None:
    asking.begin(FETCHED)
    await asking.told(e.ModelMissing)
    asking.session.submit(c.ListModels(anew=True))
    listed = await asking.told(e.ModelsListed)
    assert isinstance(listed, e.ModelsListed)
    assert "gpt-oss:20b" in [model.name for model in listed.models]
    assert listed.manages
    asking.session.submit(c.ListModels())
    asking.session.submit(c.SetModel("gpt-oss:20b"))
    await within(asking.choosing)
    kinds = [type(event) for event in asking.seen]
    assert (kinds.count(e.ModelMissing), kinds.count(e.ModelsListed)) == (1, 1)


async def test_what_was_chosen_later_is_not_overridden_by_what_was_fetched(
    rig: Callable[..., Awaitable[Rig]],
) -> None:
    live = await rig(step(text="Yes."), attended=True)
    desk = asyncio.create_task(ModelsDesk(live.parts).run())
    serving = asyncio.create_task(serve(live.parts))
    await asyncio.sleep(0)
    live.submit(c.PullModel(FETCHED))
    live.submit(c.SetModel("llama3.2:3b"))
    await live.until(e.ModelPulled, state="done")
    listed = await live.has(e.ModelsListed)
    assert FETCHED in [model.name for model in listed.models]
    live.submit(c.Goal("Do it"))
    await live.has(e.GoalEnded)
    assert [event.new for event in live.events(e.ModelSwitched)] == ["llama3.2:3b"]
    live.submit(c.Close())
    await within(serving)
    desk.cancel()
    await asyncio.wait([desk])


@pytest.mark.parametrize("use", [True, False])
async def test_one_that_is_chosen_while_it_is_fetched_is_gone_over_to_when_it_is_there(
    rig: Callable[..., Awaitable[Rig]], use: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = await rig(step(text="Yes."), attended=True)
    fetch, on = live.parts.model.pull, asyncio.Event()

    async def slowly(name: str) -> AsyncIterator[PullStep]:
        yield PullStep("pulling manifest")
        await on.wait()
        async for each in fetch(name):
            yield each

    monkeypatch.setattr(live.parts.model, "pull", slowly)
    desk = asyncio.create_task(ModelsDesk(live.parts).run())
    serving = asyncio.create_task(serve(live.parts))
    await asyncio.sleep(0)
    live.submit(c.PullModel(FETCHED, use=use))
    await live.until(e.ModelPulled)
    live.submit(c.SetModel(FETCHED))
    assert f"{FETCHED} is being fetched" in (await live.until(e.Notice)).text
    on.set()
    assert (await live.until(e.ModelSwitched)).new == FETCHED
    assert not live.events(e.ModelMissing)
    live.submit(c.Close())
    await within(serving)
    desk.cancel()
    await asyncio.wait([desk])


async def test_a_switch_to_one_that_is_not_there_offers_to_fetch_it(rig: Callable[..., Awaitable[Rig]]) -> None:
    live = await rig(step(text="Yes."), attended=True)
    desk = asyncio.create_task(ModelsDesk(live.parts).run())
    serving = asyncio.create_task(serve(live.parts))
    await asyncio.sleep(0)
    live.submit(c.SetModel(FETCHED))
    missing = await live.until(e.ModelMissing)
    assert missing.pull == FETCHED
    live.submit(c.PullModel(FETCHED))
    switched = await live.until(e.ModelSwitched)
    assert switched.new == FETCHED
    live.submit(c.Close())
    await within(serving)
    desk.cancel()
    await asyncio.wait([desk])


@pytest.mark.parametrize("away", [True, False])
async def test_a_rule_whose_other_model_is_missing_asks_and_one_whose_server_is_away_goes_on(
    asking: Asking, monkeypatch: pytest.MonkeyPatch, away: bool
) -> None:
    rule = RoutingOptions(mode="evidence", small="llama3.2:3b", large="nowhere:7b")
    choose = partial(choose_or_ask, asking.session)
    if away:

        async def gone(*_: object) -> Never:
            raise ServerUnreachable("nothing answers", "start it")

        monkeypatch.setattr(asking.model, "info", gone)
    options = EngineOptions(routing=rule)
    ruled = asyncio.create_task(with_usable_rule(asking.session, asking.model, options, "llama3.2:3b", choose))
    if away:
        assert (await within(ruled)).routing == rule
        notice = await asking.told(e.Notice)
        assert isinstance(notice, e.Notice)
        assert notice.text == "routing by evidence cannot use nowhere:7b: nothing answers"
        return
    await asking.told(e.ModelMissing)
    asking.session.submit(c.SetModel("GPT-OSS:20b"))
    assert (await within(ruled)).routing.large == "gpt-oss:20b"


async def test_a_rule_whose_first_model_is_missing_asks_once(asking: Asking) -> None:
    rule = RoutingOptions(mode="evidence", small="nowhere:7b", large="gpt-oss:20b")
    choose = partial(choose_or_ask, asking.session)
    first = asyncio.create_task(choose(asking.model, "nowhere:7b"))
    await asking.told(e.ModelMissing)
    asking.session.submit(c.SetModel("llama3.2:3b"))
    begun = (await within(first)).name
    options = EngineOptions(routing=rule)
    ruled = with_usable_rule(asking.session, asking.model, options, begun, choose, "nowhere:7b")
    assert (await within(ruled)).routing == RoutingOptions(mode="evidence", small="llama3.2:3b", large="gpt-oss:20b")


@pytest.mark.parametrize("flavour", ["vllm", "llamacpp"])
async def test_servers_that_fetch_nothing_are_never_said_to(sim_server: Serve, flavour: str) -> None:
    model = OpenAIModel(sim_server(flavour=flavour).url)
    try:
        with pytest.raises(ModelNotFound) as caught:
            await choose_model(model, "nowhere:7b")
        assert "ollama" not in f"{caught.value.message} {caught.value.hint}"
        assert caught.value.hint == "name one of those with --model"
    finally:
        await model.close()
