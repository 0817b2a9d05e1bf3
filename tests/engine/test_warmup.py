"""A model that is ready before the first goal, and never in its way: the real loop over the embedded server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from engine.conftest import OpenRig
from engine.rig import Rig, within
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine import held, warmup
from jetbox.engine.held import look_at_held, watch_held
from jetbox.engine.loop import serve
from jetbox.engine.models.desk import ModelsDesk
from jetbox.engine.models.figures import COLD_NS, FiguresReader
from jetbox.engine.models.manage import last, unload
from jetbox.engine.models.ollama import OllamaModel
from jetbox.engine.models.window import SMALLER, Window
from jetbox.engine.warmup import WarmUp
from jetbox.sim.launch import ServerProcess
from scripted import WriteScript, finish

Warm = Callable[..., Any]


@pytest_asyncio.fixture
async def warming(
    tmp_path: Path, write_script: WriteScript, sim_server: Callable[..., ServerProcess]
) -> AsyncIterator[Warm]:
    """Opens a session as the workbench does, with the warm-up under way."""
    root = tmp_path / "work"
    root.mkdir()
    opened: list[tuple[Rig, asyncio.Task[None]]] = []

    async def open_(
        *, name: str = "gpt-oss:20b", window: Window | None = None, **server: Any
    ) -> tuple[Rig, asyncio.Task[None]]:
        script = write_script(finish(), match="Do it")
        made = await Rig(sim_server(scripts=[str(script)], **server), root).open(name=name, window=window)
        made.parts.warmup = WarmUp(made.parts)
        task = asyncio.create_task(made.parts.warmup.run())
        opened.append((made, task))
        return made, task

    yield open_
    for made, task in opened:
        task.cancel()
        await asyncio.wait([task])
        await made.close()


def launches(bodies: list[dict[str, Any]]) -> set[Any]:
    return {json.loads(entry["body"])["options"]["num_ctx"] for entry in bodies}


async def test_it_loads_and_reads_and_the_first_request_finds_it_read(warming: Warm) -> None:
    rig, task = await warming()
    await within(task)
    (warmed,) = rig.events(e.ModelWarmed)
    (seen,) = rig.events(e.ModelHeld)
    assert warmed.tokens > 500
    assert (seen.loaded, seen.window) == (True, 16384)
    assert seen.expires > rig.session.now() + 29 * 60 * 10**9
    assert (await rig.run()).outcome in ("done", "unverified")
    first = rig.events(e.ModelAnswered)[0].metrics
    assert first["prompt_eval_cached_count"] >= warmed.tokens - 8
    stats = await rig.stats()
    assert stats["loads"] == 1
    bodies = stats["bodies"]
    assert len(bodies) == 2
    assert launches(bodies) == {16384}
    assert json.loads(bodies[0]["body"])["options"]["num_predict"] == 1, "0 would mean without a limit"
    assert {json.loads(entry["body"])["keep_alive"] for entry in bodies} == {"30m"}
    assert not [r.miss for r in rig.events(e.PrefixReused) if r.miss]


async def test_the_prompt_is_the_same_up_to_the_goal(warming: Warm) -> None:
    rig, task = await warming()
    await within(task)
    await rig.run()
    read, goal = [entry["body"] for entry in (await rig.stats())["bodies"]]
    upto = read.index('{"role":"user"')
    assert read[:upto] == goal[:upto]


async def test_a_goal_during_the_load_joins_it(warming: Warm) -> None:
    rig, task = await warming(faults=["stuck@1"])
    await rig.stats(stalled=1)
    goal = rig.start()
    await rig.stats(chats=1)
    await rig.release()
    assert (await within(goal)).outcome in ("done", "unverified")
    await within(task)
    stats = await rig.stats()
    assert stats["loads"] == 1
    assert len(stats["bodies"]) == 1, "nothing was read ahead of a goal that was there"
    (warmed,) = rig.events(e.ModelWarmed)
    assert (warmed.tokens, warmed.load_ns > 0) == (0, True)


async def test_what_a_goal_reads_that_joined_the_load_tells_how_fast_the_model_reads(warming: Warm) -> None:
    rig, task = await warming(profile="C", speed=4.0, version="0.32.0")
    await rig.stats(loading=1)
    for goal in ("Do it " + "word " * 3000, "Do it"):
        assert (await rig.run(goal)).outcome in ("done", "unverified")
    await within(task)
    (reuse,) = rig.events(e.PrefixReused)
    assert (reuse.estimated, reuse.miss) == (True, ""), "this server counts none"
    assert reuse.tokens > reuse.expected / 2


async def test_a_load_that_was_over_before_a_goal_is_kept(warming: Warm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warmup, "SPEAK_AFTER_S", 0.0)
    rig, task = await warming(profile="C", speed=8.0)
    await within(task)
    told = len(rig.events(e.Waiting))
    assert (await rig.run()).outcome in ("done", "unverified")
    (warmed,) = rig.events(e.ModelWarmed)
    assert (told, warmed.joined, warmed.cold) == (1, False, True)
    figures = FiguresReader()
    for stamped in rig.seen:
        figures.take(stamped)
    assert figures.collect()["gpt-oss:20b"].load == [warmed.load_ns]
    waits = len(rig.events(e.Waiting))
    await within(WarmUp(rig.parts).run())
    assert len(rig.events(e.Waiting)) == waits
    assert not rig.events(e.ModelWarmed)[-1].cold, "it was there, and what that takes on a slow machine is no load"


async def test_what_another_clients_turn_takes_ahead_of_a_goal_is_no_load(
    rig: OpenRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warmup, "SPEAK_AFTER_S", 0.0)
    live = await rig(finish(), faults=("stall@1:0",), profile="C", speed=8.0)
    looks, running = asyncio.Semaphore(0), live.parts.model.running

    async def seen() -> Any:
        found = await running()
        looks.release()
        return found

    monkeypatch.setattr(live.parts.model, "running", seen)
    other = OllamaModel(live.server.url)
    body = {"model": "gpt-oss:20b", "messages": [{"role": "user", "content": "."}], "options": {"num_ctx": 4096}}
    busy = asyncio.create_task(last(other, json.dumps(body).encode()))
    await live.stats(stalled=1)
    ahead = WarmUp(live.parts)
    warming = asyncio.create_task(ahead.run())
    for _ in range(2):
        await within(looks.acquire())
    await live.release()
    await within(busy)
    await within(warming)
    await other.close()
    (warmed,) = live.events(e.ModelWarmed)
    assert not warmed.cold
    assert warmed.load_ns > COLD_NS
    figures = FiguresReader()
    for stamped in live.seen:
        figures.take(stamped)
    assert figures.collect() == {}


async def test_a_goal_takes_the_reading_back(warming: Warm) -> None:
    rig, task = await warming(faults=["stall@1:0"])
    await rig.stats(stalled=1)
    goal = rig.start()
    await within(task)
    stats = await rig.stats(cancelled=1)
    assert stats["cancelled"] == 1
    assert (await within(goal)).outcome in ("done", "unverified")
    assert rig.events(e.ModelWarmed)[0].read_ns == 0


async def test_a_failure_is_a_word_and_no_end(warming: Warm) -> None:
    rig, task = await warming(faults=["status:500@1"])
    await within(task)
    (notice,) = rig.events(e.Notice)
    assert notice.level == "info"
    assert "could not be made ready ahead of a goal: the server answered 500" in notice.text


async def test_closing_the_session_takes_it_back(warming: Warm) -> None:
    rig, task = await warming(faults=["stall@1:0"])
    await rig.stats(stalled=1)
    task.cancel()
    await asyncio.wait([task])
    assert (await rig.stats(cancelled=1))["cancelled"] == 1


async def test_what_is_held_is_asked_for_between_goals_alone(warming: Warm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "LOOK_S", 0.02)
    rig, task = await warming(faults=["stall@2:0"])
    await within(task)
    watching = asyncio.create_task(watch_held(rig.parts))
    try:
        await rig.until(e.ModelHeld)
        goal = rig.start()
        await rig.stats(stalled=1)
        looks = len(rig.events(e.ModelHeld))
        await asyncio.to_thread(rig.server.other_client, "llama3.2:3b")
        await rig.release()
        await within(goal)
        kinds = rig.kinds
        assert kinds[: kinds.index(e.GoalEnded)].count(e.ModelHeld) == looks
        assert rig.parts.loaded
        await asyncio.to_thread(rig.server.other_client, "gpt-oss:20b", unload=True)
        assert not (await rig.until(e.ModelHeld, loaded=False)).loaded
        assert not rig.parts.loaded, "the next request is said to load it, and to read all anew for that"
    finally:
        watching.cancel()
        await asyncio.wait([watching])


async def test_a_server_that_never_lists_what_it_holds_is_not_said_to_hold_nothing(
    warming: Warm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those do that imitate Ollama's protocol."""
    rig, task = await warming()

    async def nothing() -> list[Any]:
        return []

    with monkeypatch.context() as patched:
        patched.setattr(rig.parts.model, "running", nothing)
        await within(task)
        await within(rig.start())
        await look_at_held(rig.parts)
        assert rig.parts.loaded, "the model answered just now"
    last = await look_at_held(rig.parts)
    await asyncio.to_thread(rig.server.other_client, "gpt-oss:20b", unload=True)
    await look_at_held(rig.parts, last)
    assert not rig.parts.loaded


async def test_another_clients_window_is_told(warming: Warm) -> None:
    rig, task = await warming()
    await within(task)
    last = rig.events(e.ModelHeld)[0]
    assert await look_at_held(rig.parts, last) is last, "nothing new, nothing told"
    await asyncio.to_thread(rig.server.other_client, "gpt-oss:20b", num_ctx=2048)
    seen = await look_at_held(rig.parts, last)
    assert seen is not None
    assert seen.window == 2048
    assert "with a window of 2,048 tokens, not 16,384" in rig.events(e.Notice)[-1].text
    for window in (16_384, 2048, 16_384, 2048, 4096):
        await asyncio.to_thread(rig.server.other_client, "gpt-oss:20b", num_ctx=window)
        seen = await look_at_held(rig.parts, seen)
    assert [held.window for held in rig.events(e.ModelHeld)][2:] == [16_384, 2048, 16_384, 2048, 4096]
    told = [notice.text.split(",")[0] for notice in rig.events(e.Notice)]
    assert [text.rpartition(" ")[2] for text in told] == ["2", "4"], "each other window once, however often it is back"


async def test_no_more_is_filled_than_the_server_allows(warming: Warm) -> None:
    rig, task = await warming(name="qwen2.5-coder:7b", window=Window(65_536, "as it is set"))
    await within(task)
    (told,) = rig.events(e.Notice)
    assert told.text == (
        "the server holds qwen2.5-coder:7b with a window of 32,768 tokens, not 65,536: it allows no more; "
        "no more than that is filled"
    )
    assert told.hint == "--num-ctx 32768 asks for no more than that from the beginning"
    ready = rig.events(e.ModelReady)[-1]
    assert (ready.num_ctx, ready.why) == (32_768, "the server allows no more; 65,536 were asked for")
    assert rig.parts.budget.window == 32_768
    assert await look_at_held(rig.parts) is not None
    assert len(rig.events(e.Notice)) == 1, "what was told is not taken for another client's"
    await rig.run()
    stats = await rig.stats()
    assert (stats["loads"], launches(stats["bodies"])) == (1, {65_536})
    await asyncio.to_thread(rig.server.other_client, "qwen2.5-coder:7b", num_ctx=2048)
    await look_at_held(rig.parts)
    assert "another client loaded it" in rig.events(e.Notice)[-1].text
    assert rig.parts.budget.window == 32_768


async def test_a_model_that_memory_does_not_do_for_is_told_before_it_is_loaded(rig: OpenRig) -> None:
    window = Window(16_384, "the default: the model does not fit", "it needs more memory than there is")
    live = await rig(finish(), window=window)
    (told,) = live.events(e.Notice)
    assert (told.level, told.text, told.hint) == ("warning", window.spills, SMALLER)
    assert (await live.stats())["loads"] == 0


async def test_a_part_that_is_not_on_the_gpu_is_told(warming: Warm) -> None:
    rig, task = await warming(vram=8.0)
    await within(task)
    text = next(n.text for n in rig.events(e.Notice) if "CPU" in n.text)
    assert text.endswith("of gpt-oss:20b is worked on by the CPU: it does not fit the GPU's memory")


async def test_where_nothing_is_on_a_gpu_none_is_said_to_be_there(warming: Warm) -> None:
    rig, task = await warming(vram=0.001)
    await within(task)
    text = next(n.text for n in rig.events(e.Notice) if "CPU" in n.text)
    assert text == "all of gpt-oss:20b is worked on by the CPU: it does not fit a GPU's memory, or the server has none"
    await unload(rig.parts.model, "gpt-oss:20b", rig.parts.options.model)
    await look_at_held(rig.parts)
    await rig.run()
    await look_at_held(rig.parts)
    assert len([h for h in rig.events(e.ModelHeld) if h.loaded]) == 2
    assert len([n for n in rig.events(e.Notice) if "CPU" in n.text]) == 1, "it stays so: once is enough"


async def test_a_switch_between_goals_warms_the_new_model(warming: Warm) -> None:
    rig, task = await warming()
    await within(task)
    begun: list[asyncio.Task[None]] = []

    def warm_up() -> None:
        rig.parts.warmup = WarmUp(rig.parts)
        begun.append(asyncio.create_task(rig.parts.warmup.run()))

    rig.parts.warm_up = warm_up
    serving = asyncio.create_task(serve(rig.parts))
    await asyncio.sleep(0)
    rig.submit(c.SetModel("llama3.2:3b"))
    warmed = await rig.until(e.ModelWarmed, name="llama3.2:3b")
    assert warmed.tokens > 500
    (paid,) = rig.events(e.SwitchPaid)
    assert paid.model == "llama3.2:3b"
    assert paid.cost.tokens > 500, "what it read ahead of the goal is what it cost"
    rig.submit(c.Goal("Do it"))
    await rig.until(e.GoalEnded)
    rig.submit(c.Close())
    await within(serving)
    first = rig.events(e.ModelAnswered)[0].metrics
    assert first["prompt_eval_cached_count"] >= warmed.tokens - 8
    assert len(rig.events(e.SwitchPaid)) == 1
    await within(begun[0])


async def test_a_model_that_was_unloaded_meanwhile_is_made_ready_when_the_user_is_back(warming: Warm) -> None:
    rig, task = await warming()
    await within(task)
    rig.parts.warmup = None
    again = asyncio.Event()
    rig.parts.warm_up = again.set
    desk = asyncio.create_task(ModelsDesk(rig.parts).run())
    await asyncio.sleep(0)
    rig.submit(c.Rewarm())
    rig.submit(c.ListModels())
    await rig.until(e.ModelsListed)
    assert not again.is_set(), "it is there"
    await unload(rig.parts.model, "gpt-oss:20b", rig.parts.options.model)
    rig.submit(c.Rewarm())
    await within(again.wait())
    again.clear()
    rig.submit(c.UnloadModel("gpt-oss:20b"))
    await rig.until(e.Notice, text="gpt-oss:20b is unloaded")
    rig.submit(c.Rewarm())
    rig.submit(c.WarmModel("gpt-oss:20b"))
    await rig.until(e.Notice, text="gpt-oss:20b is loaded")
    assert not again.is_set(), "who unloads it wants the memory"
    desk.cancel()
    await asyncio.wait([desk])
