"""The client of the Language Server Protocol, against servers that do what a server may do."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from jetbox.engine.probes.lsp import LspClient, ServerGone
from jetbox.engine.safety.service import Service

if TYPE_CHECKING:
    from engine.probes.conftest import Bench

SERVER = """
import json, os, sys, time

def read():
    length = 0
    while (line := sys.stdin.buffer.readline().strip()):
        if line.lower().startswith(b"content-length"):
            length = int(line.split(b":")[1])
    return json.loads(sys.stdin.buffer.read(length)) if length else sys.exit(0)

def say(message, head=b""):
    data = json.dumps({{"jsonrpc": "2.0", **message}}).encode()
    sys.stdout.buffer.write(head + b"Content-Length: %d\\r\\n\\r\\n%b" % (len(data), data))
    sys.stdout.buffer.flush()

while True:
    asked = read()
    if "id" not in asked:
        continue
    {deed}
"""


async def client(bench: Bench, deed: str) -> LspClient:
    service = await Service.start(bench.processes, [sys.executable, "-c", SERVER.format(deed=deed)])
    return LspClient(service)


async def test_answers_find_their_requests_in_any_order(bench: Bench) -> None:
    deed = """
    other = read()
    say({"id": other["id"], "result": other["params"]}, b"Content-Type: text\\r\\n")
    say({"method": "$/progress", "params": {}})
    say({"id": 99, "result": "nobody asked"})
    say({"id": asked["id"], "result": asked["params"]})
    """
    made = await client(bench, deed)
    first, second = await asyncio.gather(made.request("a", {"ü": "€𝄞"}, 20), made.request("b", [1], 20))
    assert (msgspec.json.decode(first), msgspec.json.decode(second)) == ({"ü": "€𝄞"}, [1])
    await made.close()
    assert made.gone


async def test_what_the_server_asks_is_answered_with_nothing(bench: Bench) -> None:
    deed = """
    say({"id": "s1", "method": "client/registerCapability", "params": {}})
    reply = read()
    say({"id": asked["id"], "result": reply})
    """
    made = await client(bench, deed)
    assert msgspec.json.decode(await made.request("a", None, 20)) == {"jsonrpc": "2.0", "id": "s1", "result": None}
    await made.close()


async def test_an_error_is_raised_and_the_server_goes_on(bench: Bench) -> None:
    deed = """
    if asked["method"] == "bad":
        say({"id": asked["id"], "error": {"code": -1, "message": "no such thing"}})
    else:
        say({"method": "window/showMessage", "params": {"type": 2, "message": "a warning"}})
        say({"method": "window/showMessage", "params": {"type": 1, "message": "settings are broken"}})
        say({"id": asked["id"], "result": 1})
    """
    made = await client(bench, deed)
    with pytest.raises(ServerGone, match="no such thing"):
        await made.request("bad", None, 20)
    assert made.complaint == ""
    assert bytes(await made.request("good", None, 20)) == b"1"
    assert made.complaint == "settings are broken"
    await made.close()


async def test_a_server_that_dies_over_a_request_says_why(bench: Bench) -> None:
    made = await client(bench, "os.write(2, b'out of luck'); os._exit(1)")
    with pytest.raises(ServerGone):
        await made.request("a", "x" * 1_000_000, 20)
    assert made.gone
    made.notify("b", "x" * 1_000_000)
    with pytest.raises(ServerGone, match=r"ended|luck"):
        await made.request("c", None, 20)
    await made.close()


async def test_an_answer_that_does_not_come_is_not_waited_for(bench: Bench) -> None:
    made = await client(bench, "time.sleep(600) if asked['method'] == 'hang' else None")
    with pytest.raises(TimeoutError):
        await made.request("hang", "x" * 1_000_000, 0.2)
    assert not made.gone
    with pytest.raises(TimeoutError):
        await made.request("more", "x" * 5_000_000, 0.2)
    await made.close()


async def test_a_cancelled_request_leaves_the_next_one_its_answer(bench: Bench) -> None:
    made = await client(bench, 'say({"id": asked["id"], "result": asked["params"]})')
    asking = asyncio.create_task(made.request("a", 1, 20))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait({asking})
    assert bytes(await made.request("b", 2, 20)) == b"2"
    await made.close()


@pytest.mark.parametrize(
    "words",
    [
        b"garbage\r\n\r\n",
        b"Content-Length: many\r\n\r\n",
        b"Content-Length: -5\r\n\r\n",
        b"Content-Length: 99999999999\r\n\r\n",
        b"Content-Length: 5\r\n\r\nxxxxx",
        b"Content-Length: 2\r\n\r\n[]",
        b'Content-Length: 13\r\n\r\n{"id": [1, 2]}',
        b'Content-Length: 48\r\n\r\n{"method":"window/showMessage","params":[1,2,3]}',
        b"Content-Length: 100\r\n\r\ncut off",
        b"\xff" * 100,
        b"x" * 18_000_000,
    ],
    ids=lambda words: words[:24].decode(errors="replace").strip(),
)
async def test_garbage_ends_the_talk(bench: Bench, words: bytes) -> None:
    head, times = (words[:1], len(words)) if len(set(words)) == 1 else (words, 1)
    made = await client(bench, f"sys.stdout.buffer.write({head!r} * {times}); sys.stdout.flush(); os._exit(0)")
    with pytest.raises(ServerGone):
        await made.request("a", None, 20)
    assert made.gone
    assert made.words
    await made.close()
