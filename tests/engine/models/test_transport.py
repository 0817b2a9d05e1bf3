"""httpx over the lean transport, against servers that answer byte for byte what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jetbox.engine.models.transport import PlainTransport

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


@asynccontextmanager
async def served(serve: Serve) -> AsyncIterator[tuple[httpx.AsyncClient, list[int]]]:
    """A client of a server, and the requests of each connection."""
    connections: list[int] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(0)
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", transport=PlainTransport()) as client:
        yield client, connections
    server.close()


async def request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    return head + await reader.readexactly(length)


async def test_one_connection_serves_one_request_after_another() -> None:
    bodies: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            bodies.append(await request(reader))
            writer.write(CHUNKED if len(bodies) % 2 else OK)

    async with served(serve) as (client, connections):
        texts = [(await client.post("/api", content=b"x" * 100_000)).text for _ in range(4)]
    assert texts == ["onetwo", "ok", "onetwo", "ok"]
    assert len(connections) == 1
    assert bodies[0].startswith(b"POST /api HTTP/1.1\r\n")
    assert bodies[0].endswith(b"x" * 100_000)


async def test_a_connection_that_the_server_closed_meanwhile_is_not_used() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(OK)

    async with served(serve) as (client, connections):
        assert [(await client.get("/")).text for _ in range(3)] == ["ok"] * 3
    assert len(connections) == 3


async def test_an_answer_that_is_not_read_to_its_end_closes_the_connection() -> None:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(CHUNKED[: CHUNKED.index(b"3\r\ntwo")])
        assert await reader.read() == b""
        gone.set()

    async with served(serve) as (client, _):
        async with client.stream("GET", "/") as response:
            async for data in response.aiter_raw():
                assert data == b"one"
                break
        await asyncio.wait_for(gone.wait(), 120)


async def test_a_request_that_is_cancelled_closes_the_connection() -> None:
    begun, gone = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        begun.set()
        await reader.read()
        gone.set()

    async with served(serve) as (client, _):
        asking = asyncio.create_task(client.get("/", timeout=None))
        await begun.wait()
        asking.cancel()
        await asyncio.wait_for(gone.wait(), 120)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Le", httpx.RemoteProtocolError),
        (b"this is no HTTP at all\r\n\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", httpx.RemoteProtocolError),
        (CHUNKED[:-5], httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnothex\r\n", httpx.RemoteProtocolError),
    ],
)
async def test_an_answer_that_breaks_off_or_is_none(answer: bytes, error: type[Exception]) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(answer)

    async with served(serve) as (client, _):
        with pytest.raises(error):
            await client.get("/")


async def test_an_answer_without_length_ends_with_the_connection() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nall of it")

    async with served(serve) as (client, connections):
        assert (await client.get("/")).text == "all of it"
        assert (await client.get("/")).text == "all of it"
    assert len(connections) == 2


async def test_silence_and_nobody_there() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with served(serve) as (client, _):
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/", timeout=httpx.Timeout(60, read=0.05))
    async with httpx.AsyncClient(transport=PlainTransport()) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("http://127.0.0.1:1/")


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.lists(st.integers(1, 60), max_size=12))
def test_bytes_arrive_as_they_were_however_they_are_cut(parts: list[bytes], cuts: list[int]) -> None:
    wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    wire += b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        at = 0
        for cut in cuts:
            writer.write(wire[at : at + cut])
            await writer.drain()
            at += cut
        writer.write(wire[at:])

    async def story() -> bytes:
        async with served(serve) as (client, _):
            return (await client.get("/")).content

    assert asyncio.run(story()) == b"".join(parts)
