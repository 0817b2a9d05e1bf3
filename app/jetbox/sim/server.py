"""The listening socket, the threads of its connections, and the end of the process."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
import sys
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from jetbox.sim import catalog, faults, profiles, script
from jetbox.sim.api import serve_connection
from jetbox.sim.durations import keep_alive_seconds
from jetbox.sim.flavours import FLAVOURS, LACKS
from jetbox.sim.http import ApiError, Connection
from jetbox.sim.scheduler import Limits
from jetbox.sim.setup import VERSION, Setup
from jetbox.sim.world import World

BACKLOG = 128
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
    context_length: int = 0
    """Window of a request that does not name one, in tokens; 0 for 4096, or 32768 where none can name one."""
    flavour: str = "ollama"
    models: tuple[str, ...] = ()
    """Ollama: models that are there too (`all`: all that are known); others: the models that they serve."""
    api_key: str = ""
    """Key that requests must have; empty for none."""
    lacks: tuple[str, ...] = ()
    """What the server was started without."""
    version: str = VERSION
    keep_alive: str = "5m"
    """How long a model stays loaded where no request says it."""
    max_queue: int = 512
    """Requests that may wait for a load."""
    parallel: int = 0
    """Requests that a model serves at once; 0 for what the flavour does."""
    vram_gib: float = 0.0
    """Memory of the GPU; 0 for enough."""
    kept_prompts: int = 0
    """Conversations whose prompt stays in the cache; 0 for what the flavour does."""
    ready_fd: int = -1
    die_with_parent: bool = False


class StartError(Exception):
    """The server cannot start; the text is for the user."""


class _Scripts:
    """The scripts: those from the command line are read at once, the shipped ones when needed."""

    def __init__(self, names: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._scripts: Sequence[script.Script] | None = [script.load(name) for name in names] or None

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
    setup = _setup(options)
    flavour = setup.flavour
    try:
        limits = Limits(
            parallel=options.parallel or flavour.parallel,
            max_queue=options.max_queue,
            keep_alive=keep_alive_seconds(options.keep_alive) or 0.0,
            vram=int(options.vram_gib * catalog.GIB),
            kept_prompts=options.kept_prompts or flavour.kept_prompts,
            granularity=flavour.granularity,
        )
        return World(
            _Scripts(options.scripts),
            alone=len(options.scripts) == 1,
            profile=profiles.PROFILES.get(options.profile),
            speed=options.speed,
            faults=[faults.parse(spec) for spec in options.faults],
            setup=setup,
            limits=limits,
        )
    except (script.ScriptError, faults.FaultError, ApiError) as error:
        raise StartError(str(error)) from error


def _setup(options: Options) -> Setup:
    """What the server is.

    Raises:
        StartError: an option names what there is not.
    """
    if options.flavour not in FLAVOURS:
        raise StartError(f"no flavour {options.flavour!r}; there are {', '.join(FLAVOURS)}")
    if unknown := set(options.lacks) - set(LACKS):
        raise StartError(f"--lacks {', '.join(sorted(unknown))}: there are {', '.join(LACKS)}")
    flavour = FLAVOURS[options.flavour]
    native = flavour.name == "ollama"
    models = _models(options.models, more=native)
    if not native and not options.models:
        models = models[:1] if flavour.one_model else models
    if options.profile or options.speed != 1:
        models = tuple(model._replace(pace=f" {options.profile} {options.speed:g}") for model in models)
    return Setup(
        default_ctx=options.context_length or (4096 if native else 32_768),
        models=models,
        version=options.version,
        flavour=flavour,
        api_key=options.api_key,
        lacks=frozenset(options.lacks),
    )


def _models(names: Sequence[str], *, more: bool) -> tuple[catalog.Model, ...]:
    """The models of these names; with `more`, beside those that are always there."""
    every = (*catalog.MODELS, *catalog.MORE)
    if "all" in names:
        return every
    chosen = []
    for name in names:
        model = catalog.find(name, every)
        if model is None:
            raise StartError(f"no model {name!r}; there are {', '.join(model.name for model in every)}, and all")
        chosen.append(model)
    if more or not chosen:
        return (*catalog.MODELS, *(model for model in chosen if model not in catalog.MODELS))
    return tuple(chosen)


def run(options: Options) -> int:
    """Serve until interrupted, or until the parent is gone; the exit code.

    Raises:
        StartError: an option is wrong, or the address cannot be had.
    """
    parent = os.getppid() if options.die_with_parent else None
    world = build(options)
    wishes, world.restart_pipe = os.pipe()
    held = _bind(options.host, options.port)
    try:
        _listen(held)
        _announce(held, options)
        if not options.scripts:
            threading.Thread(target=world.scripts, daemon=True).start()
        while (pause := _accept(held, world, parent, wishes)) is not None:
            held = _unheard(held)
            world.went_down()
            time.sleep(pause)
            _listen(held)
    except KeyboardInterrupt:
        return 130
    finally:
        held.close()
    return 0


def _bind(host: str, port: int, beside: socket.socket | None = None) -> socket.socket:
    """A socket that has the address, `beside` one of ours that has it too.

    Raises:
        StartError: the address cannot be had.
    """
    held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    held.setblocking(False)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if held.family == socket.AF_INET6:
        held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    both = (held, beside) if beside is not None else ()
    try:
        for each in both:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((host, port))
        for each in both:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
    except OSError as error:
        held.close()
        raise _taken(host, port, error) from error
    return held


def _unheard(listener: socket.socket) -> socket.socket:
    """The listener's address without it: nobody else gets the port meanwhile, and who comes there is refused."""
    host, port = listener.getsockname()[:2]
    held = _bind(host, port, listener)
    listener.close()
    return held


def _listen(held: socket.socket) -> None:
    """Take connections. Raises `StartError`."""
    try:
        held.listen(BACKLOG)
    except OSError as error:
        host, port = held.getsockname()[:2]
        raise _taken(host, port, error) from error


def _taken(host: str, port: int, error: OSError) -> StartError:
    return StartError(f"cannot listen on {host}:{port}: {error.strerror or error}; try --port 0")


def _accept(listener: socket.socket, world: World, parent: int | None, wishes: int) -> float | None:
    """Serve until the parent is gone (None), or a restart is wished for: the seconds until then."""
    watched: list[int | socket.socket] = [listener, wishes]
    stdin = _stdin_pipe() if parent is not None else None
    if stdin is not None:
        watched.append(stdin)
    while True:
        ready = select.select(watched, [], [], None if parent is None else PARENT_POLL)[0]
        if parent is not None and os.getppid() != parent:
            return None
        if wishes in ready:
            return float(os.read(wishes, 4096).split()[0])
        if listener in ready:
            with contextlib.suppress(OSError):  # the client may have gone before it is accepted
                connection = Connection(listener.accept()[0])
                threading.Thread(target=serve_connection, args=(world, connection), daemon=True).start()
        if stdin is not None and stdin in ready and not os.read(stdin, 4096):
            return None


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
