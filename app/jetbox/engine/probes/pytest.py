"""The pytest probe, in the workspace's interpreter: the whole suite, or the tests of a change.

Runs are forked from a server that has pytest loaded, and made from scratch wherever that could mean
something else.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from jetbox.engine.clock import monotonic
from jetbox.engine.events import VerdictState
from jetbox.engine.options import PerformanceOptions, ProbeOptions
from jetbox.engine.probes.affected import Affected
from jetbox.engine.probes.base import Change, Scope, Verdict, Whole
from jetbox.engine.probes.configuration import OF_PYTEST
from jetbox.engine.probes.fingerprint import Snapshot, Tree
from jetbox.engine.probes.interpreter import Interpreters
from jetbox.engine.probes.judging import counted, last_error, names, result, unfinished
from jetbox.engine.probes.report import bounded
from jetbox.engine.probes.shadows import Shadows
from jetbox.engine.probes.zygote import Request, Said, Zygote, decoded
from jetbox.engine.safety.process import Limits, ProcessRunner

LOADER = (
    "import sys; sys.path[:] = [p for p in sys.path if p]; "
    'exec(compile(sys.stdin.read(), "<jetbox>", "exec"), {"__name__": "jetbox"})'
)
"""The workspace is off the path until pytest is imported: a `json.py` in it must not end up there."""

TEST_FILE = r"(?:^|/)(?:test_[^/]*|[^/]*_test)\.py$"
DISTRIBUTED = rb"(?:^|[\s'\"=\[])(?:-n[ =]*(?:\d+|auto|logical)|--numprocesses|--forked|--boxed|-f\b)"
"""Options of plugins that start or fork processes of their own."""
VARIABLES = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "PYTHONHASHSEED", "PYTHONWARNINGS")


class _Ended(msgspec.Struct, frozen=True):
    """A run that has ended, however it was made."""

    state: Literal["exited", "timeout", "missing"]
    code: int
    output: str
    duration_ns: int
    said: Said | None
    forked: bool = False


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
        *,
        store: Path | None = None,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        """`store` keeps what is learnt between sessions; `notice` gets why something is done the slow way."""
        self._root = root
        self._processes = processes
        self._options = options
        self._look_for_tests = performance.probe_skip_without_tests
        self._tree = tree
        self._interpreters = interpreters
        forks = performance.pytest_server
        self._front = Zygote(root, processes) if forks else None
        self._back = Zygote(root, processes) if forks else None
        self._affected = Affected(root, store) if performance.affected_first else None
        self._learnt: tuple[dict[str, list[str]], Snapshot] | None = None
        self._shadows = Shadows(store)
        self._shadowing: asyncio.Task[None] | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._notice = notice
        self._told: set[str] = set()

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
        files = self._tree.last
        ended = await self._session((), behind=behind, touched=behind and self._affected is not None)
        verdict = self._verdict(ended)
        if ended.said is not None and ended.said.touched:
            self._learnt = (ended.said.touched, files)
        if ended.forked:
            self._shadow(verdict)
        return verdict

    async def early(self, change: Change) -> Verdict | None:
        """The tests that the change can have touched; what failed elsewhere before still counts as failed."""
        last = change.verdict
        if self._affected is None or last.state not in ("passed", "failed") or (last.red and not last.failing):
            return None
        if self._learnt is not None:
            touched, files = self._learnt
            self._learnt = None
            if files.digest == change.before.digest:
                await self._affected.learn(touched, files)
        selection = await self._affected.select(change.now, change.paths)
        if selection.whole:
            return None
        tests = [path for path in selection.files if path in change.now.files]
        failed = dict.fromkeys(name.partition("::")[0] for name in last.failing)
        tests.sort(key=lambda path: path not in failed)
        carried = tuple(name for name in last.failing if name.partition("::")[0] not in tests)
        if not tests:
            return self._carried(Verdict(self.name, "passed", selection.why, cache="partial"), carried)
        ended = await self._session(tuple(tests))
        verdict = self._verdict(ended)
        if verdict.state not in ("passed", "failed"):
            return None
        total = sum(1 for path in change.now.files if re.search(TEST_FILE, path))
        words = f"{len(tests)} of {total} test files: {verdict.summary}"
        return self._carried(msgspec.structs.replace(verdict, summary=words, cache="partial"), carried)

    @staticmethod
    def _carried(verdict: Verdict, carried: tuple[str, ...]) -> Verdict:
        """With what failed before in tests that were not run again."""
        if not carried:
            return verdict
        words = f"{verdict.summary}; {len(carried)} failed before and not run again: {names(carried)}"
        failing = (*verdict.failing, *carried)
        return msgspec.structs.replace(verdict, state="failed", summary=words, failing=failing)

    def prepare(self) -> None:
        """Start the server that runs are forked from, and read what imports what."""
        if self._preparing is None and (self._front is not None or self._affected is not None):
            self._preparing = asyncio.create_task(self._prepare(), name="prepare pytest")

    async def _prepare(self) -> None:
        if await self.skip():
            return
        if self._front is not None and not self._refusal():
            python, surroundings = await self._surroundings()
            await self._front.prepare(python, surroundings)
        if self._affected is not None:
            await self._affected.update(self._tree.last)

    async def close(self) -> None:
        """End the servers and whatever they run."""
        for task in (self._preparing, self._shadowing):
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait({task})
        for zygote in (self._front, self._back):
            if zygote is not None:
                await zygote.close()

    # ------------------------------------------------------------ running

    async def _session(self, files: tuple[str, ...], *, behind: bool = False, touched: bool = False) -> _Ended:
        zygote = self._back if behind else self._front
        if zygote is not None and not self._refusal():
            began = monotonic()
            python, surroundings = await self._surroundings()
            options = self._options
            request = Request(files, options.time_s, options.memory, 8 * options.output_bytes, behind, touched)
            answer = await zygote.run(python, surroundings, request)
            if answer is not None and answer.state != "cancelled":
                state: Literal["exited", "timeout"] = "timeout" if answer.state == "timeout" else "exited"
                return _Ended(state, answer.code, answer.output, monotonic() - began, answer.said, forked=True)
            self._tell(zygote.refused)
        return await self._plain(files, behind=behind)

    async def _plain(self, files: tuple[str, ...], *, behind: bool = False) -> _Ended:
        """A process of its own, from scratch."""
        mark = f"[{os.urandom(8).hex()}] "
        done = await self._processes.run(
            [self._interpreters.find().path, "-c", LOADER],
            # Room for the noise of tests around what pytest says at the end.
            limits=Limits(self._options.time_s, 8 * self._options.output_bytes, self._options.memory),
            cwd=self._root,
            stdin=f"{_inside()}\nmain({mark!r}, {list(files)!r})\n".encode(),
            background=behind,
        )
        before, found, after = done.output.rpartition("\n" + mark)
        said = decoded(after.partition("\n")[0]) if found else None
        output = before + after.partition("\n")[2] if found else done.output
        return _Ended(done.state, done.code, output, done.duration_ns, said)

    async def _surroundings(self) -> tuple[str, object]:
        """The interpreter, and what has to be the same for a loaded one to be used."""
        interpreter = self._interpreters.find()
        facts = await self._interpreters.facts(interpreter)
        return interpreter.path, (interpreter.path, facts.version, facts.packages, self._processes.sandbox.name)

    def _refusal(self) -> str:
        """Why runs are not forked in this workspace; empty where they are."""
        if not sys.platform.startswith("linux"):
            return "forked runs need Linux"
        for name in OF_PYTEST:
            if name in self._tree.last.files and (found := re.search(DISTRIBUTED, _read(self._root / name))):
                return f"{name} asks for {found[0].decode(errors='replace').strip()}"
        return self._shadows.off

    def _tell(self, refused: str) -> None:
        """Say once why runs are not forked."""
        if refused and refused not in self._told and self._notice is not None:
            self._told.add(refused)
            self._notice(f"pytest runs from scratch: {refused}")

    def _shadow(self, verdict: Verdict) -> None:
        """Now and then make the same run from scratch, behind; one difference ends the forking here."""
        if not self._shadows.due(verdict) or (self._shadowing is not None and not self._shadowing.done()):
            return
        self._shadowing = asyncio.create_task(self._compare(verdict, self._tree.last.digest), name="shadow of pytest")

    async def _compare(self, forked: Verdict, digest: str) -> None:
        plain = self._verdict(await self._plain((), behind=True))
        if (await self._tree.sweep()).digest != digest or plain.state not in ("passed", "failed", "skipped"):
            return
        words = self._shadows.compared(forked, plain)
        if words:
            self._tell(words)

    # ------------------------------------------------------------ judging

    def _verdict(self, ended: _Ended) -> Verdict:
        state, summary, durable = self._judge(ended)
        said = ended.said
        hollow = ""
        if state == "skipped" and said is not None and not said.missing:
            hollow = self._why_hollow(said)
        return Verdict(
            self.name,
            state,
            hollow or summary,
            bounded(ended.output.strip(), self._options.output_bytes),
            ended.duration_ns,
            durable=durable,
            hollow=bool(hollow),
            failing=tuple(said.failed) if said is not None and not said.more else (),
        )

    def _why_hollow(self, said: Said) -> str:
        """A configuration or a mark can keep every test from running; empty where there are no test files."""
        n = sum(1 for path in self._tree.last.files if re.search(TEST_FILE, path))
        if not n:
            return ""
        words = "ran no tests although " + ("1 test file exists" if n == 1 else f"{n} test files exist")
        counts = counted(said.counts)
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

    def _judge(self, ended: _Ended) -> tuple[VerdictState, str, bool]:
        said = ended.said
        if ended.state == "timeout":
            return "timeout", f"no result after {self._options.time_s:g} s", False
        if ended.state == "missing":
            return "error", "the interpreter cannot be started", False
        if said is not None and said.missing:
            return "skipped", "no pytest in this interpreter", False
        if said is None or not said.finished or said.code != ended.code:
            if said is not None and said.code == ended.code == 4:
                return "error", f"pytest did not start: {last_error(ended.output)}", True
            return "error", unfinished(ended.code), False
        return result(said)


@cache
def _inside() -> str:
    return Path(__file__).with_name("inside.py").read_text(encoding="utf-8")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()[:1_000_000]
    except OSError:
        return b""
