"""Another process is asked; whoever does not wait for the answer spoils no other one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from jetbox.engine.script import Script


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    made = Script("engine.long_answers")
    yield made
    await made.close()


async def size(script: Script, asked: int) -> int:
    return len(json.loads(await script.answer(size=asked))["text"])


async def test_an_answer_that_is_given_up_in_its_middle_is_left_out(script: Script) -> None:
    assert await size(script, 10) == 10
    assert script._process is not None
    pipe = script._process.stdout
    assert pipe is not None
    given_up = asyncio.create_task(script.answer(size=1 << 21))
    async with asyncio.timeout(120):
        while not pipe._buffer:  # type: ignore[attr-defined]
            await asyncio.sleep(0)
    assert b"\n" not in pipe._buffer  # type: ignore[attr-defined]
    given_up.cancel()
    assert await size(script, 20) == 20


async def test_one_that_ended_is_said_and_another_is_begun(script: Script) -> None:
    assert await size(script, 10) == 10
    assert script._process is not None
    asked = asyncio.create_task(script.answer(size=1 << 28))
    await asyncio.sleep(0)
    script._process.kill()
    with pytest.raises(OSError, match="its process has ended"):
        await asked
    assert await size(script, 30) == 30
