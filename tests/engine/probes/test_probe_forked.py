"""Runs of pytest that are forked, beside runs from scratch; real pytest, in the real sandbox."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from jetbox.engine.options import PerformanceOptions, ProbeOptions
from jetbox.engine.probes.affected import Affected
from jetbox.engine.probes.base import Change, Verdict
from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.inscope import out_of_scope
from jetbox.engine.probes.interpreter import Interpreters
from jetbox.engine.probes.pytest import PytestProbe
from jetbox.engine.probes.sessions import Ended, Sessions
from jetbox.engine.probes.shadows import Shadows
from jetbox.engine.safety.choose import choose_sandbox
from jetbox.engine.safety.process import Limits, ProcessRunner

if TYPE_CHECKING:
    from engine.moving import Clock
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

    def made(
        self, *, forks: bool = True, learns: bool = True, seconds: float = 60.0, memory: int = 4 * 1024**3
    ) -> PytestProbe:
        """A probe of its own kind."""
        return PytestProbe(
            self.bench.root,
            self.bench.processes,
            ProbeOptions(time_s=seconds, memory=memory),
            PerformanceOptions(pytest_server=forks, affected_first=learns),
            self.tree,
            Interpreters(self.bench.root, self.bench.processes, ""),
            store=self.store,
            notice=self.told.append,
        )

    def allow(self, seconds: float) -> None:
        """Give runs from now on so much time."""
        limited = msgspec.structs.replace(self.probe._options, time_s=seconds)
        self.probe._options = self.probe.sessions._options = limited

    def alone(self) -> None:
        """Nothing follows runs from now on: none is compared for long, and nothing is learnt of tests."""
        self.probe = self.made(learns=False)
        self.probe._shadows.compared(agreed := Verdict("pytest", "passed"), agreed)

    async def run(self) -> Verdict:
        await self.tree.sweep()
        return await self.probe.run()

    @property
    def forks(self) -> bool:
        """True while the server lives."""
        return self.probe.sessions.forks

    async def compared(self) -> None:
        """Wait for what follows the latest run."""
        if self.probe._following is not None:
            await asyncio.wait({self.probe._following})


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


PROJECTS: dict[str, dict[str, str]] = {
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
    "a plugin of the workspace": {
        "pytest.ini": "[pytest]\naddopts = -p helpers\n",
        "helpers.py": "import pytest\n@pytest.fixture\ndef two():\n    return 2\n",
        "test_a.py": "def test_a(two):\n    assert two == 2\n",
    },
    "a plugin that is switched off": {
        "pytest.ini": "[pytest]\naddopts = -p no:doctest -p no:cacheprovider\n",
        "test_a.py": "def test_a(pytestconfig):\n    assert not pytestconfig.pluginmanager.hasplugin('doctest')\n",
    },
    "a broken pyproject": {"pyproject.toml": "[tool.pytest\n", "test_a.py": "def test_a(): pass\n"},
    "an exit by a conftest": {"conftest.py": "import os\nos._exit(0)\n", "test_a.py": "def test_a(): pass\n"},
    "threads that outlive the session": {
        "test_a.py": "import threading, time\ndef test_a():\n"
        "    threading.Thread(target=lambda: time.sleep(0.3) or print('late')).start()\n",
    },
    "a test that leaves functions of the system replaced": {
        "test_a.py": "import os\ndef test_a():\n    os.write = os._exit = os.getpid = lambda *given: 0\n"
    },
    "a bad end": {"test_a.py": "import atexit, os\ndef test_a():\n    atexit.register(os._exit, 7)\n"},
    "a test that comes back twice": {
        "test_a.py": "import os\ndef test_a():\n    assert os.fork() == 0 or os.wait()[1] != 0\n"
        "def test_b():\n    pass\n",
    },
    "a test that comes back twice, and the second time last": {
        "test_a.py": "import atexit, os\ndef test_a():\n    reading, writing = os.pipe()\n    child = os.fork()\n"
        "    if not child:\n        os.read(reading, 1)\n        return\n"
        "    atexit.register(os.waitpid, child, 0)\n    atexit.register(os.write, writing, b'x')\n",
    },
    "a name that is no UTF-8": {
        "pytest.ini": "[pytest]\naddopts = --doctest-modules -p no:cacheprovider\n",
        "m\udcff.py": "",
        "test_a.py": "def test_a(): pass\n",
    },
    "nothing to run": {"pytest.ini": "[pytest]\naddopts = -k nothing\n", "test_a.py": "def test_a(): pass\n"},
}


def batched(table: dict[str, Any], most: int = 4) -> list[list[str]]:
    """The table's names, a few at a time: a server forks runs in one workspace after the other."""
    names = list(table)
    return [names[at : at + most] for at in range(0, len(names), most)]


@pytest.mark.parametrize("names", batched(PROJECTS), ids=lambda names: f"{names[0]} and more")
async def test_a_forked_run_says_what_one_from_scratch_says(bench: Bench, suite: Suite, names: list[str]) -> None:
    # What the probe compares now and then is compared here.
    suite.alone()
    for name in names:
        written = [bench.write(path, text) for path, text in PROJECTS[name].items()]
        forked = await suite.run()
        again = await suite.run()
        assert suite.forks, (name, suite.told)
        assert not suite.told, name
        plain = await suite.made(forks=False).run()
        assert (forked.state, forked.summary, forked.failing) == (plain.state, plain.summary, plain.failing), plain
        assert (again.state, again.summary) == (forked.state, forked.summary), name
        for path in written:
            path.unlink()


LOOKS = """import json, sys
def test_a():
    main = sys.modules["__main__"]
    told = [main.__name__, main.__file__, main.__package__, main.__spec__.name, "pytest" in vars(main)]
    with open("told.json", "w") as file:
        json.dump([told, sys.argv[0], sys.argv[-1], sys.orig_argv[1:4], sys.orig_argv[-1]], file)
"""


async def test_it_looks_like_a_run_that_somebody_started(bench: Bench, suite: Suite) -> None:
    # Programs name themselves after it, and take one without a file for an interpreter that somebody types into.
    told = bench.root / "told.json"
    bench.write("test_a.py", LOOKS)
    await suite.tree.sweep()
    for ended in (await suite.probe.sessions.run(("test_a.py",)), await suite.probe.sessions.plain(("test_a.py",))):
        assert ended.code == 0, ended.output
        seen = told.read_text()
        told.unlink()
        by_hand = [suite.probe._interpreters.find().path, "-m", "pytest", "-q", "test_a.py"]
        assert (await bench.processes.run(by_hand, limits=Limits(60, 10_000), cwd=bench.root)).code == 0
        assert seen == told.read_text()


HAZARDS = {
    "writes into a pipe that nobody reads": (
        "reading, writing = os.pipe(); os.close(reading)\n    with __import__('pytest').raises(BrokenPipeError):\n"
        "        os.write(writing, b'x')",
        "passed",
        "1 passed",
    ),
    "leaves by os._exit": ("os._exit(0)", "error", "before the session did"),
    "crashes": ("os.kill(os.getpid(), signal.SIGSEGV)", "error", "killed by SIGSEGV"),
    "exits": ("sys.exit(0)", "failed", "1 of 1 failed"),
    "takes 20 GB": ("bytearray(20 * 1024**3)", "failed", "1 of 1 failed"),
    "prints without end": ("print('x' * 200_000_000)", "passed", "1 passed"),
    "changes the folder": ("os.chdir('/')", "passed", "1 passed"),
    "closes its output": ("os.close(1); os.close(2)", "passed", "1 passed"),
    "closes all": ("os.closerange(3, 500)", "error", "before the session did"),
    "leaves one behind that holds its output": (
        "os.fork() or (signal.signal(15, signal.SIG_IGN), __import__('time').sleep(600))",
        "passed",
        "1 passed",
    ),
    "takes the standard input": ("assert sys.stdin.fileno() or True", "failed", "1 of 1 failed"),
    "has its name in another group": (
        "os.fork() or (os.setsid(), __import__('time').sleep(600))",
        "passed",
        "1 passed",
    ),
}


async def test_what_a_test_does_to_its_process_is_its_own_affair(bench: Bench, suite: Suite) -> None:
    suite.alone()
    for name, (deed, state, words) in HAZARDS.items():
        bench.write("test_a.py", f"import os, signal, sys\ndef test_a():\n    {deed}\n")
        verdict = await suite.run()
        assert (verdict.state, words in verdict.summary) == (state, True), (name, verdict)
        assert suite.forks, name
        bench.write("test_a.py", "def test_a():\n    pass\n")
        assert (await suite.run()).state == "passed", name


FORGES = """\
import json, os
SAID = {"code": 0, "finished": True, "counts": {"passed": 99}, "failed": []}
def test_a():
    for process in os.listdir("/proc"):
        for fd in range(64) if process.isdigit() else ():
            try:
                pipe = os.open("/proc/%s/fd/%d" % (process, fd), os.O_WRONLY | os.O_NONBLOCK)
                for run in range(9):
                    answer = {"run": run, "state": "exited", "code": 0, "output": "", "ms": 1.0, "said": SAID}
                    os.write(pipe, json.dumps(answer).encode() + b"\\n")
                os.write(pipe, json.dumps(SAID).encode() + b"\\n")
            except OSError:
                pass
"""


async def test_what_a_test_writes_into_every_pipe_is_no_verdict(bench: Bench, suite: Suite) -> None:
    suite.alone()
    for deed, state in (("os._exit(0)", "error"), ("assert 0", "failed")):
        bench.write("test_a.py", f"{FORGES}    {deed}\n")
        verdict = await suite.run()
        assert (verdict.state, "99" in verdict.summary) == (state, False), verdict
        bench.write("test_a.py", "def test_a():\n    pass\n")
        assert (await suite.run()).summary == "1 passed"
    assert suite.forks


@pytest.mark.parametrize("deed", ["os.kill(os.getppid(), 9)", "os.killpg(os.getpgid(os.getppid()), 9)"])
async def test_a_test_that_kills_its_parent_is_run_from_scratch(bench: Bench, suite: Suite, deed: str) -> None:
    suite.alone()
    bench.write("test_a.py", f"import os\ndef test_a():\n    {deed}\n")
    verdict = await suite.run()
    plain = await suite.made(forks=False).run()
    assert (verdict.state, verdict.summary) == (plain.state, plain.summary)
    bench.write("test_a.py", "def test_a():\n    pass\n")
    assert (await suite.run()).state == "passed"
    assert suite.forks


async def test_servers_that_keep_being_killed_are_given_up(
    bench: Bench, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.alone()
    monkeypatch.setattr("jetbox.engine.probes.zygote.STARTS", 0)
    bench.write("test_a.py", "import os\ndef test_a():\n    os.kill(os.getppid(), 9)\n")
    for _ in range(2):
        await suite.run()
    assert suite.told == ["pytest runs from scratch: its server kept ending"]


async def test_a_test_that_stops_its_parent_ends_at_the_time_limit(
    bench: Bench, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jetbox.engine.probes.zygote.GRACE_S", 0.2)
    bench.write("test_a.py", "import os, signal\ndef test_a():\n    os.kill(os.getppid(), signal.SIGSTOP)\n")
    suite.probe = suite.made(seconds=1.0)
    assert (await suite.run()).state == "timeout"
    suite.allow(60.0)
    bench.write("test_a.py", "def test_a():\n    pass\n")
    assert (await suite.run()).state == "passed"


async def test_output_without_end_does_not_put_off_the_time_limit(bench: Bench, suite: Suite) -> None:
    bench.write(
        "test_a.py",
        "def test_a(capfd):\n    with capfd.disabled():\n        while True:\n            print('x' * 60_000)\n",
    )
    suite.probe = suite.made(seconds=1.5)
    verdict = await suite.run()
    assert (verdict.state, verdict.summary.partition(",")[0]) == ("timeout", "no result after 1.5 s")
    assert suite.forks, "the server kept the time, and is still there"
    assert len(verdict.output) < 11_000


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
    suite.allow(60.0)
    bench.write("test_a.py", "def test_a():\n    pass\n")
    assert (await suite.run()).state == "passed"


async def until(path: Path) -> None:
    """A test has written this file."""
    async with asyncio.timeout(120):
        while not path.exists():
            await asyncio.sleep(0.005)


async def test_a_cancelled_run_is_gone_and_the_next_one_works(bench: Bench, suite: Suite) -> None:
    suite.alone()
    word = f"97{os.getpid() % 10000:04d}"
    bench.write(
        "test_a.py",
        "import pathlib, subprocess\ndef test_a():\n"
        f"    child = subprocess.Popen(['sleep', '{word}'], start_new_session=True)\n"
        "    pathlib.Path('begun').touch()\n    child.wait()\n",
    )
    await suite.tree.sweep()
    running = asyncio.create_task(suite.probe.run())
    await until(bench.root / "begun")
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()
    assert not bench.running(f"sleep\0{word}")
    assert suite.forks, "a cancelled run costs no new server"
    bench.write("test_a.py", "def test_a():\n    pass\n")
    assert (await suite.run()).state == "passed"


async def test_a_run_cancelled_while_its_server_starts_costs_no_new_server(bench: Bench, suite: Suite) -> None:
    bench.write("test_a.py", "def test_a():\n    pass\n")
    await suite.tree.sweep()
    await suite.probe.skip({})
    started: list[object] = []
    for _ in range(8):
        running = asyncio.create_task(suite.probe.run())
        front = suite.probe.sessions._front
        assert front is not None
        while front._starting is None and not front.alive:
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait({running})
        started.append(front._starts)
    assert (await suite.run()).state == "passed"
    assert suite.forks
    assert set(started) == {1}, started
    assert not suite.told


async def test_a_closed_probe_leaves_nothing(bench: Bench, suite: Suite) -> None:
    word = f"96{os.getpid() % 10000:04d}"
    bench.write(
        "test_a.py",
        "import pathlib, subprocess\ndef test_a():\n"
        f"    child = subprocess.Popen(['sleep', '{word}'], start_new_session=True)\n"
        "    pathlib.Path('begun').touch()\n    child.wait()\n",
    )
    await suite.tree.sweep()
    running = asyncio.create_task(suite.probe.run(behind=True))
    await until(bench.root / "begun")
    running.cancel()
    await asyncio.wait({running})
    await suite.probe.close()
    assert not bench.running(f"sleep\0{word}")
    assert not suite.forks


async def test_an_edit_within_the_same_second_is_seen(bench: Bench, suite: Suite) -> None:
    suite.alone()
    bench.write("test_a.py", "import m\ndef test_a():\n    assert m.V == 1\n")
    for value in (3, 1, 4, 1):
        bench.write("m.py", f"V = {value}\n")
        assert (await suite.run()).state == ("passed" if value == 1 else "failed")


ASKED = {
    "-n 2": "-n 2",
    "-nauto": "-n auto",
    "-qvn4": "-n 4",
    "--numprocesses=3": "--numprocesses=3",
    "--dist loadfile": "--dist",
    "--forked": "--forked",
}


async def test_options_that_start_processes_keep_runs_from_being_forked(bench: Bench, suite: Suite) -> None:
    sessions, told = suite.probe.sessions, []
    bench.write("test_a.py", "def test_a(): pass\n")
    for option, words in ASKED.items():
        bench.write("pytest.ini", f"[pytest]\naddopts = -q {option}\n")
        told.append(f"pytest runs from scratch: its configuration asks for {words}")
        await suite.tree.sweep()
        await sessions.prepare()
        assert not suite.forks, option
        for _ in range(2):
            sessions.tell()
        assert suite.told == told
    await suite.run()
    assert not suite.forks
    assert suite.told == told
    bench.write("pytest.ini", "[pytest]\naddopts = -q -n0 -p no:forked\n")
    await suite.tree.sweep()
    assert not sessions.refused


async def test_options_elsewhere_in_a_configuration_keep_nothing_from_being_forked(bench: Bench, suite: Suite) -> None:
    suite.alone()
    bench.write("tox.ini", "[tox]\nenvlist = py\n[testenv]\ncommands = pytest -n auto\n")
    bench.write("test_a.py", "def test_a(): pass\n")
    assert (await suite.run()).state == "passed"
    assert suite.forks


def most_lexers(folder: str, names: list[str]) -> list[str]:
    """Those of languages that pytest shows nothing in."""
    shown = ("__init__", "_mapping", "python", "diff")
    lexers = os.path.basename(folder) == "lexers"
    return [name for name in names if lexers and name.endswith(".py") and name.removesuffix(".py") not in shown] + [
        name for name in names if os.path.dirname(folder).endswith("lexers") and name.partition(".")[0] not in shown
    ]


@pytest.fixture
def plugin(bench: Bench, suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Installs a plugin of this text for the runs of the workspace."""
    import venv

    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    venv.create(bench.root / ".venv", with_pip=False, symlinks=True)
    packages = next((bench.root / ".venv" / "lib").glob("python*/site-packages"))
    ours = Path(pytest.__file__).parent.parent
    for name in ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments"):
        shutil.copytree(ours / name, packages / name, ignore=most_lexers)
    shutil.copy(ours / "py.py", packages)
    for path in ours.glob("pytest-*.dist-info"):
        (packages / path.name).mkdir()
        (packages / path.name / "METADATA").write_text((path / "METADATA").read_text())

    def install(text: str, *, where: Path = packages, name: str = "odd") -> None:
        (where / f"{name}.py").write_text(text)
        info = packages / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[pytest11]\n{name} = {name}\n")
        (info / "RECORD").write_text(f"{name}.py,,\n")
        if where != packages:
            (packages / f"{name}.pth").write_text(f"{where}\n")

    return install


async def test_plugins_that_start_threads_keep_runs_from_being_forked(
    bench: Bench, suite: Suite, plugin: Callable[..., None]
) -> None:
    plugin("import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n")
    bench.write("test_a.py", "def test_a(): pass\n")
    assert (await suite.run()).state == "passed"
    assert suite.told == ["pytest runs from scratch: a pytest plugin starts threads when it is imported"]


async def test_plugins_that_load_what_does_not_survive_a_fork_keep_runs_from_being_forked(
    bench: Bench, suite: Suite, plugin: Callable[..., None]
) -> None:
    plugin("")
    packages = next((bench.root / ".venv" / "lib").glob("python*/site-packages"))
    bench.write("test_a.py", "def test_a(): pass\n")
    told = []
    for name in ("grpc", "torch", "uvloop", "pytest_randomly"):
        (packages / f"{name}.py").write_text("")
        (packages / "odd.py").write_text(f"import {name}\n")
        await suite.tree.sweep()
        await suite.probe.sessions.prepare()
        assert not suite.forks, name
        why = f"a pytest plugin loads {name}, which does not survive a fork"
        if name == "pytest_randomly":
            why = f"the pytest plugin {name} settles when it is imported what each run is to settle"
        told.append(f"pytest runs from scratch: {why}")
        suite.probe.sessions.tell()
        assert suite.told == told
    assert (await suite.run()).state == "passed"
    assert not suite.forks
    assert suite.told == told


async def test_a_fork_that_breaks_off_is_made_again_from_scratch(
    bench: Bench, suite: Suite, plugin: Callable[..., None]
) -> None:
    plugin(
        "import os, pytest\ndef broken(*args, **words):\n    raise TypeError('no such keyword')\n"
        "def forked():\n    pytest.main = broken\nos.register_at_fork(after_in_child=forked)\n"
    )
    bench.write("test_a.py", "def test_a(): pass\n")
    verdict = await suite.run()
    assert (verdict.state, verdict.summary) == ("passed", "1 passed")
    assert suite.told == ["pytest runs from scratch: a forked run broke off: TypeError: no such keyword"]
    assert not suite.forks
    assert (await suite.run()).state == "passed"


async def test_plugins_of_the_workspace_keep_runs_from_being_forked(
    bench: Bench, suite: Suite, plugin: Callable[..., None]
) -> None:
    bench.write("src/readme.txt", "")
    plugin("import pytest\n@pytest.fixture\ndef one():\n    return 1\n", where=bench.root / "src")
    bench.write("test_a.py", "def test_a(one):\n    assert one == 1\n")
    assert (await suite.run()).state == "passed"
    assert suite.told == ["pytest runs from scratch: the pytest plugin odd is part of the workspace"]


async def test_a_plugin_outside_that_is_edited_is_loaded_anew(
    bench: Bench, suite: Suite, plugin: Callable[..., None], tmp_path: Path
) -> None:
    suite.alone()
    (tmp_path / "ours").mkdir()
    text = "import pytest\n@pytest.fixture\ndef one():\n    return 1\n"
    plugin(text, where=tmp_path / "ours")
    # Only what the sandbox shows is there.
    readable = await choose_sandbox(bench.root, enabled=False, network=False)
    bench.processes.sandbox = readable
    bench.write("test_a.py", "def test_a(one):\n    assert one == 1\n")
    assert (await suite.run()).state == "passed"
    assert suite.forks, suite.told
    (tmp_path / "ours" / "odd.py").write_text(text.replace("return 1", "return 21"))
    assert (await suite.run()).state == "failed"
    assert suite.forks, suite.told


async def test_a_plugin_that_is_blocked_is_not_loaded(bench: Bench, suite: Suite, plugin: Callable[..., None]) -> None:
    suite.alone()
    plugin("raise SystemExit('never')\n")
    bench.write("pytest.ini", "[pytest]\naddopts = -p no:odd\n")
    bench.write("test_a.py", "def test_a(): pass\n")
    assert (await suite.run()).state == "passed"
    assert suite.forks, suite.told


async def test_a_plugin_that_comes_or_goes_is_seen(bench: Bench, suite: Suite, plugin: Callable[..., None]) -> None:
    suite.alone()
    bench.write("test_a.py", "def test_a(one):\n    assert one == 1\n")
    verdict = await suite.run()
    assert verdict.failing == ("test_a.py::test_a",), verdict.output
    assert suite.forks
    plugin("import pytest\n@pytest.fixture\ndef one():\n    return 1\n")
    assert (await suite.run()).state == "passed"
    assert suite.forks, suite.told


async def test_a_variable_that_changes_is_seen(bench: Bench, suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.alone()
    bench.processes.pass_env = (*bench.processes.pass_env, "OUR_WORD")
    bench.write("test_a.py", "import os\ndef test_a():\n    assert os.environ.get('OUR_WORD') == 'yes'\n")
    monkeypatch.setenv("OUR_WORD", "no")
    assert (await suite.run()).state == "failed"
    monkeypatch.setenv("OUR_WORD", "yes")
    assert (await suite.run()).state == "passed"
    assert suite.forks


async def test_a_repository_that_comes_later_is_as_guarded_as_in_a_run_from_scratch(bench: Bench, suite: Suite) -> None:
    suite.alone()
    text = "import pathlib\ndef test_a():\n    pathlib.Path('.git/hooks/post-commit').write_text('x')\n"
    bench.write("test_a.py", "def test_a():\n    pass\n")
    assert (await suite.run()).state == "passed"
    (bench.root / ".git" / "hooks").mkdir(parents=True)
    (bench.root / ".jetbox").mkdir()
    bench.write("test_a.py", text)
    verdict = await suite.run()
    assert suite.forks
    hook = bench.root / ".git" / "hooks" / "post-commit"
    assert (verdict.state, hook.exists()) == (
        ("failed", False) if bench.processes.sandbox.guards_git else ("passed", True)
    )


DIFFERS = "import gc\ndef test_a():\n    assert not gc.get_freeze_count(), 'forked'\n"


async def test_a_difference_ends_the_forking_for_good(bench: Bench, suite: Suite) -> None:
    suite.probe = suite.made(learns=False)
    disproved: list[str] = []
    suite.probe.on_disproved = lambda plain, files: disproved.append(f"{plain.state} of {len(files.files)}")
    bench.write("test_a.py", DIFFERS)
    assert (await suite.run()).state == "failed"
    await suite.compared()
    assert disproved == [f"passed of {len(suite.tree.last.files)}"]
    assert len(suite.told) == 1
    assert "a forked run said failed (1 of 1 failed: test_a), and one from scratch passed (1 passed)" in suite.told[0]
    assert (await suite.run()).state == "passed"
    later = suite.made()
    assert (await later.run()).state == "passed"
    assert not later.sessions.forks
    assert suite.told == suite.told[:1] * 2, "told once by each probe"


async def test_comparisons_go_on_now_and_then(bench: Bench, suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.probe = suite.made(learns=False)
    monkeypatch.setattr("jetbox.engine.probes.shadows.EVERY", 2)
    plain: list[int] = []
    real, runs = Sessions.plain, 0

    async def noted(sessions: Sessions, files: tuple[str, ...], *, behind: bool = False) -> Ended:
        plain.append(runs)
        return await real(sessions, files, behind=behind)

    monkeypatch.setattr(Sessions, "plain", noted)
    for runs in range(1, 6):
        bench.write("test_a.py", f"def test_a():\n    assert {runs}\n")
        assert (await suite.run()).state == "passed"
        await asyncio.sleep(0)
        assert runs not in plain, "the verdict is given first"
        await suite.compared()
    assert plain == [1, 3, 5]
    bench.write("test_a.py", DIFFERS)
    while not suite.told:
        runs += 1
        await suite.run()
        await suite.compared()
    assert runs == 7, "what differs only later is found by a later comparison"
    assert suite.probe.sessions.refused


async def test_a_whole_run_behind_has_the_lowest_priority(bench: Bench, suite: Suite) -> None:
    bench.write("test_a.py", "import os\ndef test_a():\n    open('nice', 'a').write(f'{os.nice(0)} ')\n")
    nice = os.nice(0)
    suite.probe = suite.made(learns=False)
    # No comparison comes between.
    suite.probe._shadows.compared(agreed := Verdict("pytest", "passed"), agreed)
    await suite.tree.sweep()
    for behind in (False, True):
        assert (await suite.probe.sessions.run((), behind=behind)).forked
    assert (bench.root / "nice").read_text().split() == [str(nice), str(min(nice + 19, 19))]


async def test_a_comparison_that_was_cut_off_is_made_when_nobody_waits(bench: Bench, suite: Suite) -> None:
    suite.probe = suite.made(learns=False)
    bench.write("test_a.py", DIFFERS)
    assert (await suite.run()).state == "failed"
    await suite.probe._halt()
    assert not suite.told
    suite.probe.idle()
    await suite.compared()
    assert "and one from scratch passed" in suite.told[0]


def test_comparisons_count_errors_and_a_part_leaves_the_whole_due(tmp_path: Path) -> None:
    shadows = Shadows(tmp_path)
    passed, crashed = Verdict("pytest", "passed", "1 passed"), Verdict("pytest", "error", "killed by SIGSEGV")
    assert shadows.never
    assert shadows.compared(passed, Verdict("pytest", "timeout")) == ""
    assert shadows.never
    assert shadows.compared(passed, passed, whole=False) == ""
    assert not shadows.never
    assert not Shadows(tmp_path).never
    assert shadows.owed, "the whole is still to be compared"
    assert shadows.compared(crashed, Verdict("pytest", "error", "killed by SIGKILL")) == ""
    assert not shadows.owed
    assert "error" in shadows.compared(crashed, passed)
    assert Shadows(tmp_path).off == shadows.off != ""


async def test_a_comparison_of_other_files_counts_for_nothing(bench: Bench, suite: Suite) -> None:
    suite.probe = suite.made(learns=False)
    bench.write("test_a.py", DIFFERS)
    assert (await suite.run()).state == "failed"
    bench.write("data.txt", "changed while it is compared")
    await suite.compared()
    assert not suite.told
    assert not suite.probe.sessions.refused


async def test_the_next_run_does_not_wait_for_a_comparison(bench: Bench, suite: Suite) -> None:
    suite.probe = suite.made(learns=False)
    text = "import os, pathlib, time, gc\ndef test_a():\n    pathlib.Path('seen').touch()\n"
    bench.write("test_a.py", text + "    if not gc.get_freeze_count():\n        time.sleep(600)\n")
    assert (await suite.run()).state == "passed"
    (bench.root / "seen").unlink()
    await until(bench.root / "seen")
    bench.write("test_a.py", "def test_a():\n    pass\n")
    assert (await suite.run()).state == "passed"


class Edited:
    """Six modules with their tests."""

    def __init__(self, bench: Bench, suite: Suite, *, follows: bool = True) -> None:
        """Without `follows` nothing is compared or watched after a run: what tests use is told by their imports."""
        if not follows:
            suite.alone()
            suite.probe._affected = Affected(bench.root, None)
        self.bench = bench
        self.suite = suite
        for name in "abcdef":
            bench.write(f"{name}.py", f"def {name}():\n    return 1\n")
            bench.write(f"test_{name}.py", f"from {name} import {name}\ndef test_{name}():\n    assert {name}() == 1\n")

    async def early(self, last: Verdict, before: object) -> Verdict | None:
        now = await self.suite.tree.sweep()
        return await self.suite.probe.early(Change(last, before, now, now.changed(before)))  # type: ignore[arg-type]


async def test_the_first_comparison_is_made_of_the_few_tests_of_a_change(bench: Bench, suite: Suite) -> None:
    edited = Edited(bench, suite)
    whole = await suite.run()
    before = suite.tree.last
    bench.write("a.py", "import gc\ndef a():\n    return 0 if gc.get_freeze_count() else 1\n")
    early = await edited.early(whole, before)
    assert early is not None
    assert early.state == "failed"
    assert not suite.told, "what followed the whole run was cut off"
    assert (await suite.probe.run(behind=True)).state == "passed"
    assert "and one from scratch passed" in suite.told[0], "the run behind went after the comparison"


async def test_only_the_tests_of_a_change_are_run(bench: Bench, suite: Suite) -> None:
    edited = Edited(bench, suite, follows=False)
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
    edited = Edited(bench, suite, follows=False)
    bench.write("b.py", "def b():\n    return 2\n")
    whole = await suite.run()
    before = suite.tree.last
    bench.write("a.py", "def a():\n    return 1  # as before\n")
    early = await edited.early(whole, before)
    assert early is not None
    assert (early.state, early.failing) == ("failed", ("test_b.py::test_b",))
    assert early.summary.startswith("2 of 6 test files: 1 of 2 failed")


async def test_what_failed_before_is_run_again_where_not_all_that_a_change_reaches_is(
    bench: Bench, suite: Suite
) -> None:
    bench.write("base.py", "C = 2\n")
    bench.write("mid.py", "from base import C\ndef f():\n    return C\n")
    bench.write("test_base.py", "import base\ndef test_base():\n    assert base.C\n")
    for n in range(5):
        bench.write(f"test_m{n}.py", f"import mid\ndef test_m():\n    assert mid.f() != 2 or {n}\n")
    whole = await suite.run()
    assert whole.failing == ("test_m0.py::test_m",)
    before = suite.tree.last
    bench.write("base.py", "C = 1\n")
    now = await suite.tree.sweep()
    early = await suite.probe.early(Change(whole, before, now, now.changed(before)))
    assert early is not None
    assert (early.state, early.summary) == ("passed", "2 of 6 test files, the nearest of 6: 2 passed")


async def test_only_the_whole_suite_can_tell_of_a_configuration(bench: Bench, suite: Suite) -> None:
    edited = Edited(bench, suite, follows=False)
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
    await suite.compared()
    before = suite.tree.last
    assert whole.state == "passed"
    bench.write("a.py", "def a():\n    return 3\n")
    early = await edited.early(whole, before)
    assert early is not None
    assert early.failing == ("test_a.py::test_a",)
    assert early.summary.startswith("1 of 6 test files")


async def test_what_a_run_behind_saw_outlives_the_session(bench: Bench, suite: Suite) -> None:
    Edited(bench, suite)
    await suite.tree.sweep()
    assert (await suite.probe.run(behind=True)).state == "passed"
    await suite.compared()
    later = suite.made()
    assert later._affected is not None
    await later._affected.update(suite.tree.last)
    assert later._affected._known.usage.tests


class Watched:
    """Notes which runs are watched, and lets them go on."""

    def __init__(self, suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
        self.suite = suite
        self.runs: list[tuple[str, ...]] = []
        real = Sessions.watched

        async def watched(sessions: Sessions, files: tuple[str, ...]) -> Ended | None:
            self.runs.append(files)
            return await real(sessions, files)

        monkeypatch.setattr(Sessions, "watched", watched)
        suite.probe = suite.made()
        # No comparison is due meanwhile.
        suite.probe._shadows.compared(agreed := Verdict("pytest", "passed"), agreed)

    async def after(self, changes: dict[str, str]) -> list[tuple[str, ...]]:
        """The runs that are watched after a whole run on these changes."""
        for path, text in changes.items():
            self.suite.bench.write(path, text)
        self.runs.clear()
        await self.suite.run()
        await self.suite.compared()
        return self.runs

    @property
    def uses(self) -> dict[str, set[str]]:
        """What is known of test files."""
        assert self.suite.probe._affected is not None
        return {name: set(used) for name, used in self.suite.probe._affected._known.usage.tests.items()}


@pytest.fixture
def watched(bench: Bench, suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Watched:
    Edited(bench, suite)
    return Watched(suite, monkeypatch)


async def test_verdicts_come_from_runs_that_nothing_watches(watched: Watched) -> None:
    verdict = await watched.suite.run()
    assert (verdict.state, watched.runs) == ("passed", []), "it is given before anything is watched"
    await watched.suite.compared()
    assert watched.runs == [()], "of nothing is known what it uses"
    assert await watched.after({}) == [], "all of it is known"


async def test_only_the_tests_of_which_too_little_is_known_are_watched(watched: Watched) -> None:
    await watched.after({})
    uses = watched.uses
    assert await watched.after({"a.py": "def other():\n    return 1\ndef a():\n    return other()\n"}) == [
        ("test_a.py",)
    ]
    assert watched.uses == uses
    new = {"test_g.py": "from a import other\ndef test_g():\n    assert other()\n"}
    assert await watched.after(new) == [("test_g.py",)]
    assert watched.uses == uses | {"test_g.py": {"test_g.py", "a.py"}}
    assert await watched.after({"b.py": "LATER = 1\ndef b():\n    return LATER\n", "notes.txt": "x"}) == [
        ("test_b.py",)
    ]
    assert await watched.after({}) == []


async def test_what_is_known_of_other_tests_is_still_true_after_a_few_were_watched(watched: Watched) -> None:
    await watched.after({})
    bench, suite = watched.suite.bench, watched.suite
    await watched.after({"a.py": "def other():\n    return 1\ndef a():\n    return other()\n"})
    whole, before = await suite.run(), suite.tree.last
    told: list[str] = []
    for name, text in (
        ("b", "def b():\n    return 2\n"),
        ("a", "def other():\n    return 2\ndef a():\n    return other()\n"),
    ):
        bench.write(f"{name}.py", text)
        now = await suite.tree.sweep()
        early = await suite.probe.early(Change(whole, before, now, now.changed(before)))
        assert early is not None
        assert f"test_{name}.py::test_{name}" in early.failing
        told.append(early.summary.partition(" failed")[0])
    assert told == ["1 of 6 test files: 1 of 1", "2 of 6 test files: 2 of 2"]


async def test_a_test_that_failed_is_watched_again_once_it_passes(watched: Watched) -> None:
    late = "from a import a\ndef test_a():\n    assert a() == 1\n    import b\n    assert b.b()\n"
    assert await watched.after({"test_a.py": late, "a.py": "def a():\n    return 2\n"}) == [()]
    assert "b.py" not in watched.uses["test_a.py"]
    assert await watched.after({}) == [], "it still fails"
    assert await watched.after({"a.py": "def a():\n    return 1\n"}) == [("test_a.py",)]
    assert "b.py" in watched.uses["test_a.py"]


async def test_a_file_that_the_whole_suite_passes_over_is_no_test_for_a_change(watched: Watched) -> None:
    bench, suite = watched.suite.bench, watched.suite
    bench.write("pytest.ini", "[pytest]\nnorecursedirs = old\n")
    await watched.after({})
    assert await watched.after({"old/test_a.py": "from a import a\ndef test_a():\n    assert a() == 5\n"}) == []
    whole, before = await suite.run(), suite.tree.last
    bench.write("a.py", "def a():\n    return 1  # the same\n")
    now = await suite.tree.sweep()
    early = await suite.probe.early(Change(whole, before, now, now.changed(before)))
    assert early is not None
    assert (early.state, early.summary) == ("passed", "1 of 7 test files: 1 passed")


async def test_a_module_without_functions_that_changed_is_seen_where_it_is_imported(watched: Watched) -> None:
    bench = watched.suite.bench
    bench.write("plugins.py", "import importlib\nNAMES = ['c']\nALL = [importlib.import_module(n) for n in NAMES]\n")
    bench.write("test_p.py", "import plugins\ndef test_p():\n    assert plugins.ALL\n")
    await watched.after({})
    text = "import importlib\nNAMES = ['c', 'd']\nALL = [importlib.import_module(n) for n in NAMES]\n"
    assert await watched.after({"plugins.py": text}) == [("test_p.py",)]
    assert watched.suite.probe._affected is not None
    assert "d.py" in watched.suite.probe._affected._known.usage.loads["plugins.py"]


WATCHED = (
    "import os, signal, sys\ndef watched():\n    monitoring = getattr(sys, 'monitoring', None)\n"
    "    tools = monitoring is not None and any(monitoring.get_tool(n) for n in range(6))\n"
    "    return tools or sys.gettrace() or sys.getprofile()\n"
)
"""A test that knows when it is looked at."""


async def test_a_watched_run_that_does_not_end_is_not_made_again(watched: Watched, clock: Clock) -> None:
    slow = f"{WATCHED}def test_s():\n    if watched():\n        open('begun', 'w').close()\n        signal.pause()\n"
    following = asyncio.create_task(watched.after({"test_s.py": slow}))
    await until(watched.suite.bench.root / "begun")
    clock.forward(200)
    assert await following == [()]
    assert await watched.after({"a.py": "def a():\n    return 1  # more\n"}) == []


async def test_a_server_that_dies_ends_no_learning(watched: Watched) -> None:
    deed = "if watched() and not os.path.exists('begun'):\n        open('begun', 'w').close()\n        "
    text = f"{WATCHED}def test_s():\n    {deed}os.kill(os.getppid(), signal.SIGKILL)\n"
    assert await watched.after({"test_s.py": text}) == [()]
    assert (watched.suite.bench.root / "begun").exists()
    assert not watched.uses
    assert await watched.after({}) == [()]
    assert watched.uses["test_a.py"] == {"test_a.py", "a.py"}
    assert not watched.suite.told


async def test_what_was_to_be_watched_and_was_cut_off_is_watched_when_nobody_waits(watched: Watched) -> None:
    suite = watched.suite
    await suite.run()
    await suite.compared()
    suite.bench.write("a.py", "def a():\n    return 1 * 1\n")
    whole, before = await suite.run(), suite.tree.last
    suite.bench.write("a.py", "def a():\n    return 1 * 1 * 1\n")
    now = await suite.tree.sweep()
    await suite.probe.early(Change(whole, before, now, now.changed(before)))
    suite.bench.write("a.py", "def a():\n    return 1 * 1\n")
    await suite.tree.sweep()
    watched.runs.clear()
    suite.probe.idle()
    await suite.compared()
    assert watched.runs == [("test_a.py",)]
    suite.probe.idle()
    await suite.compared()
    assert watched.runs == [("test_a.py",)]


async def test_where_nothing_is_learnt_of_tests_nothing_is_left_for_when_nobody_waits(
    bench: Bench, suite: Suite
) -> None:
    suite.probe = suite.made(learns=False)
    Edited(bench, suite)
    assert (await suite.run()).state == "passed"
    await suite.compared()
    following = suite.probe._following
    assert following is not None
    suite.probe.idle()
    assert suite.probe._following is following


async def test_failures_of_a_file_that_is_gone_are_not_carried_over(bench: Bench, suite: Suite) -> None:
    edited = Edited(bench, suite, follows=False)
    bench.write("b.py", "def b():\n    return 2\n")
    whole = await suite.run()
    assert whole.failing == ("test_b.py::test_b",)
    before = suite.tree.last
    (bench.root / "test_b.py").unlink()
    early = await edited.early(whole, before)
    assert early is None or early.failing == ()


async def test_a_configuration_below_leaves_it_to_the_whole_suite(bench: Bench, suite: Suite) -> None:
    edited = Edited(bench, suite, follows=False)
    bench.write("sub/pytest.ini", "[pytest]\naddopts = -k nothing\n")
    bench.write("sub/test_g.py", "def test_g():\n    assert 1\n")
    whole = await suite.run()
    before = suite.tree.last
    assert whole.summary == "7 passed"
    bench.write("sub/test_g.py", "def test_g():\n    assert 0\n")
    assert await edited.early(whole, before) is None


async def test_how_long_the_first_result_took_is_told(bench: Bench, suite: Suite) -> None:
    suite.alone()
    bench.write("test_a.py", "import time\ndef test_a():\n    pass\ndef test_b():\n    time.sleep(0.5)\n")
    for _ in range(10):  # a machine that halts after the first result makes that one late
        verdict = await suite.run()
        assert suite.probe.first_ms is not None
        assert 0 < suite.probe.first_ms < verdict.duration_ns / 1e6
        if suite.probe.first_ms < verdict.duration_ns / 1e6 - 400:
            return
    pytest.fail("the first result always came with the last")


async def test_a_module_that_is_named_as_one_that_is_loaded_is_the_workspaces_own(bench: Bench, suite: Suite) -> None:
    bench.write("resource.py", "OURS = 1\n")
    bench.write("tests/ctypes.py", "OURS = 2\n")
    bench.write("tests/test_a.py", "import ctypes, resource\ndef test_a():\n    assert ctypes.OURS > resource.OURS\n")
    verdict = await suite.run()
    assert (verdict.state, verdict.summary) == ("passed", "1 passed")
    (told,) = suite.told
    assert told.startswith("pytest runs from scratch: a forked run broke off: the workspace has a module ")


async def test_a_test_that_minds_being_looked_at_is_run_unwatched(bench: Bench, suite: Suite) -> None:
    bench.write(
        "test_a.py",
        "import sys\ndef test_a():\n    assert sys.gettrace() is None and sys.getprofile() is None\n"
        "    if hasattr(sys, 'monitoring'):\n        assert not any(sys.monitoring.get_tool(n) for n in range(6))\n",
    )
    await suite.tree.sweep()
    verdict = await suite.probe.run(behind=True)
    assert (verdict.state, verdict.summary) == ("passed", "1 passed")


async def test_a_package_that_conftest_imports_is_read_anew_for_each_run(suite: Suite) -> None:
    suite.bench.write("conftest.py", "import pytest, pkg\n@pytest.fixture\ndef one():\n    return pkg.ONE\n")
    suite.bench.write("test_a.py", "def test_a(one):\n    assert one == 1\n")
    states = []
    for number in (1, 2, 1):
        suite.bench.write("pkg/__init__.py", f"ONE = {number}\n")
        verdict = await suite.run()
        states.append((verdict.state, suite.forks))
        await suite.compared()
    assert states == [("passed", True), ("failed", True), ("passed", True)], suite.told
