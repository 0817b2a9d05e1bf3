"""Prompts are byte-stable, and what the server's cache made of that is told."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.rig import Rig, within
from jetbox.cli.output import LineOut
from jetbox.cli.printer import Progress
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine import waiting
from jetbox.engine.models.base import CACHED, EVALUATED
from jetbox.engine.models.figures import FiguresReader
from jetbox.engine.warmup import WarmUp
from jetbox.sim.launch import ServerProcess
from scripted import WriteScript, call, finish, step

OpenRig = Callable[..., Awaitable[Rig]]


def load(url: str, name: str, num_ctx: int) -> None:
    """What another client does: it has the model loaded with a window of its own."""
    wish = {"model": name, "messages": [], "options": {"num_ctx": num_ctx}}
    urllib.request.urlopen(f"{url}/api/chat", json.dumps(wish).encode()).close()


def both_clocks(live: Rig) -> None:
    """The server's times lie within ours, which begin when a request leaves; all of them are in the round's phases."""
    sent = [stamped.t for stamped in live.seen if isinstance(stamped.event, e.RequestSent)]
    ended = [stamped.t for stamped in live.seen if isinstance(stamped.event, e.ModelAnswered)]
    answers, rounds = live.events(e.ModelAnswered), live.events(e.RoundEnded)
    for left, came, answer, one in zip(sent, ended, answers, rounds, strict=True):
        told = answer.metrics
        assert left <= came - answer.wall_ns, "not before it was to be sent"
        assert answer.wall_ns > told["total_duration"]
        assert answer.ttft_ns > told["load_duration"] + told["prompt_eval_duration"]
        assert one.phases["prompt eval"] == told["prompt_eval_duration"]
        assert one.phases["queue and load"] >= told["load_duration"], "what the server counts nowhere is among it"
        assert one.phases["decode"] >= told["eval_duration"]
        assert sum(one.phases.values()) == one.wall_ns


async def test_each_prompt_begins_with_the_one_before(rig: OpenRig) -> None:
    writes = [step(call("write_file", path=f"{n}.txt", content="x\n" * 50)) for n in range(5)]
    live = await rig(*writes, finish())
    await live.run()
    bodies = [body["body"] for body in (await live.stats())["bodies"]]
    for before, after in pairwise(bodies):
        messages = before[: before.rindex('],"options"')]
        assert after.startswith(messages)
    reuses = live.events(e.PrefixReused)
    assert len(reuses) == 6
    assert (reuses[0].tokens, reuses[0].miss) == (0, "")
    for before, after in pairwise(reuses):
        assert after.tokens >= before.of - 1
        assert (after.estimated, after.miss) == (False, "")


async def test_what_changes_from_session_to_session_stands_in_no_prompt(rig: OpenRig) -> None:
    first = []
    for _ in range(2):
        live = await rig(step(call("write_file", path="a.txt", content="a\n")), finish())
        await live.run()
        first.append((await live.stats())["bodies"][0]["body"])
    assert first[0] == first[1], "byte for byte, though it is later, and a file is there"


async def test_a_prompt_that_the_server_dropped_is_told_with_its_reason_in_lines(rig: OpenRig) -> None:
    writes = [step(call("write_file", path=f"{n}.txt", content="x\n" * 50)) for n in range(2)]
    live = await rig(*writes, finish(), faults=("other_client:2048@2",))
    await live.run()
    lines: list[bytes] = []
    progress = Progress(cast("LineOut", SimpleNamespace(put=lines.append)))
    live.events(e.PrefixReused)
    for stamped in live.seen:
        progress.apply(stamped)
    told = [line.decode() for line in lines if b"the prompt was read anew" in line]
    assert len(told) == 1, "that server loads at once, so all that shows is that the prompt was dropped"
    assert "0 of" in told[0]
    assert "the server had dropped it" in told[0]


async def test_another_client_that_has_the_model_loaded_with_its_options_is_the_reason_of_a_miss(
    rig: OpenRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "SPEAK_AFTER_S", 60.0)  # what a wait is for is not asked
    writes = [step(call("write_file", path=f"{n}.txt", content="x\n" * 50)) for n in range(4)]
    writes[1]["fault"] = "stall@:1"
    writes[3]["send"] = "done"
    live = await rig(*writes, finish(), name="llama3.2:3b", profile="rtx4090/llama3.2:3b", speed=2.0)
    running = live.start()
    await live.stats(stalled=1)
    other = asyncio.create_task(asyncio.to_thread(load, live.server.url, "llama3.2:3b", 2048))
    await live.stats(queued=1)
    await live.release()
    await within(other)
    await within(running)
    reuses = live.events(e.PrefixReused)
    told = "the server loaded the model again: another client with other options?"
    assert [reuse.miss for reuse in reuses] == ["", "", told, "", ""]
    assert (reuses[2].tokens, reuses[2].estimated) == (0, False)
    assert reuses[2].expected > 100
    loads = [answered.metrics["load_duration"] > 1e9 for answered in live.events(e.ModelAnswered)]
    assert loads == [True, False, True, False, False]
    assert (await live.stats())["loads"] == 3, "ours, the other's, and ours once more"
    both_clocks(live)
    reader = FiguresReader()
    for stamped in live.seen:
        reader.take(stamped)
    taken, ttft = reader.collect()["llama3.2:3b"], [answered.ttft_ns for answered in live.events(e.ModelAnswered)]
    loads_took = [answered.metrics["load_duration"] for answered in live.events(e.ModelAnswered)[::2][:2]]
    assert (taken.ttft_new, taken.ttft_warm) == ([], [ttft[1], *ttft[3:]])
    # What was not seen to wait for another's turn is learned.
    assert (taken.load, taken.ttft_cold) == (loads_took, [ttft[0], ttft[2]])


async def test_where_a_server_counts_no_reuse_it_is_estimated_and_a_miss_told_all_the_same(
    tmp_path: Path, write_script: WriteScript, sim_server: Callable[..., ServerProcess]
) -> None:
    writes = [step(call("write_file", path=f"{n}.txt", content="x\n" * 50)) for n in range(2)]
    pace: dict[str, Any] = {"profile": "C", "speed": 4.0, "faults": ["foreign_slot@3"], "version": "0.33.2"}
    server = sim_server(scripts=[str(write_script(*writes, finish()))], **pace)
    live = await Rig(server, tmp_path).open()
    try:
        await live.run("Do it " + "word " * 4000)
    finally:
        await live.close()
    reuses = live.events(e.PrefixReused)
    assert all(CACHED not in answered.metrics for answered in live.events(e.ModelAnswered))
    assert [(reuse.estimated, reuse.miss) for reuse in reuses] == [
        (True, ""),
        (True, "the server had dropped it"),
    ], "the first prompt, which was cold, tells how fast the model reads, and nothing else"
    assert [reuse.tokens > reuse.expected / 2 for reuse in reuses] == [True, False]


async def test_a_template_that_moves_the_tools_is_the_reason_of_a_miss(rig: OpenRig) -> None:
    reads = [step(call("write_file", path=f"{n}.txt", content="x\n" * 50)) for n in range(3)]
    live = await rig(*reads, finish(), faults=("go_template@*",), name="llama3.2:3b")
    await live.run()
    await live.run("Go on")
    misses = [reuse.miss for reuse in live.events(e.PrefixReused)]
    (why,) = {miss for miss in misses if miss}
    assert why.startswith("the model's template shows the tools with your newest words alone: OLLAMA_GO_TEMPLATE=0")
    # They go with the first results and come back with the user's next words.
    assert [bool(miss) for miss in misses] == [False, True, False, False, True, True, False, False]


async def test_thinking_that_a_template_leaves_out_is_the_reason_of_a_miss(rig: OpenRig) -> None:
    files = [step(call("write_file", path=f"{n}.txt", content="x\n" * 1000), think="Hm. " * 400) for n in range(3)]
    live = await rig(*files, finish())
    await live.run()
    rounds = len(live.events(e.PrefixReused))
    bodies = [body["body"] for body in (await live.stats())["bodies"]]
    assert [body.count('"thinking":"Hm.') for body in bodies] == [0, 1, 2, 3], "within a goal it goes back"
    await live.run("Go on")
    misses = [reuse.miss for reuse in live.events(e.PrefixReused)]
    assert set(misses[:rounds]) == {""}
    assert misses[rounds] == "after your new words the template leaves out what the model thought before them"


async def test_a_switch_is_the_reason_of_a_miss(rig: OpenRig) -> None:
    live = await rig(step(call("list_dir", path="."), fault="stall@:1"), finish())
    running = live.start()
    await live.stats(stalled=1)
    live.submit(c.SetModel(name="llama3.2:3b"))
    await live.release()
    await running
    reuses = live.events(e.PrefixReused)
    assert reuses[-1].miss == "the switch from gpt-oss:20b"


async def test_a_server_that_counts_what_it_evaluated_alone_teaches_no_size_of_a_prompt(
    tmp_path: Path, write_script: WriteScript, sim_server: Callable[..., ServerProcess]
) -> None:
    steps = [step(call("write_file", path=f"{n}.txt", content="long\n" * 600)) for n in range(3)]
    server = sim_server(scripts=[str(write_script(*steps, finish()))], version="0.30.0")
    live = await Rig(server, tmp_path).open(context={"num_ctx": 12_288})
    try:
        ratio = live.parts.budget.ratio
        await WarmUp(live.parts).run()
        assert (await live.run()).outcome == "unverified"
        assert live.parts.budget.ratio == ratio
        assert live.events(e.PrefixReused) == [], "how much was reused is unknown"
        assert live.events(e.MessagesCounted) == []
        read = live.events(e.ModelWarmed)[0].tokens
        bodies = [json.loads(entry["body"]) for entry in (await live.stats())["bodies"][1:]]
        assert len(bodies) == 4
        for body, answer in zip(bodies, live.events(e.ModelAnswered), strict=True):
            read += answer.metrics[EVALUATED]
            assert answer.metrics[EVALUATED] < read / 2, "the rest was in the cache"
            assert body["options"]["num_predict"] + read < body["options"]["num_ctx"] == 12_288
        assert bodies[-1]["options"]["num_predict"] < 8192, "the window bounds it"
    finally:
        await live.close()
