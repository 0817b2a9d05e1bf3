"""Starting the embedded server as a child process, without importing any of it.

The child ends with its parent, however that dies: it watches the pipe on its standard input.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from subprocess import Popen
    from types import TracebackType

START_SECONDS = 20.0
STOP_SECONDS = 5.0


class LaunchError(Exception):
    """The server did not start; the text is what it said."""


def command(
    *,
    scripts: Sequence[str] = (),
    profile: str = "",
    speed: float = 1.0,
    faults: Sequence[str] = (),
    port: int = 0,
    context_length: int = 0,
    python: str = "",
    flavour: str = "",
    models: Sequence[str] = (),
    api_key: str = "",
    lacks: Sequence[str] = (),
    version: str = "",
    keep_alive: str = "",
    max_queue: int | None = None,
    parallel: int = 0,
    vram: float = 0.0,
    kept_prompts: int = 0,
) -> list[str]:
    """The command line of a server with these options; it ends with its parent.

    `scripts` are names or .toml files (none: all that are shipped), `speed` 0 means no latency. The
    rest is as in `jetbox-tui simulate --help`; `vram` is in GiB.
    """
    words = [python or sys.executable, "-P", "-m", "jetbox.sim", "--die-with-parent", "--port", str(port)]
    words += ["--speed", repr(float(speed))]
    for script in scripts:
        words += ["--script", str(script)]
    for fault in faults:
        words += ["--fault", fault]
    if profile:
        words += ["--profile", profile]
    if context_length:
        words += ["--context-length", str(context_length)]
    for model in models:
        words += ["--model", model]
    for lack in lacks:
        words += ["--lacks", lack]
    named = {"flavour": flavour, "api-key": api_key, "server-version": version, "keep-alive": keep_alive}
    numbers = {"parallel": parallel, "vram": vram, "kept-prompts": kept_prompts}
    for name, value in {**named, **numbers}.items():
        if value:
            words += [f"--{name}", str(value)]
    return words if max_queue is None else [*words, "--max-queue", str(max_queue)]


class Launched:
    """A running server, started by `launch`."""

    def __init__(self, url: str, process: Process) -> None:
        self.url = url
        """For example `http://127.0.0.1:41234`."""
        self._process = process

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    async def wait(self) -> int:
        """Wait for the end of the process; its exit code."""
        return await self._process.wait()

    async def stop(self) -> None:
        """End the server and wait for that; harmless where it has ended."""
        import asyncio

        if self._process.returncode is None:
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()


async def launch(*, environment: Mapping[str, str] | None = None, **options: Any) -> Launched:
    """Start a server and wait until it listens; `options` are those of `command`.

    Raises:
        LaunchError: it ended, or did not listen in time.
    """
    import asyncio

    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command(**options),
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env=dict(environment if environment is not None else os.environ),
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
    except BaseException as error:
        # Re-raised, or worded: a start that is cancelled leaves no server behind.
        process.kill()
        await process.wait()
        if isinstance(error, TimeoutError):
            raise LaunchError(f"the embedded server did not listen within {START_SECONDS:.0f} s") from error
        raise
    if not line:
        said = (await process.stderr.read()).decode("utf-8", "replace").strip()
        await process.wait()
        raise LaunchError(said or f"the embedded server ended with code {process.returncode}")
    return Launched(line.decode().strip(), process)


class ServerProcess:
    """A server for code that does not run in an event loop; a context manager."""

    def __init__(self, *, environment: Mapping[str, str] | None = None, **options: Any) -> None:
        """Start it and wait until it listens; `options` are those of `command`.

        Raises:
            LaunchError: it ended instead.
        """
        from subprocess import PIPE
        from subprocess import Popen as Start

        self.process: Popen[bytes] = Start(
            command(**options),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=dict(environment if environment is not None else os.environ),
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().decode().strip()
        """For example `http://127.0.0.1:41234`."""
        if not self.url:
            said = self.process.communicate()[1].decode("utf-8", "replace").strip()
            raise LaunchError(said or f"the embedded server ended with code {self.process.returncode}")

    def stats(self, *, seconds: float = 60.0, **least: int) -> dict[str, Any]:
        """What the server has seen.

        Counters given by name are waited for: `stats(cancelled=1)` returns when one stream was
        cancelled, or after so many seconds.
        """
        query = "&".join(f"{name}={value}" for name, value in {**least, "timeout": seconds}.items())
        report: dict[str, Any] = self._ask("GET", f"/sim/stats?{query}", seconds=seconds + 30)
        return report

    def release(self) -> None:
        """Let every stalled answer go on."""
        self._ask("POST", "/sim/release")

    def other_client(self, model: str, *, num_ctx: int = 0, unload: bool = False) -> None:
        """Do what another client might do: load a model with that window, or unload it."""
        import json

        body = {"model": model, **({"num_ctx": num_ctx} if num_ctx else {}), **({"unload": True} if unload else {})}
        self._ask("POST", "/sim/other", json.dumps(body).encode())

    def stop(self) -> None:
        """End the server and wait for that; harmless where it has ended."""
        from subprocess import TimeoutExpired

        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                stream.close()

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _ask(self, method: str, target: str, body: bytes | None = None, *, seconds: float = 60.0) -> Any:
        import json
        from http.client import HTTPConnection

        connection = HTTPConnection(self.url.removeprefix("http://"), timeout=seconds)
        try:
            connection.request(method, target, body)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()
