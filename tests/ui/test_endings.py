"""How the application ends, whatever happens: engine closed, exit code right, nothing swallowed."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from textual.pilot import Pilot

from jetbox.engine import commands
from jetbox.engine.errors import ExitCode, StorageError
from jetbox.engine.session import Batch
from jetbox.ui.app import JetboxApp
from ui.conftest import SHIPPED, until
from ui.played import Stage


async def begun(app: JetboxApp, pilot: Pilot[int]) -> asyncio.Task[int]:
    """Wait until the engine runs; returns its task."""
    await until(pilot, lambda: app._engine is not None)
    assert app._engine is not None
    return app._engine


class Broken:
    """A source that fails in a way that nobody foresaw."""

    def __init__(self) -> None:
        self.asked: list[commands.AnyCommand] = []
        self.begun = asyncio.Event()
        self.closing = asyncio.Event()

    def now(self) -> int:
        return 0

    def drain(self) -> Batch:
        raise RuntimeError("a bug")

    async def ready(self) -> bool:
        return await self.begun.wait()

    def submit(self, command: commands.AnyCommand) -> None:
        self.asked.append(command)
        if isinstance(command, commands.Close):
            self.closing.set()


async def test_a_bug_of_the_screen_ends_the_engine_in_order_and_is_raised() -> None:
    source = Broken()
    ended = False

    async def engine() -> int:
        nonlocal ended
        source.begun.set()
        await source.closing.wait()
        ended = True
        return 0

    app = JetboxApp(source, driver=engine, theme_folders=(SHIPPED,))
    with pytest.raises(Exception, match="a bug"):
        await app.run_async(headless=True)
    assert ended


async def test_a_bug_of_the_engine_ends_the_screen_and_is_raised() -> None:
    async def engine() -> int:
        raise RuntimeError("a bug of the engine")

    app = JetboxApp(Stage().feed, driver=engine, theme_folders=(SHIPPED,))
    async with asyncio.timeout(120):
        with pytest.raises(RuntimeError, match="a bug of the engine"):
            await app.run_async(headless=True)


async def test_a_failure_while_closing_is_raised_with_its_code() -> None:
    stage = Stage()

    async def engine() -> int:
        while not isinstance(await stage.session.next_command(), commands.Close):
            pass
        raise StorageError("the disk is full")

    app = JetboxApp(stage.feed, driver=engine, theme_folders=(SHIPPED,))

    async def quit_soon(pilot: Pilot[int]) -> None:
        engine_task = await begun(app, pilot)
        app.leave()
        await asyncio.wait([engine_task])

    async with asyncio.timeout(120):
        with pytest.raises(StorageError):
            await app.run_async(headless=True, auto_pilot=quit_soon)
    assert app.return_value == ExitCode.STORAGE


@pytest.mark.posix
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, ExitCode.TERMINATED), (signal.SIGINT, ExitCode.INTERRUPTED)]
)
async def test_a_signal_ends_the_session_in_order(number: int, code: ExitCode) -> None:
    stage = Stage()
    stopped: list[ExitCode] = []

    def stop(asked: ExitCode) -> None:
        stopped.append(asked)
        stage.session.submit(commands.Close())

    async def engine() -> int:
        while not isinstance(await stage.session.next_command(), commands.Close):
            pass
        return 0

    app = JetboxApp(stage.feed, driver=engine, stop=stop, theme_folders=(SHIPPED,))

    async def strike(pilot: Pilot[int]) -> None:
        engine_task = await begun(app, pilot)
        app._add_signals()
        os.kill(os.getpid(), number)
        await asyncio.wait([engine_task])

    async with asyncio.timeout(120):
        result = await app.run_async(headless=True, auto_pilot=strike)
    assert stopped == [code]
    assert result == code


async def test_asked_twice_it_does_not_wait_for_the_engine() -> None:
    stage = Stage()

    async def engine() -> int:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    app = JetboxApp(stage.feed, driver=engine, theme_folders=(SHIPPED,))

    async def leave_twice(pilot: Pilot[int]) -> None:
        engine_task = await begun(app, pilot)
        app.leave()
        app.leave()
        await asyncio.wait([engine_task])

    async with asyncio.timeout(120):
        assert await app.run_async(headless=True, auto_pilot=leave_twice) == ExitCode.INTERRUPTED


async def test_interrupted_before_it_hears_signals_it_says_so() -> None:
    app = JetboxApp(Stage().feed, theme_folders=(SHIPPED,))
    task = asyncio.create_task(app.run_async(headless=True))
    async with asyncio.timeout(120):
        while not app.is_running:
            await asyncio.sleep(0)
        task.cancel()
        assert await task == ExitCode.INTERRUPTED
