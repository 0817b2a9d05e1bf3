"""The ruff probe by itself on a folder, for the tests of its server."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jetbox.engine.options import ProbeOptions
from jetbox.engine.probes.base import Change, Verdict
from jetbox.engine.probes.fingerprint import Snapshot, Tree
from jetbox.engine.probes.inscope import out_of_scope
from jetbox.engine.probes.interpreter import Interpreters
from jetbox.engine.probes.ruff import RuffProbe
from jetbox.engine.probes.ruff_server import RuffServer

if TYPE_CHECKING:
    from engine.probes.conftest import Bench

RULES = '[lint]\nselect = ["E", "F", "I", "N", "UP", "EXE", "INP", "W", "B"]\nexclude = ["left_out.py"]\n'
BROKEN = (
    "import os, sys\nfrom typing import List\n\ndef F(x: List[int]):\n    y = 'ü€𝄞'; return undefined  # noqa: E702\n"
)


class Ruff:
    """The probe, and its latest run from scratch."""

    def __init__(self, bench: Bench, store: Path | None = None) -> None:
        self.bench = bench
        self.told: list[str] = []
        self.tree = Tree(bench.root, out_of_scope)
        interpreters = Interpreters(bench.root, bench.processes, "")
        self.probe = RuffProbe(
            bench.root,
            bench.processes,
            ProbeOptions(),
            self.tree,
            interpreters,
            store=store,
            notice=self.told.append,
        )
        self.whole: tuple[Verdict, Snapshot] | None = None

    @property
    def server(self) -> RuffServer:
        assert self.probe._server is not None
        return self.probe._server

    async def run(self) -> Verdict:
        """From scratch."""
        files = await self.tree.sweep()
        verdict = await self.probe.run()
        self.whole = (verdict, files)
        return verdict

    async def early(self) -> Verdict | None:
        """On what changed since the last run from scratch."""
        assert self.whole is not None
        verdict, before = self.whole
        now = await self.tree.sweep()
        return await self.probe.early(Change(verdict, before, now, now.changed(before)))


def said(verdict: Verdict | None) -> tuple[str, str, str]:
    assert verdict is not None
    return verdict.state, verdict.summary, verdict.output


async def stop(pids: Sequence[int]) -> None:
    """Stop processes, and wait until none of their threads goes on."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        while any(b") T" not in path.read_bytes() for path in Path(f"/proc/{pid}/task").glob("*/stat")):
            await asyncio.sleep(0.001)
