"""Helper processes are started whole, and ended by the kernel's own call.

Asyncio ends one by `Popen.send_signal` and `Popen.poll`, where a start is cancelled too: these look whether the child
has ended, which takes its exit code from the one that waits for it, who reports "unknown child process" and 255.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

Started = TypeVar("Started")


async def started(start: Coroutine[Any, Any, Started]) -> tuple[Started, bool]:
    """What this start made, and whether it was cancelled meanwhile: whoever asked has to end it then, and to raise.

    Raises:
        CancelledError: it was cancelled, and nothing was started.
        OSError: it cannot be started.
    """
    starting, cancelled = asyncio.ensure_future(start), False
    while not starting.done():
        try:
            await asyncio.wait({starting})
        except asyncio.CancelledError:
            cancelled = True
    if cancelled and starting.exception() is not None:
        raise asyncio.CancelledError
    return starting.result(), cancelled


async def spawn(*argv: str, **options: Any) -> asyncio.subprocess.Process:
    """A helper process of ours, as `asyncio.create_subprocess_exec` makes it; none is left where this is cancelled.

    Raises:
        OSError: it cannot be started.
    """
    process, cancelled = await started(asyncio.create_subprocess_exec(*argv, **options))
    if process.stdin is not None:
        _hear_of_breaking(process.stdin)
    if cancelled:
        await end(process)
        raise asyncio.CancelledError
    return process


def _hear_of_breaking(stdin: asyncio.StreamWriter) -> None:
    """Ask how its standard input ended: early releases of Python 3.11 report a pipe that broke where nobody asks.

    Whoever waits for the process, or writes to it, knows already.
    """
    if sys.version_info < (3, 12):
        closed = stdin._protocol._get_close_waiter(stdin)  # type: ignore[attr-defined]  # StreamWriter.wait_closed asks it
        closed.add_done_callback(lambda ended: ended.cancelled() or ended.exception())


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill it where it runs, and wait until it is gone."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        await process.wait()
