"""No process outlives its command, however it was started."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.moving import Clock
from jetbox.engine.safety.process import Finished, Limits, ProcessRunner

LIMITS = Limits(120, 10_000)
Alive = Callable[[str], list[int]]

DOUBLE_FORK = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        {extra}
        os.execvp("sleep", ["sleep", sys.argv[1]])
    os._exit(0)
os.wait()
print("started", flush=True)
{after}
"""


@pytest.fixture
def mark() -> str:
    """An argument for `sleep` that is ours alone."""
    return f"6{time.monotonic_ns() % 10**9}.{os.getpid()}"


async def daemon(
    runner: ProcessRunner, mark: str, *, extra: str = "pass", after: str = "pass", **more: Any
) -> Finished:
    code = DOUBLE_FORK.format(extra=extra, after=after)
    return await runner.run([sys.executable, "-c", code, mark], limits=LIMITS, **more)


async def test_background_children_end_with_the_command(runner: ProcessRunner, mark: str, alive: Alive) -> None:
    line = f"sleep {mark} & setsid sleep {mark} & nohup setsid sleep {mark} >/dev/null 2>&1 & echo hi"
    done = await runner.run(["sh", "-c", line], limits=Limits(120, 10_000))
    assert (done.state, done.code, done.output) == ("exited", 0, "hi\n")
    assert not alive(mark)


async def test_daemons_end_with_the_command(runner: ProcessRunner, mark: str, alive: Alive) -> None:
    done = await daemon(runner, mark)
    assert (done.state, done.output) == ("exited", "started\n")
    assert not alive(mark)


async def test_daemons_end_at_the_time_limit(runner: ProcessRunner, mark: str, alive: Alive, clock: Clock) -> None:
    stubborn = "import signal; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]"
    strike = clock.once(LIMITS.seconds)
    done = await daemon(runner, mark, extra=stubborn, after="time.sleep(600)", on_output=strike)
    assert done.state == "timeout"
    assert not alive(mark)


async def test_a_cancelled_command_leaves_nothing(runner: ProcessRunner, mark: str, alive: Alive) -> None:
    started = asyncio.Event()
    line = f"trap '' TERM; setsid sleep {mark} & sleep {mark} & echo hi; wait; sleep {mark}"
    task = asyncio.create_task(
        runner.run(["sh", "-c", line], limits=Limits(120, 10_000), on_output=lambda _text: started.set())
    )
    await started.wait()
    assert alive(mark)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(mark)


async def test_a_second_cancel_spares_the_grace_and_leaves_nothing(
    runner: ProcessRunner, mark: str, alive: Alive
) -> None:
    ready = asyncio.Event()
    line = f"trap '' TERM; echo hi; sleep {mark}; sleep {mark}"
    task = asyncio.create_task(
        runner.run(["sh", "-c", line], limits=Limits(120, 10_000), on_output=lambda _text: ready.set())
    )
    await ready.wait()
    task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(mark)


async def test_cancels_again_and_again_during_the_start_leave_nothing(
    runner: ProcessRunner, mark: str, alive: Alive
) -> None:
    for cancels in range(2, 8):
        task = asyncio.create_task(runner.run(["sleep", mark], limits=Limits(120, 10_000)))
        for _ in range(cancels):
            await asyncio.sleep(0)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    gc.collect()  # an open transport would warn here
    assert not alive(mark)


@pytest.mark.parametrize("turns", [1, 2, 3, 5, 8])
async def test_a_cancel_during_the_start_leaves_nothing(
    runner: ProcessRunner, mark: str, alive: Alive, turns: int
) -> None:
    task = asyncio.create_task(runner.run(["sleep", mark], limits=Limits(120, 10_000)))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(mark)


def counted(clock: Clock, count: int) -> Callable[[str], None]:
    """Lets the time limit strike once so many letters have been written."""
    heard, strike = [0], clock.once(LIMITS.seconds)

    def hear(text: str) -> None:
        heard[0] += len(text)
        if heard[0] >= count:
            strike(text)

    return hear


async def test_a_command_that_forks_and_forks(runner: ProcessRunner, mark: str, alive: Alive, clock: Clock) -> None:
    code = (
        "import os, sys\nfor n in range(6):\n    if os.fork() == 0 and n % 2: os.setsid()\n"
        "os.write(1, b'x')\nos.execvp('sleep', ['sleep', sys.argv[1]])"
    )
    done = await runner.run([sys.executable, "-c", code, mark], limits=LIMITS, on_output=counted(clock, 2**6))
    assert done.state == "timeout"
    assert not alive(mark)


async def test_one_that_always_forks_anew_is_caught(runner: ProcessRunner, mark: str, alive: Alive) -> None:
    code = "import os, sys\nfor n in range(100_000):\n    if os.fork(): os._exit(0)\n    os.setsid()"
    done = await runner.run([sys.executable, "-c", code, mark], limits=Limits(120, 10_000))
    assert done.state == "exited"
    assert not alive(mark)


async def test_a_fork_bomb_ends_at_the_time_limit(runner: ProcessRunner, mark: str, alive: Alive, clock: Clock) -> None:
    bomb = """
import os, sys, time
end = time.monotonic() + 120  # were it to escape, it would not last
most = len(os.listdir("/proc")) + 150
for _ in range(400):
    if os.fork() == 0:
        os.write(1, b"x")
        if os.getpid() % 3 == 0: os.setsid()
    time.sleep(0.002)
    if time.monotonic() > end: os._exit(0)
    if len(os.listdir("/proc")) > most: time.sleep(60)
time.sleep(60)
"""
    done = await runner.run([sys.executable, "-c", bomb, mark], limits=LIMITS, on_output=counted(clock, 50))
    assert done.state == "timeout"
    assert not alive(mark)


async def test_many_at_once(runner: ProcessRunner, mark: str, alive: Alive) -> None:
    done = await asyncio.gather(
        *(runner.run(["sh", "-c", f"sleep {mark} & echo {n}"], limits=Limits(120, 1_000)) for n in range(8))
    )
    assert [d.output for d in done] == [f"{n}\n" for n in range(8)]
    assert not alive(mark)


AGENT = """
import asyncio, sys
from pathlib import Path
from jetbox.engine.safety.choose import choose_sandbox
from jetbox.engine.safety.process import Limits, ProcessRunner

async def main():
    root, name, mark = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    sandbox = await choose_sandbox(root, enabled=True, network=False, prefer=name)
    line = f"setsid sleep {mark} & sleep {mark} & echo ready; sleep {mark}"
    show = lambda text: print(text, end="", flush=True)
    await ProcessRunner(sandbox, root).run(["sh", "-c", line], limits=Limits(120, 1000), on_output=show)

asyncio.run(main())
"""


@pytest.mark.parametrize("name", ["bubblewrap", "landlock", "none"])
def test_an_agent_that_is_killed_leaves_nothing(workspace: Path, mark: str, alive: Alive, name: str) -> None:
    agent = subprocess.Popen(
        [sys.executable, "-c", AGENT, str(workspace), name, mark], stdout=subprocess.PIPE, start_new_session=True
    )
    assert agent.stdout is not None
    assert agent.stdout.readline() == b"ready\n"
    assert alive(mark)
    agent.send_signal(signal.SIGKILL)
    agent.wait()
    agent.stdout.read()  # ends when nobody holds the pipe
    agent.stdout.close()
    deadline = time.monotonic() + 60
    while (left := alive(mark)) and time.monotonic() < deadline:
        os.sched_yield()
    assert not left
