"""Runs of pytest that are forked from a process which has it loaded: the client's side of `forking`."""

from __future__ import annotations

import asyncio
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from jetbox.engine.safety.process import ProcessRunner
from jetbox.engine.safety.service import Service

LOADER = """import os, sys
sys.path[:] = [p for p in sys.path if p]
space = {"__name__": "jetbox"}
for size in map(int, sys.argv[1:]):
    text = b""
    while len(text) < size:
        more = os.read(0, size - len(text))
        if not more:
            sys.exit(1)
        text += more
    exec(compile(text.decode(), "<jetbox>", "exec"), space)
space["serve"]()
"""
READY_S = 30.0
CANCEL_S = 1.0
"""How long a cancelled run may take to be gone before its server is killed."""
GRACE_S = 5.0
STARTS = 4
"""How often a server is started in a session, not counting those whose surroundings changed."""


class Said(msgspec.Struct, frozen=True):
    """What a session of pytest tells of itself."""

    missing: bool = False
    code: int = -1
    finished: bool = False
    counts: dict[str, int] = {}
    failed: list[str] = []
    more: bool = False
    """More is red than `failed` names."""
    touched: dict[str, list[str]] = {}


class Answer(msgspec.Struct, frozen=True):
    """How a forked run ended."""

    run: int
    state: Literal["exited", "timeout", "cancelled"]
    code: int
    output: str
    ms: float
    first_ms: float | None = None
    said: Said | None = None


class Request(msgspec.Struct, frozen=True):
    """What to run."""

    files: tuple[str, ...]
    seconds: float
    memory: int
    keep: int
    behind: bool = False
    touched: bool = False


class _Hello(msgspec.Struct):
    refused: str


class Zygote:
    """One server; one run at a time."""

    def __init__(self, root: Path, processes: ProcessRunner) -> None:
        self._root = root
        self._processes = processes
        self._service: Service | None = None
        self._surroundings: object = None
        self._number = 0
        self._starts = 0
        self._lock = asyncio.Lock()
        self._closed = False
        self.refused = ""
        """Why runs are not forked; empty while they are."""

    async def prepare(self, python: str, surroundings: object) -> None:
        """Start it, where it does not run under these surroundings already."""
        async with self._lock:
            await self._ready(python, surroundings)

    async def run(self, python: str, surroundings: object, request: Request) -> Answer | None:
        """Run; None where that has to be done without it. Cancelling ends the run and all that it started.

        `surroundings` is what the loaded plugins depend on: a server under others is started anew.
        """
        async with self._lock:
            service = await self._ready(python, surroundings)
            if service is None:
                return None
            self._number += 1
            words = {"run": self._number, **msgspec.structs.asdict(request)}
            service.write(msgspec.json.encode(words) + b"\n")
            limit = request.seconds + GRACE_S if request.seconds else None
            try:
                return await self._answer(service, limit)
            except asyncio.CancelledError:
                await self._cancel(service)
                raise
            except (TimeoutError, EOFError, ValueError, ConnectionError):
                # A test can kill the server: the run is made again without it.
                await self._drop()
                return None

    async def _answer(self, service: Service, limit: float | None) -> Answer:
        async with asyncio.timeout(limit):
            line = await service.reader.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        return msgspec.json.decode(line, type=Answer)

    async def _cancel(self, service: Service) -> None:
        service.write(b'{"cancel":%d}\n' % self._number)
        try:
            await self._answer(service, CANCEL_S)
        except (TimeoutError, EOFError, ValueError, ConnectionError, asyncio.CancelledError):
            await self._drop()

    async def _ready(self, python: str, surroundings: object) -> Service | None:
        if self._service is not None and self._surroundings != surroundings:
            await self._drop()
            self._starts, self.refused = 0, ""
        if self._service is not None and not self._service.exited.is_set():
            return self._service
        if self.refused or self._closed:
            return None
        await self._drop()
        self._starts += 1
        if self._starts > STARTS:
            self.refused = "its server kept ending"
            return None
        self._surroundings = surroundings
        sources = _sources()
        argv = [python, "-c", LOADER, *(str(len(source)) for source in sources)]
        try:
            self._service = service = await Service.start(self._processes, argv, cwd=self._root)
            service.write(b"".join(sources))
            async with asyncio.timeout(READY_S):
                line = await service.reader.readline()
            self.refused = msgspec.json.decode(line, type=_Hello).refused
        except (OSError, TimeoutError, ValueError) as error:
            self.refused = f"its server does not start: {error}"
        if self.refused:
            await self._drop()
        return self._service

    async def _drop(self) -> None:
        service, self._service = self._service, None
        if service is not None:
            await service.close()

    async def close(self) -> None:
        """End it, and whatever it runs."""
        self._closed = True
        await self._drop()


@cache
def _sources() -> tuple[bytes, ...]:
    here = Path(__file__)
    return tuple(here.with_name(f"{name}.py").read_bytes() for name in ("inside", "touched", "forking"))


def decoded(text: str) -> Said | None:
    """What a session said; None where that cannot be read."""
    try:
        return msgspec.json.decode(text, type=Said)
    except msgspec.DecodeError:
        return None
