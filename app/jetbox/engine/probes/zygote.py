"""Runs of pytest that are forked from a process which has it loaded: the client's side of `forking`."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from jetbox.engine.probes.configuration import OF_PYTEST
from jetbox.engine.safety.process import ProcessRunner
from jetbox.engine.safety.service import Service
from jetbox.engine.tasks import end_tasks

T = TypeVar("T")

LOADER = """import os, sys
sys.path[:] = [p for p in sys.path if p]
space = {"__name__": "jetbox"}
for size in map(int, sys.argv[1:]):
    text = b""
    while len(text) < size:
        more = os.read(0, size - len(text))
        if not more:
            sys.exit(1)
        text += more
    exec(compile(text.decode(), "<jetbox>", "exec"), space)
space["serve"]()
"""
SOURCES = (
    *("inside", "program", "calls", "touched", "opened", "loading", "forked", "watched", "compiled", "standby"),
    "forking",
)
READ = OF_PYTEST | {"setup.py", "conftest.py"}
"""Files by which pytest finds its root and its options."""
READY_S = 30.0
CANCEL_S = 1.0
"""How long a cancelled run may take to be gone before its server is killed."""
GRACE_S = 5.0
AHEAD_S = 5.0
"""How long a run that is begun ahead, and still reads its options when it is wanted, is waited for."""
STARTS = 4
"""How often a server is started again in a session because it ended."""


Ahead = Literal["", "conftests", "session"]
"""To where the first conftest is imported, or to where the session starts."""


class Said(msgspec.Struct, frozen=True):
    """What a session of pytest tells of itself."""

    missing: bool = False
    code: int = -1
    finished: bool = False
    counts: dict[str, int] = {}
    failed: list[str] = []
    more: bool = False
    """More is red than `failed` names."""
    cut: str = ""
    """What broke the session off, whichever exit code it had then."""
    many_links: bool = False
    """Something could not be collected to which a way leads through so many links that the kernel may miscount."""
    strange: dict[str, str] = {}
    """Packages of the workspace that were imported from elsewhere, and from where."""
    collected: list[str] = []
    """Test files that a whole forked run found tests in."""
    empty: list[str] = []
    """Files that it looked for tests in and found none: skipped as a whole, perhaps, or failed."""
    touched: dict[str, list[str]] = {}
    opened: list[str] | None = None
    """Sources that a forked run of some files made use of; None where that is not all, or was not asked for."""
    passed: list[str] = []
    """Test files all of whose tests ended in that run, some of them green and none red."""
    broke: str = ""
    """What kept a forked run from coming to an end; nothing else is told then."""


class Answer(msgspec.Struct, frozen=True):
    """How a forked run ended."""

    run: int
    state: Literal["exited", "timeout", "cancelled"]
    code: int
    output: str
    ms: float
    key: str = ""
    """That of the request."""
    first_ms: float | None = None
    """Until the first test was decided."""
    said: Said | None = None
    ahead: bool = False
    """It had read its options before it was asked for."""
    at: str = ""
    """The test, or the file of tests, that it was at when its time was over."""


class Request(msgspec.Struct, frozen=True):
    """What to run."""

    files: tuple[str, ...]
    seconds: float
    memory: int
    keep: int
    behind: bool = False
    touched: bool = False
    names: tuple[str, ...] = ()
    """Modules that an import could find in the workspace."""
    packages: tuple[str, ...] = ()
    """Those that are meant to be imported from it."""
    outside: tuple[str, ...] | None = ()
    """Places elsewhere that are imported from too; None where no byte code is to be believed."""
    ahead: Ahead = ""
    """How far a run that began before the files to run were known may have come, to mean the same."""
    opened: bool = False
    """Tell which sources it makes use of."""


class Surroundings(msgspec.Struct, frozen=True):
    """What a loaded pytest depends on; under others it is loaded anew."""

    python: str
    versions: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    sandbox: tuple[object, ...] = ()
    blocked: tuple[str, ...] = ()
    """Plugins that the configuration keeps from being loaded."""


class _Hello(msgspec.Struct):
    refused: str
    elsewhere: list[str] = []
    """Files that it has loaded and that may be edited like any text."""


class Zygote:
    """One server; one run at a time."""

    def __init__(self, root: Path, processes: ProcessRunner, *, ahead: bool) -> None:
        """`ahead`: have the next run read its options before it is asked for."""
        self._root = root
        self._processes = processes
        self._ahead = ahead
        self._service: Service | None = None
        self._surroundings: Surroundings | None = None
        self._elsewhere: dict[str, tuple[int, ...]] = {}
        self._starting: asyncio.Task[None] | None = None
        self._number = 0
        self._starts = 0
        self._lock = asyncio.Lock()
        self._closed = False
        self.refused = ""
        """Why runs are not forked; empty while they are."""

    @property
    def alive(self) -> bool:
        """True while there is a server to fork from."""
        return self._service is not None and not self._service.exited.is_set()

    async def prepare(self, surroundings: Surroundings, ahead: Ahead) -> None:
        """Start it, where it does not run under these surroundings already; runs may come so far `ahead`."""
        async with self._lock:
            await self._ready(surroundings, ahead)

    async def run(self, surroundings: Surroundings, request: Request) -> Answer | None:
        """Run; None where that has to be done without it. Cancelling ends the run and all that it started."""
        async with self._lock:
            service = await self._ready(surroundings, request.ahead)
            if service is None:
                return None
            self._number += 1
            # Whoever does not know it, and writes into every pipe that there is, is not heard.
            key = os.urandom(8).hex()
            words = {"run": self._number, "key": key, **msgspec.structs.asdict(request)}
            # `json`: names that are no UTF-8 hold surrogates, which msgspec does not write.
            service.write(json.dumps(words).encode() + b"\n")
            limit = request.seconds + GRACE_S if request.seconds else None
            try:
                answer = await self._answer(service, limit)
                if (answer.run, answer.key) == (self._number, key):
                    return answer
                raise ValueError("an answer that is not the server's")
            except asyncio.CancelledError:
                await self._cancel(service)
                raise
            except TimeoutError:
                # A test can stop the server; making the run again would take as long once more.
                await self._drop()
                return Answer(self._number, "timeout", -9, "", request.seconds * 1000)
            except (EOFError, ValueError, ConnectionError):
                # A test can kill the server: the run is made again without it.
                await self._drop()
                return None

    def compile(self, names: Iterable[str]) -> None:
        """Have these sources compiled by the run that was begun ahead, while nobody has asked for it."""
        service = self._service
        if service is not None and self.alive and not self._lock.locked():
            for name in names:
                service.write(json.dumps({"compile": name}).encode() + b"\n")

    async def refuse(self, words: str) -> None:
        """Fork no more under these surroundings."""
        async with self._lock:
            self.refused = words
            await self._drop()

    async def _answer(self, service: Service, limit: float | None) -> Answer:
        async with asyncio.timeout(limit):
            line = await service.reader.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        return _decoded(line, Answer)

    async def _cancel(self, service: Service) -> None:
        service.write(b'{"cancel":%d}\n' % self._number)
        try:
            await self._answer(service, CANCEL_S)
        except (TimeoutError, EOFError, ValueError, ConnectionError, asyncio.CancelledError):
            await self._drop()

    async def _ready(self, surroundings: Surroundings, ahead: Ahead) -> Service | None:
        edited = any(_stamp(path) != stamp for path, stamp in self._elsewhere.items())
        if self._surroundings != surroundings or edited:
            await self._drop()
            self._surroundings, self._starts, self.refused = surroundings, 0, ""
        if self._starting is None and not self.alive and not self.refused and not self._closed:
            await self._drop()
            if self._starts > STARTS:
                self.refused = "its server kept ending"
                return None
            self._starts += 1
            self._starting = asyncio.create_task(self._start(surroundings, ahead), name="start pytest server")
        if self._starting is not None:
            # Whoever wanted it may be cancelled; the next one finds it further on.
            await asyncio.shield(self._starting)
            self._starting = None
        return self._service

    async def _start(self, surroundings: Surroundings, ahead: Ahead) -> None:
        sources = _sources()
        argv = [surroundings.python, "-c", LOADER, *(str(len(source)) for source in sources)]
        names = sorted(READ) if self._ahead else []
        words = {"blocked": surroundings.blocked, "names": names, "ahead": ahead, "seconds": AHEAD_S}
        service = None
        try:
            settings = json.dumps({**words, "own": await self._processes.own_folder()}).encode()
            service = await Service.start(self._processes, argv, cwd=self._root)
            service.write(b"".join(sources) + settings + b"\n")
            async with asyncio.timeout(READY_S):
                line = await service.reader.readline()
            hello = msgspec.json.decode(line, type=_Hello)
            self.refused = hello.refused
            self._elsewhere = {path: _stamp(path) for path in hello.elsewhere}
        except TimeoutError:
            self.refused = f"its server was not ready within {READY_S:g} s"
        except (OSError, ValueError) as error:
            last = (service.errors.strip().splitlines() if service is not None else [])[-1:]
            self.refused = f"its server does not start: {(last or [str(error)])[0][:200]}"
        except asyncio.CancelledError:
            if service is not None:
                await service.close()
            raise
        if self.refused and service is not None:
            await service.close()
            service = None
        self._service = service

    async def _drop(self) -> None:
        starting, self._starting = self._starting, None
        await end_tasks(starting)
        service, self._service = self._service, None
        if service is not None:
            await service.close()

    async def close(self) -> None:
        """End it, and whatever it runs."""
        self._closed = True
        await self._drop()


@cache
def _sources() -> tuple[bytes, ...]:
    here = Path(__file__)
    return tuple(here.with_name(f"{name}.py").read_bytes() for name in SOURCES)


def _stamp(path: str) -> tuple[int, ...]:
    try:
        seen = os.stat(path)
    except OSError:
        return ()
    return (seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino)


def decoded(text: str) -> Said | None:
    """What a session said; None where that cannot be read."""
    try:
        return _decoded(text.encode(errors="replace"), Said)
    except ValueError:
        return None


def _decoded(line: bytes, kind: type[T]) -> T:
    """What a line of JSON holds, with `?` in the place of surrogates; raises `ValueError`."""
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.DecodeError:
        text = json.dumps(json.loads(line), ensure_ascii=False)
        return msgspec.json.decode(text.encode(errors="replace"), type=kind)
