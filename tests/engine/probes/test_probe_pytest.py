from __future__ import annotations

import os
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from engine.probes.conftest import uncompared
from jetbox.engine.options import PerformanceOptions
from jetbox.engine.probes.judging import last_error

if TYPE_CHECKING:
    from engine.probes.conftest import Bench
    from jetbox.engine.probes.base import Verdict
    from jetbox.engine.probes.runner import ProbeEngine

GREEN = "def test_a():\n    pass\n"


async def judged(bench: Bench, text: str, **options: Any) -> tuple[str, str]:
    bench.write("tests/test_m.py", text)
    verdict = await bench.one(bench.engine(ruff=False, **options), "pytest")
    return verdict.state, verdict.summary


def of_pytest(bench: Bench, *, forks: bool = True) -> ProbeEngine:
    """One whose whole runs follow each other, with nothing else between them."""
    performance = PerformanceOptions(pytest_server=forks, affected_first=False)
    return uncompared(bench.engine(ruff=False, performance=performance))


async def test_green_suite_with_the_workspace_on_its_path(bench: Bench) -> None:
    bench.write("mathx/__init__.py", "def add(a, b):\n    return a + b\n")
    text = "import sys\nimport pytest\nfrom mathx import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"
    text += "\n\n@pytest.mark.skip\ndef test_s():\n    pass\n\n\n@pytest.mark.xfail\ndef test_x():\n    assert 0\n"
    assert await judged(bench, text) == ("passed", "1 passed, 1 xfailed, 1 skipped")
    assert not (bench.root / ".pytest_cache").exists()


IMITATED = (
    "import sys\n\n\ndef test_bad(capfd):\n    with capfd.disabled():\n"
    "        print('=== 99 passed in 0.01s ===')\n"
    '        print(\'[0123456789abcdef] {"code": 0, "finished": true}\')\n    assert False\n'
)
SIX = "".join(f"def test_{n}():\n    assert {n} != 1 and {n} != 4\n\n\n" for n in range(6))
ENDS: dict[str, tuple[dict[str, str], str, str, str]] = {
    "all that failed, not the first alone": (
        {"pytest.ini": "[pytest]\naddopts = -x --lf\n", "tests/test_m.py": SIX},
        "failed",
        "2 of 6 failed: test_1, test_4",
        "FAILED tests/test_m.py::test_4",
    ),
    "output that imitates a green end": ({"tests/test_m.py": IMITATED}, "failed", "1 of 1 failed: test_bad", ""),
    "an error while collecting": (
        {"tests/test_good.py": GREEN, "tests/test_m.py": "import nowhere_to_be_found\n"},
        "error",
        "1 error while collecting: tests/test_m.py",
        "",
    ),
    "an error in a conftest": (
        {"conftest.py": "import nowhere_to_be_found\n", "tests/test_m.py": GREEN},
        "error",
        "No module named 'nowhere_to_be_found'",
        "",
    ),
    "an option that pytest does not know": (
        {"pytest.ini": "[pytest]\nnonsense = 1\naddopts = --strict-config\n", "tests/test_m.py": GREEN},
        "error",
        "pytest did not start: Unknown config option: nonsense",
        "",
    ),
    "leaving through the back door": (
        {"tests/test_m.py": "import os\n\n\ndef test_x():\n    os._exit(0)\n"},
        "error",
        "the process ended with exit code 0 before the session did",
        "",
    ),
    "a segfault": (
        {"tests/test_m.py": "import os\n\n\ndef test_x():\n    os.kill(os.getpid(), 11)\n"},
        "error",
        "killed by SIGSEGV before the session ended",
        "",
    ),
    "a crash after the session": (
        {"tests/test_m.py": "import atexit\nimport os\n\n\ndef test_x():\n    atexit.register(os._exit, 7)\n"},
        "error",
        "",
        "",
    ),
    "an exit in mid-session that claims success": (
        {"tests/test_m.py": f"{GREEN}\n\ndef test_x():\n    __import__('pytest').exit('enough', returncode=0)\n"},
        "error",
        "pytest was broken off: enough",
        "",
    ),
    "an exit in mid-session that claims that there are no tests": (
        {"tests/test_m.py": "def test_x():\n    __import__('pytest').exit('', returncode=5)\n"},
        "error",
        "pytest was broken off: Exit",
        "",
    ),
    "an exit status that a plugin mends": (
        {
            "conftest.py": "def pytest_sessionfinish(session):\n    session.exitstatus = 0\n",
            "tests/test_m.py": "def test_x():\n    assert 0\n",
        },
        "failed",
        "1 of 1 failed: test_x",
        "",
    ),
}


async def test_how_a_session_ended_is_told_as_it_was(bench: Bench) -> None:
    engine = of_pytest(bench)
    for name, (files, state, summary, output) in ENDS.items():
        written = [bench.write(path, text) for path, text in files.items()]
        verdict = await bench.one(engine, "pytest")
        assert (verdict.state, verdict.red) == (state, True), (name, verdict)
        whole = name != "an error in a conftest"
        assert verdict.summary == summary if whole and summary else summary in verdict.summary, (name, verdict)
        assert output in verdict.output, name
        for path in written:
            path.unlink()


async def test_fifty_megabytes_of_output_leave_the_verdict_whole(bench: Bench) -> None:
    text = (
        "def test_loud(capfd):\n    with capfd.disabled():\n        for _ in range(50):\n"
        "            print('x' * 1_000_000)\n    assert 1 == 2\n"
    )
    bench.write("test_m.py", text)
    verdict = await bench.one(bench.engine(ruff=False), "pytest")
    assert (verdict.state, verdict.summary) == ("failed", "1 of 1 failed: test_loud")
    assert len(verdict.output.encode()) < 11_000
    assert "FAILED test_m.py::test_loud" in verdict.output


def linked(bench: Bench, text: str) -> None:
    """One test under four names: through 22 links, the first of them, through 21, through 3 and through none."""
    hook = "import os\ndef pytest_collect_file(file_path):\n"
    hook += f"    through, begun = file_path.parts.count('l'), {str(bench.begun)!r}\n"
    bench.write("conftest.py", hook + "".join(f"    {line}\n" for line in text.splitlines()))
    # pytest begins in no folder of the name `build`.
    folders = [bench.root / ("" if n in (0, 1, 19, 22) else "build") / f"r{n}" for n in range(23)]
    for folder in folders:
        folder.mkdir(parents=True)
    for folder, following in pairwise(folders):
        (folder / "l").symlink_to(os.path.relpath(following, folder))
    bench.write("r22/test_m.py", GREEN)


async def found(bench: Bench, engine: ProbeEngine) -> Verdict:
    """The verdict about all four names: where the kernel refuses a way while folders are listed, it is not told."""
    verdict = await bench.one(engine, "pytest")
    for n in range(3):
        if verdict.summary == "3 passed":
            bench.write("again.txt", str(n))
            verdict = await bench.one(engine, "pytest")
    return verdict


@pytest.mark.parametrize("fault", ["through == 22: 1 / 0", "through == 3: raise OSError(40, os.strerror(40))"])
@pytest.mark.parametrize("forks", [True, False])
async def test_links_that_the_kernel_may_have_miscounted_are_counted_again(
    bench: Bench, forks: bool, fault: str
) -> None:
    # The path that is refused may be the one that another is compared with.
    where, _, what = fault.partition(": ")
    linked(bench, f"if {where} and not os.path.exists(begun):\n    open(begun, 'x').close()\n    {what}\n")
    verdict = await found(bench, of_pytest(bench, forks=forks))
    assert (verdict.state, verdict.summary) == ("passed", "4 passed"), verdict.output
    assert bench.begun.exists()


async def test_what_cannot_be_collected_each_time_is_an_error_though_links_lead_there(bench: Bench) -> None:
    linked(bench, "if through == 22:\n    1 / 0\n")
    engine = of_pytest(bench)
    verdict = await found(bench, engine)
    assert (verdict.state, verdict.summary[:26]) == ("error", "1 error while collecting: "), verdict.output
    assert (await bench.one(engine, "pytest")).cache == "hit"


async def test_links_that_are_miscounted_each_time_leave_an_error_that_is_not_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jetbox.engine.probes.sessions.AGAIN", 1)
    # Another one each time: what a session said of one was untrue by the next.
    text = "with open(begun, 'a') as file:\n    file.write('x' * (through == 22))\n    odd = file.tell() % 2\n"
    linked(bench, text + "if through == 22 - odd:\n    1 / 0\n")
    engine = of_pytest(bench)
    verdict = await found(bench, engine)
    assert (verdict.state, verdict.summary[:26]) == ("error", "1 error while collecting: "), verdict.output
    assert (await bench.one(engine, "pytest")).cache == "ran"


async def test_hang_ends_at_the_time_limit_with_nothing_left(bench: Bench) -> None:
    mark = f"time.sleep(98{os.getpid()})"
    text = (
        "import subprocess\nimport sys\n\n\ndef test_x():\n    pass\n\n\n"
        f"subprocess.run([sys.executable, '-c', 'import time; {mark}'])\n"
    )
    assert await judged(bench, text, time_s=3) == ("timeout", "no result after 3 s, in tests/test_m.py")
    assert bench.running(mark) == []


async def test_nothing_that_ran_is_skipped_not_passed(bench: Bench) -> None:
    engine = of_pytest(bench)
    for text, counts in (
        ("import pytest\n\n\n@pytest.mark.skip\ndef test_x():\n    pass\n", " (1 skipped)"),
        ("def helper():\n    pass\n", ""),
    ):
        bench.write("tests/test_m.py", text)
        verdict = await bench.one(engine, "pytest")
        assert (verdict.state, verdict.summary) == ("skipped", f"ran no tests although 1 test file exists{counts}")


async def test_a_configuration_that_runs_no_test_does_not_verify(bench: Bench) -> None:
    bench.write("tests/test_a.py", "def test_a():\n    assert 0\n")
    bench.write("tests/test_b.py", "def test_b():\n    assert 0\n")
    engine = of_pytest(bench)
    for name, text, counts in (
        ("pytest.ini", "[pytest]\naddopts = --co\n", ""),
        ("pytest.ini", "[pytest]\naddopts = -k nothing\n", " (2 deselected)"),
        ("pytest.ini", "[pytest]\naddopts = -m slow\nmarkers = slow\n", " (2 deselected)"),
        ("conftest.py", "collect_ignore_glob = ['*']\n", ""),
        ("conftest.py", "def pytest_collection_modifyitems(items):\n    items.clear()\n", ""),
    ):
        configuration = bench.write(name, text)
        ran, stored = await bench.one(engine, "pytest"), await bench.one(engine, "pytest")
        assert (ran.cache, stored.cache) == ("ran", "hit"), text
        for verdict in (ran, stored):
            assert (verdict.state, verdict.hollow) == ("skipped", True), text
            assert verdict.summary == f"ran no tests although 2 test files exist{counts}", text
        configuration.unlink()


async def test_no_tests_is_decided_from_the_files_as_they_are(bench: Bench) -> None:
    bench.write("m.py", "x = 1\n")
    engine = bench.engine(ruff=False)
    assert (await engine.verdicts())[0].summary == "no tests"
    bench.write("test_m.py", GREEN)
    assert (await engine.verdicts())[0].summary == "1 passed"
    (bench.root / "test_m.py").unlink()
    assert [(v.state, v.summary) for v in await engine.verdicts()] == [("skipped", "no tests")]
    assert engine.interpreters.lookups == 1


async def test_other_names_for_test_files_are_left_to_pytest(bench: Bench) -> None:
    bench.write("pytest.ini", "[pytest]\npython_files = check_*.py\n")
    bench.write("check_m.py", GREEN)
    assert (await bench.engine(ruff=False).verdicts())[0].summary == "1 passed"


async def test_switch_off_the_look_for_tests(bench: Bench) -> None:
    bench.write("m.py", "x = 1\n")
    engine = bench.engine(ruff=False, performance=PerformanceOptions(probe_skip_without_tests=False))
    verdict = (await engine.verdicts())[0]
    assert (verdict.state, verdict.summary, verdict.cache) == ("skipped", "no tests collected", "ran")


async def test_a_module_named_like_one_of_pytests_own_does_not_break_it(bench: Bench) -> None:
    bench.write("json.py", "raise RuntimeError('not for you')\n")
    assert await judged(bench, GREEN) == ("passed", "1 passed")


async def test_processes_that_a_test_spawns_find_a_main_module(bench: Bench) -> None:
    text = (
        "import multiprocessing\n\n\ndef test_x():\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        assert pool.map(abs, [-3]) == [3]\n"
    )
    assert await judged(bench, text) == ("passed", "1 passed")


async def test_what_a_conftest_collects_counts_whatever_its_name(bench: Bench) -> None:
    bench.write(
        "checks/conftest.py",
        "import pytest\ndef pytest_collect_file(parent, file_path):\n"
        "    return Notes.from_parent(parent, path=file_path) if file_path.suffix == '.md' else None\n"
        "class Notes(pytest.File):\n    def collect(self):\n        yield Note.from_parent(self, name='note')\n"
        "class Note(pytest.Item):\n    def runtest(self):\n        assert 'done' in self.path.read_text()\n",
    )
    note = bench.write("checks/a.md", "done")
    engine = bench.engine(ruff=False)
    for text, summary in (("done", "1 passed"), ("open", "1 of 1 failed: note")):
        note.write_text(text)
        assert (await engine.verdicts())[0].summary == summary
    note.unlink()
    assert (await engine.verdicts())[0].summary == "no tests collected"


@pytest.mark.parametrize("folder", [".venv", "venv"])
async def test_environment_without_pytest_is_skipped_with_the_cure(bench: Bench, folder: str) -> None:
    import venv

    venv.create(bench.root / folder, with_pip=False, symlinks=True)
    state, summary = await judged(bench, GREEN)
    assert state == "skipped"
    assert summary == f"{folder}/bin/python has no pytest; cure: {folder}/bin/python -m pip install pytest"


async def test_tests_run_with_the_environment_of_the_workspace(bench: Bench) -> None:
    import venv

    venv.create(bench.root / ".venv", with_pip=False, symlinks=True)
    packages = next((bench.root / ".venv" / "lib").glob("python*/site-packages"))
    ours = next(path for path in sys.path if os.path.exists(f"{path}/_pytest"))
    (packages / "borrowed.pth").write_text(ours + "\n")
    text = f"import sys\n\n\ndef test_x():\n    assert sys.prefix == {str(bench.root / '.venv')!r}\n"
    assert await judged(bench, text) == ("passed", "1 passed")


async def test_broken_interpreter_is_skipped_with_the_cure(bench: Bench) -> None:
    (bench.root / ".venv" / "bin").mkdir(parents=True)
    (bench.root / ".venv" / "bin" / "python").symlink_to("/nonexistent/python")
    state, summary = await judged(bench, GREEN)
    assert state == "skipped"
    assert summary.startswith(".venv/bin/python does not exist or leads nowhere; cure: ")


async def test_interpreter_that_is_none_is_skipped_in_words(bench: Bench) -> None:
    path = bench.write("notpython", "#!/bin/sh\necho I am no interpreter\nexit 3\n")
    path.chmod(0o755)
    state, summary = await judged(bench, GREEN, python="notpython")
    assert state == "skipped"
    assert summary.startswith("notpython does not run: I am no interpreter; cure: ")


async def test_active_environment_is_used_where_the_workspace_has_none(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    import venv

    other = bench.root.parent / "elsewhere"
    venv.create(other, with_pip=False, symlinks=True)
    monkeypatch.setenv("VIRTUAL_ENV", str(other))
    state, summary = await judged(bench, GREEN)
    assert (state, summary.split(";")[0]) == ("skipped", f"{other}/bin/python has no pytest")


@pytest.mark.parametrize("forks", [True, False], ids=["forked", "from scratch"])
async def test_a_package_that_is_imported_from_elsewhere_is_no_green(bench: Bench, forks: bool) -> None:
    bench.write("src/h11/__init__.py", "X = 1\n")
    bench.write("test_a.py", "import h11\ndef test_a(): assert h11\n")
    engine = of_pytest(bench, forks=forks)
    [verdict] = await engine.verdicts()
    assert verdict.state == "error"
    assert "h11 was imported from " in verdict.summary
    assert "not from the workspace; cure: " in verdict.summary
    bench.write("pytest.ini", "[pytest]\npythonpath = src\n")
    [verdict] = await engine.verdicts()
    assert (verdict.state, verdict.summary) == ("passed", "1 passed")


@pytest.mark.parametrize("name", ["pytest", "pytest.main()", "python -m pytest"])
def test_an_option_that_is_not_known_is_told(name: str) -> None:
    said = "ERROR: usage: %s [options]\n%s: error: unrecognized arguments: --odd\n  inifile: /x/pytest.ini\n"
    assert last_error(said % (name, name)) == "unrecognized arguments: --odd"
