"""What a real server answered, byte for byte, and a server that says it again."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

FOLDER = Path(__file__).with_name("recordings")


class Said(msgspec.Struct):
    """A request, and the whole answer with its status line and headers."""

    method: str
    path: str
    body: Any
    response: str
    name: str = ""

    @property
    def status(self) -> int:
        return int(self.response.split(" ", 2)[1])

    @property
    def headers(self) -> dict[str, str]:
        head = self.response.partition("\r\n\r\n")[0].split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head)}

    @property
    def text(self) -> str:
        """Its body, put together again."""
        rest = self.response.partition("\r\n\r\n")[2].encode()
        if "transfer-encoding" not in self.headers:
            return rest.decode()
        whole = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            whole, rest = whole + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        return whole.decode()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.split("\n") if line]


def recording(name: str) -> list[Said]:
    """All that one file holds, in its order."""
    lines = (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").split("\n")
    return [msgspec.json.decode(line, type=Said) for line in lines if line]


def by_name(name: str) -> dict[str, Said]:
    """What one file holds."""
    return {said.name: said for said in recording(name)}


class SaysAgain:
    """Answers by method and path with what was recorded, in its order; the last one on and on."""

    def __init__(self, recorded: Iterable[Said], *others: str) -> None:
        """`others`: what may be asked for besides, which the server then fails to answer (`GET /api/ps`)."""
        self._others = set(others)
        self._missed: set[str] = set()
        self.asked: list[tuple[str, str, bytes]] = []
        self.url = ""
        self._left: defaultdict[tuple[str, str], list[Said]] = defaultdict(list)
        for said in recorded:
            self._left[said.method, said.path].append(said)

    async def __aenter__(self) -> SaysAgain:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._server.close()
        if kind is None:
            assert self._missed <= self._others, "what nobody recorded is answered by nobody"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether another may follow on this connection."""
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        method, path, _ = first.split(" ")
        self.asked.append((method, path, await reader.readexactly(int(headers.get("content-length", 0)))))
        left = self._left[method, path]
        if not left:
            self._missed.add(f"{method} {path}")
            body = f'{{"error":"not recorded: {method} {path}"}}'
            writer.write(f"HTTP/1.1 500 x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            return True
        said = left.pop(0) if len(left) > 1 else left[0]
        writer.write(said.response.encode())
        await writer.drain()
        return said.headers.get("connection") != "close"
