"""One `ruff server` for a workspace: what ruff says of a text, without starting a process for it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from jetbox.engine.probes.command import identity as identity_of
from jetbox.engine.probes.lsp import LspClient, ServerGone
from jetbox.engine.probes.ruff_aside import Aside
from jetbox.engine.probes.ruff_settings import Look, RuffSettings
from jetbox.engine.probes.span import change
from jetbox.engine.safety.process import ProcessRunner
from jetbox.engine.safety.service import Service
from jetbox.engine.tasks import end_tasks

START_S = 5.0
ANSWER_S = 1.0
"""A check that takes longer is no quicker than a run from scratch."""
STARTS = 3
"""How often it is started after it ended by itself; one that goes on ending stays off."""
OPEN_MOST = 200
"""Documents that are held open."""
OLDEST = (0, 12)
"""Major and minor version below which the server words its findings otherwise than the command line."""
ENCODING = "utf-32"
"""Columns are counted in characters, as the command line does."""


class Finding(msgspec.Struct, frozen=True):
    """One problem, at a place that counts from 1."""

    row: int
    column: int
    code: str
    what: str

    def line(self, path: str) -> str:
        """As the command line has it."""
        return f"{path}:{self.row}:{self.column} {self.code} {self.what}"


class _Position(msgspec.Struct):
    line: int
    character: int


class _Range(msgspec.Struct):
    start: _Position


class _Diagnostic(msgspec.Struct):
    range: _Range
    message: str
    code: str | int | None = None


class _Report(msgspec.Struct):
    items: list[_Diagnostic]


class _Capabilities(msgspec.Struct, rename="camel"):
    position_encoding: str = "utf-16"


class _Named(msgspec.Struct):
    version: str = ""


class _Welcome(msgspec.Struct, rename="camel"):
    capabilities: _Capabilities
    server_info: _Named = msgspec.field(default_factory=_Named)


_report = msgspec.json.Decoder(_Report).decode


class RuffServer:
    """Started when first needed; None from `check` where it cannot tell."""

    def __init__(
        self,
        root: Path,
        processes: ProcessRunner,
        program: Callable[[], str | None],
        settings: RuffSettings,
        aside: Aside,
        memory: int,
    ) -> None:
        """`program` finds the ruff to start; `aside` remembers why it is not used any more.

        `memory` is the most bytes of address space that it may take; 0 for no limit.
        """
        self._root = root.resolve()
        self._processes = processes
        self._program = program
        self._settings = settings
        self._client: LspClient | None = None
        self._look: Look | None = None
        """The settings as they were before the server read them."""
        self._identity = ""
        self._starting: asyncio.Task[None] | None = None
        self._failures = 0
        self._open: dict[str, tuple[int, str]] = {}
        """Version and text by path, of what the server holds."""
        self._lock = asyncio.Lock()
        self._aside = aside
        self._memory = memory
        self._closed = False

    @property
    def off(self) -> str:
        """Why it is not used any more; empty while it is."""
        return self._aside.why(self._named)

    def give_up(self, why: str, *, lasting: bool = False) -> None:
        """Use it no more; `lasting`: in no later session either, as long as it is the same program."""
        self._aside.put(why, self._named(), lasting=lasting)

    def _named(self) -> str:
        program = self._program()
        return identity_of(program) if program is not None else ""

    @property
    def ready(self) -> bool:
        """True where an answer takes no start."""
        return self._client is not None and not self._client.gone

    @property
    def look(self) -> Look | None:
        """The settings that it judges by; another object for each start."""
        return self._look

    @property
    def current(self) -> bool:
        """True where these are the settings of now, and the program is the same."""
        return self.ready and not self._is_old("")

    def still(self, look: Look | None, path: str) -> bool:
        """True where what it said under these settings holds for this path now."""
        return look is not None and look is self._look and self.ready and not self._is_old(path)

    def prepare(self) -> None:
        """Begin to start it."""
        if not self.off and not self._closed and not self.ready and self._starting is None:
            self._starting = asyncio.create_task(self._start(), name="ruff server")

    async def renew(self) -> None:
        """Start it again where its settings are old, before somebody waits for it."""
        async with self._lock:
            if self.ready and self._is_old(""):
                await self._end()
        self.prepare()

    async def check(self, path: str, text: str) -> list[Finding] | None:
        """What ruff says of this text as the content of the file; None where the server cannot tell."""
        async with self._lock:
            try:
                client = await self._ready(path)
                if client is None:
                    return None
                self._put(client, path, text)
                asked = {"textDocument": {"uri": self._uri(path)}}
                raw = await client.request("textDocument/diagnostic", asked, ANSWER_S)
                found = [_finding(item) for item in _report(raw).items]
            except (ServerGone, TimeoutError, OSError, msgspec.MsgspecError) as error:
                await self._failed(f"its server failed: {error or type(error).__name__}")
                return None
            except UnicodeEncodeError:
                return None  # a text that is no text: nothing can be written of it either
            # With settings that it could not read it goes by its own.
            return None if client.complaint else found

    def _put(self, client: LspClient, path: str, text: str) -> None:
        held = self._open.get(path)
        version = held[0] + 1 if held else 1
        document: dict[str, Any] = {"uri": self._uri(path), "version": version}
        if held is None:
            document |= {"languageId": "python", "text": text}
            client.notify("textDocument/didOpen", {"textDocument": document})
        elif held[1] != text:
            client.notify(
                "textDocument/didChange", {"textDocument": document, "contentChanges": [change(held[1], text)]}
            )
        self._open.pop(path, None)
        self._open[path] = (version, text)
        while len(self._open) > OPEN_MOST:
            oldest = next(iter(self._open))
            del self._open[oldest]
            client.notify("textDocument/didClose", {"textDocument": {"uri": self._uri(oldest)}})

    def _uri(self, path: str) -> str:
        return (self._root / path).as_uri()

    async def _ready(self, path: str) -> LspClient | None:
        """The server, under the settings as they are now for this path."""
        if self.ready and self._is_old(path):
            await self._end()
        if not self.ready:
            if self._client is not None:
                await self._failed(f"its server ended: {self._client.words}")
            self.prepare()
            if self._starting is not None:
                await asyncio.wait({self._starting})
        usable = self.ready and self._look is not None and not self._look.renames
        return self._client if usable else None

    def _is_old(self, path: str) -> bool:
        program = self._program()
        if program is None or self._place(program) != self._identity:
            return True
        return self._look is None or not self._settings.same(self._look, path)

    def _place(self, program: str) -> str:
        """What it is started from and in: in a sandbox it keeps to the folder that was there then."""
        try:
            here = os.stat(self._root)
        except OSError:
            return ""
        return f"{identity_of(program)} {here.st_ino} {here.st_dev}"

    async def _start(self) -> None:
        client: LspClient | None = None
        try:
            program = self._program()
            if program is None:
                return
            identity = self._place(program)
            self._open.clear()
            look = self._settings.look()
            service = await Service.start(self._processes, [program, "server"], cwd=self._root, memory=self._memory)
            client = LspClient(service)
            raw = await client.request("initialize", self._hello(), START_S)
            if unfit := _unfit(msgspec.json.decode(raw, type=_Welcome)):
                self.give_up(unfit)
            else:
                client.notify("initialized", {})
                self._client, self._look, self._identity, client = client, look, identity, None
                self._aside.works()
        except (ServerGone, TimeoutError, OSError, msgspec.MsgspecError) as error:
            self.give_up(f"its server does not start: {error or type(error).__name__}")
        finally:
            self._starting = None
            if client is not None:
                await client.close()

    def _hello(self) -> dict[str, Any]:
        folder = {"uri": self._root.as_uri(), "name": "workspace"}
        return {
            "processId": None,
            "rootUri": folder["uri"],
            "workspaceFolders": [folder],
            "capabilities": {
                "general": {"positionEncodings": [ENCODING]},
                "textDocument": {"diagnostic": {"dynamicRegistration": False}},
            },
        }

    async def _failed(self, why: str) -> None:
        """It ended by itself, or does not answer as it should."""
        self._failures += 1
        if self._failures >= STARTS:
            self.give_up(why)
        await self._end()

    async def _end(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def close(self) -> None:
        """End it for good."""
        self._closed = True
        await end_tasks(self._starting)
        await self._end()


def _unfit(said: _Welcome) -> str:
    """Why a server is not to be used; empty where it is."""
    version = said.server_info.version
    numbers = version.split(".")[:2]
    known = len(numbers) == 2 and all(number.isdigit() for number in numbers)
    if not known or not OLDEST <= (int(numbers[0]), int(numbers[1])) < (OLDEST[0] + 1, 0):
        return f"its server is of version {version or 'unknown'}"
    if said.capabilities.position_encoding != ENCODING:
        return f"its server counts columns in {said.capabilities.position_encoding}"
    return ""


def _finding(item: _Diagnostic) -> Finding:
    start = item.range.start
    code = str(item.code) if item.code is not None else "invalid-syntax"
    message = item.message.partition("\nhelp: ")[0].removeprefix("SyntaxError: ")
    return Finding(start.line + 1, start.character + 1, code, " ".join(message.split()))
