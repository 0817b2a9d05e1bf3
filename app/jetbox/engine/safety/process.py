"""Runs a command in the sandbox: limits, live output, and the whole process group ended."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from asyncio import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import msgspec

from jetbox.engine.safety.environment import clean_environment, find_program
from jetbox.engine.safety.family import descendants, has_ended, send, send_group
from jetbox.engine.safety.output import KeptOutput, LiveOutput
from jetbox.engine.safety.sandbox import Launch, Sandbox
from jetbox.engine.safety.starting import started

if TYPE_CHECKING:
    from jetbox.engine.safety.gitwatch import GitWatch

TURNS = 2
"""Of the loop, from when an end is there to be heard until it was: for where the system does not tell of it."""
_GRACE_S = 0.5
_BURST_BYTES = 1024 * 1024
_BURST_PAUSE_S = 0.005


class Limits(msgspec.Struct, frozen=True):
    """What a command may use."""

    seconds: float
    output_bytes: int
    memory: int = 0
    """Bytes of address space; 0 for no limit."""


class Finished(msgspec.Struct, frozen=True):
    """How a command ended."""

    state: Literal["exited", "timeout", "missing"]
    """`missing`: there is no such program, or it cannot be started; `output` says why."""
    code: int
    """Exit code; negative: the signal that ended it."""
    output: str
    """Standard output and error together, head and tail within the limit."""
    total_bytes: int
    duration_ns: int


class ProcessRunner:
    """Starts confined processes and leaves none behind."""

    def __init__(
        self,
        sandbox: Sandbox,
        root: Path,
        *,
        pass_env: Sequence[str] = (),
        on_git_change: Callable[[str], None] | None = None,
    ) -> None:
        """`on_git_change` gets in words what changed in `.git` or `.jetbox` while a command ran
        in a sandbox that cannot keep them read-only."""
        self.sandbox = sandbox
        self.root = root
        self.pass_env = tuple(pass_env)
        self._on_git_change = on_git_change
        self._watch: GitWatch | None = None

    async def run(
        self,
        argv: Sequence[str],
        *,
        limits: Limits,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        on_output: Callable[[str], None] | None = None,
        background: bool = False,
    ) -> Finished:
        """Run to the end; cancelling it ends the whole process group first.

        `env` is added to the clean environment. `on_output` gets the raw text in pieces, about
        30 a second, not all of it when there is much; what it raises ends the command and is
        raised here. In the `background` it only gets what nobody else wants of the processor.
        """
        started = time.monotonic_ns()
        folder = cwd or self.root
        variables = {**clean_environment(os.environ, self.pass_env), **(env or {})}
        program, trouble = checked(argv, variables["PATH"], folder)
        if trouble:
            return Finished("missing", 127, trouble, 0, time.monotonic_ns() - started)
        limited = with_limits((program, *argv[1:]), limits.memory, background=background)
        launch = self.sandbox.wrap(limited, cwd=folder, env=variables)
        running = _Running(launch, limits.output_bytes, on_output)
        async with self.watching(argv):
            try:
                await running.start(stdin)
            except (OSError, ValueError) as error:
                words = f"{argv[0]}: cannot be started: {error}"
                return Finished("missing", 126, words, 0, time.monotonic_ns() - started)
            timely = await running.finish(limits.seconds)
        return Finished(
            "exited" if timely else "timeout",
            running.code(),
            running.kept.text(),
            running.kept.total,
            time.monotonic_ns() - started,
        )

    async def own_folder(self) -> str:
        """For temporary files of what we start ourselves, where commands have none that is deleted; else empty."""
        return await self.sandbox.own_folder(self.root)

    @asynccontextmanager
    async def watching(self, argv: Sequence[str]) -> AsyncIterator[None]:
        """Tell what a command changed in `.git`, however it ends, where the sandbox does not prevent it."""
        if self._on_git_change is None or self.sandbox.guards_git:
            yield
            return
        from jetbox.engine.safety.gitwatch import GitWatch, in_words

        self._watch = watch = self._watch or GitWatch(self.root)
        outside = not self.sandbox.confines
        before = await watch.before(outside=outside)
        try:
            yield
        finally:
            changed = await watch.after(before, outside=outside)
            if changed:
                self._on_git_change(in_words(changed, argv))


def checked(argv: Sequence[str], path: str, cwd: Path) -> tuple[str, str]:
    """The program's path, or in words why nothing can be started."""
    if not argv:
        return "", "no program is named"
    if any("\0" in word for word in argv):
        return "", "an argument holds a zero byte"
    if not os.path.isdir(cwd):
        return "", f"{cwd}: there is no such folder to run in"
    return find_program(argv[0], path, str(cwd))


def with_limits(argv: tuple[str, ...], memory: int, *, background: bool = False) -> tuple[str, ...]:
    """The command behind a shell that sets its limits: cheaper than forking this process for it."""
    limits = "ulimit -c 0"
    if background:
        limits += "; command -v renice >/dev/null && renice -n 19 -p $$ >/dev/null 2>&1"
    if memory:
        limits += f"; ulimit -v {max(memory // 1024, 1)} 2>/dev/null"
    return ("/bin/sh", "-c", f'{limits}; exec "$@"', "sh", *argv)


class _Running(asyncio.SubprocessProtocol):
    """One command, from its start until nothing of it is left."""

    def __init__(self, launch: Launch, output_bytes: int, on_output: Callable[[str], None] | None) -> None:
        self.launch = launch
        self.kept = KeptOutput(output_bytes)
        self._live = LiveOutput(on_output, self._fail) if on_output else None
        self._exited = asyncio.Event()
        self._closed = asyncio.Event()
        self._stop = asyncio.Event()
        """Set when the command has ended, or has to."""
        self._failure: Exception | None = None
        self._burst = 0
        self._started = 0.0
        """By the loop's clock: time runs from here, however late this process hears that the command is there."""

    async def start(self, stdin: bytes) -> None:
        """Start it; a cancelled start is ended like a running command."""
        loop = asyncio.get_running_loop()
        self._started = loop.time()
        (self._transport, _), cancelled = await started(
            loop.subprocess_exec(
                lambda: self,
                *self.launch.argv,
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=self.launch.cwd,
                env=self.launch.env,
                start_new_session=True,
            )
        )
        if cancelled:
            await self._settle(asyncio.create_task(self._end(grace=0)))
            raise asyncio.CancelledError
        if stdin:
            pipe = cast(asyncio.WriteTransport, self._transport.get_pipe_transport(0))
            pipe.write(stdin)
            pipe.write_eof()

    async def finish(self, seconds: float) -> bool:
        """Wait for its end and clear up after it; False when its time ran out."""
        timely = True
        try:
            async with asyncio.timeout_at(self._started + seconds if seconds > 0 else None):
                await self._stop.wait()
        except TimeoutError:
            # Where this process was slow, it is still to hear of an end before we looked.
            ended = has_ended(self._transport.get_pid())
            if ended:
                await self._exited.wait()
            for _ in range(TURNS if ended is None else 0):
                await asyncio.sleep(0)
            timely = self._exited.is_set()
        finally:
            await self._settle(asyncio.create_task(self._end(_GRACE_S)))
        if self._failure is not None:
            raise self._failure
        return timely

    def code(self) -> int:
        code = self._transport.get_returncode()
        if code is None:
            return -signal.SIGKILL
        return 128 - code if self.launch.supervised and 128 < code < 128 + 65 else code

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.kept.feed(data)
        if self._live is not None:
            self._live.feed(data)
        self._burst += len(data)
        if self._burst >= _BURST_BYTES:
            self._pause()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 1:
            self._closed.set()

    def process_exited(self) -> None:
        self._exited.set()
        self._stop.set()

    def _pause(self) -> None:
        """A command that floods us waits now and then, so that the event loop stays free."""
        pipe = cast(asyncio.ReadTransport, self._transport.get_pipe_transport(1))
        self._burst = 0
        pipe.pause_reading()
        asyncio.get_running_loop().call_later(_BURST_PAUSE_S, pipe.resume_reading)

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self._stop.set()

    async def _settle(self, ending: asyncio.Task[None]) -> None:
        """Let the end happen whole, whoever cancels meanwhile; a second cancel spares the grace."""
        cancelled = False
        while not ending.done():
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError:
                cancelled = True
                if not self._exited.is_set():
                    self._kill()
        ending.result()
        if cancelled:
            raise asyncio.CancelledError

    async def _end(self, grace: float) -> None:
        """End the command if it runs, then everything that it left behind."""
        pid = self._transport.get_pid()
        if not self._exited.is_set() and grace:
            below = descendants(pid)
            if self.launch.supervised and below:
                send(below, signal.SIGTERM)
            else:
                send_group(pid, signal.SIGTERM)
            await _within(grace, self._exited)
        while not self._exited.is_set():
            self._kill()
            await _within(0.05, self._exited)
        if not self.launch.supervised:
            send_group(pid, signal.SIGKILL)
        await _within(0.25, self._closed)
        if self._live is not None:
            self._live.finish()
        self._transport.close()

    def _kill(self) -> None:
        """Kill what stands below a supervisor, which then ends by itself; else the group."""
        pid = self._transport.get_pid()
        below = descendants(pid)
        send(below, signal.SIGKILL)
        if not self.launch.supervised or not below:
            send_group(pid, signal.SIGKILL)


async def _within(seconds: float, event: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
