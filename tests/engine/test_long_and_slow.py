"""An answer may take as long as it flows; a server that has become slow is told of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from engine.moving import Clock
from engine.rig import Rig, within
from jetbox.engine import events as e
from jetbox.engine.models import speed
from jetbox.engine.models.base import Chunk
from jetbox.engine.models.figures import Figures
from jetbox.engine.models.ollama import OllamaModel
from jetbox.engine.watchdog import UNKNOWN_S
from scripted import call, finish, step

OpenRig = Callable[..., Awaitable[Rig]]
FLOWS = " ".join(f"word{n}" for n in range(300))


class Slowed(OllamaModel):
    """The same answers, with so many seconds by the loop's clock between two chunks."""

    def __init__(self, url: str, clock: Clock, seconds: float) -> None:
        super().__init__(url)
        self._clock = clock
        self._seconds = seconds

    @asynccontextmanager
    async def chat(self, body: bytes) -> AsyncIterator[AsyncIterator[Chunk]]:
        async with super().chat(body) as chunks:
            yield self._late(chunks)

    async def _late(self, chunks: AsyncIterator[Chunk]) -> AsyncIterator[Chunk]:
        async for chunk in chunks:
            yield chunk
            self._clock.forward(self._seconds)
            for _ in range(3):
                await asyncio.sleep(0)  # whatever is due by now happens here


@pytest.mark.parametrize("attended", [False, True])
async def test_an_answer_that_flows_is_never_ended(rig: OpenRig, clock: Clock, attended: bool) -> None:
    live = await rig(step(text=FLOWS), attended=attended)
    await live.parts.model.close()
    live.parts.model = Slowed(live.server.url, clock, seconds=15.0)
    ended = await live.start()
    assert clock.ahead > 4 * UNKNOWN_S, "longer than any limit"
    assert (ended.outcome, ended.exit_code) == ("answered", 0)
    assert "".join(delta.text for delta in live.events(e.TextDelta)) == FLOWS
    assert len(live.events(e.RequestSent)) == 1
    assert live.events(e.Notice) == []


async def test_the_same_answer_with_one_silence_is_ended(rig: OpenRig, clock: Clock) -> None:
    live = await rig(step(text=FLOWS), model={"retries": 0})
    await live.parts.model.close()
    live.parts.model = Slowed(live.server.url, clock, seconds=150.0)
    ended = await live.start()
    assert (ended.outcome, ended.exit_code) == ("failed", 6)
    assert "the answer stopped for 120 s" in ended.reason


async def test_a_server_that_has_become_slow_is_told_of_once(rig: OpenRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "LEAST_NS", 1)
    working = [step(call("list_dir", path="."), text=f"{n}: {FLOWS}") for n in range(4)]
    live = await rig(*working, finish())
    live.parts.recall(Figures(decode=[1e12] * 4))
    await within(live.start())
    (notice,) = live.events(e.Notice)
    assert notice.text.startswith("the server answers ")
    assert "gpt-oss:20b" in notice.text
    kinds = live.kinds
    assert kinds[: kinds.index(e.Notice)].count(e.ModelAnswered) == speed.ROW
