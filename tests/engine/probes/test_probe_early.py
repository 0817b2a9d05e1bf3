"""Early verdicts of pytest: what failed before is run again, and what passed where it may be otherwise."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from engine.probes.conftest import uncompared
from jetbox.engine.options import PerformanceOptions, ProbeOptions
from jetbox.engine.probes.base import Change, Verdict
from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.inscope import out_of_scope
from jetbox.engine.probes.inside import Report
from jetbox.engine.probes.interpreter import Interpreters
from jetbox.engine.probes.pytest import PytestProbe

if TYPE_CHECKING:
    from engine.probes.conftest import Bench


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


RUNS = "import subprocess, sys\ndef test_p():\n    assert subprocess.run([sys.executable, 'prog.py']).returncode == 0\n"
LOOKS = "import os\ndef test_l():\n    assert not os.path.exists('flag.txt')\n    import b\n"
AFTER = "; 1 more passed before, untouched since"


async def test_of_several_edits_what_passed_holds_until_something_that_it_used_is_another(bench: Bench) -> None:
    for name in "ab":
        bench.write(f"{name}.py", f"def {name}():\n    return 1\n")
        bench.write(f"test_{name}.py", f"from {name} import {name}\ndef test_{name}():\n    assert {name}()\n")
    bench.write("lib.py", "X = 0\n")
    bench.write("prog.py", "import lib, sys\nsys.exit(lib.X)\n")
    for n in range(6):
        bench.write(f"test_z{n}.py", "def test_z():\n    pass\n")
    engine = uncompared(bench.engine(ruff=False, performance=PerformanceOptions(probe_baseline=False)))
    assert (await engine.verdicts(final=True))[0].summary == "8 passed"
    probe = engine.probes[0]
    assert isinstance(probe, PytestProbe)
    assert probe._following is not None
    await probe._following
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
