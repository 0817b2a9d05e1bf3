"""What pytest itself takes for some tests at the least: a fork of it that has read its options, and nothing around.

    python benchmarks/bare_pytest.py FOLDER [TEST FILE ...]

One run for each line on the standard input; how long it took, in ms, is a line on the standard output. No
sandbox, no record of what ran, nothing kept of what is printed, nobody who looks whether files changed.
"""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import json
import os
import sys
import time
from pathlib import Path

ARGUMENTS = ["-q", "-rfE", "--tb=short", "--color=no", "-p", "no:cacheprovider"]
# Plugins are loaded by then, which pytest warns of.
ARGUMENTS += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]


class Held:
    """A plugin that waits where the session would start, or before the first conftest where there are some: what
    they import can be what is edited next."""

    def __init__(self, ready: int, go: int) -> None:
        self._ready = ready
        self._go = go
        self._code = any(Path().rglob("conftest.py"))

    def pytest_load_initial_conftests(self) -> None:
        """Wait here."""
        if self._code:
            self._wait()

    def pytest_sessionstart(self) -> None:
        """Or here."""
        if not self._code:
            self._wait()

    def _wait(self) -> None:
        """Say that all is ready, and wait for the word."""
        os.write(self._ready, b".")
        os.read(self._go, 1)


def child(tests: list[str], ready: int, go: int, said: int) -> None:
    """One run, in a forked process; tells which modules it had to import."""
    before = set(sys.modules)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    held = Held(ready, go)
    gc.enable()
    import pytest

    # The files come after the options were read, as they do where nobody knows them beforehand.
    code = pytest.main([*ARGUMENTS, *tests], plugins=[held])
    home = os.getcwd() + os.sep
    new = [
        n for n, m in sys.modules.items() if n not in before and not str(getattr(m, "__file__", home)).startswith(home)
    ]
    os.write(said, json.dumps(new).encode() if said >= 0 else b"")
    os._exit(int(code))


def forked(tests: list[str], *, tell: bool = False) -> tuple[int, int, int]:
    """A process that waits: its number, where to say go, and where it tells what it imported."""
    ready, ready_end = os.pipe()
    go_end, go = os.pipe()
    said, said_end = os.pipe()
    pid = os.fork()
    if not pid:
        child(tests, ready_end, go_end, said_end if tell else os.open(os.devnull, os.O_WRONLY))
    for fd in (ready_end, go_end, said_end):
        os.close(fd)
    os.read(ready, 1)
    os.close(ready)
    return pid, go, said


def main() -> None:
    """Load, rehearse once, then run for each line."""
    os.chdir(sys.argv[1])
    tests = sys.argv[2:]
    sys.path.insert(0, os.getcwd())
    importlib.import_module("pytest")
    if not os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
        for point in importlib.metadata.entry_points(group="pytest11"):
            point.load()
    pid, go, said = forked(tests, tell=True)
    os.write(go, b".")
    record = b""
    while data := os.read(said, 65536):
        record += data
    os.waitpid(pid, 0)
    for name in json.loads(record):
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    gc.collect()
    gc.freeze()
    while True:
        pid, go, said = forked(tests)
        if not sys.stdin.readline():
            os.kill(pid, 9)
            return
        began = time.perf_counter()
        os.write(go, b".")
        os.waitpid(pid, 0)
        print((time.perf_counter() - began) * 1e3, flush=True)
        os.close(go)
        os.close(said)


if __name__ == "__main__":
    main()
