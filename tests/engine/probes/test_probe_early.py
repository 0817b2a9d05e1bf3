"""Early verdicts of pytest: what failed before is run again, and what passed where it may be otherwise."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from engine.probes.conftest import uncompared
from jetbox.engine.options import PerformanceOptions, ProbeOptions
from jetbox.engine.probes.base import Change, Verdict
from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.inscope import out_of_scope
from jetbox.engine.probes.inside import Report
from jetbox.engine.probes.interpreter import Interpreters
from jetbox.engine.probes.opened import STANDARD, strange
from jetbox.engine.probes.pytest import PytestProbe

if TYPE_CHECKING:
    from engine.probes.conftest import Bench
    from jetbox.engine.probes.runner import ProbeEngine


def failed(*names: str) -> Verdict:
    return Verdict("pytest", "failed", failing=names)


class Early:
    """A probe, and the files of its latest whole verdict; `util.py` is imported by no test."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.tree = Tree(bench.root, out_of_scope)
        self.probe = PytestProbe(
            bench.root,
            bench.processes,
            ProbeOptions(),
            PerformanceOptions(pytest_server=False),
            self.tree,
            Interpreters(bench.root, bench.processes, ""),
        )
        for name in "abc":
            bench.write(f"{name}.py", f"def {name}():\n    return 1\n")
            bench.write(f"tests/test_{name}.py", f"from {name} import {name}\ndef test_{name}():\n    {name}()\n")
        bench.write("util.py", "X = 1\n")

    async def __call__(self, last: Verdict, **texts: str) -> Verdict | None:
        before = await self.tree.sweep()
        assert self.probe._affected is not None
        touched = {f"tests/test_{name}.py": ["@", f"{name}.py"] for name in "abc"}
        await self.probe._affected.learn(touched, before, touched.keys(), None)
        for name, text in texts.items():
            self.bench.write(f"{name}.py", text)
        now = await self.tree.sweep()
        return await self.probe.early(Change(last, before, now, now.changed(before)))


async def test_what_failed_is_run_again_though_no_change_touches_it(bench: Bench) -> None:
    early = await Early(bench)(failed("tests/test_b.py::test_b"), util="X = 2\n")
    assert early is not None
    assert (early.state, early.summary) == ("passed", "1 of 3 test files: 1 passed")


@pytest.mark.parametrize("name", ["ws/tests/test_b.py::test_b", "test_b.py::test_b", "::test_b"])
async def test_a_failure_that_is_in_no_known_file_is_not_taken_for_gone(bench: Bench, name: str) -> None:
    assert await Early(bench)(failed("tests/test_a.py::test_a", name), util="X = 2\n") is None


async def test_a_root_of_their_own_leaves_tests_to_the_whole_suite(bench: Bench) -> None:
    early = Early(bench)
    bench.write("tests/setup.py", "")
    assert await early(Verdict("pytest", "passed"), a="def a():\n    return 2\n") is None


WAITS = "import os, time\ndef test_b():\n    while not os.path.exists('__pycache__/go'):\n        time.sleep(0.01)\n"


async def test_the_first_change_has_its_tests_run_where_nothing_was_judged_before_it(bench: Bench) -> None:
    bench.write("a.py", "X = 1\n")
    for name, text in {"a": "from a import X\ndef test_a():\n    assert X\n", "b": WAITS, "c": WAITS}.items():
        bench.write(f"test_{name}.py", text)
    engine = uncompared(bench.engine(ruff=False))
    engine.prepare()
    async with asyncio.timeout(60):
        while not bench.told:
            await asyncio.sleep(0.01)
    for value, said, cache in (("0", "1 of 3 test files: 1 of 1 failed: test_a", "partial"), ("1", "3 passed", "ran")):
        bench.write("a.py", f"X = {value}\n")
        engine.wrote(("a.py",))
        # What is as it was may have been written before it was first looked at.
        if cache == "ran":
            bench.write("__pycache__/go", "")
        verdict = await bench.one(engine, "pytest")
        assert (verdict.summary, verdict.cache) == (said, cache)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forked runs need Linux")
async def test_the_server_is_loaded_by_the_time_of_the_first_change(bench: Bench) -> None:
    bench.write("test_a.py", "def test_a():\n    pass\n")
    engine = uncompared(bench.engine(ruff=False))
    engine.prepare()
    probe = engine.probes[0]
    assert isinstance(probe, PytestProbe)
    async with asyncio.timeout(60):
        while not probe.sessions.forks:
            await asyncio.sleep(0.01)
    assert not bench.ended or bench.ended[0].baseline


RUNS = "import subprocess, sys\ndef test_p():\n    assert subprocess.run([sys.executable, 'prog.py']).returncode == 0\n"
LOOKS = "import os\ndef test_l():\n    assert not os.path.exists('flag.txt')\n    import b\n"
AFTER = "; 1 more passed before, untouched since"


async def learnt(bench: Bench, said: str) -> ProbeEngine:
    engine = uncompared(bench.engine(ruff=False, performance=PerformanceOptions(probe_baseline=False)))
    assert (await engine.verdicts(final=True))[0].summary == said
    probe = engine.probes[0]
    assert isinstance(probe, PytestProbe)
    assert probe._following is not None
    await probe._following
    return engine


async def test_of_several_edits_what_passed_holds_until_something_that_it_used_is_another(bench: Bench) -> None:
    for name in "ab":
        bench.write(f"{name}.py", f"def {name}():\n    return 1\n")
        bench.write(f"test_{name}.py", f"from {name} import {name}\ndef test_{name}():\n    assert {name}()\n")
    bench.write("lib.py", "X = 0\n")
    bench.write("prog.py", "import lib, sys\nsys.exit(lib.X)\n")
    for n in range(6):
        bench.write(f"test_z{n}.py", "def test_z():\n    pass\n")
    engine = await learnt(bench, "8 passed")
    for path, text, said in (
        ("a.py", "def a():\n    return 2\n", "1 of 8 test files: 1 passed"),
        ("b.py", "def b():\n    return 2\n", f"1 of 8 test files: 1 passed{AFTER}"),
        ("b.py", "def b():\n    return 0\n", f"1 of 8 test files: 1 of 1 failed: test_b{AFTER}"),
        ("lib.py", "X = 0  # still\n", f"1 of 8 test files: 1 of 1 failed: test_b{AFTER}"),
        ("b.py", "def b():\n    return 3\n", f"1 of 8 test files: 1 passed{AFTER}"),
        # What comes can be what a test looked for, and what it starts is seen by nobody.
        ("test_p.py", RUNS, "3 of 9 test files: 3 passed"),
        ("lib.py", "X = 1\n", "3 of 9 test files: 1 of 3 failed: test_p"),
        ("lib.py", "X = 0\n", "3 of 9 test files: 3 passed"),
        ("test_p.py", LOOKS, "3 of 9 test files: 3 passed"),
        ("a.py", "def a():\n    return 4\n", "3 of 9 test files: 3 passed"),
        ("flag.txt", "", "3 of 9 test files: 1 of 3 failed: test_l"),
    ):
        bench.write(path, text)
        engine.wrote((path,))
        assert (await bench.one(engine, "pytest")).summary == said


UNSEEN = {
    "walks": "import os\nSIZE = os.path.getsize\n"
    "def test_it():\n    assert all(SIZE('walks/' + name) < 9 for *_, names in os.walk('walks') for name in names)\n",
    "asks": "import importlib.metadata as m, os\nSIZE = os.path.getsize\n"
    "def test_it():\n    assert all(SIZE('asks/' + name) < 9 for name in m.FastPath('asks').children())\n",
    "calls": "import ctypes, sys\nRUNS = sys.executable + ' calls/text.py'\n"
    "def test_it():\n    assert not ctypes.CDLL(None).system(RUNS.encode())\n",
    "leads": "def test_it():\n    import leads.text\n",
    "cached": "import sys\ndef test_it(monkeypatch):\n"
    "    monkeypatch.setattr(sys, 'pycache_prefix', '{besides}')\n    import cached.text\n",
    "inner": "try:\n    import _interpreters as i\nexcept ImportError:\n    import _xxsubinterpreters as i\n"
    "def test_it():\n    assert i.run_string(i.create(), 'exec(open(\"inner/text.py\").read())') is None\n",
    "native": "import native._core, os\ndef test_it():\n    assert os.path.getsize('native/text.py') < 9\n",
    "packaged": "import os, sys\nsys.path.append('{packages}')\nimport foreign._core\n"
    "def test_it():\n    assert os.path.getsize('packaged/text.py') < 9\n",
    "handed": "import sys\nsys.path.append('{packages}')\nimport magic\n"
    "def test_it():\n    assert magic.run(sys.executable + ' handed/text.py')\n",
}
RUN = "import ctypes\ndef run(line):\n    return not ctypes.CDLL(None).system(line.encode())\n"
"""Tests that fail where `text.py` in the folder of their name is another, and how they come to it."""


async def test_what_passed_is_run_again_where_what_it_used_may_be_more_than_was_seen(bench: Bench) -> None:
    (bench.root.parent / "besides").mkdir()
    packages = bench.root.parent / "site-packages"
    (packages / "foreign").mkdir(parents=True)
    (bench.root / "leads").symlink_to("../besides")
    for name, text in UNSEEN.items():
        bench.write(f"{name}/text.py", "X = 1\n")
        bench.write(f"of_{name}.py", "X = 1\n")
        there = text.replace("{besides}", str(bench.root.parent / "pyc")).replace("{packages}", str(packages))
        bench.write(f"test_{name}.py", f"import of_{name}\n{there}")
    for folder in (bench.root / "native", packages / "foreign"):
        shutil.copy(msgspec._core.__file__, folder)
    (packages / "magic.py").write_text(RUN)
    engine = await learnt(bench, "9 passed")
    for name in UNSEEN:
        for path, text, state in (
            (f"of_{name}.py", "X = 2\n", "passed"),
            (f"{name}/text.py", "X = 2\nassert X == 1\n", "failed"),
        ):
            bench.write(path, text)
            engine.wrote((path,))
            assert (await bench.one(engine, "pytest")).state == state, name
        for path in (f"of_{name}.py", f"{name}/text.py"):
            bench.write(path, "X = 1\n")
            engine.wrote((path,))


def test_native_code_that_was_loaded_before_is_believed_of_known_packages_alone() -> None:
    module = type(msgspec)("core")
    for path, state in (
        (msgspec._core.__file__, False),
        (None, False),
        (f"{STANDARD}lib-dynload/_json.cpython-311-x86_64-linux-gnu.so", False),
        (f"{STANDARD}site-packages/_cffi_backend.cpython-311-x86_64-linux-gnu.so", True),
        ("/usr/lib/python3/dist-packages/lxml/etree.so", True),
        ("/home/me/ws/numpy/_core.so", True),
    ):
        module.__spec__ = ModuleSpec("core", None, origin=path)
        assert strange(module) is state, path
    assert not strange(msgspec)


STOPS = """import pytest

def pytest_configure(config):
    config.pluginmanager.load_setuptools_entrypoints("of_nobody")

def pytest_collection_modifyitems(items):
    items[:] = [item for item in items if item.name != "test_never"]

@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    if (yield).get_result().failed:
        item.session.shouldfail = "enough"
"""
MORE = {"c": "    __import__('pytest').skip()\n", "d": "def test_never():\n    pass\n"}


async def test_a_file_that_was_skipped_or_not_run_to_its_end_has_not_passed(bench: Bench) -> None:
    bench.write("conftest.py", STOPS)
    bench.write("of_all.py", "X = 1\n")
    for name in "abcd":
        text = f"import of_all\ndef test_{name}():\n    assert of_all.X != '{name}'\n"
        bench.write(f"test_{name}.py", text + MORE.get(name, ""))
    for n in range(6):
        bench.write(f"of_z{n}.py", "X = 1\n")
        bench.write(f"test_z{n}.py", f"import of_z{n}\ndef test_z():\n    pass\n")
    engine = await learnt(bench, "9 passed, 1 skipped")
    for path, text, said in (
        ("of_all.py", "X = 2\n", "4 of 10 test files: 3 passed, 1 skipped"),
        ("of_z0.py", "X = 2\n", "3 of 10 test files: 2 passed, 1 skipped; 2 more passed before, untouched since"),
        ("of_all.py", "X = 'b'\n", "5 of 10 test files: 1 of 2 failed: test_b"),
        ("of_z1.py", "X = 2\n", "6 of 10 test files: 1 of 2 failed: test_b"),
    ):
        bench.write(path, text)
        engine.wrote((path,))
        assert (await bench.one(engine, "pytest")).summary == said


@pytest.mark.parametrize(
    ("root", "nodeid", "name"),
    [
        ("ws", "tests/test_a.py::test_a[x/y]", "tests/test_a.py::test_a[x/y]"),
        (".", "ws/tests/test_a.py::test_a[::]", "tests/test_a.py::test_a[::]"),
        (".", "ws/test_a.py", "test_a.py"),
        (".", "other/test_a.py", "{above}/other/test_a.py"),
        ("ws/sub", "test_a.py::test_a", "{above}/ws/sub/test_a.py::test_a"),
        ("elsewhere", "test_a.py::test_a", "{above}/elsewhere/test_a.py::test_a"),
    ],
)
def test_names_are_those_of_the_workspace_wherever_pytest_has_its_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str, nodeid: str, name: str
) -> None:
    (tmp_path / "ws").mkdir()
    monkeypatch.chdir(tmp_path / "ws")
    report = Report([], "")
    session: Any = SimpleNamespace(config=SimpleNamespace(rootpath=tmp_path / root))
    report.pytest_sessionstart(session)
    report.pytest_collectreport(SimpleNamespace(failed=True, nodeid=nodeid, longrepr="1 / 0"))
    assert report.failed == [name.format(above=os.path.realpath(tmp_path))]
