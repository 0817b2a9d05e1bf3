"""What stands between the client and a server: it lets through what it has no answer of its own to."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import urlsplit

Said = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]
PAGE = b"<html><body><h1>It broke</h1></body></html>"


def answer(status: int, body: bytes = PAGE, *fields: str) -> bytes:
    """A whole answer of a gateway's."""
    lines = [f"HTTP/1.1 {status} X", "Content-Type: text/html", f"Content-Length: {len(body)}", "Connection: close"]
    return "\r\n".join([*lines, *fields, "", ""]).encode() + body


async def request(reader: asyncio.StreamReader) -> bytes:
    """A whole one: its head and its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    return head + await reader.readexactly(int(length[1]) if length else 0)


@asynccontextmanager
async def saying(said: bytes | Callable[[bytes], Iterable[bytes]]) -> AsyncIterator[str]:
    """The address of a server (a URL) that says the same to every request, or what comes of it, piece by piece."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await request(reader)
        for piece in (said,) if isinstance(said, bytes) else said(asked):
            writer.write(piece)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def gateway(
    server: str,
    *answers: Said,
    away: asyncio.Event | None = None,
    instead: Callable[[bytes], bytes | None] = lambda asked: None,
) -> AsyncIterator[str]:
    """The address of one before this server (a URL), which gives chat requests these answers first.

    Each is whole, or is written by whoever is called with what it is written to. While `away` is set, nobody answers.
    What `instead` makes of any request is said in the server's place.
    """
    left, serving = list(answers), set[asyncio.Task[None]]()
    where = urlsplit(server)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(cast("asyncio.Task[None]", asyncio.current_task()))
        try:
            asked = await request(reader)
            if away is not None and away.is_set():
                return
            if (own := instead(asked)) is not None:
                writer.write(own)
            elif left and asked.startswith((b"POST /api/chat ", b"POST /v1/chat/completions ")):
                said = left.pop(0)
                if isinstance(said, bytes):
                    writer.write(said)
                else:
                    await said(writer)
            else:
                head, _, body = asked.partition(b"\r\n\r\n")
                head = re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", head) + b"\r\nConnection: close\r\n\r\n"
                await _passed_on(head + body, writer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _passed_on(request: bytes, writer: asyncio.StreamWriter) -> None:
        behind, onward = await asyncio.open_connection(where.hostname, where.port)
        onward.write(request)
        try:
            while data := await behind.read(65536):
                writer.write(data)
                await writer.drain()
        finally:
            onward.close()
            await onward.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
        await asyncio.gather(*serving)


class Loading:
    """What llama.cpp's server says in the place of so many answers while it loads its model: `instead` of a gateway's.

    Of the list of models newer ones say no more than of the rest, `lists` the older: its name, and nothing of it.
    """

    def __init__(self, questions: int, *, lists: bool = False) -> None:
        self.left = questions
        self.refused: list[str] = []
        """The paths that were asked for meanwhile."""
        self._lists = lists

    def __call__(self, asked: bytes) -> bytes | None:
        if self.left <= 0:
            return None
        self.left -= 1
        path = asked.split(b" ", 2)[1].decode()
        self.refused.append(path)
        if self._lists and path == "/v1/models":
            model = {"id": "gpt-oss:20b", "object": "model", "owned_by": "llamacpp", "meta": None}
            return answer(200, json.dumps({"object": "list", "data": [model]}).encode())
        said = {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}
        return answer(503, json.dumps(said).encode())
