"""mypy and pyright as probes: real mypy; what pyright printed, printed again."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jetbox.engine.options import PerformanceOptions, ProbeOptions
from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.inscope import out_of_scope
from jetbox.engine.probes.interpreter import Interpreters
from jetbox.engine.probes.known import KnownFailures
from jetbox.engine.probes.mypy import MypyProbe
from jetbox.engine.probes.runner import ProbeEngine
from jetbox.engine.safety.choose import choose_sandbox
from jetbox.engine.safety.process import Finished, ProcessRunner

if TYPE_CHECKING:
    from engine.probes.conftest import Bench

PLAIN = PerformanceOptions(probe_early=False, probe_baseline=False)


def engine_of(bench: Bench, **options: Any) -> ProbeEngine:
    return bench.engine(performance=PLAIN, **{"ruff": False, "pytest": False, **options})


@pytest.fixture
async def confined(bench: Bench) -> AsyncIterator[Bench]:
    sandbox = await choose_sandbox(bench.root, enabled=True, network=False)
    bench.processes = ProcessRunner(sandbox, bench.root)
    yield bench
    for engine in bench.engines:
        await engine.close()
    await sandbox.close()


def same_time(path: Path, text: str) -> None:
    """Write another text of the same length, and put the time back."""
    seen = path.stat()
    assert len(text) == seen.st_size
    path.write_text(text)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


async def test_mypy_is_never_taken_in_by_its_own_cache(confined: Bench) -> None:
    bench, started = confined, asyncio.Event()
    engine = engine_of(bench, mypy=True)
    bench.write("pkg/__init__.py", "Y: int = 11\n")
    module = bench.write("pkg/a.py", "X: int = 11\n")
    bench.write("pkg/b.py", "from pkg import Y\nfrom pkg.a import X\n\nZ: int = X + Y\n")
    passed = await bench.one(engine, "mypy")
    assert (passed.state, passed.summary) == ("passed", "no issues found in 3 source files")
    same_time(module, 'X: int = ""\n')
    failed = await bench.one(engine, "mypy")
    assert (failed.state, failed.summary, failed.why) == ("failed", "1 error in 1 file", "pkg/a.py changed")
    place = "pkg/a.py:1:10: error: Incompatible types in assignment"
    assert failed.output.startswith(place)
    assert [name.startswith(place.replace(" error:", "")) for name in failed.failing] == [True]
    same_time(module, "X: str = ''\n")
    assert "pkg/b.py:4:14" in (await bench.one(engine, "mypy")).output
    same_time(module, "X: int = 11\n")
    assert (await bench.one(engine, "mypy")).cache == "hit"
    same_time(bench.root / "pkg/__init__.py", "Y: str = ''\n")
    assert (await bench.one(engine, "mypy")).summary == "1 error in 1 file"
    assert sorted(path.name for path in bench.root.iterdir()) == ["pkg"]
    # A run that is cut off may leave what it knew by then.
    same_time(module, 'X: int = ""\n')
    bench.on_start = lambda name: started.set()
    asked = asyncio.create_task(engine.verdicts())
    await started.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert (await bench.one(engine, "mypy")).summary == "2 errors in 2 files"


async def test_mypys_verdict_depends_on_program_text_and_configuration(bench: Bench) -> None:
    bench.write("a.py", "def f(x):\n    return x\n")
    bench.write("README.md", "1")
    engine = engine_of(bench, mypy=True)
    assert (await bench.one(engine, "mypy")).cache == "ran"
    bench.write("README.md", "2")
    assert (await bench.one(engine, "mypy")).cache == "hit"
    # Of this module alone: what mypy knows of the standard library holds.
    bench.write("mypy.ini", "[mypy]\n[mypy-a]\ndisallow_untyped_defs = true\n")
    strict = await bench.one(engine, "mypy")
    assert (strict.state, strict.summary) == ("failed", "1 error in 1 file")
    (bench.root / "mypy.ini").unlink()
    assert (await bench.one(engine, "mypy")).cache == "hit"
    assert not (bench.root / ".mypy_cache").exists()


async def test_mypy_checks_what_the_configuration_says(bench: Bench) -> None:
    bench.write("app/a.py", "X: int = 1\n")
    bench.write("old/b.py", "X: int = ''\n")
    bench.write("pyproject.toml", "[project]\nname = 'x'\nfiles = 1\n[tool.mypy]\nstrict = true\nfiles = ['app']\n")
    engine = engine_of(bench, mypy=True)
    assert (await bench.one(engine, "mypy")).summary == "no issues found in 1 source file"
    # How findings are written is not the project's to say.
    bench.write("pyproject.toml", "[tool.mypy]\nstrict = true\nerror_summary = false\n[tool.x]\nfiles = ['app']\n")
    assert (await bench.one(engine, "mypy")).summary == "1 error in 1 file"


BROKEN = (
    ("mypy.ini", "[mypy\n", "error", "mypy.ini: File contains no section headers."),
    ("pyproject.toml", "[tool.mypy\n", "error", "pyproject.toml: Expected ']' at the end of a table"),
    ("mypy.ini", "[mypy]\nfoo = 1\n", "passed", "no issues found in 1 source file; mypy.ini: [mypy]: Unrec"),
    ("b.py", "def f(:\n", "failed", "2 errors in 1 file"),
    ("mypy.ini", "[mypy]\nexclude = .*\n", "skipped", "no Python files to check"),
    ("mypy.ini", "[mypy]\nplugins = nowhere\n", "failed", "1 error in 1 file"),
)


@pytest.mark.parametrize(
    ("settings", "path", "kept"),
    [
        ("mypy_path = $MYPY_CONFIG_FILE_DIR/stubs", "stubs/out.pyi", True),
        ("mypy_path = stubs:\n    ../elsewhere", "../elsewhere/out.pyi", False),
        ("files = a.py, script", "script", True),
        ("Mypy_Path: ../elsewhere", "../elsewhere/out.pyi", False),
    ],
)
async def test_places_that_mypys_configuration_names_count(bench: Bench, settings: str, path: str, kept: bool) -> None:
    bench.write("mypy.ini", f"[mypy]\n{settings}\n")
    bench.write("a.py", "" if path == "script" else "from out import f\n\nx: int = f()\n")
    texts = (
        ("x: int = 1\n", "x: int = ''\n") if path == "script" else (f"def f() -> {n}: ...\n" for n in ("int", "str"))
    )
    engine = bench.engine(ruff=False, pytest=False, mypy=True)
    for text, state in zip(texts, ("passed", "failed"), strict=True):
        bench.write(path, text)
        found = [await bench.one(engine, "mypy") for _ in range(2)]
        assert [(v.state, v.cache) for v in found] == [(state, "ran"), (state, "hit" if kept else "ran")]


@pytest.mark.parametrize(("named", "kept"), [("other/bin/python", False), (sys.executable, True)])
async def test_a_verdict_of_mypys_for_another_interpreter_is_not_kept(bench: Bench, named: str, kept: bool) -> None:
    bench.root.joinpath("other/bin").mkdir(parents=True)
    bench.root.joinpath("other/bin/python").symlink_to(sys.executable)
    bench.write("mypy.ini", f"[mypy]\npython_executable = {named}\n")
    bench.write("a.py", "x: int = 1\n")
    engine = engine_of(bench, mypy=True)
    assert [(await bench.one(engine, "mypy")).cache for _ in range(2)] == ["ran", "hit" if kept else "ran"]


async def test_a_verdict_of_mypys_depends_on_what_the_user_has_set_for_all_projects(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    of_user = tmp_path / "home/.config/mypy/config"
    of_user.parent.mkdir(parents=True)
    of_user.write_text("[mypy]\n")
    bench.write("a.py", "def f(x):\n    return x\n")
    engine = engine_of(bench, mypy=True)
    assert [(await bench.one(engine, "mypy")).cache for _ in range(2)] == ["ran", "hit"]
    of_user.write_text("[mypy]\ndisallow_untyped_defs = true\n")
    verdict = await bench.one(engine, "mypy")
    assert (verdict.state, verdict.cache) == ("failed", "ran")


async def test_mypy_and_what_is_broken(bench: Bench) -> None:
    bench.write("a.py", "X: int = 1\n")
    engine = engine_of(bench, mypy=True)
    for path, text, state, summary in BROKEN:
        broken = bench.write(path, text)
        verdict = await bench.one(engine, "mypy")
        assert (verdict.state, verdict.cache, verdict.summary[: len(summary)]) == (state, "ran", summary), text
        broken.unlink()


async def mypy_on(bench: Bench, files: dict[str, str]) -> MypyProbe:
    for path, text in files.items():
        bench.write(path, text)
    tree = Tree(bench.root, out_of_scope)
    await tree.sweep()
    return MypyProbe(bench.root, bench.processes, ProbeOptions(), tree, Interpreters(bench.root, bench.processes, ""))


@pytest.mark.parametrize(
    ("files", "reads_more"),
    [
        ({"mypy.ini": "[mypy]\nplugins = plug.py\n"}, True),
        ({"mypy.ini": "[mypy]\nplugins = pydantic.mypy\nstrict = true\n"}, False),
        ({"mypy.ini": "[mypy]\nplugins = pydantic.mypy\n", "src/pydantic/mypy.py": ""}, True),
        ({"setup.cfg": "[mypy]\nplugins =\n    pydantic.mypy,\n    mypy_django_plugin.main\n"}, True),
        ({"pyproject.toml": "[tool.mypy]\nplugins = [\n    'pydantic.mypy',\n    'tools/plug.py',\n]\n"}, True),
        ({"pyproject.toml": "[tool.coverage]\nplugins = ['plug']\n[tool.mypy]\nstrict = true\n"}, False),
        ({"pyproject.toml": "[tool]\nmypy.plugins = 'plug.py'\n"}, True),
        ({"mypy.ini": "[DEFAULT]\nPLUGINS: plug.py\n[mypy]\n"}, True),
        ({"../setup.cfg": "[mypy]\nplugins = plug\n"}, True),
        ({}, False),
    ],
)
async def test_a_plugin_of_the_workspace_can_read_any_file(
    bench: Bench, files: dict[str, str], reads_more: bool
) -> None:
    probe = await mypy_on(bench, files)
    assert probe._reads_more() is reads_more


async def test_with_a_plugin_of_the_workspace_every_file_counts_and_nothing_is_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = await mypy_on(bench, {"mypy.ini": "[mypy]\nplugins = plug.py\n", "plug.py": "", "read.txt": ""})
    files, asked = probe._tree.last, []

    async def ran(argv: list[str], *, behind: bool) -> Finished:
        asked.append(argv)
        return Finished("exited", 0, "", 0, 0)

    monkeypatch.setattr(probe, "_ran", ran)
    await probe.scope({})
    assert "read.txt" in probe.narrow(files).files
    for _ in range(2):
        await probe.run()
    bench.write("mypy.ini", "[mypy]\n")
    await probe.scope({})
    assert "read.txt" not in probe.narrow(files).files
    await probe.run()
    assert [argv[5] for argv in asked][:2] == ["all", "all"]
    assert asked[2][5] != "all"


async def test_syntax_errors_hide_others_so_none_of_them_is_known(bench: Bench) -> None:
    bench.write("a.py", "def f(:\n")
    assert (await bench.one(engine_of(bench, mypy=True), "mypy")).failing == ()


async def test_without_python_files_or_programs_both_are_skipped(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    bench.write("README.md", "")
    engine = engine_of(bench, mypy=True, pyright=True)
    assert {(v.state, v.summary) for v in await engine.verdicts()} == {("skipped", "no Python files")}
    bench.write("a.py", "")
    (bench.root / ".venv/bin").mkdir(parents=True)
    (bench.root / ".venv/bin/python").symlink_to("/usr/bin/true")
    bench.write(".venv/pyvenv.cfg", "")
    assert [(v.state, v.summary) for v in await engine.verdicts()] == [
        ("skipped", "mypy is not installed; cure: .venv/bin/python -m pip install mypy"),
        ("skipped", "pyright is not installed; cure: npm install --save-dev pyright"),
    ]


async def test_failures_of_mypy_from_before_are_told_apart(bench: Bench) -> None:
    bench.write("old.py", "X: int = ''\n")
    engine = engine_of(bench, mypy=True)
    known = KnownFailures(None)
    known.baseline(await bench.one(engine, "mypy"))
    bench.write("old.py", "import os\n\nprint(os)\nX: int = ''\n")
    moved = known.split(await bench.one(engine, "mypy"))
    assert moved.output.startswith("old.py:4:10:")
    assert moved.excused
    bench.write("new.py", "Y: int = ''\n")
    split = known.split(await bench.one(engine, "mypy"))
    assert not split.excused
    assert len(split.known) == 1
    assert split.summary.startswith("1 new of 2 problems: new.py:1:10: Incompatible types")


FOUND = """\
{root}/a.py
  {root}/a.py:2:10 - error: Type "Literal['a']" is not assignable to declared type "int"
\u00a0 \u00a0 "Literal['a']" is not assignable to "int" (reportAssignmentType)
  {root}/a.py:3:1 - warning: Import "x" is not accessed (reportUnusedImport)
    more of the warning
  {root}/pkg/b.py:4:12 - error: Return type is unknown (reportReturnType)
2 errors, 1 warning, 0 informations
"""
CONFIG = """\
Config file "{root}/pyrightconfig.json" could not be parsed. Verify that format is correct.
0 errors, 0 warnings, 0 informations
"""


def pyright(bench: Bench, text: str, code: int, first: str = "#!/bin/sh") -> None:
    """A program that prints what pyright 1.1 printed, in the place where npm puts it."""
    said = bench.write("said.txt", text.format(root=bench.root))
    made = bench.write("node_modules/.bin/pyright", f"{first}\ncat {said}\nexit {code}\n")
    made.chmod(0o755)


@pytest.mark.parametrize(
    ("text", "code", "state", "summary"),
    [
        (FOUND, 1, "failed", "2 errors in 2 files"),
        (CONFIG, 3, "error", 'Config file "'),
        ("0 errors, 0 warnings, 0 informations \n", 0, "passed", "0 errors"),
        ("0 errors, 2 warnings, 0 informations\n", 0, "passed", "0 errors, 2 warnings"),
        ("1 error, 0 warnings, 0 informations\n", 0, "error", "exit code 0"),
        ("", 0, "error", "exit code 0"),
        ("Fatal: out of memory\n", 2, "error", "Fatal: out of memory"),
        ("x\n", 127, "error", "a program is missing: x"),
    ],
)
async def test_what_pyright_prints_is_read(bench: Bench, text: str, code: int, state: str, summary: str) -> None:
    bench.write("a.py", "")
    pyright(bench, text, code)
    verdict = await bench.one(engine_of(bench, pyright=True), "pyright")
    assert verdict.state == state
    assert verdict.summary.startswith(summary)
    if state == "failed":
        assert verdict.failing == (
            'a.py:2:10: Type "Literal[\'a\']" is not assignable to declared type "int" (reportAssignmentType)',
            "pkg/b.py:4:12: Return type is unknown (reportReturnType)",
        )
        assert "more of the warning" not in verdict.output


@pytest.mark.parametrize(
    ("path", "text", "folder"),
    [
        ("pyrightconfig.json", '{"extends"\n: "cfg/base.conf"}', "cfg"),
        ("../pyproject.toml", "[tool.pyright]\nextends = 'cfg/base.conf'\n", "../cfg"),
    ],
)
async def test_configuration_that_pyright_takes_in_counts_whatever_its_name(
    bench: Bench, path: str, text: str, folder: str
) -> None:
    bench.write(path, text)
    bench.write("a.py", "")
    bench.write(f"{folder}/base.conf", '{"extends": "../last.toml"}')
    bench.write(f"{folder}/../last.toml", "x = 1\n")
    pyright(bench, "0 errors, 0 warnings, 0 informations \n", 0)
    engine = engine_of(bench, pyright=True)
    assert (await bench.one(engine, "pyright")).cache == "ran"
    assert (await bench.one(engine, "pyright")).cache == "hit"
    for taken in ("base.conf", "../last.toml"):
        bench.write(f"{folder}/{taken}", '{"extends": "../last.toml", "x": 1}')
        assert (await bench.one(engine, "pyright")).cache == "ran"


@pytest.mark.parametrize(
    ("path", "text", "kept"),
    [
        ("pyrightconfig.json", '{"extraPaths": ["../elsewhere"]}', False),
        ("pyrightconfig.json", '{"stubPath": "/opt/stubs", "include": ["src"]}', False),
        ("pyrightconfig.json", '{"executionEnvironments": [{"root": "a", "extraPaths": ["b\\/..\\/..\\/c"]}]}', False),
        ("pyrightconfig.json", '{"venvPath": "${env:HOME}/venvs"}', False),
        ("pyproject.toml", "[tool.pyright]\ntypeshedPath = '~/typeshed'\n", False),
        ("pyproject.toml", "[tool]\npyright = {extraPaths = ['../elsewhere']}\n", False),
        ("pyproject.toml", "[tool.'pyright']\nextraPaths = ['../elsewhere']\n", False),
        ("pyproject.toml", "[[tool.pyright.executionEnvironments]]\nroot = '..'\n", False),
        ("pyproject.toml", "[tool.uv.sources]\nlib = {path = '../lib'}\n[tool.pyright]\nstubPath = 'stubs'\n", True),
        ("pyrightconfig.json", '{"$schema": "https://x/y", "exclude": ["**/a"], "extraPaths": ["lib/../src"]}', True),
        ("../pyrightconfig.json", '{"extraPaths": ["lib"]}', False),
        ("../pyrightconfig.json", '{"strict": ["lib"]}', True),
    ],
)
async def test_a_verdict_of_pyrights_is_kept_where_it_names_no_place_outside(
    bench: Bench, path: str, text: str, kept: bool
) -> None:
    bench.write(path, text)
    bench.write("a.py", "")
    pyright(bench, "0 errors, 0 warnings, 0 informations \n", 0)
    engine = engine_of(bench, pyright=True)
    found = [await bench.one(engine, "pyright") for _ in range(2)]
    assert [(v.state, v.cache) for v in found] == [("passed", "ran"), ("passed", "hit" if kept else "ran")]


async def test_pyright_without_what_runs_it_is_skipped(confined: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = confined
    bench.write("a.py", "")
    pyright(bench, "", 0, first="#!/usr/bin/env node")
    (bench.root / "bin").mkdir()
    monkeypatch.setenv("PATH", str(bench.root / "bin"))
    engine = engine_of(bench, pyright=True)
    assert (await bench.one(engine, "pyright")).summary == (
        "pyright needs node, which is not on PATH; cure: install Node.js"
    )
    pyright(bench, "", 0, first="#!/usr/bin/python3\nfrom pyright.cli import entrypoint")
    verdict = await bench.one(engine, "pyright")
    assert verdict.state == "skipped"
    assert "fetches its program from the network" in verdict.summary
