"""Real sandboxes around a workspace with a space in its name, beside a home with secrets."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from jetbox.engine.safety.choose import _tried, choose_sandbox
from jetbox.engine.safety.process import Finished, Limits, ProcessRunner
from jetbox.engine.safety.sandbox import Sandbox

if sys.platform != "linux":
    collect_ignore = ["test_boundary.py", "test_gitwatch.py", "test_process.py", "test_left_behind.py"]

LIMITS = Limits(120, 10_000)
CONFINING = ["bubblewrap", "landlock"]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "work space"
    root.mkdir()
    (root / ".git").mkdir()
    (root / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    return root


async def chosen_sandbox(root: Path, name: str) -> Sandbox:
    """The one of that name; where another is chosen, the error says why it did not hold."""
    chosen = await choose_sandbox(root, enabled=True, network=False, prefer=name)
    if chosen.name != name:
        await (await _tried(name, Path(os.path.realpath(root)), False, ())).close()
    assert chosen.name == name
    return chosen


@pytest.fixture(params=CONFINING)
async def sandbox(request: pytest.FixtureRequest, workspace: Path) -> AsyncIterator[Sandbox]:
    """Each sandbox of this system, as it is chosen."""
    chosen = await chosen_sandbox(workspace, request.param)
    yield chosen
    await chosen.close()


@pytest.fixture(params=[*CONFINING, "none"])
async def runner(request: pytest.FixtureRequest, workspace: Path) -> AsyncIterator[ProcessRunner]:
    """Runs in each sandbox, and in none."""
    chosen = await chosen_sandbox(workspace, request.param)
    yield ProcessRunner(chosen, workspace)
    await chosen.close()


@pytest.fixture
def shell(sandbox: Sandbox, workspace: Path) -> Callable[..., asyncio.Future[Finished]]:
    """Runs a line of shell in the sandbox."""
    runner = ProcessRunner(sandbox, workspace)

    def run(line: str, *arguments: object) -> asyncio.Future[Finished]:
        words = ["/bin/sh", "-c", line, "sh", *map(str, arguments)]
        return asyncio.ensure_future(runner.run(words, limits=LIMITS))

    return run


@pytest.fixture
def alive() -> Callable[[str], list[int]]:
    """Finds processes by a mark in their command line."""
    return processes_with


def processes_with(mark: str) -> list[int]:
    """Processes whose command line holds the mark, zombies apart."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = Path(f"/proc/{name}/cmdline").read_bytes()
            state = Path(f"/proc/{name}/stat").read_bytes().rpartition(b")")[2].split()[0]
        except OSError:
            continue
        if mark.encode() in line and state not in (b"Z", b"X") and int(name) != os.getpid():
            found.append(int(name))
    return found
