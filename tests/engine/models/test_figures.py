"""What the one reader of events collects of each model, and the standard set over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from engine.rig import Rig, within
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine.models.base import EVALUATED
from jetbox.engine.models.figures import KEPT, Figures, FiguresReader, clocked, machine_of, median
from jetbox.engine.models.manage import last
from jetbox.engine.models.measure import OTHERS, Asked, Taken, measure
from jetbox.engine.models.ollama import OllamaModel
from jetbox.engine.models.openai_compat import OpenAIModel
from jetbox.engine.options import ModelOptions
from jetbox.sim.launch import ServerProcess
from scripted import WriteScript, call, finish, step

OpenRig = Callable[..., Awaitable[Rig]]
S = 10**9


def collected(rig: Rig) -> dict[str, Figures]:
    reader = FiguresReader()
    assert rig.kinds
    for stamped in rig.seen:
        reader.take(stamped)
    found = reader.collect()
    assert reader.collect() == {}, "nothing is told twice"
    return found


async def test_calls_are_counted_by_how_they_ended_and_how_they_came(rig: OpenRig) -> None:
    live = await rig(
        step(
            call("write_file", path="a.txt", content="a\n"),
            call("read_file", path="none.txt"),
            call("write_file", path="there.txt", content="b\n"),
        ),
        step(call("list_dir", path="."), send="hermes"),
        finish(),
    )
    (live.root / "there.txt").write_text("not to be written over unread\n")
    await live.run()
    figures = collected(live)["gpt-oss:20b"]
    assert (figures.answers, figures.calls, figures.calls_ok, figures.recovered) == (3, 4, 3, 1)
    assert figures.call_success == 0.75
    assert (len(figures.ttft_new), len(figures.ttft_warm)) == (1, 2), "the first prompt was read whole"
    assert (figures.load, figures.ttft_cold, figures.goals, figures.rounds_to_green) == ([], [], 0, [])
    assert [ended.ruled for ended in live.events(e.ToolEnded)].count(True) == 1


@pytest.mark.parametrize(("text", "green"), [("x = 1\n", [2]), ("import os\n", [])])
async def test_a_goal_counts_where_a_probe_judged_it(rig: OpenRig, text: str, green: list[int]) -> None:
    live = await rig(
        step(call("write_file", path="a.py", content=text)),
        finish(),
        probes={"pytest": False},
        loop={"max_rounds": 2},
    )
    await live.run()
    figures = collected(live)["gpt-oss:20b"]
    assert (figures.goals, figures.rounds_to_green) == (1, green)


async def test_each_model_has_its_own_and_a_shared_goal_is_nobodys(rig: OpenRig) -> None:
    writes = step(call("write_file", path="a.py", content="a = 1\n"), fault="stall@:1")
    live = await rig(writes, finish(), probes={"pytest": False})
    running = live.start()
    await live.stats(stalled=1)
    live.submit(c.SetModel(name="llama3.2:3b"))
    await live.release()
    await running
    found = collected(live)
    assert {name: f.answers for name, f in found.items()} == {"gpt-oss:20b": 1, "llama3.2:3b": 1}
    assert [f.goals for f in found.values()] == [0, 0]


async def test_answers_with_unreadable_calls_count_against_the_model(rig: OpenRig) -> None:
    live = await rig(step(call("list_dir", path="."), send="xml-error"), finish())
    await live.run()
    figures = collected(live)["gpt-oss:20b"]
    assert figures.garbled >= 1
    assert figures.call_success is not None
    assert figures.call_success < 1


def test_samples_are_bounded_and_told_by_their_median() -> None:
    figures = Figures(load=[1], decode=[2.0], calls=1)
    for n in range(100):
        figures.add(Figures(load=[n], calls=2, rounds_to_green=[n]))
    assert figures.load == list(range(100 - KEPT, 100))
    assert (figures.calls, median(figures.load), median([]), median([3, 1, 2])) == (201, 83.5, 0.0, 2)
    assert (figures.decode, figures.call_success, Figures().call_success) == ([2.0], 0.0, None)


def test_machines_are_told_apart() -> None:
    assert machine_of("http://127.0.0.1:11434", "box", "abc") == "box"
    assert machine_of("http://localhost:1", "box", "") == "localhost:1"
    assert machine_of("http://gpu.lan:11434", "box", "abc") == "gpu.lan:11434"


def test_cold_and_warm_are_kept_apart() -> None:
    reader = FiguresReader()
    cold = {"load_duration": 3_000_000_000, "prompt_eval_count": 1000, "prompt_eval_duration": 500_000_000}
    warm = {
        "load_duration": 50_000_000,
        "prompt_eval_count": 1500,
        "prompt_eval_cached_count": 1000,
        "prompt_eval_duration": 250_000_000,
        "eval_count": 100,
        "eval_duration": 2_000_000_000,
    }
    uncounted = {"prompt_eval_count": 1600, "prompt_eval_duration": 60_000_000}
    slow = {"load_duration": 2_000_000_000, "prompt_eval_count": 1700, "prompt_eval_cached_count": 1600}
    events: list[e.AnyEvent] = [
        e.ModelReady(name="m", num_ctx=4096, digest="d1"),
        e.RoundStarted(model="m"),
        e.ModelAnswered(attempt=1, ttft_ns=3_600_000_000, metrics=cold),
        e.ModelAnswered(attempt=1, ttft_ns=300_000_000, metrics=warm),
        e.ModelAnswered(attempt=1, ttft_ns=90_000_000, metrics=uncounted),
        e.ModelAnswered(attempt=1, ttft_ns=2_300_000_000, metrics=slow),
        e.ModelAnswered(attempt=1, complete=False, ttft_ns=1, metrics=cold),
    ]
    for n, event in enumerate(events):
        reader.take(e.Stamped(n, n, 1, event))
    assert reader.digests == {"m": "d1"}
    assert reader.collect() == {
        "m": Figures(
            load=[3_000_000_000],
            prefill=[2000.0, 2000.0],
            decode=[50.0],
            ttft_cold=[3_600_000_000],
            ttft_warm=[300_000_000, 90_000_000, 2_300_000_000],
            answers=4,
        )
    }


def test_a_load_that_a_request_joined_half_way_is_as_long_as_it_was() -> None:
    reader = FiguresReader()
    half = {"load_duration": 867_000_000, "prompt_eval_count": 60}
    events: list[e.AnyEvent] = [
        e.ModelReady(name="m", num_ctx=4096),
        e.ModelWarmed(name="m", load_ns=2_004_000_000, cold=True, joined=True),
        e.ModelAnswered(attempt=1, ttft_ns=1_200_000_000, metrics=half),
        e.ModelAnswered(attempt=1, ttft_ns=900_000_000, metrics=half),
    ]
    for n, event in enumerate(events):
        reader.take(e.Stamped(n, n, 1, event))
    figures = reader.collect()["m"]
    assert figures.load == [2_004_000_000, 867_000_000], "the second was loaded again"
    assert figures.ttft_cold == [900_000_000], "the first waited for half of a load"


@pytest.mark.parametrize(
    ("ahead", "told", "kept"),
    [
        (e.ModelWarmed(name="m", load_ns=2 * S, cold=True), (0, 0), [2 * S]),
        (e.ModelWarmed(name="m", load_ns=2 * S, cold=True), (S, 0), [2 * S, S]),
        (e.ModelWarmed(name="m", load_ns=2 * S, cold=True, joined=True), (0, 0), [2 * S]),
        (e.ModelWarmed(name="m", load_ns=2 * S, cold=True, joined=True), (S, S), [2 * S, S]),
        (e.ModelWarmed(name="m", load_ns=2 * S), (0, 0), []),
        (e.ModelWarmed(name="m", load_ns=2 * S, joined=True), (S, S), [S]),
        (e.ModelWarmed(name="m", load_ns=S // 10, cold=True), (0, 0), []),
    ],
)
def test_each_load_ahead_of_a_goal_is_kept_once(ahead: e.ModelWarmed, told: tuple[int, int], kept: list[int]) -> None:
    reader = FiguresReader()
    asked = e.RequestSent(attempt=1, head="", count=1, tail="", sha="", bytes=1, estimate=1)
    answers = [e.ModelAnswered(attempt=1, ttft_ns=S, metrics={"load_duration": load}) for load in told]
    begun: list[e.AnyEvent] = [asked, ahead] if ahead.joined else [ahead, asked]
    events: list[e.AnyEvent] = [e.ModelReady(name="m", num_ctx=4096), *begun, answers[0], asked, answers[1]]
    for n, event in enumerate(events):
        reader.take(e.Stamped(n, n, 1, event))
    assert reader.collect().get("m", Figures()).load == kept


@pytest.mark.parametrize("send", ["chunk", "hermes"])
async def test_the_standard_set_measures_load_reading_writing_and_calls(
    sim_server: Callable[..., ServerProcess], write_script: WriteScript, send: str
) -> None:
    script = write_script(step(call("add", a=17, b=25), send=send), match="Add 17")
    server = sim_server(scripts=[str(script)], speed=8, profile="C")
    model = OllamaModel(server.url)
    figures = Figures()
    try:
        info = next(m for m in await model.installed() if m.name == "qwen2.5-coder:7b")
        asked = Asked(info.name, info, ModelOptions(think="low"), 8192, repeats=1)
        taken = [each async for each in measure(model, asked, figures)]
    finally:
        await model.close()
    assert [each.what for each in taken] == ["load", "read cold", "read again", "write", "call"]
    assert all(each.ok for each in taken)
    assert taken[-1].said == ("" if send == "chunk" else "recovered (tool_call tags)")
    cold, again = taken[1].metrics, taken[2].metrics
    assert cold["prompt_eval_cached_count"] <= 16, "the salt keeps the cache out"
    assert again["prompt_eval_cached_count"] >= again["prompt_eval_count"] - 1
    assert 6 / 8 * 0.9 < figures.load[0] / 1e9 <= taken[0].wall_ns / 1e9
    read = cold["prompt_eval_count"] - cold["prompt_eval_cached_count"]
    assert figures.prefill[0] == read / (cold["prompt_eval_duration"] / 1e9) < 1600 * 8 * 1.3
    rates = [m["eval_count"] / (m["eval_duration"] / 1e9) for m in (each.metrics for each in taken[1:])]
    assert figures.decode[0] in rates
    assert figures.decode[0] < 55 * 8 * 1.3
    assert (figures.calls, figures.calls_ok, figures.recovered) == (1, 1, int(send == "hermes"))
    assert figures.call == [taken[-1].wall_ns]
    launches = {tuple(sorted(_options(body["body"]).items())) for body in server.stats()["bodies"]}
    assert launches == {(("num_ctx", 8192),)}, "one set of launch options, so that nothing is loaded again"


async def test_what_another_clients_turn_takes_is_no_load(
    sim_server: Callable[..., ServerProcess], write_script: WriteScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jetbox.engine.models.measure.GONE_S", 0.0)
    server = sim_server(scripts=[str(write_script(step(text="Yes.")))], faults=("stall@1:0",))
    model, other, figures = OllamaModel(server.url), OllamaModel(server.url), Figures()
    try:
        info = next(m for m in await model.installed() if m.name == "qwen2.5-coder:7b")
        asked = Asked(info.name, info, ModelOptions(), 8192, repeats=0)
        body = {"model": info.name, "messages": [{"role": "user", "content": "."}], "options": {"num_ctx": 4096}}
        busy = asyncio.create_task(last(other, json.dumps(body).encode()))
        await asyncio.to_thread(server.stats, stalled=1)
        measuring = asyncio.create_task(_all(measure(model, asked, figures)))
        await asyncio.to_thread(server.stats, queued=1)
        await asyncio.to_thread(server.release)
        (load,) = await within(measuring)
        await within(busy)
        (again,) = await _all(measure(model, asked, figures))
    finally:
        await model.close()
        await other.close()
    assert (load.what, load.said) == ("load", OTHERS)
    assert (again.what, again.said) == ("load", "")
    assert figures.load == [again.wall_ns], "what is printed is what is kept"


async def _all(taken: AsyncIterator[Taken]) -> list[Taken]:
    return [each async for each in taken]


@pytest.mark.parametrize("version", ["0.24.0", "0.30.0", "0.33.2"])
async def test_the_standard_set_measures_reading_where_nobody_counts_what_was_cached(
    sim_server: Callable[..., ServerProcess], write_script: WriteScript, version: str
) -> None:
    server = sim_server(scripts=[str(write_script(step(text="Yes.")))], speed=8, profile="C", version=version)
    model = OllamaModel(server.url)
    figures = Figures()
    try:
        info = next(m for m in await model.installed() if m.name == "qwen2.5-coder:7b")
        asked = Asked(info.name, info, ModelOptions(), 8192, repeats=2)
        taken = [each async for each in measure(model, asked, figures)]
    finally:
        await model.close()
    cold = [each.metrics for each in taken if each.what == "read cold"]
    counted = "prompt_eval_count" if version != "0.30.0" else EVALUATED
    assert figures.prefill == [m[counted] / (m["prompt_eval_duration"] / 1e9) for m in cold]
    assert len(figures.prefill) == 2, "what is sent a second time is in the cache"


@pytest.mark.parametrize("flavour", ["vllm", "lmstudio"])
async def test_rates_are_clocked_where_a_server_tells_no_durations(
    sim_server: Callable[..., ServerProcess], write_script: WriteScript, flavour: str
) -> None:
    script = write_script(step(text="one two three four five six seven eight nine ten eleven twelve"))
    server = sim_server(scripts=[str(script)], flavour=flavour, lacks=("timings",), speed=12, profile="C")
    model = OpenAIModel(server.url)
    figures = Figures()
    try:
        info = (await model.installed())[0]
        asked = Asked(info.name, info, ModelOptions(), 8192, repeats=1)
        taken = {each.what: each async for each in measure(model, asked, figures)}
    finally:
        await model.close()
    assert not any(name.endswith("_duration") for each in taken.values() for name in each.metrics)
    assert figures.clocked
    ((prefill,), (decode,)) = figures.prefill, figures.decode
    read = taken["read cold"].metrics
    fresh = read["prompt_eval_count"] - read.get("prompt_eval_cached_count", 0)
    assert prefill == fresh / (taken["read cold"].ttft_ns / 1e9)
    assert decode > 0
    assert next(iter(taken)) == "wake", "a server that loads what it is asked for has done so before reading is clocked"
    assert figures.ttft_new == [taken["read cold"].ttft_ns], "no reading stands among those of a prompt that is known"
    assert figures.ttft_warm == [taken[what].ttft_ns for what in ("read again", "write", "call")]
    assert (figures.load, figures.calls, figures.calls_ok) == ([], 1, 0)


def _options(body: str) -> dict[str, int]:
    options = json.loads(body)["options"]
    return {name: options[name] for name in options if name in ("num_ctx", "num_gpu", "num_batch")}


WORDS = "one two three four five six seven eight nine ten eleven twelve"


async def test_a_session_clocks_the_rates_that_its_server_does_not_tell(
    sim_server: Callable[..., ServerProcess], write_script: WriteScript, tmp_path: Path
) -> None:
    script = write_script(step(call("list_dir", path=".")), step(text=WORDS))
    server = sim_server(scripts=[str(script)], flavour="vllm", lacks=("timings",), profile="D", speed=12)
    live = await Rig(server, tmp_path).open(protocol="openai")
    try:
        await live.run("Count. " + "word " * 400)
        await live.run("Count again. " + "word " * 400)
    finally:
        await live.close()
    answers = live.events(e.ModelAnswered)
    assert len(answers) == 4
    assert not any(name.endswith("_duration") for one in answers for name in one.metrics)
    figures = collected(live)["gpt-oss:20b"]
    assert figures.clocked
    # A call of a few pieces is too short to tell by.
    written = [(one.ttft_ns, one.wall_ns, one.metrics["eval_count"]) for one in answers if one.chunks >= 12]
    assert figures.decode == pytest.approx([(n - 1) / ((wall - ttft) / 1e9) for ttft, wall, n in written], rel=1e-3)
    assert len(written) == 2
    assert figures.ttft_warm == [one.ttft_ns for one in answers[1:]]
    # For its very first answer the server may have loaded the model.
    begun = answers[2]
    fresh = begun.metrics["prompt_eval_count"] - begun.metrics["prompt_eval_cached_count"]
    assert fresh > 256
    assert figures.prefill == pytest.approx([fresh / (begun.ttft_ns / 1e9)])


def answered(**metrics: int) -> e.ModelAnswered:
    return e.ModelAnswered(attempt=1, ttft_ns=2 * S, wall_ns=4 * S, chunks=20, metrics=metrics)


def test_what_cannot_be_clocked_is_not() -> None:
    counts = {"prompt_eval_count": 1000, "prompt_eval_cached_count": 200, "eval_count": 21}
    whole = counts | {"prompt_eval_duration": 2 * S, "eval_duration": 2 * S * 21 // 20}
    assert clocked(answered(**counts), there=True) == whole
    told = answered(**counts, total_duration=4 * S)
    assert clocked(told, there=True) is told.metrics, "a server that tells some durations is believed"
    assert "prompt_eval_duration" not in clocked(answered(**counts), there=False), "it may have been loaded meanwhile"
    unknown = {name: n for name, n in counts.items() if "cached" not in name}
    assert "prompt_eval_duration" not in clocked(answered(**unknown), there=True), "what was read anew is not known"
    short = counts | {"prompt_eval_cached_count": 900}
    assert "prompt_eval_duration" not in clocked(answered(**short), there=True), "too little to tell a rate"
    lump = counts | {"eval_count": 500}
    assert "eval_duration" not in clocked(answered(**lump), there=True), "most was written before it was seen"


def test_how_long_calls_take_is_measured_of_a_model_that_is_there() -> None:
    reader, cold = FiguresReader(), {"load_duration": 3 * S}
    asked = e.RequestSent(attempt=1, head="", count=1, tail="", sha="", bytes=1, estimate=1)
    called = e.ToolCalled(call="1", name="list_dir", arguments="{}")
    events: list[e.AnyEvent] = [e.RoundStarted(model="m")]
    for metrics, calls in ((cold, True), ({"load_duration": 9}, True), ({"load_duration": 9}, False)):
        events += [asked, *[called] * calls, answered(**metrics)]
    for n, event in enumerate(events):
        reader.take(e.Stamped(n, n, 1, event))
    assert reader.collect()["m"].call == [4 * S]
