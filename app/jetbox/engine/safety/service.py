"""A confined process that stays, and is talked to over its standard input and output."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from jetbox.engine.clock import monotonic
from jetbox.engine.safety.environment import clean_environment
from jetbox.engine.safety.family import descendants, send, send_group
from jetbox.engine.safety.process import ProcessRunner, checked, with_limits
from jetbox.engine.safety.sandbox import Launch
from jetbox.engine.safety.starting import started

ERRORS_KEPT = 8_192
"""Bytes of its standard error that are kept: the newest."""
BUFFER = 16 * 1024 * 1024
"""Bytes of one answer."""
END_S = 2.0
"""How long a supervisor may take to end by itself, before it is killed too."""


class Service:
    """Ends with us: whatever it started is killed when it is closed, and when this process dies."""

    def __init__(self, launch: Launch, process: subprocess.Process) -> None:
        """Use `start`."""
        assert process.stdout is not None
        assert process.stderr is not None
        self._launch = launch
        self._process = process
        self._errors = b""
        self.reader = process.stdout
        self.exited = asyncio.Event()
        self._watch = asyncio.create_task(self._until_exit(process.stderr))

    @classmethod
    async def start(
        cls,
        processes: ProcessRunner,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        memory: int = 0,
    ) -> Service:
        """Start it in the sandbox of `processes`; `memory` is the most bytes of address space, 0 for no limit.

        Raises:
            OSError: it cannot be started; the text says why.
        """
        folder = cwd or processes.root
        variables = {**clean_environment(os.environ, processes.pass_env), **(env or {})}
        program, trouble = checked(argv, variables["PATH"], folder)
        if trouble:
            raise OSError(trouble)
        launch = processes.sandbox.wrap(with_limits((program, *argv[1:]), memory), cwd=folder, env=variables)
        process, cancelled = await started(
            asyncio.create_subprocess_exec(
                *launch.argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=launch.cwd,
                env=launch.env,
                start_new_session=True,
                limit=BUFFER,
            )
        )
        service = cls(launch, process)
        if cancelled:
            await service.close()
            raise asyncio.CancelledError
        return service

    @property
    def pid(self) -> int:
        """Of what was started, which may be the sandbox's own process."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.returncode

    @property
    def errors(self) -> str:
        """The end of what it wrote to its standard error."""
        return self._errors.decode(errors="replace")

    def write(self, data: bytes) -> None:
        """Send bytes; what a dead process does not take is dropped."""
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(data)

    async def drain(self) -> None:
        """Wait until it has taken enough of what was sent."""
        assert self._process.stdin is not None
        try:
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            return  # its end is told by `exited`

    async def _until_exit(self, errors: asyncio.StreamReader) -> None:
        while data := await errors.read(65_536):
            self._errors = (self._errors + data)[-ERRORS_KEPT:]
        await self._process.wait()
        self.exited.set()

    async def close(self) -> None:
        """Kill it and all below it, and wait until it is gone; harmless when repeated."""
        ending, cancelled = asyncio.ensure_future(self._end()), False
        while not ending.done():
            try:
                await asyncio.wait({ending})
            except asyncio.CancelledError:
                cancelled = True
        ending.result()
        if cancelled:
            raise asyncio.CancelledError

    async def _end(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        until = monotonic() + int(END_S * 1e9)
        while self._process.returncode is None:
            self._kill(supervisor=monotonic() >= until)
            try:
                async with asyncio.timeout(0.05):
                    await self._process.wait()
            except TimeoutError:
                continue
        if not self._launch.supervised:
            send_group(self.pid, signal.SIGKILL)
        self._watch.cancel()
        await asyncio.wait([self._watch])
        self.exited.set()
        transport = getattr(self._process, "_transport", None)
        if transport is not None:  # else its pipes are closed when the garbage is collected
            transport.close()

    def _kill(self, *, supervisor: bool) -> None:
        """Kill what stands below a supervisor, which then ends by itself, and it too where asked; else the group."""
        below = descendants(self.pid)
        send(below, signal.SIGKILL)
        if not self._launch.supervised or not below or supervisor:
            send_group(self.pid, signal.SIGKILL)
