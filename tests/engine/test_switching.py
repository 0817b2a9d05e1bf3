"""Another model in mid-session: the next round or at once, with its cost before and after, over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from engine.rig import Rig, within
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine import interruptible
from jetbox.engine.control import Wish
from jetbox.engine.errors import ServerUnreachable
from jetbox.engine.loop import serve
from jetbox.engine.models import catalog
from jetbox.engine.models import desk as desks
from jetbox.engine.models.base import ModelInfo
from jetbox.engine.models.desk import ModelsDesk
from jetbox.engine.models.figures import Figures
from jetbox.engine.models.manage import warm
from jetbox.engine.models.until import seconds_until, session_time
from jetbox.engine.models.window import SMALLER, Window
from jetbox.engine.options import ModelOptions
from jetbox.engine.parts import Switched
from jetbox.engine.switching import pay, switch_as_wished
from jetbox.engine.tasks import end_tasks
from jetbox.engine.warmup import WarmUp
from jetbox.sim.launch import ServerProcess
from scripted import Step, WriteScript, call, finish, step

OpenRig = Callable[..., Awaitable[Rig]]
SMALL, LARGE = "llama3.2:3b", "gpt-oss:20b"
MEASURED = Figures(load=[3_000_000_000], prefill=[1000.0])


def know(live: Rig, figures: Figures = MEASURED) -> None:
    live.parts.known = lambda name, digest: figures


async def switched(live: Rig, *names: str, now: bool = False) -> None:
    """Run a goal that stalls once for each name, and switch there."""
    running = live.start()
    for n, name in enumerate(names, start=1):
        await live.stats(faults=n, stalled=1)
        live.submit(c.SetModel(name, now=now))
        if not now:
            await live.release()
    await within(running)


async def windows(live: Rig) -> list[tuple[str, int]]:
    """Model and window of every request, as the server received them."""
    bodies = [json.loads(entry["body"]) for entry in (await live.stats())["bodies"]]
    return [(body["model"], body["options"]["num_ctx"]) for body in bodies]


async def small_session(rig: OpenRig, *steps: Step, gib: float) -> Rig:
    """One that began with the small model, on a machine with so much memory for models."""
    window = Window(65536, "the most that fits")
    return await rig(*steps, name=SMALL, context={"gpu_gib": gib}, window=window)


async def test_the_cost_is_told_before_and_compared_after(rig: OpenRig) -> None:
    live = await rig(step(call("list_dir", path="."), think="Look.", fault="stall@:1"), finish())
    know(live)
    await switched(live, SMALL)
    (event,) = live.events(e.ModelSwitched)
    assert event.expected.load_ns == 3_000_000_000
    assert event.expected.prefill_ns == event.expected.tokens * 1_000_000
    (paid,) = live.events(e.SwitchPaid)
    assert (paid.model, paid.expected) == (SMALL, event.expected)
    assert paid.cost.load_ns >= 0
    assert 0.6 < paid.cost.tokens / event.expected.tokens < 1.6
    kinds = live.kinds
    assert kinds.index(e.ModelSwitched) < kinds.index(e.SwitchPaid)
    bodies = [json.loads(body["body"]) for body in (await live.stats())["bodies"]]
    assert [body["model"] for body in bodies] == [LARGE, SMALL]
    assert not any("thinking" in message for message in bodies[1]["messages"]), "the other's thinking is left behind"
    assert {body["options"]["num_ctx"] for body in bodies} == {16384}


async def test_a_model_that_is_loaded_costs_its_reading_alone(rig: OpenRig) -> None:
    live = await rig(step(call("list_dir", path="."), fault="stall@:1"), finish())
    know(live)
    await warm(live.parts.model, SMALL, ModelOptions(), 16384)
    await switched(live, SMALL)
    (event,) = live.events(e.ModelSwitched)
    assert event.expected.load_ns == 0
    assert (await live.stats())["loads"] == 2


async def test_a_switch_back_finds_the_model_loaded_and_its_prefix_in_the_cache(rig: OpenRig) -> None:
    stalling = [step(call("list_dir", path="."), think="Hm.", fault="stall@:1") for _ in range(2)]
    live = await rig(step(call("write_file", path="a.txt", content="long\n" * 400)), *stalling, finish())
    know(live)
    await switched(live, SMALL, LARGE)
    there, back = live.events(e.ModelSwitched)
    assert (there.expected.cached, back.new, back.expected.load_ns) == (0, LARGE, 0)
    assert back.expected.cached > 500, "what it was sent before is still there"
    paid = live.events(e.SwitchPaid)[-1]
    assert abs(paid.cost.cached - back.expected.cached) < 0.2 * back.expected.cached
    assert (await live.stats())["loads"] == 2
    bodies = [body["body"] for body in (await live.stats())["bodies"]]
    first, last = bodies[1], bodies[-1]
    messages = first[first.index('"messages"') : first.rindex('],"options"')]
    assert messages in last, "byte for byte"


async def test_a_switch_back_to_a_model_that_was_evicted_is_told_as_a_load_and_is_one(rig: OpenRig) -> None:
    stalling = [step(call("list_dir", path="."), fault="stall@:1") for _ in range(2)]
    write = step(call("write_file", path="a.txt", content="long\n" * 400))
    # Room for either model, and not for both; a load takes 750 ms.
    live = await rig(write, *stalling, finish(), profile="rtx4090/llama3.2:3b", speed=4.0, vram=15.0)
    know(live, Figures(load=[750_000_000], prefill=[80_000.0]))
    await switched(live, SMALL, LARGE)
    there, back = live.events(e.ModelSwitched)
    assert (back.new, back.expected.load_ns, back.expected.cached) == (LARGE, 750_000_000, 0)
    assert back.expected.tokens > there.expected.tokens > 500, "all of it is read again"
    assert [running.name for running in await live.parts.model.running()] == [LARGE]
    assert (await live.stats())["loads"] == 3
    for event, paid in zip((there, back), live.events(e.SwitchPaid), strict=True):
        assert (paid.model, paid.expected, paid.cost.cached) == (event.new, event.expected, 0)
        assert paid.cost.load_ns > 700_000_000
        assert 0.6 < paid.cost.tokens / event.expected.tokens < 1.6


async def test_where_nothing_is_counted_no_cache_is_invented_for_a_model_that_was_evicted(
    tmp_path: Path, write_script: WriteScript, sim_server: Callable[..., ServerProcess]
) -> None:
    stalling = [step(call("list_dir", path="."), fault="stall@:1") for _ in range(2)]
    script = write_script(step(call("write_file", path="a.txt", content="long\n" * 400)), *stalling, finish())
    pace: dict[str, Any] = {"profile": "rtx4090/llama3.2:3b", "speed": 4.0, "vram": 15.0}
    server = sim_server(scripts=[str(script)], version="0.24.0", **pace)
    live = await Rig(server, tmp_path).open()
    know(live, Figures(load=[1_500_000_000], prefill=[500_000.0]))
    await switched(live, SMALL, LARGE)
    assert [paid.cost.cached for paid in live.events(e.SwitchPaid)] == [0, 0]
    assert not [reuse for reuse in live.events(e.PrefixReused) if "another client" in reuse.miss]
    await live.close()


async def test_what_the_warm_up_loaded_belongs_to_the_cost_of_the_switch_and_to_no_later_one(rig: OpenRig) -> None:
    live = await rig(step(text="Yes."), step(text="Yes."))
    live.parts.warmup = WarmUp(live.parts)
    live.parts.warmup._load_ns = 2_000_000_000
    for load in (2_000_000_000, 0):
        live.parts.switched = Switched("other", e.SwitchCost(tokens=3000))
        await live.run()
        assert live.events(e.SwitchPaid)[-1].cost.load_ns == load


async def test_a_wait_for_what_was_taken_back_belongs_to_the_cost(rig: OpenRig) -> None:
    live = await rig(step(text="Yes."))
    expected = e.SwitchCost(tokens=3000)
    for waited, prefill in ((15_000_000_000, 14_985_000_000), (900_000_000, 94_000_000), (-1, 94_000_000)):
        live.parts.switched = Switched("other", expected)
        pay(live.parts, {"load_duration": 15_000_000, "prompt_eval_duration": 94_000_000}, None, waited)
        assert live.events(e.SwitchPaid)[-1].cost.prefill_ns == prefill


async def test_at_once_cuts_the_round_and_keeps_what_was_streamed(rig: OpenRig) -> None:
    live = await rig(step(text="One two three four.", fault="stall@:2"), step(text="Done by another."))
    await switched(live, SMALL, now=True)
    assert (await live.stats(cancelled=1))["cancelled"] == 1
    assert [r.model for r in live.events(e.RoundStarted)] == [LARGE, SMALL]
    said = [json.loads(m.json) for m in live.events(e.MessageAdded) if m.role == "assistant"]
    assert said[0]["content"].startswith("One")
    assert live.events(e.GoalEnded)[0].outcome == "answered"


@pytest.mark.parametrize("name", ["nix:1b", LARGE, "gpt-oss:20B", "gemma2:2b"])
async def test_at_once_cuts_nothing_for_a_model_that_cannot_be_used_or_works_already(
    rig: OpenRig, tmp_path: Path, name: str
) -> None:
    go = tmp_path / "go"
    command = f"echo here; while [ ! -e {go} ]; do sleep 0.02; done; echo there"
    live = await rig(step(call("run_cmd", command=command)), step(text="Done."), attended=True)
    running = live.start()
    await live.until(e.ToolOutput)
    live.submit(c.SetModel(name, now=True))
    if name in ("nix:1b", "gemma2:2b"):
        assert (await live.until(e.Notice)).text.endswith(f"; going on with {LARGE}")
        assert not live.parts.control.chosen
    go.touch()
    assert (await within(running)).outcome == "answered"
    (ended,) = live.events(e.ToolEnded)
    assert (ended.state, ended.text) == ("ok", "exit code 0\nhere\nthere")
    assert not live.events(e.ModelSwitched)
    assert [missing.name for missing in live.events(e.ModelMissing)] == ["nix:1b"] * (name == "nix:1b")


async def test_what_is_chosen_in_the_last_round_is_done_when_the_goal_has_ended(rig: OpenRig) -> None:
    live = await rig(step(text="That is all.", fault="stall@:1"))
    serving = asyncio.create_task(serve(live.parts))
    try:
        live.submit(c.Goal("Say it"))
        await live.stats(stalled=1)
        live.submit(c.SetModel(SMALL))
        await live.release()
        assert (await live.until(e.GoalEnded)).rounds == 1
        assert (await live.until(e.ModelSwitched)).new == SMALL
    finally:
        live.submit(c.Close())
        await within(serving)


async def test_a_small_window_is_told_of_once(rig: OpenRig) -> None:
    live = await rig(finish(), context={"num_ctx": 8192})
    for name in (SMALL, LARGE):
        live.parts.control.wish = Wish(name)
        assert await switch_as_wished(live.parts)
    assert len([notice for notice in live.events(e.Notice) if "below 16k" in notice.text]) == 1


async def test_a_wish_to_think_goes_to_models_that_can(rig: OpenRig) -> None:
    stalling = [step(call("list_dir", path="."), fault="stall@:1") for _ in range(3)]
    live = await rig(*stalling, finish(), model={"think": "low"})
    await switched(live, SMALL, LARGE, SMALL)
    bodies = [json.loads(body["body"]) for body in (await live.stats())["bodies"]]
    assert [body.get("think") for body in bodies] == ["low", None, "low", None]
    (word,) = [notice for notice in live.events(e.Notice) if "think" in notice.text]
    assert word.text == f"{SMALL} cannot think: model.think = low is left out for it"


async def test_a_short_name_of_the_model_in_use_is_no_other_model(rig: OpenRig) -> None:
    live = await rig(finish(), name=f"library/{LARGE}")
    assert [ready.name for ready in live.events(e.ModelReady)] == [LARGE]
    for short in (LARGE, f"library/{LARGE}"):
        live.parts.control.wish = Wish(short)
        assert not await switch_as_wished(live.parts)
    assert live.events(e.ModelSwitched) == []


async def test_while_nothing_runs_a_switch_happens_without_a_round(rig: OpenRig) -> None:
    live = await rig(finish())
    serving = asyncio.create_task(serve(live.parts))
    try:
        live.submit(c.SetModel(SMALL))
        assert (await live.until(e.ModelSwitched)).new == SMALL
        live.submit(c.Goal("Do it"))
        await live.until(e.GoalEnded)
        assert [r.model for r in live.events(e.RoundStarted)] == [SMALL]
    finally:
        live.submit(c.Close())
        await within(serving)


@contextlib.asynccontextmanager
async def held_up(live: Rig, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[asyncio.Future[None]]:
    """A switch between two goals to the small model, whose server does not say which models it has until it is done."""
    monkeypatch.setattr(interruptible, "SPEAK_AFTER_S", 0.0)
    told, installed = asyncio.get_running_loop().create_future(), live.parts.model.installed

    async def late() -> list[ModelInfo]:
        await asyncio.shield(told)
        return await installed()

    monkeypatch.setattr(live.parts.model, "installed", late)
    serving = asyncio.create_task(serve(live.parts))
    try:
        live.submit(c.SetModel(SMALL))
        await live.until(e.Waiting, what="asking")
        yield told
    finally:
        live.submit(c.Close())
        await within(serving)


async def test_a_switch_between_goals_that_the_server_holds_up_is_stopped(
    rig: OpenRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = await rig(finish())
    async with held_up(live, monkeypatch):
        live.submit(c.Cancel())
        assert (await live.until(e.Notice)).text == f"stopped: going on with {LARGE}"
        assert (live.parts.control.wish, live.parts.control.chosen) == (None, False)
        live.submit(c.SetModel(SMALL))
        await live.until(e.Waiting, what="asking")
    assert len(live.events(e.Notice)) == 1


async def test_a_goal_begins_at_once_and_waits_for_the_model_that_was_chosen_for_it(
    rig: OpenRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = await rig(finish())
    async with held_up(live, monkeypatch) as told:
        live.submit(c.Goal("Do it"))
        await live.until(e.GoalStarted)
        await live.until(e.Waiting, what="asking")
        assert not live.events(e.RoundStarted)
        told.set_result(None)
        await live.until(e.GoalEnded)
        assert [each.new for each in live.events(e.ModelSwitched)] == [SMALL]
        assert [each.model for each in live.events(e.RoundStarted)] == [SMALL]


async def test_a_goal_that_waits_for_its_model_can_be_stopped(rig: OpenRig, monkeypatch: pytest.MonkeyPatch) -> None:
    live = await rig(finish())
    async with held_up(live, monkeypatch):
        live.submit(c.Goal("Do it"))
        await live.until(e.GoalStarted)
        await live.until(e.Waiting, what="asking")
        live.submit(c.Cancel())
        assert (await live.until(e.GoalEnded)).outcome == "interrupted"
        await live.until(e.Waiting, what="asking")
        live.submit(c.Cancel())
        assert (await live.until(e.Notice)).text == f"stopped: going on with {LARGE}"


async def test_a_goal_goes_on_with_the_old_model_where_the_other_cannot_be_had(
    rig: OpenRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = await rig(finish())
    async with held_up(live, monkeypatch) as told:
        live.submit(c.Goal("Do it"))
        await live.until(e.GoalStarted)
        await live.until(e.Waiting, what="asking")
        told.set_exception(ServerUnreachable("nobody answers"))
        queued = f"{SMALL} is queued until it answers, and not known to be there"
        assert (await live.until(e.Notice)).text == f"nobody answers; going on with {LARGE}, {queued}"
        await live.until(e.GoalEnded)
        assert [each.model for each in live.events(e.RoundStarted)] == [LARGE]


async def test_what_else_is_wanted_does_not_wait_for_a_switch_that_is_held_up(
    rig: OpenRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = await rig(finish())
    async with held_up(live, monkeypatch) as told:
        live.submit(c.Compact())
        await live.until(e.Notice)  # that there is nothing to make shorter
        told.set_result(None)
        assert (await live.until(e.ModelSwitched)).new == SMALL


async def test_the_newest_of_two_wishes_holds(rig: OpenRig, monkeypatch: pytest.MonkeyPatch) -> None:
    live = await rig(finish())
    async with held_up(live, monkeypatch) as told:
        live.submit(c.SetModel("qwen2.5-coder:7b"))
        told.set_result(None)
        assert (await live.until(e.ModelSwitched)).new == "qwen2.5-coder:7b"
        assert live.parts.control.wish is None


async def test_a_history_that_does_not_fit_is_not_carried_over(rig: OpenRig) -> None:
    live = await rig(step(call("list_dir", path="."), fault="stall@:1"), finish(), context={"num_ctx": 65536})
    running = live.start("word " * 30000)
    await live.stats(stalled=1)
    live.submit(c.SetModel("qwen2.5-coder:7b"))
    await live.release()
    await within(running)
    assert live.events(e.ModelSwitched) == []
    (word,) = [notice for notice in live.events(e.Notice) if "going on with" in notice.text]
    assert "qwen2.5-coder:7b takes 32,768 tokens, and the session has about" in word.text


async def test_a_smaller_window_is_kept_to(rig: OpenRig) -> None:
    live = await rig(step(call("list_dir", path="."), fault="stall@:1"), finish(), context={"num_ctx": 65536})
    await switched(live, "qwen2.5-coder:7b")
    bodies = [json.loads(body["body"]) for body in (await live.stats())["bodies"]]
    assert [body["options"]["num_ctx"] for body in bodies] == [65536, 32768]


async def test_a_window_that_is_pinned_stays_whatever_the_memory(rig: OpenRig) -> None:
    pinned = {"num_ctx": 20480, "gpu_gib": 80.0}
    live = await rig(step(call("list_dir", path="."), fault="stall@:1"), finish(), name=SMALL, context=pinned)
    await switched(live, LARGE)
    assert await windows(live) == [(SMALL, 20480), (LARGE, 20480)]


async def test_each_model_has_the_window_that_its_own_weights_leave_room_for(rig: OpenRig) -> None:
    stalling = [step(call("list_dir", path="."), fault="stall@:1") for _ in range(2)]
    live = await small_session(rig, *stalling, finish(), gib=15.5)
    await switched(live, LARGE, SMALL)
    assert await windows(live) == [(SMALL, 65536), (LARGE, 16384), (SMALL, 65536)]
    ready = live.events(e.ModelReady)[-2]
    assert (ready.name, ready.why) == (LARGE, "the most that fits into 15.5 GiB of memory for models")
    assert (await live.stats())["loads"] == 2, "a switch back asks for what the model had"


async def test_a_model_that_does_not_fit_the_memory_is_told_of_on_a_switch(rig: OpenRig) -> None:
    live = await small_session(rig, step(call("list_dir", path="."), fault="stall@:1"), finish(), gib=10.0)
    assert [notice for notice in live.events(e.Notice) if "CPU will work" in notice.text] == []
    await switched(live, LARGE)
    (word,) = [notice for notice in live.events(e.Notice) if "CPU will work" in notice.text]
    assert word.text.startswith(f"{LARGE} with a window of 16,384 tokens needs about 15.")
    assert (word.level, word.hint) == ("warning", SMALLER)


async def test_a_model_that_another_client_holds_is_not_loaded_again(rig: OpenRig) -> None:
    live = await rig(step(call("list_dir", path="."), fault="stall@:1"), finish())
    know(live)
    await asyncio.to_thread(live.server.other_client, SMALL, num_ctx=32768)
    await switched(live, SMALL)
    assert await windows(live) == [(LARGE, 16384), (SMALL, 32768)]
    assert (await live.stats())["loads"] == 2
    assert live.events(e.ModelSwitched)[0].expected.load_ns == 0
    assert live.events(e.SwitchPaid)[0].cost.load_ns == 0


async def said_much(live: Rig) -> None:
    """A goal of about 38,000 tokens, and a switch to the small model in its midst."""
    live.parts.budget.num_ctx = 131_072
    running = live.start("word " * 30000)
    await live.stats(stalled=1)
    live.submit(c.SetModel(SMALL))
    await live.release()
    await within(running)


@pytest.mark.parametrize(("gib", "tokens"), [(0.0, 65_536), (40.0, 131_072)])
async def test_what_another_client_holds_too_small_for_what_was_said_is_loaded_again(
    rig: OpenRig, gib: float, tokens: int
) -> None:
    live = await rig(step(call("list_dir", path="."), fault="stall@:1"), finish(), context={"gpu_gib": gib})
    await asyncio.to_thread(live.server.other_client, SMALL, num_ctx=32768)
    await said_much(live)
    assert await windows(live) == [(LARGE, 131_072), (SMALL, tokens)]
    assert "too few for what was said" in live.events(e.ModelReady)[-1].why


async def test_a_model_whose_memory_has_no_room_for_what_was_said_is_refused_with_the_reason(rig: OpenRig) -> None:
    live = await rig(step(call("list_dir", path="."), fault="stall@:1"), finish(), context={"gpu_gib": 6.0})
    await said_much(live)
    assert live.events(e.ModelSwitched) == []
    (word,) = [notice for notice in live.events(e.Notice) if "going on with" in notice.text]
    why = "the most that fits into 6.0 GiB of memory for models"
    assert word.text.startswith(f"{SMALL} takes 16,384 tokens ({why}), and the session has about 3")
    assert "/compact" in word.hint


async def test_the_desk_lists_loads_and_unloads(rig: OpenRig) -> None:
    live = await rig(finish())
    know(live, Figures(decode=[50.0], calls=8, calls_ok=6, load=[2_000_000_000]))
    working = asyncio.create_task(ModelsDesk(live.parts).run())
    await asyncio.sleep(0)
    try:
        live.submit(c.ListModels())
        listed = {m.name: m for m in (await live.until(e.ModelsListed)).models}
        assert listed["gemma2:2b"].lacks == "cannot call tools"
        assert (listed[SMALL].loaded, listed[SMALL].decode, listed[SMALL].calls_ok) == (False, 50.0, 6)
        assert listed[SMALL].best == "questions: its calls fail"
        assert listed[SMALL].cost.load_ns == 2_000_000_000
        live.submit(c.WarmModel(SMALL))
        listed = {m.name: m for m in (await live.until(e.ModelsListed)).models}
        small = listed[SMALL]
        assert (small.loaded, small.window, small.cost.load_ns) == (True, 16384, 0)
        assert small.memory_gpu == small.memory > 2e9
        assert 29 * 60 < (small.expires - live.session.now()) / 1e9 < 31 * 60
        live.submit(c.UnloadModel(SMALL))
        assert not any(m.loaded for m in (await live.until(e.ModelsListed)).models)
        live.submit(c.WarmModel("nix"))
        assert "nix" in (await live.until(e.Notice, level="warning")).text
    finally:
        working.cancel()
        await asyncio.wait([working])


async def test_a_server_that_goes_away_and_comes_back_is_told_with_the_list(rig: OpenRig) -> None:
    live = await rig(finish())
    desk = ModelsDesk(live.parts)
    await desk.lister.tell(anew=False)
    there = live.parts.model.host
    live.parts.model.host = "http://127.0.0.1:9"
    await live.parts.model.close()
    for _ in range(2):
        await desk.lister.tell(anew=False)
    live.parts.model.host = there
    await live.parts.model.close()
    await desk.lister.tell(anew=False)
    told = live.events(e.ModelsListed)
    assert [bool(each.problem) for each in told] == [False, True, False]
    assert "127.0.0.1:9" in told[1].problem
    assert told[1].models == told[0].models
    assert live.events(e.Notice) == [], "a list that is asked for again and again does not fill the transcript"


async def test_the_desk_fetches_once_and_stops_when_it_is_told(rig: OpenRig) -> None:
    live = await rig(finish())
    desk = ModelsDesk(live.parts)
    desk.take(c.PullModel("qwen2.5-coder:7b", use=False))
    desk.take(c.PullModel("qwen2.5-coder:7b", use=False))
    assert len(desk._tasks) == 1
    (pulling,) = desk._tasks
    desk.take(c.StopPull("qwen2.5-coder:7b"))
    await asyncio.wait([pulling])
    assert desk._pulls == {}
    desk.take(c.PullModel("qwen2.5-coder:7b", use=False))
    done = await live.until(e.ModelPulled, state="done")
    listed = await live.until(e.ModelsListed)
    assert done.name in {model.name for model in listed.models}
    assert listed.manages
    assert live.session._inbox.empty(), "nobody asked to use it"


async def test_a_list_that_says_nothing_new_is_not_told_again(rig: OpenRig) -> None:
    live = await rig(finish())
    desk = ModelsDesk(live.parts)
    for _ in range(3):
        await desk.lister.tell(anew=False)
    assert len(live.events(e.ModelsListed)) == 1
    await desk.lister.tell(anew=True)
    assert len(live.events(e.ModelsListed)) == 2


def test_times_of_servers_are_read() -> None:
    from datetime import UTC, datetime, timedelta

    soon = (datetime.now(UTC) + timedelta(seconds=6000)).strftime("%Y-%m-%dT%H:%M:%S")
    for stamp in (f"{soon}.123456789Z", f"{soon}Z", f"{soon}.5+00:00"):
        seconds = seconds_until(stamp)
        assert seconds is not None
        assert 5000 < seconds < 6001
    assert (seconds_until(""), seconds_until("soon")) == (None, None)


def test_a_servers_time_becomes_the_sessions() -> None:
    from datetime import UTC, datetime, timedelta

    def at(days: float) -> str:
        return (datetime.now(UTC) + timedelta(days=days)).isoformat()

    assert (session_time("", 5), session_time(at(400), 5)) == (0, -1)
    assert session_time(at(1), 5) > 5
    assert session_time(at(-1), 5) == 1, "what is over is neither unknown nor for ever"


@pytest.mark.parametrize(
    ("wish", "sent", "word"),
    [
        ("low", "low", ""),
        (
            "max",
            "high",
            "gpt-oss:20b does not know that level (it has high, low, medium): model.think = max becomes high",
        ),
        (
            "deep",
            None,
            "gpt-oss:20b does not know that level (it has high, low, medium): model.think = deep is left out",
        ),
    ],
)
async def test_a_level_of_thinking_is_one_that_the_model_knows(
    sim_server: Callable[..., ServerProcess],
    write_script: WriteScript,
    tmp_path: Path,
    wish: str,
    sent: str | None,
    word: str,
) -> None:
    server = sim_server(scripts=[str(write_script(finish()))], version="0.34.1")
    live = await Rig(server, tmp_path).open(model={"think": wish})
    try:
        await live.run()
        (body,) = (await live.stats())["bodies"]
    finally:
        await live.close()
    assert json.loads(body["body"]).get("think") == sent
    assert [notice.text for notice in live.events(e.Notice)] == ([f"{word} for it"] if word else [])


async def test_whoever_asks_a_silent_server_what_it_has_is_told_that_it_is_silent(
    rig: OpenRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = await rig(finish())
    monkeypatch.setattr(desks, "SLOW_S", 0.0)
    monkeypatch.setattr(live.parts.model, "installed", asyncio.Event().wait)
    working = asyncio.create_task(ModelsDesk(live.parts).run())
    await asyncio.sleep(0)
    try:
        live.submit(c.ListModels(anew=True))
        notice = await live.until(e.Notice)
    finally:
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
    assert notice.text == "the server has not said yet what it has; it is given 10 s"


async def test_what_a_server_has_is_listed_before_it_has_said_all_of_it(
    tmp_path: Path, sim_server: Callable[..., ServerProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    live = await Rig(sim_server(version="0.12.0"), tmp_path).open()
    monkeypatch.setattr(catalog, "EARLY_S", 0.0)
    describe, go_on = live.parts.model.info, asyncio.Event()

    async def slow(name: str) -> ModelInfo:
        await go_on.wait()
        return await describe(name)

    monkeypatch.setattr(live.parts.model, "info", slow)
    working = asyncio.create_task(ModelsDesk(live.parts).run())
    await asyncio.sleep(0)
    try:
        live.submit(c.ListModels(anew=True))
        early = await live.until(e.ModelsListed)
        go_on.set()
        whole = await live.until(e.ModelsListed)
        assert live.parts.catalog is not None
        (name, _), _ = live.parts.catalog._described.popitem()  # as if it were new
        go_on.clear()
        live.submit(c.ListModels(anew=True))
        again = await live.until(e.ModelsListed)
        go_on.set()
    finally:
        await end_tasks(working)
        await live.close()
    assert [one.name for one in early.models] == [one.name for one in whole.models]
    assert not any(one.capabilities or one.lacks for one in early.models)
    assert all(one.capabilities for one in whole.models)
    assert [one.name for one in whole.models if one.lacks] == ["gemma2:2b"]
    assert [one.name for one in again.models if not one.capabilities] == [name], "the others are known"
