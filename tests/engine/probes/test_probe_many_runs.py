"""The process that runs of pytest are forked from, after many of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.probes.test_probe_forked import Suite, suite
from engine.probes.test_probe_standby import idle, interpreters, ran

if TYPE_CHECKING:
    from engine.probes.conftest import Bench

__all__ = ["suite"]
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forked runs need Linux")
RUNS = 30
SETTLED = 10
"""Runs after which all is loaded that a run has the server load."""
GROWTH_KB = 5 * (RUNS - SETTLED)
"""Of memory of its own, in the runs after those; each of their modules holds more than this."""


def status(process: int, name: str) -> str:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{name}:"))


def own_kb(process: int) -> int:
    """Memory of its own; counted page by page, where `RssAnon` may be off by what each processor has yet to add."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))


def server(root: Path) -> int:
    """The process that others at work here are forked from."""
    at_work = interpreters(root)
    (found,) = {int(status(process, "PPid")) for process in at_work} & set(at_work)
    return found


async def test_many_runs_leave_nothing_in_the_server(
    bench: Bench, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, sizes = 0, []
    for n in range(RUNS):
        bench.write("m.py", f"HELD = bytearray({n} + 2**20)\n")
        bench.write(f"test_{n}.py", f"import m\ndef test_a():\n    assert len(m.HELD) == {n} + 2**20\n")
        ended = await ran(suite, f"test_{n}.py")
        assert (ended.code, ended.forked) == (0, True), ended.output
        if n >= SETTLED - 1:
            await idle(suite)
            first = first or server(bench.root)
            assert server(bench.root) == first, "no run costs a new server"
            sizes.append(own_kb(first))
    assert max(sizes) - sizes[0] < GROWTH_KB, sizes

    monkeypatch.setenv("OUR_WORD", "other")
    bench.processes.pass_env = (*bench.processes.pass_env, "OUR_WORD")
    assert (await ran(suite, f"test_{RUNS - 1}.py")).code == 0
    await idle(suite)
    assert server(bench.root) != first, "under other variables another one is started"
    assert not Path(f"/proc/{first}").exists()
