"""What is said while nothing streams, and how long it is waited for: over the embedded server's own waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from engine.conftest import OpenRig
from engine.moving import Clock
from engine.rig import Rig, within
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine import waiting, watchdog
from jetbox.engine.held import look_at_held
from jetbox.engine.models.base import LoadedModel
from jetbox.engine.models.figures import COLD_NS, Figures, FiguresReader
from jetbox.engine.models.manage import warm
from jetbox.engine.models.ollama import OllamaModel
from jetbox.engine.models.window import Window
from jetbox.engine.options import ModelOptions
from jetbox.engine.waiting import Expectation
from jetbox.engine.watchdog import Pace, Watchdog, first_limit, gap_limit
from jetbox.sim.launch import ServerProcess
from scripted import WriteScript, call, finish, step

Serve = Callable[..., Any]
YES = step(text="Yes and no.")
MEASURED = Figures(load=[2 * 10**9], prefill=[2000.0], decode=[50.0])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SPEAK_AFTER_S", 0.01)
    monkeypatch.setattr(waiting, "HELD_BACK_S", 60.0)
    monkeypatch.setattr(waiting, "LOOK_S", 0.02)
    monkeypatch.setattr(waiting, "SELDOM_S", 0.02)


@pytest_asyncio.fixture
async def served(
    tmp_path: Path, write_script: WriteScript, sim_server: Callable[..., ServerProcess]
) -> AsyncIterator[Serve]:
    """A session over a server with latencies of its own."""
    root = tmp_path / "work"
    root.mkdir()
    opened: list[Rig] = []

    async def open_(*steps: Any, rig: dict[str, Any] | None = None, **server: Any) -> Rig:
        made = await Rig(sim_server(scripts=[str(write_script(*steps))], **server), root).open(**rig or {})
        opened.append(made)
        return made

    yield open_
    for made in opened:
        await made.close()


def looks_of(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Awaitable[None]]:
    """Waits until the server was asked so many times for what it holds."""
    looks = asyncio.Semaphore(0)
    running: Callable[[], Awaitable[list[LoadedModel]]] = rig.parts.model.running

    async def counted() -> list[LoadedModel]:
        looks.release()
        return await running()

    async def looked(times: int) -> None:
        for _ in range(times):
            await within(looks.acquire())

    monkeypatch.setattr(rig.parts.model, "running", counted)
    return looked


def words(rig: Rig) -> list[tuple[str, str]]:
    return [(w.what, w.detail) for w in rig.events(e.Waiting)]


async def test_loading_is_told_from_reading(served: Serve) -> None:
    rig = await served(YES, speed=30.0, profile="A", faults=("stall@1:0",))
    rig.parts.recall(MEASURED)
    goal = rig.start()
    reading = await rig.until(e.Waiting, what="reading")
    await rig.stats(stalled=1)
    await rig.release()
    await within(goal)
    tokens = rig.events(e.RequestSent)[0].estimate
    assert words(rig)[:2] == [("loading", "gpt-oss:20b"), ("loading", "gpt-oss:20b, 13.8 GB")]
    assert rig.events(e.Waiting)[0].expected_ns == 2 * 10**9
    assert (reading.detail, reading.expected_ns) == (f"{tokens:,} tokens", tokens * 500_000)


async def test_a_model_that_is_held_under_another_name_is_read_by_and_waits_for_none(served: Serve) -> None:
    rig = await served(
        YES, speed=30.0, profile="A", faults=("stall@1:0",), models=("coder-16k",), rig={"name": "coder-16k"}
    )
    await warm(rig.parts.model, "qwen2.5-coder:7b", rig.parts.options.model, rig.parts.budget.num_ctx)
    goal = rig.start()
    await rig.until(e.Waiting, what="reading")
    seen = await look_at_held(rig.parts)
    assert seen is not None
    assert (seen.loaded, seen.window) == (True, rig.parts.budget.num_ctx)
    await rig.release()
    await within(goal)
    assert "queued" not in [what for what, _ in words(rig)]


async def test_an_answer_that_is_held_back_means_that_the_model_is_loaded(
    served: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "HELD_BACK_S", 0.01)
    rig = await served(YES, faults=("stuck@1",))
    rig.parts.loaded = True  # as far as we know
    goal = rig.start()
    await rig.until(e.Waiting, what="reading")
    await rig.until(e.Waiting, what="loading")
    await rig.release()
    await within(goal)


async def test_a_server_that_holds_nothing_back_and_names_none_is_loading(served: Serve) -> None:
    rig = await served(YES, faults=("stuck@1",), version="0.24.0")
    rig.parts.loaded = True  # as far as we know
    goal = rig.start()
    await rig.until(e.Waiting, what="loading")
    await rig.release()
    await within(goal)
    assert "queued" not in {what for what, _ in words(rig)}


async def test_llama_cpp_says_how_far_it_has_read(served: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "TELL_S", 0.0)
    monkeypatch.setattr(waiting, "SPEAK_AFTER_S", 0.0)
    rig = await served(YES, rig={"protocol": "openai"}, flavour="llamacpp", profile="E", speed=100.0)
    await rig.run("Look at this: " + "word " * 3000)
    total = rig.events(e.ModelAnswered)[0].metrics["prompt_eval_count"]
    told = [w for w in rig.events(e.Waiting) if w.what == "reading" and " of " in w.detail]
    assert len(told) > 1
    assert all(w.detail.endswith(f" of {total:,} tokens") for w in told)
    read = [int(w.detail.split()[0].replace(",", "")) for w in told]
    assert read == sorted(set(read))
    assert 0 < told[-1].expected_ns < 60 * 10**9, "at the rate so far"
    assert rig.events(e.ModelAnswered)[0].ttft_ns > 0


async def test_a_reading_that_is_interrupted_was_reading(served: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "TELL_S", 0.0)
    monkeypatch.setattr(waiting, "SPEAK_AFTER_S", 0.0)
    rig = await served(YES, rig={"protocol": "openai"}, flavour="llamacpp", profile="E", speed=1.0)
    goal = rig.start("Look at this: " + "word " * 6000)
    while " of " not in (await rig.until(e.Waiting, what="reading")).detail:
        pass
    rig.submit(c.Cancel())
    assert (await within(goal)).outcome == "interrupted"
    assert not rig.events(e.ModelAnswered)[0].metrics, "an answer that broke off has no durations"
    assert rig.events(e.RoundEnded)[0].phases["prompt eval"] > 0


async def test_a_reading_that_was_seen_and_interrupted_was_reading_too(served: Serve) -> None:
    rig = await served(YES, profile="E", speed=40.0)
    goal = rig.start("Look at this: " + "word " * 6000)
    await rig.until(e.Waiting, what="loading")
    await rig.until(e.Waiting, what="reading")
    rig.submit(c.Cancel())
    assert (await within(goal)).outcome == "interrupted"
    assert not rig.events(e.ModelAnswered)[0].metrics
    phases = rig.events(e.RoundEnded)[0].phases
    assert phases["prompt eval"] > 0, "it had been said to be read"
    assert phases["queue and load"] > 50_000_000, "and to be loaded before that"


@pytest.mark.parametrize(("flavour", "wished"), [("llamacpp", True), ("vllm", False), ("lmstudio", False)])
async def test_only_a_server_that_knows_the_wish_gets_it(served: Serve, flavour: str, wished: bool) -> None:
    rig = await served(YES, rig={"protocol": "auto"}, flavour=flavour)
    assert (await rig.run()).outcome == "answered"
    (sent,) = (await rig.stats())["bodies"]
    assert ('"return_progress":true' in sent["body"]) is wished
    assert (rig.parts.model.product == "llama.cpp's server") is wished
    assert all(said.keep_alive_ns == 0 for said in rig.events(e.ModelReady)), "it was asked to keep it for no time"


async def test_a_silence_begins_anew_with_each_word_about_the_prompt() -> None:
    async with asyncio.timeout(None) as deadline:
        watchdog = Watchdog(deadline, 60.0, lambda: 30.0, lambda _: None, lambda _: None, (False, False))
        first = deadline.when() or 0.0
        await asyncio.sleep(0)
        watchdog.reads()
        second = deadline.when() or 0.0
        watchdog.heard()
        third = deadline.when() or 0.0
        watchdog.reads()
        assert 0.0 < first < second
        assert third < first, "an answer that comes has its own limit"
        assert deadline.when() == third
        watchdog.end()


async def test_a_request_behind_another_model_is_queued(served: Serve) -> None:
    rig = await served(YES, vram=14.0, faults=("stall@1:0",))
    other = OllamaModel(rig.server.url)
    body = b'{"model":"llama3.2:3b","messages":[{"role":"user","content":"."}]}'

    async def occupy() -> None:
        async with other.chat(body) as chunks:
            async for _ in chunks:
                pass

    busy = asyncio.create_task(occupy())
    await rig.stats(stalled=1)
    goal = rig.start()
    queued = await rig.until(e.Waiting, what="queued")
    assert queued.detail == "gpt-oss:20b is not loaded yet; the server holds llama3.2:3b"
    await rig.release()
    await within(busy)
    assert (await within(goal)).outcome == "answered"
    await other.close()


async def test_a_model_that_another_client_holds_otherwise_is_said_to_be_loaded_again(served: Serve) -> None:
    rig = await served(YES, faults=("stall@1:0",), profile="C", speed=10)
    other = OllamaModel(rig.server.url)
    await warm(other, "gpt-oss:20b", ModelOptions(), 4096)
    rig.parts.loaded = True
    answer = asyncio.create_task(_occupied(other))
    await rig.stats(stalled=1)
    goal = rig.start()
    queued = await rig.until(e.Waiting, what="queued")
    assert queued.detail == "gpt-oss:20b is held with a window of 4,096 tokens and is loaded again"
    assert words(rig)[0][0] == "reading", "what is most likely comes first"
    await rig.release()
    await within(answer)
    await within(goal)
    await other.close()
    (answered,) = rig.events(e.ModelAnswered)
    assert answered.metrics["load_duration"] > COLD_NS, "the turn of the other is in what is told of the load"
    assert rig.parts.load_ns == 0
    figures = FiguresReader()
    for stamped in rig.seen:
        figures.take(stamped)
    learned = figures.collect()["gpt-oss:20b"]
    assert (learned.answers, learned.load, learned.ttft_cold, learned.ttft_warm) == (1, [], [], [])


async def test_a_model_whose_window_the_server_lowered_is_not_said_to_be_loaded_again(
    served: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"name": "qwen2.5-coder:7b", "window": Window(65_536, "as it is set")}
    live = await served(YES, faults=("stall@1:0",), rig=asked)
    await warm(live.parts.model, "qwen2.5-coder:7b", ModelOptions(), 65_536)
    await look_at_held(live.parts, ours=True)
    live.parts.loaded = True
    looks = looks_of(live, monkeypatch)
    goal = live.start()
    await live.stats(stalled=1)
    await looks(3)
    await live.release()
    assert (await within(goal)).outcome == "answered"
    assert {what for what, _ in words(live)} == {"reading"}


async def _occupied(other: OllamaModel) -> None:
    body = b'{"model":"gpt-oss:20b","messages":[{"role":"user","content":"."}],"options":{"num_ctx":4096}}'
    async with other.chat(body) as chunks:
        async for _ in chunks:
            pass


async def test_a_wait_that_takes_longer_than_before_is_said_to(rig: OpenRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LATE_S", 0.0)
    live = await rig(YES, YES, faults=("stall@2:0",))
    with monkeypatch.context() as silent:
        silent.setattr(waiting, "SPEAK_AFTER_S", 60.0)
        await live.run()  # asked before the request has come, a server says that the model is not loaded
    live.parts.recall(Figures(prefill=[10.0**6]))
    goal = live.start()
    await live.until(e.GoalEnded)
    tokens = (await live.until(e.RequestSent)).estimate
    late = f"{tokens:,} tokens, longer than it took before; other requests may come first"
    await live.until(e.Waiting, what="reading", detail=late)
    await live.release()
    await within(goal)
    assert words(live) == [("reading", f"{tokens:,} tokens"), ("reading", late)], "each word once"


async def test_an_answer_that_comes_at_once_needs_no_words(rig: OpenRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SPEAK_AFTER_S", 60.0)
    live = await rig(step(call("list_dir")), finish())
    await live.run()
    assert words(live) == []


@pytest.mark.parametrize("version", ["0.24.0", "0.33.3"])
async def test_a_prompt_that_the_server_knows_is_not_announced_as_a_new_one_nor_taken_for_quick_reading(
    tmp_path: Path, write_script: WriteScript, sim_server: Callable[..., ServerProcess], version: str
) -> None:
    look, more = call("list_dir", path="."), call("write_file", path="a.txt", content="more\n" * 100)
    script = write_script(step(look), step(more), step(look, fault="stall@:0"), finish())
    server = sim_server(scripts=[str(script)], version=version, profile="E", speed=20)
    live = await Rig(server, tmp_path).open(name="llama3.2:3b")
    live.parts.recall(Figures(prefill=[3000.0]))
    running = live.start()
    await live.until(e.ModelAnswered)
    cold = live.parts.reading_rate
    assert 1000 < cold < 10_000
    await live.stats(stalled=1)
    told = await live.until(e.Waiting, what="reading")
    whole = live.events(e.RequestSent)[-1].estimate / live.parts.reading_rate * 1e9
    assert 0 < told.expected_ns < whole / 2, "most of it is in the cache"
    await live.release()
    await within(running)
    assert live.parts.reading_rate < 2 * cold, "what was cached was not read quickly: it was not read"
    await live.close()


def test_the_limit_before_the_first_chunk_follows_what_was_measured() -> None:
    options = ModelOptions()
    known = Expectation(10_000, loaded=True, reading_ns=20 * 10**9, loading_ns=200 * 10**9)
    assert first_limit(options, known) == 120 + 60
    cold = Expectation(10_000, loaded=False, reading_ns=20 * 10**9, loading_ns=200 * 10**9)
    assert first_limit(options, cold) == 120 + 60 + 600
    assert first_limit(options, Expectation(10_000, loaded=False)) == 600
    assert first_limit(ModelOptions(first_chunk_s=5), known) == 65


def test_the_limit_between_chunks_follows_the_models_own_pace() -> None:
    options = ModelOptions()
    assert gap_limit(options, 0.0, 4000, silent_calls=True) == 120
    assert gap_limit(options, 0.02, 4000, silent_calls=True) == 80, "a call of 4,000 tokens at 50 a second"
    assert gap_limit(options, 0.02, 100, silent_calls=True) == 60
    assert gap_limit(options, 0.02, 4000, silent_calls=False) == 20
    assert gap_limit(options, 2.0, 4000, silent_calls=False) == 100
    assert gap_limit(ModelOptions(chunk_s=7), 2.0, 4000, silent_calls=True) == 7


def test_the_pace_is_the_median_of_the_newest_gaps() -> None:
    pace = Pace(50.0)
    assert pace.usual == 0.02
    for gap in (0.1, 0.1, 30.0, 0.1, 0.2, 0.1, 0.2):
        pace.add(gap)
    assert pace.usual == 0.02, "too few to tell"
    pace.add(0.1)
    assert pace.usual == 0.1


async def test_the_pace_is_learnt_from_the_stream(rig: OpenRig) -> None:
    live = await rig(step(text="One word after another, and then some more of them."))
    assert live.parts.pace.usual == 0
    await live.run()
    assert 0 < live.parts.pace.usual < 5


async def test_silence_is_asked_about_and_sent_again_on_wish(rig: OpenRig, clock: Clock) -> None:
    live = await rig(YES, faults=("stall@1:0", "busy@2"), attended=True, model={"retries": 1})
    goal = live.start()
    await live.stats(stalled=1)
    clock.forward(watchdog.UNKNOWN_S + 1)
    notice = await live.until(e.Notice)
    assert "longer than this model should take" in notice.text
    assert "/again" in notice.hint
    live.submit(c.SendAgain())
    assert (await within(goal)).outcome == "answered"
    first, second, third = live.events(e.RequestSent)
    assert first.sha == second.sha == third.sha, "what was taken back is none of the tries of a server that is busy"
    assert (await live.stats(cancelled=1))["cancelled"] == 1
    assert len([n for n in live.events(e.Notice) if "longer than" in n.text]) == 1


async def test_silence_in_mid_answer_is_asked_about_too(rig: OpenRig, clock: Clock) -> None:
    live = await rig(YES, faults=("stall@1:1",), attended=True)
    goal = live.start()
    await live.until(e.TextDelta)
    clock.forward(watchdog.GAP_S + 1)
    await live.until(e.Notice)
    assert not goal.done()
    await live.release()
    assert (await within(goal)).outcome == "answered"
    assert len(live.events(e.RequestSent)) == 1, "it was waited for, and it came"


async def test_without_anybody_silence_ends_the_request_at_its_limit(rig: OpenRig, clock: Clock) -> None:
    live = await rig(YES, faults=("stall@1:0",))
    goal = live.start()
    await live.stats(stalled=1)
    clock.forward(watchdog.UNKNOWN_S + 1)
    assert (await within(goal)).outcome == "answered"
    assert live.events(e.ModelAnswered)[0].error == "nothing came for 600 s; the request was cancelled"


async def test_there_is_nothing_to_send_again_between_requests(rig: OpenRig) -> None:
    live = await rig(YES)
    live.submit(c.SendAgain())
    assert (await live.run()).outcome == "answered"
    assert len(live.events(e.RequestSent)) == 1


async def test_heartbeats_make_a_silent_call_heard(rig: OpenRig) -> None:
    """Each token of a call that is written in silence is a chunk of its own then."""
    write = call("write_file", path="a.txt", content="one two three four five six seven eight nine ten")
    chunks = {}
    for wanted in (False, True):
        live = await rig(step(write), finish(), model={"heartbeats": wanted})
        await live.run()
        chunks[wanted] = live.events(e.ModelAnswered)[0].chunks
        sent = (await live.stats())["bodies"][0]["body"]
        assert ('"logprobs":true' in sent) is wanted
    assert chunks[True] > chunks[False] + 5


@pytest.mark.parametrize(("wanted", "limit"), [(True, 20), (False, 60)])
async def test_where_each_token_of_a_call_is_heard_a_silence_is_shorter(
    rig: OpenRig, clock: Clock, wanted: bool, limit: int
) -> None:
    words = " ".join(map(str, range(12)))
    live = await rig(step(text=words), faults=("stall@1:11",), model={"heartbeats": wanted, "num_predict": 500})
    goal = live.start()
    while len("".join(delta.text for delta in live.events(e.TextDelta)).split()) < 11:
        await live.until(e.TextDelta)
    clock.forward(limit - 10)
    for _ in range(3):
        await asyncio.sleep(0)
    assert not live.events(e.ModelAnswered)
    clock.forward(11)
    assert (await within(goal)).outcome == "answered"
    assert live.events(e.ModelAnswered)[0].error == f"the answer stopped for {limit} s; the request was cancelled"


async def test_a_server_that_may_not_have_heard_of_the_end_is_told(
    served: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "HEARD_S", 0.01)
    rig = await served(YES, faults=("stall@1:0", "stall@2:1", "stall@3:0"))
    looks = looks_of(rig, monkeypatch)
    slow = rig.start()
    await rig.stats(stalled=1)
    await looks(3)
    await rig.release()
    assert (await within(slow)).outcome == "answered"
    assert not any(waiting.DEAF in detail for _, detail in words(rig)), "nothing was stopped before it"
    goal = rig.start()
    await rig.stats(stalled=1)
    rig.submit(c.Cancel())
    assert (await within(goal)).outcome == "interrupted"
    again = rig.start("Go on.")
    while not (await rig.until(e.Waiting, what="reading")).detail.endswith(f" tokens; {waiting.DEAF}"):
        pass
    await rig.release()
    assert (await within(again)).outcome == "answered"


async def test_a_server_that_goes_on_with_an_answer_that_repeated_itself_is_told_too(
    served: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "HEARD_S", 0.05)
    again = step(text="I will now look at the file. " * 300)
    rig = await served(again, finish(), faults=("deaf:end@1", "stall@1:1500"))
    goal = rig.start()
    while not (await rig.until(e.Waiting, what="reading")).detail.endswith(f" tokens; {waiting.DEAF}"):
        pass
    assert rig.events(e.ModelAnswered)[0].done_reason == "repeated"
    since = rig.events(e.RequestSent)[1]
    assert since.attempt == 1
    await rig.release()
    await within(goal)
    told = rig.of(e.RequestSent, e.Waiting)
    after = told[told.index(since) :]
    assert "loading" not in [each.what for each in after if isinstance(each, e.Waiting)], "it has spoken: it is there"


async def test_a_server_that_goes_on_with_an_answer_that_was_stopped_is_told_while_the_next_waits(
    served: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "HEARD_S", 0.05)
    rig = await served(YES, faults=("deaf:end@1", "stall@1:1"))
    goal = rig.start()
    await rig.until(e.TextDelta)
    rig.submit(c.Cancel())
    assert (await within(goal)).outcome == "interrupted"
    again = rig.start("Go on.")
    while not (await rig.until(e.Waiting, what="reading")).detail.endswith(f" tokens; {waiting.DEAF}"):
        pass
    assert (await rig.stats())["cancelled"] == 0, "it is still at work on it, and has one slot"
    await rig.release()
    assert (await within(again)).outcome == "answered"
