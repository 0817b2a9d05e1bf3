"""Plugins that load by themselves: a forked run means what one from scratch does, warnings as errors or not."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from engine.probes.test_probe_forked import Edited, Suite, plugin, suite
from engine.probes.test_probe_standby import ahead, failure
from jetbox.engine.options import PerformanceOptions

__all__ = ["plugin", "suite"]
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forked runs need Linux")

STRICT = {"pytest.ini": "[pytest]\nfilterwarnings = error\naddopts = --strict-markers --strict-config\n"}


def without(ini: str, *plugins: str) -> str:
    """The configuration with plugins switched off that take long to import, and that the test is not about."""
    return f"{ini.rstrip()} {' '.join(f'-p no:{name}' for name in plugins)}\n"


async def means_the_same(suite: Suite, files: dict[str, str], summary: str, *, soon: bool = True) -> list[str]:
    """Forked, begun ahead where that may be (`soon`), with what tests touch noted, and from scratch; what failed."""
    for path, text in files.items():
        suite.bench.write(path, text)
    await suite.tree.sweep()
    sessions = suite.probe.sessions
    names = tuple(name for name in files if name.startswith("test_"))
    watched = await sessions.watched(())
    assert watched is not None
    runs = [await sessions.run(()), watched, await sessions.run(names)]
    assert all(run.forked for run in runs), suite.told
    runs.append(await ahead(suite, *names) if soon else await sessions.run(names))
    plain = await sessions.plain(())
    assert suite.probe._verdict(plain).summary == summary, plain.output
    assert plain.said is not None
    for run in runs:
        assert run.said is not None
        ended = (run.said.code, run.said.counts, run.said.failed)
        assert ended == (plain.said.code, plain.said.counts, plain.said.failed), run.output
        # hypothesis explains a failure by its own tracing, where nobody else traces.
        assert run.said.touched or failure(run) == failure(plain), run.output
    return plain.said.failed


SIDE_BY_SIDE = {
    "pytest.ini": f"{without(STRICT['pytest.ini'], 'textual-snapshot')}asyncio_default_fixture_loop_scope = session\n",
    "test_anyio.py": "import anyio, pytest\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n"
    "@pytest.mark.anyio\nasync def test_a():\n    with anyio.fail_after(60):\n        await anyio.sleep(0)\n"
    "    assert await anyio.to_thread.run_sync(lambda: 1) == 1\n"
    "@pytest.mark.anyio\nasync def test_b():\n    assert 0\n",
    "test_asyncio.py": "import asyncio, pytest, pytest_asyncio\n"
    "@pytest_asyncio.fixture(scope='session', loop_scope='session')\nasync def loop():\n"
    "    yield asyncio.get_running_loop()\n"
    "@pytest.mark.asyncio(loop_scope='session')\nasync def test_a(loop):\n"
    "    assert asyncio.get_running_loop() is loop\n"
    "@pytest.mark.asyncio(loop_scope='session')\nasync def test_b(loop):\n"
    "    assert asyncio.get_running_loop() is loop\n    assert await asyncio.to_thread(lambda: 1) == 2\n"
    "@pytest.mark.asyncio\nasync def test_c():\n    await asyncio.sleep(0)\n",
    "test_hypothesis.py": "from hypothesis import given, settings, strategies\n"
    "@settings(derandomize=True, database=None)\n@given(strategies.integers())\ndef test_a(n):\n"
    "    assert n < 100\n@settings(database=None, max_examples=5)\n@given(strategies.booleans())\n"
    "def test_b(either):\n    assert either in (True, False)\n",
    "test_syrupy.py": "def test_a(snapshot):\n    assert {'a': 1} == snapshot\ndef test_b():\n    pass\n",
    "test_warnings.py": "import warnings\ndef test_a():\n    assert [1] == [2]\n"
    "def test_b():\n    warnings.warn('x')\ndef test_c():\n    pass\n",
}
FAILING = [
    "test_anyio.py::test_b",
    "test_asyncio.py::test_b",
    "test_hypothesis.py::test_a",
    "test_syrupy.py::test_a",
    "test_warnings.py::test_a",
    "test_warnings.py::test_b",
]


async def test_plugins_that_are_used_side_by_side(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    assert await means_the_same(suite, SIDE_BY_SIDE, "6 of 12 failed: test_b, test_b, test_a, …") == FAILING


CONFIGURED = {
    "pytest.ini": without(
        "[pytest]\nasyncio_mode = auto\ntimeout = 0.2\nfilterwarnings = error\naddopts = -n 0",
        *("textual-snapshot", "syrupy", "hypothesispytest", "anyio", "platformdirs"),
    ),
    # pytest-asyncio by itself, and xdist without workers: as long as they take.
    "test_a.py": "import asyncio, pytest\npytestmark = pytest.mark.timeout(0)\n"
    "async def test_a():\n    await asyncio.sleep(0)\n"
    "async def test_b():\n    done = await asyncio.create_subprocess_exec('true')\n"
    "    assert await done.wait() == 0\n",
    "test_b.py": "import pytest\n@pytest.mark.timeout(0)\ndef test_a(worker_id):\n    assert worker_id == 'master'\n",
    "test_c.py": "import pytest, time\ndef test_a():\n    time.sleep(60)\n"
    "@pytest.mark.timeout(0)\ndef test_b():\n    pass\n",
}


async def test_plugins_that_are_configured(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    assert await means_the_same(suite, CONFIGURED, "1 of 5 failed: test_a") == ["test_c.py::test_a"]


async def test_asserts_of_a_plugin_are_as_telling_as_from_scratch(suite: Suite, plugin: Callable[..., None]) -> None:
    plugin(
        "import pytest\n@pytest.fixture\ndef alike():\n    def check(a, b):\n        assert a == b\n    return check\n"
    )
    files = {**STRICT, "test_a.py": "def test_a(alike):\n    alike([1, 2], [1, 3])\ndef test_b(alike):\n    pass\n"}
    await means_the_same(suite, files, "1 of 2 failed: test_a", soon=False)


async def test_what_a_plugin_holds_for_a_session_is_each_runs_own(suite: Suite, plugin: Callable[..., None]) -> None:
    plugin(
        "import asyncio, pytest\nLOOPS = []\n@pytest.fixture(scope='session')\ndef loop():\n"
        "    made = asyncio.new_event_loop()\n    LOOPS.append(made)\n    yield made\n    made.close()\n"
    )
    text = "import odd\ndef test_a(loop):\n    assert loop.run_until_complete(loop.run_in_executor(None, int)) == 0\n"
    files = {**STRICT, "test_a.py": text + "def test_b(loop):\n    assert odd.LOOPS == [loop]\n"}
    await means_the_same(suite, files, "2 passed", soon=False)


TESTMON = (
    "def pytest_addoption(parser):\n    parser.addoption('--testmon', action='store_true', dest='testmon')\n"
    "    parser.addoption('--no-testmon', action='store_true', dest='no-testmon')\n"
    "def pytest_collection_modifyitems(config, items):\n"
    "    if config.getoption('testmon') and not config.getoption('no-testmon'):\n"
    "        config.hook.pytest_deselected(items=items[1:])\n        del items[1:]\n"
)
COVERAGE = (
    "import sys\ndef pytest_addoption(parser):\n    parser.addoption('--cov-fail-under', type=int)\n"
    "def traced(frame, event, arg):\n    return None\n"
    "def pytest_sessionstart(session):\n    sys.settrace(traced)\n"
    "def pytest_sessionfinish(session, exitstatus):\n    sys.settrace(None)\n"
    "    if session.testscollected < session.config.getoption('--cov-fail-under'):\n        session.exitstatus = 1\n"
)


async def test_what_testmon_would_leave_out_is_run(suite: Suite, plugin: Callable[..., None]) -> None:
    plugin(TESTMON)
    text = "def test_a():\n    pass\ndef test_b():\n    assert 0\n"
    files = {"pytest.ini": "[pytest]\naddopts = --testmon -m 'not slow'\n", "test_a.py": text}
    await means_the_same(suite, files, "1 of 2 failed: test_b", soon=False)


async def test_coverage_that_is_asked_for_is_that_of_the_whole_suite(suite: Suite, plugin: Callable[..., None]) -> None:
    plugin(COVERAGE)
    edited = Edited(suite.bench, suite)
    suite.bench.write("pytest.ini", "[pytest]\naddopts = --cov-fail-under=6\n")
    await suite.tree.sweep()
    whole = await suite.probe.run(behind=True)
    assert (whole.state, whole.summary) == ("passed", "6 passed")
    before = suite.tree.last
    suite.bench.write("a.py", "def a():\n    return 1  # as before\n")
    assert await edited.early(whole, before) is None, "one test covers too little"
    suite.bench.write("a.py", "def a():\n    return 2\n")
    early = await edited.early(whole, before)
    assert early is not None
    assert early.failing == ("test_a.py::test_a",)
    suite.bench.write("pytest.ini", "[pytest]\naddopts = --cov-fail-under=7\n")
    assert (await suite.run()).summary == (await suite.made(forks=False).run()).summary
    assert suite.forks, suite.told


REPORTS = (
    "import argparse\nTAKEN = []\nclass Store(argparse.Action):\n"
    "    def __call__(self, parser, space, value, option_string=None):\n"
    "        kind, _, file = value.partition(':')\n        space.cov_report[kind] = file or None\n"
    "def pytest_addoption(parser):\n"
    "    parser.addoption('--cov-report', action=Store, default={}, dest='cov_report')\n"
    "def pytest_load_initial_conftests(early_config):\n"
    "    TAKEN[:] = [early_config.known_args_namespace.cov_report]\n"
    "def pytest_sessionfinish():\n    open(TAKEN[0]['xml'] or 'coverage.xml', 'w').close()\n"
)
"""Takes its options when pytest-cov does."""


async def test_a_log_that_is_written_while_tests_run_can_be_read_by_one(suite: Suite) -> None:
    text = "import logging\ndef test_a():\n    logging.error('x')\n    assert open('run.log').read() == 'x\\n'\n"
    ini = "[pytest]\nlog_file = run.log\nlog_file_format = %(message)s\n"
    await means_the_same(suite, {"pytest.ini": ini, "test_a.py": text}, "1 passed", soon=False)


async def test_what_is_written_about_a_run_changes_no_file(suite: Suite, plugin: Callable[..., None]) -> None:
    plugin(REPORTS)
    bench = suite.bench
    bench.write("pytest.ini", "[pytest]\naddopts = --cov-report=xml --junitxml=out/report.xml\n")
    bench.write("test_a.py", "def test_a():\n    pass\n")
    for forks in (True, False):
        performance = PerformanceOptions(pytest_server=forks, affected_first=False, probe_early=False)
        engine = bench.engine(performance=performance, ruff=False)
        said = [(v.state, v.cache) for _ in range(2) for v in await engine.verdicts(final=True)]
        assert said == [("passed", "ran"), ("passed", "hit")], bench.told
        await engine.close()
    assert {path.name for path in bench.root.iterdir()} - {"__pycache__"} == {".venv", "pytest.ini", "test_a.py"}
