"""A confined process that stays: it answers, it ends with us, and nothing of it is left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.safety.conftest import processes_with
from jetbox.engine.safety.process import Limits, ProcessRunner
from jetbox.engine.safety.service import ERRORS_KEPT, Service

ECHO = "import sys\nfor line in sys.stdin:\n    print(line.strip().upper(), flush=True)\n"
FAMILY = """
import os, subprocess, sys, time
mark = sys.argv[1]
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", mark])
subprocess.Popen([sys.executable, "-c", "import os, time; os.setsid(); time.sleep(600)", mark])
print("ready", flush=True)
time.sleep(600)
"""


async def left_of(mark: str) -> list[int]:
    """Processes with the mark, once there are none or a minute is over."""
    loop = asyncio.get_running_loop()
    end = loop.time() + 60
    while (found := processes_with(mark)) and loop.time() < end:
        await asyncio.sleep(0.02)
    return found


async def test_it_is_talked_to_over_pipes(runner: ProcessRunner) -> None:
    service = await Service.start(runner, [sys.executable, "-c", ECHO])
    for word in (b"one", b"two"):
        service.write(word + b"\n")
        await service.drain()
        assert await service.reader.readline() == word.upper() + b"\n"
    assert service.code is None
    await service.close()
    assert service.exited.is_set()
    await service.close()


async def test_it_runs_in_the_folder_with_a_clean_environment(
    runner: ProcessRunner, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "s3cret")
    words = "import os; print(os.getcwd(), os.environ.get('API_KEY'), os.environ['OWN'], flush=True)"
    service = await Service.start(runner, [sys.executable, "-c", words], env={"OWN": "yes"})
    assert (await service.reader.readline()).decode() == f"{os.path.realpath(workspace)} None yes\n"
    await service.exited.wait()
    assert service.code == 0
    await service.close()


async def test_all_below_it_is_killed_when_it_is_closed(runner: ProcessRunner) -> None:
    mark = f"service-mark-{os.urandom(6).hex()}"
    service = await Service.start(runner, [sys.executable, "-c", FAMILY, mark])
    assert await service.reader.readline() == b"ready\n"
    assert processes_with(mark)
    await service.close()
    assert await left_of(mark) == []


async def test_one_whose_supervisor_does_not_end_is_gone_when_it_is_closed(
    runner: ProcessRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jetbox.engine.safety.service.END_S", 0.1)
    service = await Service.start(runner, [sys.executable, "-c", ECHO])
    service.write(b"one\n")
    assert await service.reader.readline() == b"ONE\n"
    os.kill(service.pid, signal.SIGSTOP)
    await service.close()
    assert service.code is not None


async def test_its_end_is_told_and_writing_to_it_is_harmless(runner: ProcessRunner) -> None:
    service = await Service.start(runner, [sys.executable, "-c", "import os; os.write(2, b'why'); os._exit(3)"])
    await service.exited.wait()
    assert "why" in service.errors
    assert service.code == 3
    for _ in range(3):
        service.write(b"x" * 100_000)
        await service.drain()
    assert await service.reader.read() == b""
    await service.close()


async def test_only_the_end_of_its_errors_is_kept(runner: ProcessRunner) -> None:
    words = "import sys; sys.stderr.write('x' * 3_000_000 + 'the end'); print('done', flush=True)"
    service = await Service.start(runner, [sys.executable, "-c", words])
    await service.exited.wait()
    assert service.errors.endswith("the end")
    assert len(service.errors) <= ERRORS_KEPT
    await service.close()


async def test_a_cancelled_start_or_close_leaves_nothing(runner: ProcessRunner) -> None:
    mark = f"service-mark-{os.urandom(6).hex()}"
    for turns in range(6):
        starting = asyncio.create_task(Service.start(runner, [sys.executable, "-c", FAMILY, mark]))
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait({starting})
        if not starting.cancelled():
            await starting.result().close()
    service = await Service.start(runner, [sys.executable, "-c", FAMILY, mark])
    await service.reader.readline()
    closing = asyncio.create_task(service.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait({closing})
    assert closing.cancelled()
    assert service.exited.is_set()
    assert await left_of(mark) == []


async def test_it_gets_no_more_memory_than_it_may(runner: ProcessRunner) -> None:
    words = "x = bytearray(600_000_000); print('got it', flush=True)"
    service = await Service.start(runner, [sys.executable, "-c", words], memory=400_000_000)
    assert await service.reader.read() == b""
    await service.exited.wait()
    assert "MemoryError" in service.errors
    assert service.code == 1
    await service.close()


@pytest.mark.parametrize("argv", [[], ["no-such-program-anywhere"], ["a\0b"]])
async def test_what_cannot_be_started_is_said(runner: ProcessRunner, argv: list[str]) -> None:
    with pytest.raises(OSError, match=r"no such program|no program|zero byte"):
        await Service.start(runner, argv)


HOST = """
import asyncio, sys
from pathlib import Path
from jetbox.engine.safety.choose import choose_sandbox
from jetbox.engine.safety.process import ProcessRunner
from jetbox.engine.safety.service import Service

async def main():
    root, name, mark, family = Path(sys.argv[1]), *sys.argv[2:]
    sandbox = await choose_sandbox(root, enabled=True, network=False, prefer=name)
    service = await Service.start(ProcessRunner(sandbox, root), [sys.executable, "-c", family, mark])
    print((await service.reader.readline()).decode().strip(), flush=True)
    await service.exited.wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
async def test_nothing_is_left_when_we_are_killed(workspace: Path, name: str) -> None:
    mark = f"service-mark-{os.urandom(6).hex()}"
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, str(workspace), name, mark, FAMILY], stdout=subprocess.PIPE, text=True
    )
    assert host.stdout is not None
    assert (await asyncio.to_thread(host.stdout.readline)).strip() == "ready"
    host.send_signal(signal.SIGKILL)
    await asyncio.to_thread(host.wait)
    host.stdout.close()
    assert await left_of(mark) == []


async def test_what_runs_in_the_background_gets_what_is_left_of_the_processor(runner: ProcessRunner) -> None:
    words = "echo $(nice); sh -c 'echo $(nice)'"
    usual = os.nice(0)
    for background, nice in ((False, usual), (True, 19)):
        done = await runner.run(["/bin/sh", "-c", words], limits=Limits(120, 10_000), background=background)
        assert done.output.split() == [str(nice)] * 2
