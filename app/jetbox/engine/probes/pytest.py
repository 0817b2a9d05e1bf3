"""The pytest probe: the whole suite, in the workspace's interpreter."""

from __future__ import annotations

import os
import re
import signal
from functools import cache
from pathlib import Path

import msgspec

from jetbox.engine.events import VerdictState
from jetbox.engine.options import PerformanceOptions, ProbeOptions
from jetbox.engine.probes.base import Scope, Verdict, Whole
from jetbox.engine.probes.configuration import OF_PYTEST
from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.interpreter import Interpreters
from jetbox.engine.probes.report import bounded
from jetbox.engine.safety.process import Finished, Limits, ProcessRunner

LOADER = (
    "import sys; sys.path[:] = [p for p in sys.path if p]; "
    'exec(compile(sys.stdin.read(), "<jetbox>", "exec"), {"__name__": "jetbox"})'
)
"""The workspace is off the path until pytest is imported: a `json.py` in it must not end up there."""

TEST_FILE = r"(?:^|/)(?:test_[^/]*|[^/]*_test)\.py$"
COUNTED = ("passed", "failed", "errors", "xfailed", "xpassed")
VARIABLES = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "PYTHONHASHSEED", "PYTHONWARNINGS")


class Said(msgspec.Struct, frozen=True):
    """What `inside` tells of a session."""

    missing: bool = False
    code: int = -1
    finished: bool = False
    counts: dict[str, int] = {}
    failed: list[str] = []


class PytestProbe(Whole):
    """Runs `pytest` from the workspace's root as `python -m pytest` would."""

    name = "pytest"

    def __init__(
        self,
        root: Path,
        processes: ProcessRunner,
        options: ProbeOptions,
        performance: PerformanceOptions,
        tree: Tree,
        interpreters: Interpreters,
    ) -> None:
        self._root = root
        self._processes = processes
        self._options = options
        self._look_for_tests = performance.probe_skip_without_tests
        self._tree = tree
        self._interpreters = interpreters

    async def skip(self) -> str:
        """No tests, or no pytest to run them with."""
        if self._look_for_tests and not self._tests():
            return "no tests"
        interpreter = self._interpreters.find()
        facts = await self._interpreters.facts(interpreter)
        name = self._interpreters.shown(interpreter)
        if facts.problem:
            return f"{facts.problem}; cure: make the environment anew, or set probes.python"
        if not facts.pytest:
            return f"{name} has no pytest; cure: {name} -m pip install pytest"
        return ""

    async def scope(self) -> Scope:
        """Interpreter, what is installed in it, and the variables that tests commonly read."""
        interpreter = self._interpreters.find()
        facts = await self._interpreters.facts(interpreter)
        versions = {"python": f"{interpreter.path} {facts.version}", "pytest": facts.pytest}
        versions["packages"] = facts.packages
        versions.update({f"folder {path}": digest for path, digest in facts.outside.items()})
        names = {*VARIABLES, *self._processes.pass_env}
        environment = {name: os.environ[name] for name in sorted(names) if name in os.environ}
        return Scope((self._processes.sandbox.name,), versions, environment)

    async def run(self, *, behind: bool = False) -> Verdict:
        """The whole suite; passed only where the session says so itself and the process agrees."""
        mark = f"[{os.urandom(8).hex()}] "
        done = await self._processes.run(
            [self._interpreters.find().path, "-c", LOADER],
            # Room for the noise of tests around what pytest says at the end.
            limits=Limits(self._options.time_s, 8 * self._options.output_bytes, self._options.memory),
            cwd=self._root,
            stdin=f"{_inside()}\nmain({mark!r})\n".encode(),
        )
        before, found, after = done.output.rpartition("\n" + mark)
        said = _decoded(after.partition("\n")[0]) if found else None
        output = before + after.partition("\n")[2] if found else done.output
        state, summary, durable = self._judge(done, said)
        shown = bounded(output.strip(), self._options.output_bytes)
        hollow = ""
        if state == "skipped" and said is not None and not said.missing:
            hollow = self._why_hollow(said)
        return Verdict(
            self.name, state, hollow or summary, shown, done.duration_ns, durable=durable, hollow=bool(hollow)
        )

    def _why_hollow(self, said: Said) -> str:
        """A configuration or a mark can keep every test from running; empty where there are no test files."""
        n = sum(1 for path in self._tree.last.files if re.search(TEST_FILE, path))
        if not n:
            return ""
        words = "ran no tests although " + ("1 test file exists" if n == 1 else f"{n} test files exist")
        counts = _counts(said.counts)
        return f"{words} ({counts})" if counts else words

    def _tests(self) -> bool:
        files = self._tree.last.files
        if any(re.search(TEST_FILE, path) for path in files):
            return True
        # Other names can be configured; whether they match anything, pytest itself knows.
        for name in OF_PYTEST:
            for path in (name, *(p for p in files if p.startswith("../") and p.endswith("/" + name))):
                if path in files and re.search(rb"python_files|doctest", _read(self._root / path)):
                    return True
        return False

    def _judge(self, done: Finished, said: Said | None) -> tuple[VerdictState, str, bool]:
        if done.state == "timeout":
            return "timeout", f"no result after {self._options.time_s:g} s", False
        if done.state == "missing":
            return "error", "the interpreter cannot be started", False
        if said is not None and said.missing:
            return "skipped", "no pytest in this interpreter", False
        if said is None or not said.finished or said.code != done.code:
            if said is not None and said.code == done.code == 4:
                return "error", f"pytest did not start: {_last_error(done.output)}", True
            return "error", _unfinished(done), False
        return _result(said)


def _result(said: Said) -> tuple[VerdictState, str, bool]:
    counts = said.counts
    ran = sum(counts.get(kind, 0) for kind in COUNTED)
    bad = counts.get("failed", 0) + counts.get("errors", 0)
    if said.code == 5:
        return "skipped", "no tests collected", True
    if counts.get("collection"):
        n = counts["collection"]
        return "error", f"{n} error{'' if n == 1 else 's'} while collecting: {_names(said.failed)}", True
    if said.code not in (0, 1):
        return "error", f"pytest ended with exit code {said.code}", said.code != 3
    if bad:
        return "failed", f"{bad} of {ran} failed: {_names(said.failed)}", True
    if said.code == 1:
        return "failed", f"{_counts(counts)}, yet pytest ended with exit code 1", True
    if not ran:
        return "skipped", _counts(counts) or "no tests ran", True
    return "passed", _counts(counts), True


def _counts(counts: dict[str, int]) -> str:
    kinds = ("passed", "xfailed", "xpassed", "skipped", "deselected")
    return ", ".join(f"{counts[kind]} {kind}" for kind in kinds if counts.get(kind))


def _names(nodes: list[str]) -> str:
    names = [node.rpartition("::")[2] if "::" in node else node for node in nodes]
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _unfinished(done: Finished) -> str:
    number = -done.code if done.code < 0 else done.code - 128
    if number > 0 and number in {int(known) for known in signal.Signals}:
        return f"killed by {signal.Signals(number).name} before the session ended"
    return f"the process ended with exit code {done.code} before the session did"


def _last_error(output: str) -> str:
    lines = [text.strip() for text in output.splitlines() if text.strip()]
    raised = [text.removeprefix("E ").strip() for text in lines if text.startswith("E ")]
    said = [text.removeprefix("ERROR:").strip() for text in lines if text.startswith(("ERROR:", "ImportError"))]
    return (raised[-1:] or said[:1] or lines[-1:] or ["exit code 4"])[0][:200]


def _decoded(text: str) -> Said | None:
    try:
        return msgspec.json.decode(text, type=Said)
    except msgspec.DecodeError:
        return None


@cache
def _inside() -> str:
    return Path(__file__).with_name("inside.py").read_text(encoding="utf-8")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()[:1_000_000]
    except OSError:
        return b""
