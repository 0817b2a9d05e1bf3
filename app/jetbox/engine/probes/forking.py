"""Forks a process for each run of pytest, from one that has pytest and its plugins loaded.

The source of this module is handed to the workspace's interpreter behind those of `inside`, `touched`, `opened`,
`loading`, `forked`, `watched`, `compiled` and `standby`; like them it needs the standard library and pytest alone,
and runs on Python 3.8 and later. Nothing of the workspace is imported here: that is left to the forked process,
which lives for one run.

The settings come as one line on the standard input, one line that says whether we are ready goes
to the standard output. Then one request a line comes, and one answer a line goes:
    {"run": 1, "key": "5f", "files": [...], "names": [...], "packages": [...], "outside": [...], "seconds": 60,
     "memory": 0, "behind": false, "keep": 80000, "touched": false, "opened": true, "ahead": "session"}
    {"cancel": 1}
A source of which byte code will be needed soon may be named, before a run is asked for; nothing is said to that:
    {"compile": "src/m.py"}
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from typing import Any, Dict, List, Optional, Tuple  # noqa: UP035 - evaluated by old interpreters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jetbox.engine.probes.forked import alone, child, written
    from jetbox.engine.probes.loading import Loaded, elsewhere, refusal
    from jetbox.engine.probes.standby import Standby
    from jetbox.engine.probes.watched import Run, end

SET_CHILD_SUBREAPER = 36
REHEARSE_S = 20.0


class Rehearsal:
    """An empty run in a process of its own, which goes on while other runs are asked for."""

    def __init__(self, loaded: Any, folder: str, apart: Tuple[int, ...]) -> None:  # noqa: UP006
        """Its own `folder` goes with it; `apart` are not for the forked process."""
        self.said, said_end = os.pipe()
        self._record = bytearray()
        self._until = time.monotonic() + REHEARSE_S
        self._folder = folder
        self.pid = os.fork()
        if not self.pid:
            for fd in (self.said, *apart):
                os.close(fd)
            alone(lambda: loaded.rehearse(said_end, self._folder))
        os.close(said_end)

    def late(self, asked: int) -> Optional[List[str]]:  # noqa: UP006, UP045
        """What it imported; None where something can be read from `asked` before that is known."""
        while True:
            left = max(0.0, self._until - time.monotonic())
            ready = select.select([self.said, asked], [], [], left)[0]
            if self.said in ready:
                data = os.read(self.said, 65536)
                self._record += data
                if data:
                    continue
            elif asked in ready:
                return None
            break
        self.drop()
        try:
            return [str(name) for name in json.loads(bytes(self._record))]
        except ValueError:
            return []

    def drop(self) -> None:
        """End it."""
        end(self.pid)
        os.close(self.said)
        shutil.rmtree(self._folder, ignore_errors=True)


class Lines:
    """Reads a line at a time without reading ahead of `select`."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.rest = bytearray()

    def __call__(self) -> Optional[bytes]:  # noqa: UP045
        while b"\n" not in self.rest:
            data = os.read(self.fd, 65536)
            if not data:
                return None
            self.rest.extend(data)
        found, _, left = bytes(self.rest).partition(b"\n")
        self.rest[:] = left
        return found

    @property
    def waiting(self) -> bool:
        """True where there is something to read."""
        return bool(self.rest) or bool(select.select([self.fd], [], [], 0)[0])


class Server:
    """Takes requests until its standard input ends."""

    def __init__(self, root: str, loaded: Any, lines: Lines, replies: int, settings: Dict[str, Any]) -> None:  # noqa: UP006
        """Settings: `names` of configuration that a run reads, where one is to be begun ahead of its request,
        `ahead`, how far it may come, and `seconds`, how long such a one is waited for; `own`, a folder for those
        of runs, where it is not empty."""
        self.root = root
        self.loaded = loaded
        self.lines = lines
        self.replies = replies
        self.late: Optional[List[str]] = None  # noqa: UP006, UP045
        """Modules that each run would import for itself; None while that is not known."""
        self.rehearsal: Optional[Rehearsal] = None  # noqa: UP045
        """What finds that out."""
        self.names: List[str] = settings.get("names", [])  # noqa: UP006
        self.ahead: str = settings.get("ahead", "")
        """As the latest request had it."""
        self.seconds: float = settings.get("seconds", 0.0)
        self.standby: Optional[Standby] = None  # noqa: UP045
        self._own: str = settings.get("own", "")

    def folder(self) -> str:
        """One for a run."""
        return tempfile.mkdtemp(prefix="jetbox-pytest-", dir=self._own or None)

    def serve(self) -> None:
        """One after the other."""
        while True:
            if (self.late != [] or self.names) and not self.lines.waiting:
                self.prepare()
            line = self.lines()
            if line is None:
                break
            request = json.loads(line)
            if "run" in request and not self.run(request):
                break
            if "compile" in request and self.standby is not None:
                self.standby.compile(request["compile"])
        if self.rehearsal is not None:
            self.rehearsal.drop()
        if self.standby is not None:
            self.standby.drop()
            shutil.rmtree(self.standby.private, ignore_errors=True)

    def run(self, request: Dict[str, Any]) -> bool:  # noqa: UP006
        """One run; False where the standard input ended meanwhile."""
        loaded = next((name for name in request["names"] if name in sys.modules), "")
        if loaded:
            # From scratch an import of this name would find the workspace's own.
            words = {"broke": "the workspace has a module " + loaded + " of its own, and that name is loaded already"}
            answer = {"run": request["run"], "key": request["key"], "state": "exited", "code": 70}
            answer.update({"output": "", "ms": 0.0, "said": words})
            written(self.replies, json.dumps(answer).encode() + b"\n")
            return True
        self.loaded.at[:] = bytes(len(self.loaded.at))
        run, private = self.begun(request)
        state = run.watch(self.lines)
        code = end(run.pid, self.rehearsal.pid if self.rehearsal is not None else 0)
        run.rest()
        if state != "gone":
            at = bytes(self.loaded.at).rstrip(b"\0").decode(errors="replace") if state == "timeout" else ""
            written(self.replies, json.dumps({**run.answer(state, code), "at": at}).encode() + b"\n")
        shutil.rmtree(private, ignore_errors=True)
        return state != "gone"

    def begun(self, request: Dict[str, Any]) -> Tuple[Run, str]:  # noqa: UP006
        """The process that makes a run, and the folder that is its own."""
        standby, self.standby = self.standby, None
        self.ahead = request["ahead"]
        if standby is not None:
            if request["ahead"] == standby.ahead and standby.begin(request):
                return Run(request, standby.pid, standby.out, standby.said, True), standby.private
            standby.drop()
            shutil.rmtree(standby.private, ignore_errors=True)
            self.names = self.names if standby.fit else []
        private = self.folder()
        out, out_end = os.pipe()
        said, said_end = os.pipe()
        pid = os.fork()
        if not pid:
            for fd in (out, said, self.replies, *([self.rehearsal.said] if self.rehearsal is not None else [])):
                os.close(fd)
            alone(lambda: child(request, self.root, private, out_end, said_end, self.loaded))
        os.close(out_end)
        os.close(said_end)
        return Run(request, pid, out, said), private

    def prepare(self) -> None:
        """While nothing is asked for: import what every run imports late, as an empty one tells."""
        if self.late is None:
            self.rehearsal = self.rehearsal or Rehearsal(self.loaded, self.folder(), (self.replies,))
            self.late = self.rehearsal.late(self.lines.fd)
            self.rehearsal = None if self.late is not None else self.rehearsal
        while self.late and not self.lines.waiting:
            name = self.late.pop(0)
            if name not in sys.modules:
                with suppress(Exception):
                    importlib.import_module(name)
        if self.late:
            return
        still()
        if self.names and self.ahead and self.standby is None and not self.lines.waiting:
            private, apart = self.folder(), (self.replies,)
            self.standby = Standby(self.root, private, self.loaded, self.names, self.ahead, self.seconds, apart)


def still() -> None:
    """Have what is there now left alone by the collector, in the forked processes too."""
    gc.collect()
    gc.freeze()
    gc.disable()


def reap_orphans() -> None:
    """Let what a run leaves behind come to us, however it hides."""
    import ctypes

    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def serve() -> None:
    """Load, say that we are ready or why not, then run what is asked for."""
    replies = os.dup(1)
    os.dup2(2, 1)
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"):
        os.environ.pop(name, None)
    sys.dont_write_bytecode = False
    sys.pycache_prefix = None
    root = os.getcwd()
    lines = Lines(0)
    words: Dict[str, Any] = {}  # noqa: UP006
    loaded = None
    try:
        settings = json.loads(lines() or b"{}")
        loaded = Loaded(settings.get("blocked", []))
        reap_orphans()
        words = {"refused": refusal(root), "elsewhere": elsewhere()}
    except BaseException as error:
        # Plugins and a pytest of the workspace's may raise anything, SystemExit too: it is the answer.
        words["refused"] = f"it does not load: {type(error).__name__}: {error}"
    still()
    written(replies, json.dumps(words).encode() + b"\n")
    if not words["refused"]:
        Server(root, loaded, lines, replies, settings).serve()
