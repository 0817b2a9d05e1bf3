"""One run of pytest, in a process that was forked for it.

The source of this module is handed to the workspace's interpreter behind those of `inside`, `touched`,
`opened` and `loading`, and runs on Python 3.8 and later.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import sys
from os import _exit, getpid, write  # a test can leave others in their place
from typing import Any, Callable, Dict, List  # noqa: UP035 - evaluated by old interpreters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jetbox.engine.probes.inside import Report, sources_only
    from jetbox.engine.probes.opened import Opened
    from jetbox.engine.probes.program import as_given
    from jetbox.engine.probes.touched import Touched


def child(request: Dict[str, Any], root: str, private: str, out: int, said: int, loaded: Any) -> None:  # noqa: UP006
    """One run."""
    told(said, lambda: request["key"], lambda: session(request, root, private, out, said, loaded))


def told(said: int, key: Callable[[], str], work: Callable[[], None]) -> None:
    """Do it; it returns only where it broke off before pytest could say how it ended, and tells why."""
    me = getpid()
    try:
        work()
    except BaseException as error:
        # Re-raised: whoever forked it hears why, whatever it was.
        if getpid() == me:
            words = f"{type(error).__name__}: {error}"[:200]
            written(said, json.dumps({"key": key(), "broke": words}).encode() + b"\n")
        raise


def session(request: Dict[str, Any], root: str, private: str, out: int, said: int, loaded: Any) -> None:  # noqa: UP006
    """Run pytest, say how it ended, and leave."""
    detached(out)
    if request["behind"]:
        os.nice(19)
    bounded(request)
    anew()
    os.chdir(root)
    sources_only(root, private, request["outside"])
    sys.path.insert(0, root)
    loaded.enter()
    plugins = Plugins(request, root, private, said)
    plugins.report.at = loaded.at
    plugins.look(request, root)
    import pytest

    plugins.tell(int(pytest.main(as_given(private, request["files"]), plugins=plugins.all)))


def detached(out: int) -> None:
    """Make a process of its own out of a forked one, with what it prints going to `out`."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    for fd in (null, out):
        os.close(fd)
    # As Python itself sets them when it starts.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    gc.enable()


def bounded(request: Dict[str, Any]) -> None:  # noqa: UP006
    """Keep it within the memory that it may take."""
    if request["memory"]:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (request["memory"], request["memory"]))


def anew() -> None:
    """Forget what was known of folders, and what comes next at random."""
    import random

    sys.path_importer_cache.clear()
    importlib.invalidate_caches()
    random.seed()


class Plugins:
    """What looks on while a run goes on, and tells how it ended."""

    def __init__(self, request: Dict[str, Any], root: str, private: str, said: int) -> None:  # noqa: UP006
        self._said = said
        self.key: str = request["key"]
        self._me = getpid()
        self.report = Report(request["packages"], private)
        self.whole = not request["files"]
        self._touched = Touched(root) if request["touched"] else None
        self._opened: Any = None
        self.all: List[Any] = [self.report, First(said)]  # noqa: UP006
        if self._touched is not None:
            self.all.append(self._touched)

    def look(self, request: Dict[str, Any], root: str) -> None:  # noqa: UP006
        """See what is opened from now on, where that is asked for."""
        self._opened = Opened(root) if request["opened"] else None

    def tell(self, code: int) -> None:
        """Say how it ended, and end; a test that forks may have come here twice."""
        if getpid() == self._me:
            words = {"key": self.key, **self.report.words(code)}
            if self.whole:
                words.update(self.report.collected())
            if self._touched is not None:
                words["touched"] = self._touched.map()
            if self._opened is not None:
                words["opened"] = self._opened.names()
                words["passed"] = self.report.passed()
            sys.stdout.flush()
            sys.stderr.flush()
            written(self._said, json.dumps(words).encode() + b"\n")
        leave(code)


def leave(code: int) -> None:
    """End as a process of its own would: its threads first, then what is registered for the end."""
    import atexit
    import threading

    threading._shutdown()  # type: ignore[attr-defined]  # as the interpreter itself does at its end
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    _exit(code & 0xFF)


def written(fd: int, data: bytes) -> None:
    """Write all of it."""
    while data:
        data = data[write(fd, data) :]


class First:
    """A plugin that tells when the first result is there."""

    def __init__(self, said: int) -> None:
        self.said = said
        self._me = getpid()
        self.told = False

    def pytest_runtest_logreport(self, report: Any) -> None:
        # A test that forks may come here twice, and late: after how the session ended nothing more may be said.
        if not self.told and (report.when == "call" or not report.passed) and getpid() == self._me:
            self.told = True
            write(self.said, b"first\n")


def alone(work: Callable[[], None]) -> None:
    """In a forked process, which must never go on as if it were the server, whatever happens."""
    try:
        work()
    except BaseException:
        # Told here: nothing is above it in this process.
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    finally:
        _exit(70)
