from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jetbox.engine.events import FileChange
from jetbox.engine.options import ToolOptions
from jetbox.engine.safety.process import ProcessRunner
from jetbox.engine.safety.unconfined import NoSandbox
from jetbox.engine.tools.arguments import decode_arguments
from jetbox.engine.tools.base import Plan, ToolContext, ToolResult
from jetbox.engine.tools.registry import find, standard_tools
from jetbox.engine.workspace.ledger import ReadLedger
from jetbox.engine.workspace.root import Workspace


class Bench:
    """A workspace with every tool, called as the dispatcher calls them."""

    def __init__(self, root: Path, options: ToolOptions, read_outside: tuple[str, ...]) -> None:
        self.root = root
        self.blobs: dict[str, bytes] = {}
        self.output: list[str] = []
        self.hear: Callable[[str], None] = self.output.append
        self.tools = standard_tools()
        self.context = ToolContext(
            workspace=Workspace(root),
            ledger=ReadLedger(),
            options=options,
            processes=ProcessRunner(NoSandbox(), root),
            put_blob=self.put_blob,
            read_outside=read_outside,
        )

    async def put_blob(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return digest

    async def plan(self, name: str, **arguments: Any) -> Plan:
        tool = find(self.tools, name)
        decoded, _ = decode_arguments(tool, json.dumps(arguments))
        tool.access(decoded, self.context)
        return await tool.plan(decoded, self.context, self.hear)

    async def call(self, name: str, **arguments: Any) -> ToolResult:
        plan = await self.plan(name, **arguments)
        return await plan.perform()

    async def text(self, name: str, **arguments: Any) -> str:
        return (await self.call(name, **arguments)).text

    def write(self, path: str, content: str | bytes) -> Path:
        """Write as somebody else would."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
        return target

    def data(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    def check_change(self, change: FileChange, before: bytes | None) -> None:
        """The change tells the truth, and what was there before is kept."""
        assert change.after == hashlib.sha256(self.data(change.path)).hexdigest()
        if before is None:
            assert (change.kind, change.before) == ("created", "")
        else:
            assert change.kind == "modified"
            assert self.blobs[change.before] == before


@pytest.fixture
def make_bench(tmp_path: Path) -> Callable[..., Bench]:
    def make(read_outside: tuple[str, ...] = (), **options: Any) -> Bench:
        root = tmp_path / "ws"
        root.mkdir(exist_ok=True)
        return Bench(root, ToolOptions(**options), read_outside)

    return make


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()
