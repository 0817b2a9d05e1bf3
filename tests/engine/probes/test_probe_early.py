"""Early verdicts of pytest: what failed before stays failed unless what was run says otherwise."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

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


async def test_what_no_test_touches_leaves_what_failed(bench: Bench) -> None:
    early = await Early(bench)(failed("tests/test_b.py::test_b"), util="X = 2\n")
    assert early is not None
    assert (early.state, early.failing) == ("failed", ("tests/test_b.py::test_b",))


@pytest.mark.parametrize("name", ["ws/tests/test_b.py::test_b", "test_b.py::test_b", "::test_b"])
async def test_a_failure_that_is_in_no_known_file_is_not_taken_for_gone(bench: Bench, name: str) -> None:
    assert await Early(bench)(failed("tests/test_a.py::test_a", name), util="X = 2\n") is None


async def test_a_root_of_their_own_leaves_tests_to_the_whole_suite(bench: Bench) -> None:
    early = Early(bench)
    bench.write("tests/setup.py", "")
    assert await early(Verdict("pytest", "passed"), a="def a():\n    return 2\n") is None


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
