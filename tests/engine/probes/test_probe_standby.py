"""Runs that had read their options before they were asked for, beside runs from scratch."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from engine.probes.test_probe_forked import Suite, plugin, suite, until
from jetbox.engine.probes.sessions import Ended

if TYPE_CHECKING:
    from engine.probes.conftest import Bench

__all__ = ["plugin", "suite"]
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forked runs need Linux")
TESTS = "from m import X\n\ndef test_a(): assert X == {}\n"
TELLS = (
    "import sys\ndef test_a(pytestconfig, request):\n    c = pytestconfig\n"
    "    p = c.invocation_params\n"
    "    own = [a for a in p.args if 'cache_dir' not in str(a)]\n"
    "    said = (own, str(p.dir), c.args, str(c.args_source), c.option.file_or_dir, str(c.rootpath), str(c.inipath),\n"
    "        [a for a in sys.argv if 'cache_dir' not in a], sys.path[:2], request.session.testscollected,\n"
    "        str(request.session.startpath), sorted(sys.modules.keys() & {'m', 'test_a', 'conftest'}))\n"
    "    assert 0, repr(said)\n"
)
READY = b"ready\n"
STALLS = (
    "import signal\ndef pytest_configure(config):\n    if not config.option.file_or_dir:\n"
    "        with open('begun', 'a') as file:\n            file.write('x')\n        signal.pause()\n"
)
"""A plugin that lets no run come to its session which does not know its files yet."""
REHEARSES = """import os, time
HOME = {root!r} + os.sep
def pytest_sessionstart():
    if not os.path.exists('test_a.py'):
        with open(HOME + 'rehearsed', 'a') as file:
            file.write('.')
        while not os.path.exists(HOME + 'seen'):
            time.sleep(0.01)
def pytest_unconfigure():
    if not os.path.exists('test_a.py'):
        open(HOME + 'over', 'w').close()
"""
"""A plugin with which an empty run ends once another one has."""


async def ran(suite: Suite, *files: str) -> Ended:
    await suite.tree.sweep()
    return await suite.probe.sessions.run(files)


async def idle(suite: Suite) -> None:
    """Until a run that the server has begun ahead says that it has read its options."""
    async with asyncio.timeout(120):
        while not any(has_said(process, READY) for process in interpreters(suite.bench.root)):
            await asyncio.sleep(0.01)


async def ahead(suite: Suite, *files: str) -> Ended:
    """One that was begun ahead."""
    await suite.tree.sweep()
    await suite.probe.sessions.prepare()
    await idle(suite)
    ended = await ran(suite, *files)
    assert ended.ahead, "what was begun ahead was of no use"
    return ended


def has_said(process: int, words: bytes) -> bool:
    """True where as much as these words waits in a pipe that the process writes to, and nobody has read it yet."""
    with suppress(OSError):
        for entry in Path(f"/proc/{process}/fd").iterdir():
            with suppress(OSError):
                if os.readlink(entry).startswith("pipe:") and flags(process, entry.name) & os.O_WRONLY:
                    pipe = os.open(entry, os.O_RDONLY | os.O_NONBLOCK)
                    try:
                        waiting = fcntl.ioctl(pipe, termios.FIONREAD, bytes(4))
                    finally:
                        os.close(pipe)
                    if int.from_bytes(waiting, sys.byteorder) == len(words):
                        return True
    return False


def flags(process: int, fd: str) -> int:
    """How this descriptor was opened."""
    told = Path(f"/proc/{process}/fdinfo/{fd}").read_text().split()
    return int(told[told.index("flags:") + 1], 8)


def interpreters(root: Path) -> list[int]:
    """Processes of Python that are at work in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").readlink() == root.resolve():
                program = (entry / "cmdline").read_bytes().partition(b"\0")[0]
                if b"python" in program and int(entry.name) != os.getpid():
                    found.append(int(entry.name))
    return found


async def at_rest(root: Path) -> list[int]:
    """The same, once each of them waits for something."""
    async with asyncio.timeout(120):
        while True:
            found = interpreters(root)
            # One that was still to be forked while they were listed is there once they sleep.
            if found and all(sleeps(process) for process in found) and found == interpreters(root):
                return found
            await asyncio.sleep(0.01)


def sleeps(process: int) -> bool:
    """True where it waits, and for no disk."""
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "S"
    return False


def failure(ended: Ended) -> list[str]:
    """What a test told by its failure."""
    return [line for line in ended.output.splitlines() if line.startswith("E ")]


async def test_each_edit_is_judged_as_it_is(bench: Bench, suite: Suite) -> None:
    bench.write("m.py", "X = 0\n")
    bench.write("test_a.py", TESTS.format(0))
    for n in range(4):
        bench.write("m.py", f"X = {n}\n")
        bench.write("test_a.py", TESTS.format(n + n % 2))
        ended = await (ahead if n > 1 else ran)(suite, "test_a.py")
        assert ended.code == n % 2, ended.output


@pytest.mark.parametrize(
    "configuration",
    [
        {"pyproject.toml": "[tool.pytest.ini_options]\naddopts = '-rA'\n"},
        {"tox.ini": "[pytest]\ntestpaths = sub\n", "sub/test_c.py": "def test_c(): pass\n"},
        {
            "pytest.ini": "[pytest]\naddopts = --strange=1\npythonpath = lib\n",
            "lib/m.py": "",
            "conftest.py": "import m\ndef pytest_addoption(parser): parser.addoption('--strange')\n",
            "sub/conftest.py": "def pytest_addoption(parser): parser.addoption('--stranger', default=m.X)\nimport m\n"
            "m.X = 1\n",
        },
    ],
)
async def test_it_means_the_same(bench: Bench, suite: Suite, configuration: dict[str, str]) -> None:
    for path, text in {**configuration, "test_a.py": TELLS, "sub/test_a_too.py": TELLS}.items():
        bench.write(path, text)
    whole: tuple[tuple[str, ...], ...] = () if "tox.ini" in configuration else ((),)
    for files in (("test_a.py",), ("sub/test_a_too.py", "test_a.py"), *whole):
        soon = await ahead(suite, *files)
        plain = await suite.probe.sessions.plain(files)
        assert failure(soon) == failure(plain)
        assert failure(soon) or not files
        assert soon.said is not None
        assert soon.said.collected == ([] if files else ["sub/test_a_too.py", "test_a.py"])
        assert msgspec.structs.replace(soon.said, collected=[], opened=None) == plain.said


async def test_another_configuration_is_read_anew(bench: Bench, suite: Suite) -> None:
    bench.write("test_a.py", "def test_a(): pass\ndef check_b(): assert 0\n")
    await ahead(suite, "test_a.py")
    bench.write("pytest.ini", "[pytest]\npython_functions = check_*\n")
    assert (await ran(suite, "test_a.py")).code == 1
    await ahead(suite, "test_a.py")
    bench.write("pytest.ini", "[pytest]\npython_functions = chick_*\n")
    assert (await ran(suite, "test_a.py")).code == 5
    (bench.root / "pytest.ini").unlink()
    assert (await ran(suite, "test_a.py")).code == 0


async def test_folders_that_are_named_for_a_whole_run_are_looked_for_when_it_begins(bench: Bench, suite: Suite) -> None:
    bench.write("pytest.ini", "[pytest]\ntestpaths = t*\n")
    bench.write("ta/test_a.py", "def test_a(): pass\n")
    await ahead(suite, "ta/test_a.py")
    await idle(suite)
    bench.write("tb/test_b.py", "def test_b(): assert 0\n")
    assert (await ran(suite)).code == 1


async def test_a_module_that_comes_is_found_instead_of_one_that_the_options_had_loaded(
    bench: Bench, suite: Suite
) -> None:
    bench.write("pytest.ini", "[pytest]\naddopts = -p xdist\n")
    bench.write("test_a.py", "import queue\ndef test_a(): assert hasattr(queue, 'OWN')\n")
    assert (await ahead(suite, "test_a.py")).code == 1
    await idle(suite)
    bench.write("queue.py", "class Queue: OWN = 1\nSimpleQueue = Empty = Full = OWN = Queue\n")
    soon, plain = await ran(suite, "test_a.py"), await suite.probe.sessions.plain(("test_a.py",))
    assert (soon.code, plain.code) == (0, 0), soon.output


async def test_a_conftest_that_comes_is_loaded(bench: Bench, suite: Suite) -> None:
    bench.write("tests/test_a.py", "def test_a(one): assert one == 1\n")
    assert (await ahead(suite, "tests/test_a.py")).code == 1
    bench.write("tests/conftest.py", "import pytest\n@pytest.fixture\ndef one(): return 1\n")
    ended = await ran(suite, "tests/test_a.py")
    assert (ended.code, ended.ahead) == (0, False)
    bench.write("tests/conftest.py", "import pytest\n@pytest.fixture\ndef one(): return 2\n")
    assert (await ahead(suite, "tests/test_a.py")).code == 1


@pytest.mark.parametrize(
    "files",
    [
        {"sub/setup.py": ""},
        {"pytest.ini": "[pytest]\naddopts = -p helper\n", "helper.py": ""},
        {"pytest.ini": "[pytest]\naddopts = @more.txt\n", "more.txt": "-q"},
        {"pytest.ini": "[pytest]\nlog_file = test.log\n"},
        {"pytest.ini": "[pytest]\naddopts = test_a.py\n"},
        {"pytest.ini": "[pytest]\naddopts = --confcutdir=sub\n", "sub/a.txt": ""},
        {"pytest.ini": "[pytest]\naddopts = --confcutdir=sub\n", "sub/conftest.py": ""},
        {"pytest.ini": "[pytest]\naddopts = -c sub/my.ini --rootdir=.\n", "sub/my.ini": "[pytest]\n"},
    ],
)
async def test_where_it_could_mean_something_else_none_is_begun(
    bench: Bench, suite: Suite, files: dict[str, str]
) -> None:
    for path, text in {**files, "test_a.py": "def test_a(): pass\n"}.items():
        bench.write(path, text)
    assert not any([(await ran(suite, "test_a.py")).ahead for _ in range(3)])


async def test_a_plugin_of_which_nothing_is_known_waits_for_the_files(
    bench: Bench, suite: Suite, plugin: Callable[..., None]
) -> None:
    plugin(REHEARSES.format(root=str(bench.root)))
    bench.write("test_a.py", "def test_a(): open('seen', 'w').close()\n")
    rehearsed = bench.root / "rehearsed"
    await suite.tree.sweep()
    await suite.probe.sessions.prepare()
    await until(rehearsed)
    for _ in range(3):
        ended = await ran(suite, "test_a.py")
        assert (ended.code, ended.forked, ended.ahead) == (0, True, False)
    # What every run imports late is found out while others are made, once.
    await until(bench.root / "over")
    assert rehearsed.read_text() == "."


@pytest.mark.parametrize(
    ("deed", "state"),
    [
        ("import os; os._exit(0)", "error"),
        ("bytearray(8 * 1024**3)", "failed"),
        ("import sys; sys.stdout.write('x' * 10_000_000)", "passed"),
    ],
)
async def test_what_a_test_does_is_its_own_affair(bench: Bench, suite: Suite, deed: str, state: str) -> None:
    bench.write("test_a.py", f"def test_a():\n    {deed}\n")
    ended = await ahead(suite, "test_a.py")
    assert suite.probe._verdict(ended).state == state


@pytest.mark.parametrize(
    "deed", ["import sys; sys.exit(3)", "import os; os._exit(4)", "import pytest; pytest.exit('no')"]
)
async def test_a_conftest_that_leaves_ends_it_as_one_from_scratch(bench: Bench, suite: Suite, deed: str) -> None:
    bench.write("test_a.py", "def test_a(): pass\n")
    bench.write("conftest.py", f"{deed}\n")
    await suite.tree.sweep()
    await suite.probe.sessions.prepare()
    await idle(suite)
    ended, plain = await ran(suite, "test_a.py"), await suite.probe.sessions.plain(("test_a.py",))
    assert (suite.probe._judge(ended), ended.code) == (suite.probe._judge(plain), plain.code)
    bench.write("conftest.py", "")
    mended = await ran(suite, "test_a.py")
    assert (mended.code, mended.forked, suite.told) == (0, True, []), "forking goes on"


async def test_one_that_nobody_wanted_goes_with_its_server(bench: Bench, suite: Suite) -> None:
    bench.write("test_a.py", "def test_a(): pass\n")
    await ahead(suite, "test_a.py")
    await idle(suite)
    await suite.probe.close()
    assert not interpreters(bench.root)


async def test_one_that_takes_too_long_is_waited_for_no_longer_and_followed_by_no_other(
    bench: Bench, suite: Suite, plugin: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jetbox.engine.probes.zygote.AHEAD_S", 0.0)
    plugin(STALLS)
    bench.write("test_a.py", "def test_a(): pass\n")
    await suite.probe.sessions.prepare()
    await until(bench.root / "begun")
    for _ in range(3):
        ended = await ran(suite, "test_a.py")
        assert (ended.code, ended.forked, ended.ahead) == (0, True, False)
    assert len(await at_rest(bench.root)) == 1, "the server alone is left"
    assert (bench.root / "begun").read_text() == "x", "no other was begun"
