"""Byte code that is older than its source must never be what is judged."""

from __future__ import annotations

import os
import py_compile
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.probes.test_probe_interpreter import environment
from jetbox.engine.options import PerformanceOptions, ProbeCommand
from jetbox.engine.probes import bytecode, inside, sessions, zygote
from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.inscope import out_of_scope
from jetbox.engine.probes.inside import forget_stale

if TYPE_CHECKING:
    from engine.probes.conftest import Bench

SUITE = """\
import subprocess
import sys

from m import V


def test_here():
    assert V == 1


def test_in_another_process():
    shown = subprocess.run([sys.executable, "-c", "import m; print(m.V)"], capture_output=True, text=True)
    assert shown.stdout == "1\\n"
"""


def rewrite(path: Path, text: str) -> None:
    """Change a file without a trace in its size and modification time."""
    before = path.stat()
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


def test_fifty_edits_in_a_row_that_python_cannot_see(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text("V = 10\n")
    program = (
        "import sys; sys.path.insert(0, '.'); sys.dont_write_bytecode = False\n"
        "for n in sys.stdin:\n"
        "    sys.modules.pop('m', None); __import__('importlib').invalidate_caches()\n"
        "    import m; print(m.V, flush=True)\n"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None

        def value() -> str:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write("\n")
            child.stdin.flush()
            return child.stdout.readline()

        assert value() == "10\n"
        rewrite(path, "V = 11\n")
        # The trap is real: without help, Python serves what it compiled before.
        assert value() == "10\n"
        for n in range(50):
            rewrite(path, f"V = {n + 20}\n")
            assert forget_stale(str(tmp_path))
            assert value() == f"{n + 20}\n"
        child.stdin.close()


def test_a_link_that_is_turned_to_a_file_as_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "RECENT_NS", 0)
    for name in ("one", "two"):
        (tmp_path / name).write_text("V = 1\n")
    link, compiled = tmp_path / "m.py", tmp_path / "m.pyc"
    link.symlink_to("one")
    while not compiled.exists() or compiled.stat().st_ctime_ns <= link.lstat().st_ctime_ns:
        compiled.write_bytes(b"compiled")
    assert inside.fresh(str(compiled), [str(link)])
    link.unlink()
    link.symlink_to("two")
    assert not inside.fresh(str(compiled), [str(link)])


def separate(folder: Path) -> Path:
    """An environment with a pytest of its own, and nothing else."""
    packages, installed = environment(folder), Path(sysconfig.get_path("purelib"))
    # A link, or a path in a `.pth`, would lead to one more place whose byte code may be as old as its sources.
    for pattern in ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments", "pytest-*.dist-info"):
        for found in installed.glob(pattern):
            shutil.copytree(found, packages / found.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(installed / "py.py", packages)
    return packages


async def test_verdicts_follow_edits_that_python_cannot_see(bench: Bench) -> None:
    # Where what is imported was compiled as soon as it was installed, no byte code would be believed.
    separate(bench.root / ".venv")
    path = bench.write("m.py", "V = 3\n")
    test = bench.write("test_m.py", SUITE)
    engine = bench.engine(ruff=False)
    assert (await engine.verdicts())[0].summary == "2 of 2 failed: test_here, test_in_another_process"
    rewrite(path, "V = 1\n")
    assert (await engine.verdicts())[0].summary == "2 passed"
    # pytest keeps rewritten byte code of test files under another name.
    assert list((bench.root / "__pycache__").glob("test_m.*-pytest-*.pyc"))
    rewrite(test, SUITE.replace("V == 1", "V == 7"))
    assert (await engine.verdicts())[0].summary == "1 of 2 failed: test_here"


async def test_byte_code_that_others_left_behind_is_not_believed(bench: Bench) -> None:
    path = bench.write("m.py", "V = 3\n")
    bench.write("test_m.py", SUITE)
    py_compile.compile(str(path), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    rewrite(path, "V = 1\n")
    assert (await bench.engine(ruff=False).verdicts())[0].summary == "2 passed"


def test_byte_code_well_after_its_source_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.py"
    path.write_text("V = 3\n")
    cached = Path(py_compile.compile(str(path)) or "")
    forget_stale(str(tmp_path))
    assert not cached.exists()
    # A change time cannot be set back: move the border instead.
    monkeypatch.setattr(inside, "RECENT_NS", -1_000_000_000)
    py_compile.compile(str(path))
    forget_stale(str(tmp_path))
    assert cached.exists()


def test_environments_and_links_out_are_left_alone(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    kept = outside / "m.cpython-311.pyc"
    kept.write_bytes(b"")
    root = tmp_path / "ws"
    (root / "env" / "lib" / "__pycache__").mkdir(parents=True)
    (root / "env" / "pyvenv.cfg").write_text("")
    (root / "env" / "lib" / "m.py").write_text("")
    own = root / "env" / "lib" / "__pycache__" / "m.cpython-311.pyc"
    own.write_bytes(b"")
    (root / "m.py").write_text("")
    assert forget_stale(str(root))
    (root / "__pycache__").symlink_to(outside)
    assert not forget_stale(str(root)), "what may be stale and stays must not be believed"
    assert kept.exists()
    assert own.exists()


def test_byte_code_elsewhere_that_no_import_takes_does_no_harm(tmp_path: Path) -> None:
    root, outside = tmp_path / "ws", tmp_path / "outside"
    for folder in (root, outside):
        folder.mkdir()
    (root / "way").symlink_to(outside)
    path = outside / "m.py"
    path.write_text("V = 1\n")
    compiled = Path(py_compile.compile(str(path)) or "")
    for ways in ((), (str(outside),), (str(path),)):
        if ways:
            (root / "way").unlink(missing_ok=True)
        rewrite(path, "V = 2\n")
        assert not forget_stale(str(root), ways)
        path.write_text("V = 345\n")
        assert forget_stale(str(root), ways), "it is of a source of another size"
        path.write_text("V = 1\n")
        compiled = Path(py_compile.compile(str(path)) or "")
    assert compiled.exists(), "it is not ours to remove"


FORKS = pytest.mark.parametrize("forks", [True, False], ids=["forked", "from scratch"])


@FORKS
@pytest.mark.parametrize("way", ["link", "editable", "configured"])
async def test_verdicts_follow_edits_elsewhere_that_python_cannot_see(bench: Bench, way: str, forks: bool) -> None:
    packages = separate(bench.root / ".venv")
    outside = bench.root.parent / "outside"
    (outside / "pkg").mkdir(parents=True)
    path = outside / "pkg" / "m.py"
    path.write_text("V = 3\n")
    py_compile.compile(str(path))
    if way == "link":
        (bench.root / "pkg").symlink_to(outside / "pkg")
    elif way == "editable":
        (packages / "editable.pth").write_text(f"{outside}\n")
    else:
        bench.write("pytest.ini", "[pytest]\npythonpath = ../outside\n")
    bench.write("test_m.py", "import pkg.m\n\n\ndef test_here():\n    assert pkg.m.V == 1\n")
    engine = bench.engine(ruff=False, performance=PerformanceOptions(pytest_server=forks))
    for text, summary in (("V = 1\n", "1 passed"), ("V = 7\n", "1 of 1 failed: test_here"), ("V = 1\n", "1 passed")):
        rewrite(path, text)
        assert (await bench.one(engine, "pytest")).summary == summary


@FORKS
async def test_byte_code_is_not_believed_once_the_clock_went_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, forks: bool
) -> None:
    # Where the clock was set back by an hour, a source that is edited is older than what was compiled before.
    older = "RECENT_NS = -3_600_000_000_000"
    (text, *more), sources = sessions._sources(), zygote._sources()
    assert "RECENT_NS = 10_000_000_000" in text
    text = text.replace("RECENT_NS = 10_000_000_000", older)
    monkeypatch.setattr(sessions, "_sources", lambda: (text, *more))
    monkeypatch.setattr(zygote, "_sources", lambda: (text.encode(), *sources[1:]))
    path = bench.write("m.py", "V = 3\n")
    bench.write("test_m.py", SUITE)
    performance = PerformanceOptions(pytest_server=forks, probe_baseline=False)
    wall = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: wall() + 3_600_000_000_000)
    engine = bench.engine(ruff=False, performance=performance)
    assert (await engine.verdicts())[0].summary == "2 of 2 failed: test_here, test_in_another_process"
    rewrite(path, "V = 1\n")
    assert (await engine.verdicts())[0].state == "failed", "the trap is real"
    monkeypatch.setattr(time, "time_ns", wall)
    rewrite(path, "V = 5\n")
    rewrite(path, "V = 1\n")
    bench.write("more.py", "")
    assert (await engine.verdicts())[0].summary == "2 passed"


def test_byte_code_from_a_time_to_come_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.py").write_text("V = 3\n")
    cached = Path(py_compile.compile(str(tmp_path / "m.py")) or "")
    monkeypatch.setattr(inside, "RECENT_NS", -7_200_000_000_000)
    folders = [""]
    assert forget_stale(str(tmp_path))
    assert bytecode.forget_stale(str(tmp_path), folders)
    assert cached.exists()
    wall = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: wall() - 3_600_000_000_000)
    assert bytecode.forget_stale(str(tmp_path), folders)
    assert not cached.exists()
    py_compile.compile(str(tmp_path / "m.py"))
    assert forget_stale(str(tmp_path))
    assert not cached.exists()


async def test_commands_do_not_believe_byte_code_once_the_clock_went_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = Tree(bench.root, out_of_scope)
    bench.write("m.py", "V = 1\n")
    await tree.sweep()
    assert await bytecode.sources_only(tree, ()) == {}
    wall = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: wall() - 3_600_000_000_000)
    assert await bytecode.sources_only(tree, ()) == bytecode.NOWHERE
    monkeypatch.undo()
    assert await bytecode.sources_only(tree, ()) == bytecode.NOWHERE, "nor later in the session"


async def test_commands_follow_edits_that_python_cannot_see(bench: Bench) -> None:
    path = bench.write("pkg/m.py", "V = 1\n")
    command = ProbeCommand(name="check", command="python3 -c 'import pkg.m; print(pkg.m.V)'", scope=("*.py",))
    plain = PerformanceOptions(probe_early=False, probe_baseline=False)
    engine = bench.engine(performance=plain, ruff=False, pytest=False, commands=(command,))
    assert (await engine.verdicts())[0].summary == "1"
    assert list((bench.root / "pkg/__pycache__").glob("m.*.pyc"))
    rewrite(path, "V = 2\n")
    assert (await engine.verdicts(final=True))[0].summary == "2"


def test_stale_byte_code_of_the_folders_that_are_named_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "ws"
    kept = {}
    for folder in ("", "a", "a/b/c", "a-b", "other"):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / "m.py").write_text("V = 1\n")
        kept[folder] = Path(py_compile.compile(str(root / folder / "m.py")) or "")
    named = ("a/b/c", "", "a-b", "a", "gone", "a/gone/x")
    monkeypatch.setattr(inside, "RECENT_NS", -1_000_000_000_000)
    assert bytecode.forget_stale(str(root), named)
    assert all(path.exists() for path in kept.values())
    monkeypatch.undo()
    assert bytecode.forget_stale(str(root), named)
    assert [folder for folder, path in kept.items() if path.exists()] == ["other"]


def test_byte_code_behind_a_link_is_not_ours_to_remove_and_not_believed(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "ws"
    for folder in (outside / "__pycache__", root / "linked"):
        folder.mkdir(parents=True)
    compiled = outside / "__pycache__" / "m.cpython-311.pyc"
    compiled.write_bytes(b"")
    (outside / "m.py").write_text("")
    (root / "way").symlink_to(outside)
    (root / "linked" / "__pycache__").symlink_to(outside / "__pycache__")
    assert not bytecode.forget_stale(str(root), ["way"])
    assert not bytecode.forget_stale(str(root), ["linked"])
    assert compiled.exists()
