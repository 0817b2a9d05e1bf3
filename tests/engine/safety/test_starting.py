"""Helper processes whose start is cancelled."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress

import pytest

from jetbox.engine.safety.starting import end, spawn


async def test_the_end_of_a_start_that_was_cancelled_is_told_by_whoever_waits_for_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pipe = asyncio.subprocess.PIPE
    for turns in range(120):
        starting = asyncio.create_task(spawn("/bin/sh", "-c", ":", stdin=pipe, stdout=pipe))
        for _ in range(turns % 8):
            await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait([starting])
        if not starting.cancelled():
            await end(starting.result())
    assert not caplog.records, "asyncio missed the end of a process: somebody else had looked at it"


async def test_what_cannot_be_started_says_so_though_it_was_cancelled() -> None:
    with pytest.raises(FileNotFoundError):
        await spawn("/not/there")
    starting = asyncio.create_task(spawn("/not/there"))
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting


async def test_a_process_that_leaves_its_input_unread_is_no_failure_that_nobody_heard_of() -> None:
    heard: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: heard.append(str(context)))
    for _ in range(5):
        process = await spawn("/bin/sh", "-c", "exec <&-; read line", stdin=asyncio.subprocess.PIPE)
        assert process.stdin is not None
        with suppress(ConnectionError):
            process.stdin.write(bytes(1_000_000))
            await process.stdin.drain()
        await process.wait()
        del process
        gc.collect()
        await asyncio.sleep(0)
    assert not heard
