"""The probes in the sandbox that holds on this machine."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from jetbox.engine.probes.report import verdict_text
from jetbox.engine.safety.choose import choose_sandbox
from jetbox.engine.safety.process import ProcessRunner

if TYPE_CHECKING:
    from engine.probes.conftest import Bench

SUITE = """\
import os
import tempfile
from pathlib import Path

from m import V


def test_value(tmp_path):
    (tmp_path / "x").write_text("x")
    assert V == 1


def test_home_is_not_the_users():
    assert not Path({secret!r}).exists()


def test_signal():
    assert tempfile.gettempdir()
"""


async def test_both_probes_work_in_the_sandbox(bench: Bench) -> None:
    secret = os.path.join(os.environ["HOME"], "secret.txt")
    with open(secret, "w") as file:
        file.write("mine")
    sandbox = await choose_sandbox(bench.root, enabled=True, network=False)
    try:
        bench.processes = ProcessRunner(sandbox, bench.root)
        bench.write("m.py", "V = 2\n")
        text = SUITE.format(secret=secret) if sandbox.confines else SUITE.format(secret="/nonexistent")
        bench.write("test_m.py", text.replace("import os\n", ""))
        engine = bench.engine()
        verdicts = await engine.verdicts()
        assert verdict_text(verdicts).startswith(
            "[probes] ruff: passed (0 problems); pytest: failed (1 of 3 failed: test_value)\n[pytest]\n"
        )
        bench.write("m.py", "V = 1\n")
        assert [(v.state, v.cache) for v in await engine.verdicts()] == [("passed", "partial"), ("passed", "ran")]
        assert engine._behind is not None
        await asyncio.wait({engine._behind.task})
        assert [(v.state, v.cache) for v in await engine.verdicts()] == [("passed", "hit")] * 2
        bench.write("test_m.py", "import os\n\n\ndef test_x():\n    os.kill(os.getpid(), 11)\n")
        assert (await engine.verdicts())[1].summary == "killed by SIGSEGV before the session ended"
    finally:
        await sandbox.close()
