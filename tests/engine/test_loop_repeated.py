"""Answers that repeat themselves over and over."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from engine.gateway import gateway
from engine.rig import Rig
from jetbox.engine import events as e
from jetbox.engine.models.connect import connect
from jetbox.engine.options import ModelOptions
from jetbox.sim.launch import ServerProcess
from scripted import WriteScript, finish, step

OpenRig = Callable[..., Awaitable[Rig]]

AGAIN = "I will now look at the file. " * 300


async def test_it_is_stopped_and_the_model_is_told(rig: OpenRig) -> None:
    live = await rig(step(text=AGAIN), finish(), match="^Do it")
    assert (await live.run()).outcome == "unverified"
    assert live.events(e.ModelAnswered)[0].done_reason == "repeated"
    assert len("".join(delta.text for delta in live.events(e.TextDelta))) < len(AGAIN)
    second = (await live.stats())["bodies"][1]
    assert "repeated itself" in json.loads(second["body"])["messages"][-1]["content"]


async def test_one_that_never_stops_ends_the_goal(rig: OpenRig) -> None:
    live = await rig(*[step(think=AGAIN, text="x")] * 4)
    ended = await live.run()
    assert (ended.outcome, ended.exit_code) == ("guard", 4)


async def test_one_that_has_no_end_is_stopped_and_only_its_ends_stay_in_the_history(
    tmp_path: Path, write_script: WriteScript, sim_server: Callable[..., ServerProcess]
) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n")
        for number in range(5_000):
            text = "".join(f"{number}.{n} and on, " for n in range(60))
            writer.write(
                json.dumps({"message": {"role": "assistant", "content": text}, "done": False}).encode() + b"\n"
            )
            await writer.drain()

    server = sim_server(scripts=[str(write_script(finish()))])
    async with gateway(server.url, endless) as host:
        live = await Rig(server, tmp_path).open(
            client=connect(ModelOptions(host=host)), context={"num_ctx": 8192}, model={"num_predict": 1000}
        )
        ended = await live.run()
        await live.close()
    assert ended.outcome == "unverified", "the session goes on in its small window"
    assert [n for n in live.events(e.Notice) if "more than was asked for" in n.text]
    shown = len("".join(delta.text for delta in live.events(e.TextDelta)))
    assert 60_000 < shown < 100_000
    answer, nudge = (await live.requests())[0][-2:]
    assert "characters left out" in answer["content"]
    assert len(answer["content"]) < 4_100
    assert "cut at its length" in nudge["content"]
