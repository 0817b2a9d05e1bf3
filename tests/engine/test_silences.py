"""Streams that go on without bringing the answer any further: a silence is none the shorter for them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from engine.gateway import gateway
from engine.moving import Clock
from engine.rig import Rig, within
from jetbox.engine import events as e
from jetbox.engine.models.connect import connect
from jetbox.engine.options import ModelOptions
from jetbox.sim.launch import ServerProcess
from scripted import WriteScript, call, finish, step

EMPTY = b'{"message":{"role":"assistant","content":""},"done":false}\n'
EMPTY_EVENT = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
READING = b'data: {"choices":[],"prompt_progress":{"total":900,"cache":0,"processed":300,"time_ms":9.0}}\n\n'
WORD = b'{"message":{"role":"assistant","content":"Y"},"done":false}\n'
WORD_EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"Y"}}]}\n\n'


@pytest.mark.parametrize(
    ("protocol", "first", "line", "error"),
    [
        ("ollama", b"", EMPTY, "nothing came for 600 s"),
        ("ollama", b"", b"\n", "nothing came for 600 s"),
        ("openai", b"", b": OPENROUTER PROCESSING\n\n", "nothing came for 600 s"),
        ("openai", b"", EMPTY_EVENT, "nothing came for 600 s"),
        ("openai", READING, READING, "nothing came for 600 s"),
        ("ollama", WORD, EMPTY, "the answer stopped for 120 s"),
        ("openai", WORD_EVENT, EMPTY_EVENT, "the answer stopped for 120 s"),
        ("openai", WORD_EVENT, b": ping\n\n", "the answer stopped for 120 s"),
    ],
)
async def test_lines_that_say_nothing_neither_keep_a_silence_up_nor_shorten_it(
    tmp_path: Path,
    write_script: WriteScript,
    sim_server: Callable[..., ServerProcess],
    clock: Clock,
    protocol: Literal["ollama", "openai"],
    first: bytes,
    line: bytes,
    error: str,
) -> None:
    lines = asyncio.Queue[bytes]()

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n")
        while said := await lines.get():
            writer.write(said)
            await writer.drain()

    server = sim_server(
        scripts=[str(write_script(step(text="Yes and no.")))], flavour="vllm" if protocol == "openai" else "ollama"
    )
    async with gateway(server.url, drip) as host:
        client = connect(ModelOptions(host=host, protocol=protocol))
        live = await Rig(server, tmp_path).open(client=client)
        goal, said, passed = live.start(), 0, 0
        await live.until(e.RequestSent)
        while not live.events(e.ModelAnswered) and passed < 1000:
            lines.put_nowait(line if said else first + line)
            said += len(line if said else first + line)
            while client.exchange.received < said and not live.events(e.ModelAnswered):
                await asyncio.sleep(0)
            clock.forward(50)
            passed += 50
            for _ in range(3):
                await asyncio.sleep(0)
        lines.put_nowait(b"")
        assert (await within(goal)).outcome == "answered"
        await live.close()
    assert live.events(e.ModelAnswered)[0].error == f"{error}; the request was cancelled"


async def test_a_call_that_comes_in_pieces_is_no_silence_however_long_it_takes(
    tmp_path: Path, write_script: WriteScript, sim_server: Callable[..., ServerProcess], clock: Clock
) -> None:
    lines = asyncio.Queue[bytes]()

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n")
        while said := await lines.get():
            writer.write(said)
            await writer.drain()

    def delta(reason: str | None = None, **fields: Any) -> bytes:
        sure = {"content": [{"token": "x", "logprob": -0.1}]} if fields else None
        choice = {"index": 0, "delta": fields, "finish_reason": reason, "logprobs": sure}
        return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"

    def piece(function: dict[str, str], **fields: str) -> bytes:
        return delta(tool_calls=[{"index": 0, **fields, "function": function}])

    words = ["word "] * 30
    pieces = [
        piece({"name": "write_file"}, id="c1", type="function"),
        piece({"arguments": '{"path": "a.txt", "content": "'}),
    ]
    pieces += [piece({"arguments": word}) for word in words] + [piece({"arguments": '"}'})]
    server = sim_server(scripts=[str(write_script(step(call("list_dir", path=".")), finish()))], flavour="vllm")
    async with gateway(server.url, drip) as host:
        client = connect(ModelOptions(host=host, protocol="openai"))
        live = await Rig(server, tmp_path).open(client=client)
        goal, said = live.start(), 0
        await live.until(e.RequestSent)
        for line in pieces:
            lines.put_nowait(line)
            said += len(line)
            while client.exchange.received < said:
                await asyncio.sleep(0)
            for _ in range(3):
                await asyncio.sleep(0)
            assert not live.events(e.ModelAnswered)
            clock.forward(50)
        lines.put_nowait(delta("tool_calls") + b"data: [DONE]\n\n")
        lines.put_nowait(b"")
        await within(goal)
        await live.close()
    assert (tmp_path / "a.txt").read_text() == "".join(words)
    answered = live.events(e.ModelAnswered)[0]
    assert answered.chunks == 2 * len(pieces) + 1, "each has its probability; the name alone says no more, the end does"
    assert 0 < answered.ttft_ns < answered.wall_ns
    told = [each for each in live.of(e.Waiting, e.ToolCalled) if getattr(each, "what", "writing") == "writing"]
    assert [type(each) for each in told[:2]] == [e.Waiting, e.ToolCalled], "that one is written is told once, before it"
