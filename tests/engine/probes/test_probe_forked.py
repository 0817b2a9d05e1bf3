"""Runs of pytest that are forked, beside runs from scratch; real pytest, in the real sandbox."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jetbox.engine.options import PerformanceOptions, ProbeOptions
from jetbox.engine.probes.base import Change, Verdict
from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.inscope import out_of_scope
from jetbox.engine.probes.interpreter import Interpreters
from jetbox.engine.probes.pytest import PytestProbe
from jetbox.engine.safety.choose import choose_sandbox
from jetbox.engine.safety.process import ProcessRunner

if TYPE_CHECKING:
    from engine.probes.conftest import Bench

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forked runs need Linux")


class Suite:
    """The probe by itself, on a folder in the sandbox."""

    def __init__(self, bench: Bench, store: Path) -> None:
        self.bench = bench
        self.store = store
        self.told: list[str] = []
        self.tree = Tree(bench.root, out_of_scope)
        self.probe = self.made()

    def made(self, *, forks: bool = True, seconds: float = 60.0, memory: int = 4 * 1024**3) -> PytestProbe:
        """A probe of its own kind."""
        return PytestProbe(
            self.bench.root,
            self.bench.processes,
            ProbeOptions(time_s=seconds, memory=memory),
            PerformanceOptions(pytest_server=forks),
            self.tree,
            Interpreters(self.bench.root, self.bench.processes, ""),
            store=self.store,
            notice=self.told.append,
        )

    async def run(self) -> Verdict:
        await self.tree.sweep()
        return await self.probe.run()

    @property
    def forks(self) -> bool:
        """True while the server lives."""
        assert self.probe._front is not None
        return self.probe._front._service is not None


@pytest.fixture
async def suite(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Suite]:
    # The plugins of this suite take longer to import than all that is tested here.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    sandbox = await choose_sandbox(bench.root, enabled=True, network=False)
    bench.processes = ProcessRunner(sandbox, bench.root, pass_env=("PYTEST_DISABLE_PLUGIN_AUTOLOAD",))
    made = Suite(bench, tmp_path / "store")
    yield made
    await made.probe.close()
    await sandbox.close()


PROJECTS = {
    "plain": {"test_a.py": "def test_a():\n    assert 1\ndef test_b():\n    assert 0, 'why'\n"},
    "fixtures": {
        "conftest.py": "import pytest, pkg\n@pytest.fixture\ndef one():\n    return pkg.ONE\n",
        "pkg/__init__.py": "ONE = 1\n",
        "test_a.py": "def test_a(one, tmp_path, monkeypatch, capsys):\n    print('x')\n"
        "    assert capsys.readouterr().out == 'x\\n' and one == 1\n",
    },
    "parameters and marks": {
        "test_a.py": "import pytest\n"
        "@pytest.mark.parametrize('n', [1, 2, 3])\ndef test_a(n):\n    assert n != 2\n"
        "@pytest.mark.xfail\ndef test_b():\n    assert 0\n"
        "@pytest.mark.skip\ndef test_c():\n    pass\n",
    },
    "unittest": {
        "test_a.py": "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n"
        "        self.assertEqual(1, 2)\n"
    },
    "doctest by option": {
        "pyproject.toml": "[tool.pytest.ini_options]\naddopts = '--doctest-modules'\n",
        "m.py": 'def f():\n    """\n    >>> f()\n    2\n    """\n    return 1\n',
    },
    "warnings as errors": {
        "pytest.ini": "[pytest]\nfilterwarnings = error\n",
        "test_a.py": "import warnings\ndef test_a():\n    warnings.warn('x')\ndef test_b():\n    pass\n",
    },
    "an error while collecting": {"test_a.py": "import nothing_of_that_name\n", "test_b.py": "def test_b(): pass\n"},
    "a broken conftest": {"conftest.py": "1 / 0\n", "test_a.py": "def test_a(): pass\n"},
    "a broken configuration": {"pytest.ini": "[pytest\n", "test_a.py": "def test_a(): pass\n"},
    "threads and environment": {
        "test_a.py": "import os, threading\ndef test_a():\n    os.environ['X'] = '1'\n"
        "    threading.Thread(target=lambda: None).start()\ndef test_b():\n    assert os.environ.get('X') == '1'\n",
    },
    "nothing to run": {"pytest.ini": "[pytest]\naddopts = -k nothing\n", "test_a.py": "def test_a(): pass\n"},
}


@pytest.mark.parametrize("files", PROJECTS.values(), ids=PROJECTS.keys())
async def test_a_forked_run_says_what_one_from_scratch_says(bench: Bench, suite: Suite, files: dict[str, str]) -> None:
    for path, text in files.items():
        bench.write(path, text)
    forked = await suite.run()
    again = await suite.run()
    assert suite.forks, suite.told
    plain = await suite.made(forks=False).run()
    assert (forked.state, forked.summary, forked.failing) == (plain.state, plain.summary, plain.failing)
    assert (again.state, again.summary) == (forked.state, forked.summary)


HAZARDS = {
    "leaves by os._exit": ("os._exit(0)", "error", "before the session did"),
    "crashes": ("os.kill(os.getpid(), signal.SIGSEGV)", "error", "killed by SIGSEGV"),
    "exits": ("sys.exit(0)", "failed", "1 of 1 failed"),
    "takes 20 GB": ("bytearray(20 * 1024**3)", "failed", "1 of 1 failed"),
    "prints without end": ("print('x' * 200_000_000)", "passed", "1 passed"),
    "changes the folder": ("os.chdir('/')", "passed", "1 passed"),
    "closes its output": ("os.close(1); os.close(2)", "passed", "1 passed"),
}


@pytest.mark.parametrize(("deed", "state", "words"), HAZARDS.values(), ids=HAZARDS.keys())
async def test_what_a_test_does_to_its_process_is_its_own_affair(
    bench: Bench, suite: Suite, deed: str, state: str, words: str
) -> None:
    bench.write("test_a.py", f"import os, signal, sys\ndef test_a():\n    {deed}\n")
    verdict = await suite.run()
    assert (verdict.state, words in verdict.summary) == (state, True), verdict
    assert suite.forks
    bench.write("test_a.py", "def test_a():\n    pass\n")
    assert (await suite.run()).state == "passed"


async def test_a_test_that_kills_its_parent_is_run_from_scratch(bench: Bench, suite: Suite) -> None:
    bench.write("test_a.py", "import os, signal\ndef test_a():\n    os.kill(os.getppid(), signal.SIGKILL)\n")
    verdict = await suite.run()
    plain = await suite.made(forks=False).run()
    assert verdict.state == plain.state


async def test_a_run_that_hangs_ends_with_all_that_it_started(bench: Bench, suite: Suite) -> None:
    mark = f"sleep 98{os.getpid() % 1000:03d}"
    bench.write(
        "test_a.py",
        "import subprocess, time\ndef test_a():\n"
        f"    subprocess.Popen({mark.split()!r}, start_new_session=True)\n    time.sleep(60)\n",
    )
    suite.probe = suite.made(seconds=2.0)
    verdict = await suite.run()
    assert verdict.state == "timeout"
    assert not bench.running(mark.replace(" ", "\0"))
    bench.write("test_a.py", "def test_a():\n    pass\n")
    assert (await suite.run()).state == "passed"


async def test_a_cancelled_run_is_gone_and_the_next_one_works(bench: Bench, suite: Suite) -> None:
    mark = bench.root / "begun"
    bench.write(
        "test_a.py", "import time, pathlib\ndef test_a():\n    pathlib.Path('begun').touch()\n    time.sleep(60)\n"
    )
    await suite.tree.sweep()
    running = asyncio.create_task(suite.probe.run())
    while not mark.exists():
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()
    assert suite.forks, "a cancelled run costs no new server"
    bench.write("test_a.py", "def test_a():\n    pass\n")
    assert (await suite.run()).state == "passed"


async def test_an_edit_within_the_same_second_is_seen(bench: Bench, suite: Suite) -> None:
    bench.write("test_a.py", "import m\ndef test_a():\n    assert m.V == 1\n")
    for value in (3, 1, 4, 1):
        bench.write("m.py", f"V = {value}\n")
        assert (await suite.run()).state == ("passed" if value == 1 else "failed")


async def test_options_that_start_processes_keep_runs_from_being_forked(bench: Bench, suite: Suite) -> None:
    bench.write("pytest.ini", "[pytest]\naddopts = -n 2\n")
    bench.write("test_a.py", "def test_a(): pass\n")
    await suite.run()
    assert not suite.forks


async def test_a_difference_ends_the_forking_for_good(bench: Bench, suite: Suite) -> None:
    # Only a process of its own has this module at the head of its own command line.
    bench.write("test_a.py", "import sys\ndef test_a():\n    assert '_pytest.doctest' not in FIRST\nFIRST = set()\n")
    bench.write("conftest.py", "import os\nif os.getpgrp() != os.getpid():\n    raise SystemExit('not alone')\n")
    forked = await suite.run()
    plain = await suite.made(forks=False).run()
    words = suite.probe._shadows.compared(forked, plain) if forked.state != plain.state else ""
    if words:
        assert suite.made()._shadows.off == words
        suite.probe = suite.made()
        await suite.run()
        assert not suite.forks
        assert words in suite.told[0] if suite.told else True


class Edited:
    """Two modules with their tests."""

    def __init__(self, bench: Bench, suite: Suite) -> None:
        self.bench = bench
        self.suite = suite
        for name in "abcdef":
            bench.write(f"{name}.py", f"def {name}():\n    return 1\n")
            bench.write(f"test_{name}.py", f"from {name} import {name}\ndef test_{name}():\n    assert {name}() == 1\n")

    async def early(self, last: Verdict, before: object) -> Verdict | None:
        now = await self.suite.tree.sweep()
        return await self.suite.probe.early(Change(last, before, now, now.changed(before)))  # type: ignore[arg-type]


async def test_only_the_tests_of_a_change_are_run(bench: Bench, suite: Suite) -> None:
    edited = Edited(bench, suite)
    whole = await suite.run()
    before = suite.tree.last
    assert whole.summary == "6 passed"
    bench.write("a.py", "def a():\n    return 2\n")
    early = await edited.early(whole, before)
    assert early is not None
    assert (early.state, early.cache, early.failing) == ("failed", "partial", ("test_a.py::test_a",))
    assert early.summary.startswith("1 of 6 test files: 1 of 1 failed")
    bench.write("a.py", "def a():\n    return 1\n")
    again = await edited.early(whole, before)
    assert again is not None
    assert again.state == "passed"


async def test_what_failed_elsewhere_stays_failed(bench: Bench, suite: Suite) -> None:
    edited = Edited(bench, suite)
    bench.write("b.py", "def b():\n    return 2\n")
    whole = await suite.run()
    before = suite.tree.last
    bench.write("a.py", "def a():\n    return 1  # as before\n")
    early = await edited.early(whole, before)
    assert early is not None
    assert (early.state, early.failing) == ("failed", ("test_b.py::test_b",))
    assert "not run again" in early.summary


async def test_only_the_whole_suite_can_tell_of_a_configuration(bench: Bench, suite: Suite) -> None:
    edited = Edited(bench, suite)
    whole = await suite.run()
    before = suite.tree.last
    bench.write("conftest.py", "X = 1\n")
    assert await edited.early(whole, before) is None


async def test_what_a_run_behind_saw_narrows_the_next_choice(bench: Bench, suite: Suite) -> None:
    edited = Edited(bench, suite)
    bench.write("pkg/__init__.py", "import a, b, c, d, e, f\n")
    for name in "abcdef":
        bench.write(f"test_{name}.py", f"import pkg\ndef test_{name}():\n    assert pkg.{name}.{name}() == 1\n")
    await suite.tree.sweep()
    whole = await suite.probe.run(behind=True)
    before = suite.tree.last
    assert whole.state == "passed"
    bench.write("a.py", "def a():\n    return 3\n")
    early = await edited.early(whole, before)
    assert early is not None
    assert early.failing == ("test_a.py::test_a",)
    assert early.summary.startswith("1 of 6 test files")
