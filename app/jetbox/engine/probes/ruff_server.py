"""One `ruff server` for a workspace: what ruff says of a text, without starting a process for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from jetbox.engine.probes.lsp import LspClient, ServerGone
from jetbox.engine.safety.process import ProcessRunner
from jetbox.engine.safety.service import Service

START_S = 5.0
ANSWER_S = 3.0
"""A check that takes longer is no quicker than a run from scratch."""
STARTS = 3
"""How often it is started in a session; one that dies more often stays off."""
OPEN_MOST = 200
"""Documents that are held open."""


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
    source: str | None = None


class _Report(msgspec.Struct):
    items: list[_Diagnostic] = []


class RuffServer:
    """Started when first needed; None from `check` where it cannot tell."""

    def __init__(self, root: Path, processes: ProcessRunner, program: Callable[[], str | None]) -> None:
        """`program` finds the ruff to start."""
        self._root = root.resolve()
        self._processes = processes
        self._program = program
        self._client: LspClient | None = None
        self._starting: asyncio.Task[LspClient | None] | None = None
        self._starts = 0
        self._open: dict[str, tuple[int, str]] = {}
        """Version and text by path, of what the server holds."""
        self._found: dict[str, list[Finding]] = {}
        self._lock = asyncio.Lock()
        self.off = ""
        """Why it is not used any more; empty while it is."""
        self._closed = False

    @property
    def ready(self) -> bool:
        """True where an answer takes no start."""
        return self._client is not None and not self._client.gone

    def prepare(self) -> None:
        """Begin to start it."""
        if not self.off and not self._closed and not self.ready and self._starting is None:
            self._starting = asyncio.create_task(self._start(), name="ruff server")

    async def check(self, path: str, text: str) -> list[Finding] | None:
        """What ruff says of this text as the content of the file; None where the server cannot tell."""
        async with self._lock:
            try:
                client = await self._ready()
                if client is None:
                    return None
                held = self._open.get(path)
                if held is not None and held[1] == text and path in self._found:
                    return self._found[path]
                self._put(client, path, text)
                raw = await client.request(
                    "textDocument/diagnostic", {"textDocument": {"uri": self._uri(path)}}, ANSWER_S
                )
                found = [_finding(item) for item in msgspec.json.decode(raw, type=_Report).items]
            except (ServerGone, TimeoutError, OSError, msgspec.DecodeError) as error:
                await self._drop(f"{type(error).__name__}: {error}")
                return None
            self._found[path] = found
            return found

    def _put(self, client: LspClient, path: str, text: str) -> None:
        held = self._open.pop(path, None)
        version = held[0] + 1 if held else 1
        document: dict[str, Any] = {"uri": self._uri(path), "version": version}
        if held is None:
            document |= {"languageId": "python", "text": text}
            client.notify("textDocument/didOpen", {"textDocument": document})
        else:
            client.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [{"text": text}]})
        self._open[path] = (version, text)
        self._found.pop(path, None)
        while len(self._open) > OPEN_MOST:
            oldest = next(iter(self._open))
            del self._open[oldest]
            self._found.pop(oldest, None)
            client.notify("textDocument/didClose", {"textDocument": {"uri": self._uri(oldest)}})

    def _uri(self, path: str) -> str:
        return (self._root / path).as_uri()

    # ------------------------------------------------------------ its life

    async def _ready(self) -> LspClient | None:
        if self.ready:
            return self._client
        self.prepare()
        starting = self._starting
        if starting is None:
            return None
        await asyncio.wait({starting})
        return self._client if self.ready else None

    async def _start(self) -> LspClient | None:
        self._open.clear()
        self._found.clear()
        program = self._program()
        if program is None or self._starts >= STARTS:
            self.off = self.off or ("ruff is not installed" if program is None else "its server kept ending")
            self._starting = None
            return None
        self._starts += 1
        client: LspClient | None = None
        try:
            service = await Service.start(self._processes, [program, "server"], cwd=self._root)
            client = LspClient(service)
            await client.request("initialize", self._hello(), START_S)
            client.notify("initialized", {})
        except (ServerGone, TimeoutError, OSError) as error:
            if client is not None:
                await client.close()
            self.off = f"its server does not start: {error}"
            return None
        finally:
            self._starting = None
        self._client = client
        return client

    def _hello(self) -> dict[str, Any]:
        folder = {"uri": self._root.as_uri(), "name": "workspace"}
        return {
            "processId": None,
            "rootUri": folder["uri"],
            "workspaceFolders": [folder],
            "capabilities": {
                "general": {"positionEncodings": ["utf-32"]},
                "textDocument": {"diagnostic": {"dynamicRegistration": False}},
                "workspace": {"didChangeWatchedFiles": {"dynamicRegistration": True}},
            },
        }

    async def _drop(self, why: str) -> None:
        client, self._client = self._client, None
        if self._starts >= STARTS:
            self.off = why
        if client is not None:
            await client.close()

    async def forget(self) -> None:
        """Its settings or its idea of the files are old: the next check is by a new one."""
        async with self._lock:
            client, self._client = self._client, None
            if client is not None:
                self._starts -= 1
                await client.close()

    async def close(self) -> None:
        """End it for good."""
        self._closed = True
        if self._starting is not None:
            await asyncio.wait({self._starting})
        client, self._client = self._client, None
        if client is not None:
            await client.close()


def _finding(item: _Diagnostic) -> Finding:
    start = item.range.start
    code = str(item.code) if item.code is not None else "invalid-syntax"
    message = item.message.partition("\nhelp: ")[0].removeprefix("SyntaxError: ")
    return Finding(start.line + 1, start.character + 1, code, " ".join(message.split()))
