"""Forks a process for each run of pytest, from one that has pytest and its plugins loaded.

The source of this module is handed to the workspace's interpreter behind that of `inside`; like
that it needs the standard library and pytest alone, and runs on Python 3.8 and later. Nothing of
the workspace is imported here: that is left to the forked process, which lives for one run.

One request a line comes on the standard input, one answer a line goes to the standard output:
    {"run": 1, "files": [...], "seconds": 60, "memory": 0, "behind": false, "keep": 80000, "touched": false}
    {"cancel": 1}
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from typing import Any, Callable, Dict, List, Optional  # noqa: UP035 - evaluated by old interpreters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jetbox.engine.probes.inside import ARGUMENTS, Report, forget_stale
    from jetbox.engine.probes.touched import Touched

HOSTILE = ("grpc", "torch", "tensorflow", "jax", "gevent", "eventlet", "uvloop")
"""Packages that do not survive a fork: threads, devices, loops of their own."""
SET_CHILD_SUBREAPER = 36
END_S = 1.0


def load() -> Any:
    """Import pytest and the plugins that are installed, through the hook that rewrites their assertions."""
    import importlib
    import importlib.metadata

    from _pytest.assertion import install_importhook
    from _pytest.config import default_plugins, get_config

    for name in default_plugins:
        importlib.import_module("_pytest." + name)
    config: Any = get_config([])
    if not hasattr(config, "inicfg"):
        config.inicfg = {}  # which the hook asks for; nothing of the workspace has been read
    hook = install_importhook(config)
    autoload = not os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    try:
        config._mark_plugins_for_rewrite(hook, not autoload)  # type: ignore[call-arg,unused-ignore]
    except TypeError:
        config._mark_plugins_for_rewrite(hook)  # type: ignore[call-arg,unused-ignore]
    if autoload:
        found: Any = importlib.metadata.entry_points()
        points = found.select(group="pytest11") if hasattr(found, "select") else found.get("pytest11", ())
        for point in points:
            # One that cannot be imported is for the run itself to tell of.
            try:
                point.load()
            except Exception:
                continue
    return hook


def refusal(root: str) -> str:
    """Why runs must not be forked from this process; empty where they may."""
    tasks = len(os.listdir("/proc/self/task"))
    if tasks > 1:
        return "a pytest plugin starts threads when it is imported"
    hostile = [name for name in HOSTILE if name in sys.modules]
    if hostile:
        return "a pytest plugin loads " + hostile[0] + ", which does not survive a fork"
    inside = os.path.realpath(root) + os.sep
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None) or ""
        if path and os.path.realpath(path).startswith(inside) and not own(path, inside):
            return "the pytest plugin " + name + " is part of the workspace"
    return ""


def own(path: str, inside: str) -> bool:
    """True for what lies in an environment within the workspace."""
    real = os.path.realpath(path)
    return real.startswith(os.path.realpath(sys.prefix) + os.sep) and os.path.realpath(sys.prefix) + os.sep != inside


def child(request: Dict[str, Any], root: str, out: int, said: int, hook: Any) -> None:  # noqa: UP006
    """One run; never returns."""
    import gc
    import importlib
    import random

    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.set_inheritable(said, False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    if request["behind"]:
        os.nice(19)
    if request["memory"]:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (request["memory"], request["memory"]))
    gc.enable()
    os.chdir(root)
    private = tempfile.mkdtemp(prefix="jetbox-pytest-")
    if not forget_stale(root):
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = os.path.join(private, "pycache")
    sys.path.insert(0, root)
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()
    if hook in sys.meta_path:
        sys.meta_path.remove(hook)
    random.seed()
    sys.argv = ["pytest", *ARGUMENTS, "-o", "cache_dir=" + os.path.join(private, "cache"), *request["files"]]
    import pytest

    report = Report()
    plugins: List[Any] = [report, First(said)]  # noqa: UP006
    touched = Touched(root) if request["touched"] else None
    if touched is not None:
        plugins.append(touched)
    code = 70
    try:
        code = int(pytest.main(sys.argv[1:], plugins=plugins))
    finally:
        shutil.rmtree(private, ignore_errors=True)
    words = report.words(code)
    if touched is not None:
        words["touched"] = touched.map()
    sys.stdout.flush()
    sys.stderr.flush()
    data = (json.dumps(words) + "\n").encode()
    while data:
        data = data[os.write(said, data) :]
    os._exit(code & 0xFF)


class First:
    """A plugin that tells when the first result is there."""

    def __init__(self, said: int) -> None:
        self.said = said
        self.told = False

    def pytest_runtest_logreport(self, report: Any) -> None:
        if not self.told and (report.when == "call" or not report.passed):
            self.told = True
            os.write(self.said, b"first\n")


class Kept:
    """The head and the tail of what a run prints."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.head = bytearray()
        self.tail = bytearray()
        self.total = 0

    def feed(self, data: bytes) -> None:
        self.total += len(data)
        room = self.most // 3 - len(self.head)
        if room > 0:
            self.head += data[:room]
            data = data[room:]
        self.tail += data
        if len(self.tail) > 2 * self.most:
            del self.tail[: -self.most]

    def text(self) -> str:
        tail = bytes(self.tail[-self.most :])
        left = self.total - len(self.head) - len(tail)
        gap = f"\n... {left} bytes left out ...\n".encode() if left > 0 else b""
        return (bytes(self.head) + gap + tail).decode(errors="replace")


class Server:
    """Takes requests until its standard input ends."""

    def __init__(self, root: str, hook: Any, lines: Callable[[], Optional[bytes]]) -> None:  # noqa: UP045
        self.root = root
        self.hook = hook
        self.lines = lines

    def run(self, request: Dict[str, Any]) -> Optional[Dict[str, Any]]:  # noqa: UP006, UP045
        """One run; None where the standard input ended meanwhile."""
        began = time.monotonic()
        out, out_end = os.pipe()
        said, said_end = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                os.close(out)
                os.close(said)
                child(request, self.root, out_end, said_end, self.hook)
            except BaseException:
                # Whatever it is, the forked process must never go on as if it were the server.
                import traceback

                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(70)
        os.close(out_end)
        os.close(said_end)
        kept = Kept(request["keep"])
        record = bytearray()
        first = None
        state = "exited"
        limit = began + request["seconds"] if request["seconds"] else None
        open_ = {out, said}
        while open_:
            left = max(0.0, limit - time.monotonic()) if limit is not None else None
            ready = select.select([*open_, 0], [], [], left)[0]
            if not ready and limit is not None and time.monotonic() >= limit:
                state = "timeout"
                break
            if 0 in ready:
                line = self.lines()
                if line is None:
                    state = "gone"
                    break
                if json.loads(line).get("cancel") == request["run"]:
                    state = "cancelled"
                    break
            for fd in open_ & set(ready):
                data = os.read(fd, 65536)
                if not data:
                    os.close(fd)
                    open_.discard(fd)
                elif fd == out:
                    kept.feed(data)
                else:
                    record += data
                    if first is None:
                        first = time.monotonic() - began
            if said not in open_ and self.over(pid):
                break
        for fd in list(open_):
            self.rest(fd, kept, record, said)
        code = self.end(pid)
        answer = {"run": request["run"], "state": state, "code": code, "output": kept.text(), "total": kept.total}
        answer["ms"] = (time.monotonic() - began) * 1000
        answer["first_ms"] = None if first is None else first * 1000
        line = bytes(record).rpartition(b"\n")[0].rpartition(b"\n")[2]
        answer["said"] = json.loads(line) if line.startswith(b"{") and state == "exited" else None
        return None if state == "gone" else answer

    @staticmethod
    def over(pid: int) -> bool:
        """True where the process has ended, though something that it left holds on to its output."""
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    @staticmethod
    def rest(fd: int, kept: Kept, record: bytearray, said: int) -> None:
        """What is there already of an output that is not at its end."""
        os.set_blocking(fd, False)
        try:
            while True:
                data = os.read(fd, 65536)
                if not data:
                    break
                if fd == said:
                    record += data
                else:
                    kept.feed(data)
        except BlockingIOError:
            pass
        os.close(fd)

    def end(self, pid: int) -> int:
        """Kill whatever is left of a run; its exit code."""
        status = None
        deadline = time.monotonic() + END_S
        while time.monotonic() < deadline:
            if status is None and not self.over(pid):
                try:
                    os.killpg(pid, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            for below in children():
                if below != pid:
                    os.kill(below, signal.SIGKILL)
            try:
                done, ended = os.waitpid(-1, 0 if status is None else os.WNOHANG)
            except ChildProcessError:
                break
            if done == pid:
                status = ended
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
        return 70 if status is None else -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def children() -> List[int]:  # noqa: UP006
    """What was started below us, and what was left to us by those that ended."""
    me = str(os.getpid()).encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/" + name + "/stat", "rb") as file:
                    state, parent = file.read().rpartition(b")")[2].split()[:2]
            except OSError:
                continue
            if parent == me and state != b"Z":
                found.append(int(name))
    return found


def reap_orphans() -> None:
    """Let what a run leaves behind come to us, however it hides."""
    import ctypes

    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def lines_of(fd: int) -> Callable[[], Optional[bytes]]:  # noqa: UP045
    """Reads a line at a time without reading ahead of `select`."""
    rest = bytearray()

    def line() -> Optional[bytes]:  # noqa: UP045
        while b"\n" not in rest:
            data = os.read(fd, 65536)
            if not data:
                return None
            rest.extend(data)
        found, _, left = bytes(rest).partition(b"\n")
        rest[:] = left
        return found

    return line


def serve() -> None:
    """Load, say that we are ready or why not, then run what is asked for."""
    replies = os.dup(1)
    os.dup2(2, 1)
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"):
        os.environ.pop(name, None)
    sys.dont_write_bytecode = False
    sys.pycache_prefix = None
    root = os.getcwd()
    words: Dict[str, Any] = {}  # noqa: UP006
    hook = None
    try:
        hook = load()
        reap_orphans()
        words["refused"] = refusal(root)
    except BaseException as error:
        words["refused"] = f"it does not load: {type(error).__name__}: {error}"
    import gc

    gc.collect()
    gc.freeze()
    gc.disable()
    os.write(replies, (json.dumps(words) + "\n").encode())
    if words["refused"]:
        return
    lines = lines_of(0)
    server = Server(root, hook, lines)
    while True:
        line = lines()
        if line is None:
            return
        request = json.loads(line)
        if "run" not in request:
            continue
        answer = server.run(request)
        if answer is None:
            return
        data = (json.dumps(answer) + "\n").encode()
        while data:
            data = data[os.write(replies, data) :]
