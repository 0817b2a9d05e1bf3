from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from engine.moving import Clock
from engine.rig import BARE_PYTEST, Rig
from jetbox.sim.launch import ServerProcess
from scripted import Step, WriteScript
from unhurried import unhurried as unhurried

OpenRig = Callable[..., Awaitable[Rig]]


@pytest_asyncio.fixture
async def rig(
    tmp_path: Path,
    write_script: WriteScript,
    sim_server: Callable[..., ServerProcess],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[OpenRig]:
    """Opens a session over a model that plays these steps; `faults` are the server's, the rest is for `Rig.open`."""
    monkeypatch.setenv(BARE_PYTEST, "1")
    root = tmp_path / "work"
    root.mkdir()
    opened: list[Rig] = []

    async def open_(
        *steps: Step,
        faults: tuple[str, ...] = (),
        match: str = ".",
        profile: str = "",
        speed: float = 1.0,
        parallel: int = 0,
        vram: float = 0.0,
        **options: Any,
    ) -> Rig:
        pace: dict[str, Any] = {"profile": profile, "speed": speed} if profile else {}
        if parallel:
            pace["parallel"] = parallel
        if vram:
            pace["vram"] = vram
        server = sim_server(scripts=[str(write_script(*steps, match=match))], faults=faults, **pace)
        made = await Rig(server, root).open(**options)
        opened.append(made)
        return made

    yield open_
    for each in opened:
        await each.close()


@pytest_asyncio.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The loop's, which the test moves on."""
    made = Clock()
    loop = asyncio.get_running_loop()
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + made.ahead)
    return made
