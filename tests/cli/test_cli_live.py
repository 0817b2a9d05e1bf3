"""Opening a live session: what of an earlier process holds, and what was asked for now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jetbox.cli.live import Live, Start
from jetbox.engine import events as e
from jetbox.engine.options import (
    ContextOptions,
    EngineOptions,
    ModelOptions,
    PermissionOptions,
    ProbeOptions,
    SessionOptions,
)
from jetbox.sim.launch import ServerProcess
from scripted import WriteScript, step

ServeOne = Callable[..., ServerProcess]


def options(server: ServerProcess, data: Path, num_ctx: int = 0, **model: Any) -> EngineOptions:
    return EngineOptions(
        model=ModelOptions(**{"name": "gpt-oss:20b", "host": server.url, **model}),
        context=ContextOptions(num_ctx=num_ctx),
        permissions=PermissionOptions(mode="auto", sandbox=False),
        probes=ProbeOptions(enabled=False),
        session=SessionOptions(folder=str(data)),
    )


async def test_a_session_that_goes_on_has_its_window_unless_another_is_asked_for(
    tmp_path: Path, write_script: WriteScript, sim_server: ServeOne
) -> None:
    server = sim_server(scripts=[str(write_script(step(text="Yes.")))])
    root = tmp_path / "work"
    root.mkdir()

    async def window(num_ctx: int, resume: str | None) -> tuple[int, str]:
        start = Start(root=root, options=options(server, tmp_path / "data", num_ctx), goal="Do it", resume=resume)
        live = Live(start)
        await asyncio.wait_for(live.drive(), 20)
        ready = [s.event for s in live.feed.drain().events if isinstance(s.event, e.ModelReady)]
        return ready[-1].num_ctx, ready[-1].why

    assert await window(8192, None) == (8192, "as it is set")
    assert await window(0, "") == (8192, "as the session began with")
    assert await window(12_288, "") == (12_288, "as it is set")
