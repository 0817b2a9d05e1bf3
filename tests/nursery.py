"""Embedded servers, runs of pytest and of the workbench, that are forked from a process which has them loaded.

Each is a process of its own, as one from scratch is; its start costs a fraction of that.
Run as a program, this is that process: it ends when the socket it was given does.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from subprocess import DEVNULL, Popen, TimeoutExpired
from threading import Thread
from typing import IO, Any, NoReturn, cast

from jetbox.sim.launch import LaunchError, ServerProcess, command

READY = b"."
CONSOLE = Path(sys.prefix) / "bin" / "jetbox-tui"
LATER = (
    "httpx",
    "watchfiles",
    "jetbox.engine.loop",
    "jetbox.engine.models.connect",
    "jetbox.engine.models.ollama",
    "jetbox.engine.models.openai_compat",
    "jetbox.engine.models.transport",
    "jetbox.engine.probes.inotify",
    "jetbox.engine.probes.pytest",
    "jetbox.engine.probes.ruff",
    "jetbox.engine.probes.runner",
    "jetbox.engine.probes.verdicts",
    "jetbox.engine.safety.bubblewrap",
    "jetbox.engine.safety.choose",
    "jetbox.engine.safety.gitwatch",
    "jetbox.engine.tools.parses",
    "jetbox.engine.workspace.doings",
    "jetbox.engine.workspace.observer",
    "jetbox.record.figures",
    "jetbox.record.snapshots",
    "jetbox.settings.load",
    "jetbox.settings.show",
)
"""What the workbench imports when it is at work."""
AT_START = ("PYTHON", "LC_", "LANG")
"""How the names of variables begin that Python looks at when it starts, which a fork does not."""

PYTEST = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
"""Code that is `python -m pytest WORDS`."""


class Child:
    """What is asked of a process, of one that is a child of the nursery."""

    def __init__(self, pid: int, pipes: list[int], status: int, *, text: bool = False) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdin = os.fdopen(pipes[0], "wb", 0)
        self.stdout: IO[Any] = os.fdopen(pipes[1], "r" if text else "rb")
        self.stderr: IO[Any] = os.fdopen(pipes[2], "r" if text else "rb")
        self._status = os.fdopen(status, "rb", 0)

    def poll(self) -> int | None:
        """The exit code, None where it still runs."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait so many seconds for its end; the exit code.

        Raises:
            TimeoutExpired
        """
        code = self._look(timeout)
        if code is None:
            raise TimeoutExpired(str(self.pid), timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Signal it, where it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[Any, Any]:
        """What is left of its output, at its end.

        Raises:
            TimeoutExpired
        """
        said: dict[str, Any] = {}
        readers = [
            Thread(target=lambda name=name: said.update({name: getattr(self, name).read()}), daemon=True)
            for name in ("stdout", "stderr")
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(timeout)
        self.wait(timeout)
        if len(said) < len(readers):
            raise TimeoutExpired(str(self.pid), timeout or 0)
        return said["stdout"], said["stderr"]

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
            self.returncode = int(self._status.read() or -signal.SIGKILL)
            self._status.close()
        return self.returncode


class Nursery:
    """The process that has the embedded server loaded."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            # A session of its own: an interrupt of the tests is for their process, which then closes the socket.
            self._process = Popen(
                [sys.executable, "-P", __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=DEVNULL,
                start_new_session=True,
            )
        if self._socket.recv(1) != READY:
            raise LaunchError("the process that servers are forked from did not start")

    def start(
        self,
        words: list[str],
        *,
        code: str = "",
        workbench: bool = False,
        folder: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Child:
        """Start a server with these words of the command line, in this folder and environment.

        With `code` that is run instead, as `python -c CODE WORDS`, where pytest has been imported; with `workbench`
        the console script, with nothing to read, and texts as output.
        """
        pipes = [os.pipe() for _ in range(4)]
        ours = [pipes[0][1], *(pipe[0] for pipe in pipes[1:])]
        theirs = [pipes[0][0], *(pipe[1] for pipe in pipes[1:])]
        if workbench:
            os.close(theirs[0])
            theirs[0] = os.open(os.devnull, os.O_RDONLY)
        asked = {
            "words": words,
            "code": code,
            "workbench": workbench,
            "folder": str(folder or os.getcwd()),
            "environ": dict(os.environ if environ is None else environ),
        }
        data = json.dumps(asked).encode() + b"\n"
        sent = socket.send_fds(self._socket, [data], theirs)
        self._socket.sendall(data[sent:])
        for descriptor in theirs:
            os.close(descriptor)
        pid = int.from_bytes(self._socket.recv(8, socket.MSG_WAITALL), "big")
        child = Child(pid, ours[:3], ours[3], text=workbench)
        if workbench:
            child.stdin.close()
        return child

    def run(
        self, code: str, *words: str, folder: Path, environ: Mapping[str, str], given: str = ""
    ) -> tuple[int, str, str]:
        """Run code to its end: exit code, output and errors. It has to read what it is given before it writes."""
        child = self.start([*words], code=code, folder=folder, environ=environ)
        child.stdin.write(given.encode())
        child.stdin.close()
        with child.stdout, child.stderr:
            out, err = child.communicate()
        return child.wait(), out.decode(), err.decode()

    def close(self) -> None:
        """End it, and whatever it has left running."""
        self._socket.close()
        self._process.wait()


@cache
def nursery() -> Nursery:
    """The one of this process; it ends with it."""
    made = Nursery()
    atexit.register(made.close)
    return made


class ForkedServer(ServerProcess):
    """A server from the nursery."""

    def __init__(self, **options: Any) -> None:
        words = command(**options)
        child = nursery().start(words[words.index("jetbox.sim") + 1 :])
        self.process = cast("Popen[bytes]", child)
        self.url = child.stdout.readline().decode().strip()
        if not self.url:
            said = child.communicate()[1].decode("utf-8", "replace").strip()
            self.stop()
            raise LaunchError(said or f"the embedded server ended with code {child.returncode}")


def tend(connection: socket.socket) -> None:
    """Fork a server for each request, and tell the end of each, until the socket is closed."""
    statuses: dict[int, int] = {}
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    connection.sendall(READY)
    while True:
        ready = select.select([connection.fileno(), told], [], [])[0]
        if told in ready:
            os.read(told, 4096)
            bury(statuses)
        if connection.fileno() in ready:
            data, given, _, _ = socket.recv_fds(connection, 1 << 16, 4)
            while data and not data.endswith(b"\n"):
                data += connection.recv(1 << 16)
            if not data:
                return
            asked = json.loads(data)
            if asked["code"]:
                load_pytest()
            if asked["workbench"]:
                load_workbench()
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                for descriptor in (connection.detach(), told, tell, *statuses.values()):
                    os.close(descriptor)
                live(asked, given)
            for descriptor in given[:3]:
                os.close(descriptor)
            statuses[pid] = given[3]
            connection.sendall(pid.to_bytes(8, "big"))


def bury(statuses: dict[int, int]) -> None:
    """Tell the exit code of whatever has ended."""
    while statuses:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        descriptor = statuses.pop(pid)
        with suppress(BrokenPipeError):  # nobody asks for it any more
            os.write(descriptor, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(descriptor)


@cache
def load_pytest() -> None:
    """Import it with the plugins of its own."""
    from _pytest.config import get_config

    get_config()


@cache
def load_workbench() -> None:
    """Import what the workbench imports where there is no screen."""
    import jetbox.cli

    commands = [module.name for module in pkgutil.iter_modules(jetbox.cli.__path__, "jetbox.cli.")]
    for name in (*commands, *LATER):
        importlib.import_module(name)


def live(asked: dict[str, Any], given: list[int]) -> None:
    """Be what was asked for, in the child."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    for number, descriptor in enumerate(given[:3]):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.close(given[3])
    code = 1
    try:
        os.chdir(asked["folder"])
        os.environ.clear()
        os.environ.update(asked["environ"])
        time.tzset()
        if asked["workbench"]:
            work(asked["words"])
        code = execute(asked["code"], asked["words"]) if asked["code"] else serve(asked["words"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve(words: list[str]) -> int:
    from jetbox.sim.__main__ import main

    return main(words)


def work(words: list[str]) -> NoReturn:
    """Be the console script."""
    from jetbox.cli.main import console

    sys.argv = [str(CONSOLE), *words]
    console()
    raise AssertionError("the console script ends its process")


def execute(code: str, words: list[str]) -> int:
    sys.argv = ["-c", *words]
    sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in os.environ
    sys.path.insert(0, "")
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
    return 0


if __name__ == "__main__":
    import gc

    import jetbox.sim.__main__
    import jetbox.sim.script

    jetbox.sim.script.load_shipped()
    gc.freeze()
    tend(socket.socket(fileno=int(sys.argv[1])))
