"""What a session measures of its models is kept, also where it ends while that is being written."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jetbox.cli import beside
from jetbox.cli.beside import Beside
from jetbox.engine import events as e
from jetbox.engine.session import NoRecorder, Session
from jetbox.record.figures import FiguresStore


class Slow:
    """A server that is asked for digests, and answers when it may."""

    manages = True
    host = "http://127.0.0.1:11434"

    def __init__(self) -> None:
        self.asked, self.may = asyncio.Event(), asyncio.Event()

    async def installed(self) -> list[Any]:
        self.asked.set()
        await self.may.wait()
        return []


async def test_a_session_that_ends_while_figures_are_stored_loses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "FIGURES_S", 0)
    session, model = Session(NoRecorder()), Slow()
    at_work = Beside(session)
    at_work.spawn(at_work.keep_figures(model))  # type: ignore[arg-type]
    session.emit(e.ModelReady(name="m", num_ctx=4096))
    session.emit(e.RoundStarted(model="m"))
    metrics = {"load_duration": 3_000_000_000, "prompt_eval_count": 1000, "prompt_eval_duration": 500_000_000}
    session.emit(e.ModelAnswered(attempt=1, ttft_ns=3_600_000_000, metrics=metrics))
    session.emit(e.GoalEnded(goal=1, outcome="done", reason="", exit_code=0))
    await asyncio.wait_for(model.asked.wait(), 5)
    ending = asyncio.create_task(at_work.end())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    model.may.set()
    await asyncio.wait_for(ending, 5)
    assert FiguresStore().read(model.host, "m", "").load == [3_000_000_000]
