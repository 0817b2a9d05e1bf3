"""The listening socket, the threads of its connections, and the end of the process."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
import sys
import threading
from collections.abc import Sequence
from typing import NamedTuple

from jetbox.sim import faults, profiles, script
from jetbox.sim.api import serve_connection
from jetbox.sim.http import Connection
from jetbox.sim.world import World

PARENT_POLL = 0.25
"""Seconds between two looks at whether the parent still lives."""


class Options(NamedTuple):
    """What the server is started with."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free one."""
    scripts: tuple[str, ...] = ()
    """Names or files; empty for all that are shipped."""
    profile: str = ""
    """Empty for each model's own."""
    speed: float = 1.0
    """Latencies are divided by it; 0 means none."""
    faults: tuple[str, ...] = ()
    context_length: int = 4096
    """Window of a request that does not name one, in tokens."""
    ready_fd: int = -1
    die_with_parent: bool = False


class StartError(Exception):
    """The server cannot start; the text is for the user."""


class _Scripts:
    """The scripts: those from the command line are read at once, the shipped ones when needed."""

    def __init__(self, names: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._scripts = [script.load(name) for name in names] or None

    def __call__(self) -> Sequence[script.Script]:
        with self._lock:
            if self._scripts is None:
                self._scripts = script.load_shipped()
            return self._scripts


def build(options: Options) -> World:
    """Check the options and make what requests share.

    Raises:
        StartError
    """
    if options.profile and options.profile not in profiles.PROFILES:
        raise StartError(f"no profile {options.profile!r}; there are {', '.join(profiles.PROFILES)}")
    try:
        return World(
            _Scripts(options.scripts),
            alone=len(options.scripts) == 1,
            profile=profiles.PROFILES.get(options.profile),
            speed=options.speed,
            faults=[faults.parse(spec) for spec in options.faults],
            default_ctx=options.context_length,
        )
    except (script.ScriptError, faults.FaultError) as error:
        raise StartError(str(error)) from error


def run(options: Options) -> int:
    """Serve until interrupted, or until the parent is gone; the exit code.

    Raises:
        StartError: an option is wrong, or the address cannot be had.
    """
    parent = os.getppid() if options.die_with_parent else None
    world = build(options)
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        listener = socket.create_server((options.host, options.port), family=family, backlog=128)
    except OSError as error:
        where = f"{options.host}:{options.port}"
        raise StartError(f"cannot listen on {where}: {error.strerror or error}; try --port 0") from error
    listener.setblocking(False)
    with listener:
        _announce(listener, options)
        if not options.scripts:
            threading.Thread(target=world.scripts, daemon=True).start()
        try:
            _accept(listener, world, parent)
        except KeyboardInterrupt:
            return 130
    return 0


def _accept(listener: socket.socket, world: World, parent: int | None) -> None:
    watched: list[int | socket.socket] = [listener]
    if parent is not None and (stdin := _stdin_pipe()) is not None:
        watched.append(stdin)
    while True:
        ready = select.select(watched, [], [], None if parent is None else PARENT_POLL)[0]
        if parent is not None and os.getppid() != parent:
            return
        if listener in ready:
            with contextlib.suppress(OSError):  # the client may have gone before it is accepted
                connection = Connection(listener.accept()[0])
                threading.Thread(target=serve_connection, args=(world, connection), daemon=True).start()
            ready.remove(listener)
        if ready and not os.read(ready[0], 4096):  # type: ignore[arg-type]
            return


def _stdin_pipe() -> int | None:
    """Standard input where it is a pipe: its end is the end of the parent."""
    with contextlib.suppress(OSError):
        mode = os.fstat(0).st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            return 0
    return None


def _announce(listener: socket.socket, options: Options) -> None:
    host, port = listener.getsockname()[:2]
    line = f"http://[{host}]:{port}\n" if ":" in host else f"http://{host}:{port}\n"
    if options.ready_fd >= 0:
        try:
            os.write(options.ready_fd, line.encode())
            os.close(options.ready_fd)
        except OSError as error:
            raise StartError(f"--ready-fd {options.ready_fd}: {error.strerror}") from error
    with contextlib.suppress(OSError):
        sys.stdout.write(line)
        sys.stdout.flush()
