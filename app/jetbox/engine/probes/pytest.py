"""The pytest probe, in the workspace's interpreter: the whole suite, or the tests of a change.

Runs are forked from a server that has pytest loaded, and made from scratch wherever that could mean
something else.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from jetbox.engine.events import VerdictState
from jetbox.engine.options import PerformanceOptions, ProbeOptions
from jetbox.engine.probes.affected import Affected
from jetbox.engine.probes.base import Change, Scope, Verdict, Whole, confines
from jetbox.engine.probes.configuration import OF_PYTEST, configured_below
from jetbox.engine.probes.fingerprint import Snapshot, Tree
from jetbox.engine.probes.inscope import out_of_scope
from jetbox.engine.probes.interpreter import Answers, Interpreters
from jetbox.engine.probes.judging import counted, elsewhere, last_error, result, unfinished
from jetbox.engine.probes.learning import Learner, Lesson
from jetbox.engine.probes.report import bounded
from jetbox.engine.probes.sessions import Ended, Sessions
from jetbox.engine.probes.shadows import Shadows
from jetbox.engine.probes.standing import Standing
from jetbox.engine.probes.zygote import Said
from jetbox.engine.safety.environment import clean_environment
from jetbox.engine.safety.process import ProcessRunner
from jetbox.engine.tasks import end_tasks

AFTER_S = 0.05
"""How long what follows a run holds off: starting a process takes the loop, and the verdict is to be given first."""
TEST_FILE = r"(?:^|/)(?:test_[^/]*|[^/]*_test)\.py$"
MADE_BY_PYTEST = rf"{TEST_FILE}|(?:^|/)conftest\.py$"
MOST_COMPILED = 4
"""Modules; more are as likely a change that few of the next tests import."""


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
        self._affected = Affected(root, store) if performance.affected_first else None
        self._shadows = Shadows(store)
        self.sessions = Sessions(
            root,
            processes,
            options,
            tree,
            interpreters,
            forks=performance.pytest_server,
            off=lambda: self._shadows.off,
            notice=notice,
        )
        self.on_disproved: Callable[[Verdict, Snapshot], None] = lambda plain, files: None
        """Is given what a run from scratch said where a forked one was wrong, and the files that it is about."""
        self.first_ms: float | None = None
        """From the start of the latest run until its first test was decided, where that is known."""
        self._learner = (
            Learner(self._affected, self.sessions.watched, self._unchanged) if self._affected is not None else None
        )
        self._standing = Standing()
        self._left: Lesson | None = None
        """What the latest whole run left to be found out, and nobody has yet."""
        self._again = Tree(root, out_of_scope)
        """Looked at after a run that is to be learnt from: the other one is not ours to look with."""
        self._following: asyncio.Task[None] | None = None
        self._small: asyncio.Task[None] | None = None
        """The comparison of an early run, while none was made of a whole one."""
        self._preparing: asyncio.Task[None] | None = None

    @property
    def slow(self) -> str:
        """Why runs are not forked; what ended that is told where it is switched off too."""
        return self.sessions.refused or self._shadows.off

    async def skip(self, answers: Answers) -> str:
        """No tests, or no pytest to run them with."""
        if self._look_for_tests and not self._tests():
            return "no tests"
        interpreter = self._interpreters.find()
        facts = await self._interpreters.facts(interpreter, answers)
        name = self._interpreters.shown(interpreter)
        if facts.problem:
            return f"{facts.problem}; cure: make the environment anew, or set probes.python"
        if not facts.pytest:
            return f"{name} has no pytest; cure: {name} -m pip install pytest"
        return ""

    async def scope(self, answers: Answers) -> Scope:
        """Interpreter, what is installed in it, and all that tests see of their surroundings."""
        interpreter = self._interpreters.find()
        facts = await self._interpreters.facts(interpreter, answers)
        versions = {"python": f"{interpreter.path} {facts.version}", "pytest": facts.pytest}
        versions["packages"] = facts.packages
        # What its configuration names, modules are imported from like from what is on the interpreter's path.
        named, noticed = await self._interpreters.swept(self.sessions.elsewhere, facts.noticed)
        versions.update({f"folder {path}": digest for path, digest in (facts.outside | named).items()})
        environment = clean_environment(os.environ, self._processes.pass_env)
        bounds = confines(self._processes.sandbox, self._tree.root, memory=self._options.memory)
        return Scope((), versions, environment, noticed, bounds)

    async def run(self, *, behind: bool = False) -> Verdict:
        """The whole suite; passed only where the session says so itself and the process agrees."""
        if behind and self._small is not None:
            await asyncio.wait({self._small})
        await self._halt()
        files = self._tree.last
        ended = await self.sessions.run((), behind=behind)
        verdict = self._verdict(ended)
        self.first_ms = ended.first_ms
        compared = verdict if ended.forked and self._shadows.due(verdict) else None
        lesson = self._left = self._lesson(ended, verdict, files)
        if compared is not None or lesson is not None:
            self._following = asyncio.create_task(self._follow(compared, lesson, files), name="after pytest")
        return verdict

    def _lesson(self, ended: Ended, verdict: Verdict, files: Snapshot) -> Lesson | None:
        """What this run leaves to be found out; None where what tests use cannot be told."""
        said = ended.said
        if self._learner is None or not ended.forked or said is None or said.more:
            return None
        if verdict.state not in ("passed", "failed"):
            return None
        failed = frozenset(map(_file, said.failed)) & files.files.keys()
        if not said.collected:
            return None
        return Lesson(files, failed.union(said.collected), frozenset(said.empty), failed)

    def idle(self) -> None:
        """Nobody waits for a while: make up for what was due and was cut off, or found nothing to follow."""
        if self._following is not None and not self._following.done():
            return
        files = self._tree.last
        if self._shadows.owed and self.sessions.forks:
            self._following = asyncio.create_task(self._take_up(), name="compare pytest")
        elif self._left is not None and self._left.files.digest == files.digest:
            self._following = asyncio.create_task(self._follow(None, self._left, files), name="after pytest")

    def hurry(self) -> None:
        """Somebody waits for a whole run that nobody waited for: nothing goes before it."""
        if self._small is not None:
            self._small.cancel()

    async def early(self, change: Change) -> Verdict | None:
        """The tests that the change can have touched, and those that failed before."""
        last = change.verdict
        told = last.state in ("passed", "failed") and not (last.red and not last.failing)
        if self._affected is None or not (told or last.state == "cancelled"):
            return None
        self.compile(change.paths & change.now.files.keys())
        failed = set(map(_file, last.failing))
        if not failed <= change.before.files.keys():
            return None  # Whether the change touches what these names stand for cannot be told.
        if self.slow:
            self._standing.forget()
        held = self._standing.held(change)
        halting = asyncio.create_task(self._halt(), name="end what follows pytest")
        try:
            selection = await self._affected.select(change.before, change.now, change.paths, failed, held)
        finally:
            await halting
        tests = [path for path in selection.files if path in change.now.files]
        if selection.whole or configured_below(tests, change.now.files):
            return None
        also = f"; {selection.held} more passed before, untouched since" if selection.held else ""
        if not tests:
            # Of tests that nobody has seen pass there is nothing to tell.
            return Verdict(self.name, "passed", selection.why + also, cache="partial") if told else None
        ended = await self.sessions.run(tuple(tests))
        self.first_ms = ended.first_ms
        verdict = self._verdict(ended)
        if ended.forked and self._shadows.never:
            # Whole runs may never hold still for long enough; these few tests do sooner.
            small = self._compare_early(verdict, change.now, tuple(tests))
            self._following = self._small = asyncio.create_task(small, name="compare early pytest")
        if verdict.state not in ("passed", "failed") or not set(map(_file, verdict.failing)).issubset(tests):
            return None
        if verdict.red and not verdict.failing:
            return None  # Something that is asked of the whole suite, such as how much of the code it covers.
        total = len({path for path in change.now.files if re.search(TEST_FILE, path)}.union(tests))
        nearest = f", the nearest of {selection.reached}" if selection.reached else ""
        words = f"{len(tests)} of {total} test files{nearest}: {verdict.summary}{also}"
        if ended.forked and ended.said is not None:
            passed = set(tests).intersection(ended.said.passed) - set(map(_file, verdict.failing))
            self._standing.ran(change, passed, None if ended.said.strange else ended.said.opened)
        return msgspec.structs.replace(verdict, summary=words, cache="partial")

    def compile(self, changed: Iterable[str]) -> None:
        """These files were written, and tests of them will be wanted soon.

        Tests are not among what is compiled for that: pytest does so itself, in a way of its own.
        """
        sources = [path for path in changed if path.endswith(".py") and path[:3] != "../"]
        modules = [path for path in sources if not re.search(MADE_BY_PYTEST, path)]
        if len(modules) <= MOST_COMPILED:
            self.sessions.compile(modules)

    def prepare(self) -> None:
        """Start the server that runs are forked from, and read what imports what, once it is known what there is."""
        if self._preparing is None and self._tree.last.digest:
            self._preparing = asyncio.create_task(self._prepare(), name="prepare pytest")

    def anticipate(self) -> None:
        """Python is being written: tests may come with it, and their first run is to find the server loaded."""
        if (self._preparing is None or self._preparing.done()) and not self.sessions.forks:
            self._preparing = asyncio.create_task(self._anticipate(), name="prepare pytest")

    async def _anticipate(self) -> None:
        if (await self._interpreters.facts(self._interpreters.find(), {})).pytest:
            await self.sessions.prepare()

    async def _prepare(self) -> None:
        if await self.skip({}):
            return
        await self.sessions.prepare()
        if self._affected is not None:
            await self._affected.update(self._tree.last)

    async def close(self) -> None:
        """End the servers and whatever they run."""
        await end_tasks(self._preparing)
        await self._halt()
        if self._learner is not None:
            await self._learner.close()
        await self.sessions.close()

    async def _follow(self, compared: Verdict | None, lesson: Lesson | None, files: Snapshot) -> None:
        """Make a run again from scratch to compare, and learn what tests use; nobody waits for either.

        Each counts only where the files did not change meanwhile.
        """
        await asyncio.sleep(AFTER_S)
        if compared is not None:
            await self._compare(compared, files, ())
        if lesson is not None and self._learner is not None and not self.slow:
            await self._learner.learn(lesson)
            self._left = None

    async def _compare_early(self, forked: Verdict, files: Snapshot, tests: tuple[str, ...]) -> None:
        await asyncio.sleep(AFTER_S)
        await self._compare(forked, files, tests)

    async def _take_up(self) -> None:
        files = self._tree.last
        ended = await self.sessions.run((), behind=True)
        if ended.forked:
            await self._compare(self._verdict(ended), files, ())

    async def _compare(self, forked: Verdict, files: Snapshot, tests: tuple[str, ...]) -> None:
        """Make a run of these tests, or of all, again from scratch; it counts only where the files held still."""
        plain = self._verdict(await self.sessions.plain(tests, behind=True))
        if forked.state != plain.state and "error" in (forked.state, plain.state):
            # A process can be killed for reasons that are none of the tests'.
            if forked.state == "error":
                forked = self._verdict(await self.sessions.run(tests, behind=True))
            else:
                plain = self._verdict(await self.sessions.plain(tests, behind=True))
            if "error" not in (forked.state, plain.state):
                return
        if await self._unchanged(files) and self._shadows.compared(forked, plain, whole=not tests):
            self.sessions.tell()
            self.on_disproved(msgspec.structs.replace(plain, cache="partial") if tests else plain, files)
            await self.sessions.refuse(self._shadows.off)

    async def _unchanged(self, files: Snapshot) -> bool:
        return files.proved and (await self._again.sweep()).digest == files.digest

    async def _halt(self) -> None:
        """End what follows the run before: two runs at a time get in each other's way."""
        if self._following is not None:
            await end_tasks(self._following)
            self._following = self._small = None

    def _verdict(self, ended: Ended) -> Verdict:
        state, summary, durable = self._judge(ended)
        said = ended.said
        if said is not None and said.strange:
            state, summary = elsewhere(state, summary, said, self._interpreters.find().origin == "own")
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
        # What a conftest collects, files of any name among it, pytest itself knows.
        if any(re.search(TEST_FILE, path) or re.search(r"(?:^|/)conftest\.py$", path) for path in files):
            return True
        # Other names can be configured; whether they match anything, pytest itself knows.
        for name in OF_PYTEST:
            for path in (name, *(p for p in files if p.startswith("../") and p.endswith("/" + name))):
                if path in files and re.search(rb"python_files|doctest", _read(self._root / path)):
                    return True
        return False

    def _judge(self, ended: Ended) -> tuple[VerdictState, str, bool]:
        said = ended.said
        if ended.state == "timeout":
            within = f", in {' '.join(ended.at.split())}" if ended.at else ""
            return "timeout", f"no result after {self._options.time_s:g} s{within}", False
        if ended.state == "missing":
            return "error", "the interpreter cannot be started", False
        if said is not None and said.missing:
            return "skipped", "no pytest in this interpreter", False
        if said is not None and said.code == ended.code == 4:
            return "error", f"pytest did not start: {last_error(ended.output)}", True
        if said is None or not said.finished or said.code != ended.code:
            return "error", unfinished(ended.code), False
        return result(said)


def _file(name: str) -> str:
    """The file of a test, by its name."""
    return name.partition("::")[0]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()[:1_000_000]
    except OSError:
        return b""
