"""The probes in the sandbox that holds on this machine."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.probes.conftest import uncompared
from engine.probes.test_probe_surroundings import PLAIN, Place, one
from engine.rig import BARE_PYTEST
from jetbox.engine.options import PerformanceOptions, ProbeCommand
from jetbox.engine.probes.base import Scope, Verdict
from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.inscope import out_of_scope
from jetbox.engine.probes.report import verdict_text
from jetbox.engine.probes.unread import Unread
from jetbox.engine.safety.choose import choose_sandbox
from jetbox.engine.safety.process import ProcessRunner

if TYPE_CHECKING:
    from engine.probes.conftest import Bench

SUITE = """\
import os
import tempfile
from pathlib import Path

from m import V


def test_value(tmp_path):
    (tmp_path / "x").write_text("x")
    assert V == 1


def test_home_is_not_the_users():
    assert not Path({secret!r}).exists()


def test_signal():
    assert tempfile.gettempdir()
"""


@pytest.fixture(autouse=True)
def bare_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed plugins of this suite have no say in the sessions that it starts."""
    monkeypatch.setenv(BARE_PYTEST, "1")


async def test_what_the_sandbox_shuts_is_named_and_can_be_opened(bench: Bench, tmp_path: Path) -> None:
    place = Place(bench)
    python = place.environment / "bin" / "python"
    python.unlink()
    python.symlink_to(os.path.realpath(sys.executable))
    data = tmp_path / "data" / "numbers.txt"
    data.parent.mkdir()
    data.write_text("1\n")
    (bench.root / "numbers.txt").symlink_to(data)
    (tmp_path / "far").mkdir()
    (bench.root / "t").symlink_to(tmp_path / "far")
    (bench.root / "one").symlink_to(tmp_path / "far")
    for folders, state in (((), "failed"), ((data.parent, place.editable), "passed")):
        sandbox = await choose_sandbox(bench.root, enabled=True, network=False, readable=folders)
        if not sandbox.confines:
            pytest.skip("no sandbox works here")
        bench.processes = ProcessRunner(sandbox, bench.root, pass_env=(BARE_PYTEST,))
        engine = bench.engine(performance=PLAIN, ruff=False, store=tmp_path / "store")
        try:
            bench.write("test_one.py", "def test_one():\n    assert open('numbers.txt').read() == '1\\n'\n")
            verdict = await one(engine)
            assert (verdict.state, verdict.cache) == (state, "ran"), verdict
            # The links `t` and `one` are parts of other words of what pytest says, and no words of it.
            shut = f"; {data} lies outside the workspace, where the sandbox lets nothing be read; cure: permissions."
            assert (shut in verdict.summary) is not bool(folders), verdict.summary
            bench.write("test_one.py", "import shared.deep.m\n\n\ndef test_one():\n    pass\n")
            verdict = await one(engine)
            assert verdict.state == ("passed" if folders else "error")
            assert (f"; {place.editable} lies outside" in verdict.summary) is not bool(folders), verdict.summary
        finally:
            await engine.close()
            await sandbox.close()


def test_what_is_red_has_no_link_resolved_that_it_does_not_name(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(20):
        (tmp_path / f"far{n}").mkdir()
        (bench.root / f"link{n}").symlink_to(tmp_path / f"far{n}")
    tree = Tree(bench.root, out_of_scope)
    tree.sweep_now()
    monkeypatch.setattr(type(bench.processes.sandbox), "readable", ())
    resolved: list[str] = []

    def counted(path: str, real: Callable[[str], str] = os.path.realpath) -> str:
        resolved.append(path)
        return real(path)

    monkeypatch.setattr(os.path, "realpath", counted)
    far, said = tmp_path / "far7", "slink8 link9x link10.txt a/link11"
    for spoken in ("link7", "./link7/x.csv", f"{bench.root}/link7", f"'{far}/x y'", f"open({far}),"):
        verdict = Unread(tree, bench.processes).told(Verdict("pytest", "failed", "1", f"{said} {spoken}"), Scope())
        assert verdict.summary.startswith(f"1; {far} lies outside"), spoken
    assert set(resolved) == {str(far)}


@pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
async def test_configuration_that_comes_and_goes_above_counts(bench: Bench, tmp_path: Path, name: str) -> None:
    sandbox = await choose_sandbox(bench.root, enabled=True, network=False, prefer=name)
    if sandbox.name != name:
        pytest.skip(f"{name} does not work here")
    bench.processes = ProcessRunner(sandbox, bench.root, pass_env=(BARE_PYTEST,))
    above = {"pytest.ini": "[pytest]\npython_functions = check_*\n", "ruff.toml": 'lint.select = ["ANN"]\n'}
    engine = bench.engine()
    try:
        for n in range(2):
            bench.write("test_a.py", f"def test_a():\n    pass\n\n\ndef check_b():\n    x = {n}\n    assert x < 0\n")
            assert [v.state for v in await engine.verdicts(final=True)] == ["passed", "passed"]
            for file, text in above.items():
                (tmp_path / file).write_text(text)
            said = [v.summary.partition(":")[0] for v in await engine.verdicts(final=True)]
            assert said == ["2 problems", "1 of 1 failed"]
            for file in above:
                (tmp_path / file).unlink()
            assert [(v.state, v.cache) for v in await engine.verdicts(final=True)] == [("passed", "hit")] * 2
    finally:
        await engine.close()
        await sandbox.close()


async def test_configuration_that_is_replaced_above_counts(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    above = {
        "pytest.ini": ("[pytest]\npython_functions = test_*\n", "[pytest]\npython_functions = check_*\n"),
        "ruff.toml": ('lint.select = ["E9"]\n', 'lint.select = ["ANN"]\n'),
    }
    for file, (text, _) in above.items():
        (tmp_path / file).write_text(text)
    data = tmp_path / "data"
    data.mkdir()
    (data / "number").write_text("0")
    sandbox = await choose_sandbox(bench.root, enabled=True, network=False, readable=(data,))
    if sandbox.name != "bubblewrap":
        pytest.skip("bubblewrap does not work here")
    assert str(tmp_path) not in sandbox.readable, "in the home folder it is the files alone that can be read"
    bench.processes = ProcessRunner(sandbox, bench.root, pass_env=(BARE_PYTEST,))
    bench.write("test_a.py", "def test_a():\n    pass\n\n\ndef check_b():\n    x = 0\n    assert x\n")
    performance = PerformanceOptions(probe_early=False, probe_baseline=False, affected_first=False)
    engine = uncompared(bench.engine(performance=performance))
    try:
        assert [v.state for v in await engine.verdicts(final=True)] == ["passed", "passed"]
        for file, (_, text) in above.items():
            (tmp_path / "new").write_text(text)
            (tmp_path / "new").replace(tmp_path / file)
        said = [v.summary.partition(":")[0] for v in await engine.verdicts(final=True)]
        assert said == ["2 problems", "1 of 1 failed"]
        bench.write("test_a.py", f"def check_b():\n    assert open({str(data / 'number')!r}).read() == '1'\n")
        assert (await bench.one(engine, "pytest")).state == "failed"
        data.rename(tmp_path / "old")
        data.mkdir()
        (data / "number").write_text("1")
        bench.write("test_a.py", f"def check_b():\n    assert '1' == open({str(data / 'number')!r}).read()\n")
        assert (await bench.one(engine, "pytest")).state == "passed"
    finally:
        await engine.close()
        await sandbox.close()


async def test_configuration_in_the_home_folder_that_keeps_pytest_from_starting_is_told_with_the_cure(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    sandbox = await choose_sandbox(bench.root, enabled=True, network=False, prefer="landlock")
    if sandbox.name != "landlock":
        pytest.skip("landlock does not work here")
    bench.processes = ProcessRunner(sandbox, bench.root, pass_env=(BARE_PYTEST,))
    engine = bench.engine(performance=PLAIN, ruff=False)
    try:
        bench.write("test_a.py", "def test_a():\n    pass\n")
        verdict = await one(engine)
        assert verdict.state == "error"
        assert (
            f"; {tmp_path} is above the workspace, where the sandbox lets nothing be listed; cure: " in verdict.summary
        )
        bench.write("pytest.ini", "[pytest]\n")
        assert (await one(engine)).state == "passed"
    finally:
        await engine.close()
        await sandbox.close()


@pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
async def test_what_is_opened_may_come_and_go(bench: Bench, tmp_path: Path, name: str) -> None:
    data = tmp_path / "way" / "data"
    sandbox = await choose_sandbox(bench.root, enabled=True, network=False, readable=(data,), prefer=name)
    if sandbox.name != name:
        pytest.skip(f"{name} does not work here")
    bench.processes = ProcessRunner(sandbox, bench.root, pass_env=(BARE_PYTEST,))
    bench.write("check.sh", f"test -e {data}\n")
    command = ProbeCommand(name="check", command="sh check.sh")
    engine = bench.engine(
        performance=PLAIN, ruff=False, pytest=False, commands=(command,), read_outside=(f"{data.parent}/../way/data",)
    )
    try:
        for cache in ("ran", "hit"):
            for _ in range(2):
                assert (await one(engine)).state == "failed"
            data.mkdir(parents=True)
            verdict = await one(engine)
            assert (verdict.state, verdict.cache) == ("passed", cache)
            assert (await one(engine)).cache == "hit"
            (data / "file").touch()
            assert (await one(engine)).cache == "hit"
            shutil.rmtree(data.parent)
    finally:
        await engine.close()
        await sandbox.close()


async def test_both_probes_work_in_the_sandbox(bench: Bench) -> None:
    secret = os.path.join(os.environ["HOME"], "secret.txt")
    with open(secret, "w") as file:
        file.write("mine")
    sandbox = await choose_sandbox(bench.root, enabled=True, network=False)
    try:
        bench.processes = ProcessRunner(sandbox, bench.root, pass_env=(BARE_PYTEST,))
        bench.write("m.py", "V = 2\n")
        text = SUITE.format(secret=secret) if sandbox.confines else SUITE.format(secret="/nonexistent")
        bench.write("test_m.py", text.replace("import os\n", ""))
        engine = bench.engine()
        verdicts = await engine.verdicts()
        assert verdict_text(verdicts).startswith(
            "[probes] ruff: passed (0 problems); pytest: failed (1 of 3 failed: test_value)\n[pytest]\n"
        )
        bench.write("m.py", "V = 1\n")
        assert [(v.state, v.cache) for v in await engine.verdicts()] == [("passed", "partial"), ("passed", "ran")]
        assert engine._behind is not None
        await asyncio.wait({engine._behind.task})
        assert [(v.state, v.cache) for v in await engine.verdicts()] == [("passed", "hit")] * 2
        bench.write("test_m.py", "import os\n\n\ndef test_x():\n    os.kill(os.getpid(), 11)\n")
        assert (await engine.verdicts())[1].summary == "killed by SIGSEGV before the session ended"
    finally:
        await sandbox.close()
