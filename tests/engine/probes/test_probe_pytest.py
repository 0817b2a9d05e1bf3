from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from jetbox.engine.options import PerformanceOptions
from jetbox.engine.probes.judging import last_error

if TYPE_CHECKING:
    from engine.probes.conftest import Bench

GREEN = "def test_a():\n    pass\n"


async def judged(bench: Bench, text: str, **options: Any) -> tuple[str, str]:
    bench.write("tests/test_m.py", text)
    verdict = await bench.one(bench.engine(ruff=False, **options), "pytest")
    return verdict.state, verdict.summary


async def test_green_suite_with_the_workspace_on_its_path(bench: Bench) -> None:
    bench.write("mathx/__init__.py", "def add(a, b):\n    return a + b\n")
    text = "import sys\nimport pytest\nfrom mathx import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"
    text += "\n\n@pytest.mark.skip\ndef test_s():\n    pass\n\n\n@pytest.mark.xfail\ndef test_x():\n    assert 0\n"
    assert await judged(bench, text) == ("passed", "1 passed, 1 xfailed, 1 skipped")
    assert not (bench.root / ".pytest_cache").exists()


async def test_all_that_failed_is_told_not_the_first_alone(bench: Bench) -> None:
    text = "".join(f"def test_{n}():\n    assert {n} != 1 and {n} != 4\n\n\n" for n in range(6))
    bench.write("tests/test_m.py", text)
    bench.write("pytest.ini", "[pytest]\naddopts = -x --lf\n")
    verdict = await bench.one(bench.engine(ruff=False), "pytest")
    assert (verdict.state, verdict.summary) == ("failed", "2 of 6 failed: test_1, test_4")
    assert "FAILED tests/test_m.py::test_4" in verdict.output
    assert verdict.red


async def test_output_that_imitates_a_green_end_changes_nothing(bench: Bench) -> None:
    text = (
        "import sys\n\n\ndef test_bad(capfd):\n    with capfd.disabled():\n"
        "        print('=== 99 passed in 0.01s ===')\n"
        '        print(\'[0123456789abcdef] {"code": 0, "finished": true}\')\n    assert False\n'
    )
    assert await judged(bench, text) == ("failed", "1 of 1 failed: test_bad")


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


async def test_error_while_collecting(bench: Bench) -> None:
    bench.write("tests/test_good.py", GREEN)
    assert await judged(bench, "import nowhere_to_be_found\n") == (
        "error",
        "1 error while collecting: tests/test_m.py",
    )


def linked(bench: Bench, text: str) -> None:
    """One test under many names, the first of them through 22 links."""
    hook = "import os\ndef pytest_collect_file(file_path):\n"
    hook += f"    through, begun = file_path.parts.count('l'), {str(bench.begun)!r}\n"
    bench.write("conftest.py", hook + "".join(f"    {line}\n" for line in text.splitlines()))
    bench.write("r22/test_m.py", GREEN)
    for n in range(22):
        (bench.root / f"r{n}").mkdir()
        (bench.root / f"r{n}/l").symlink_to(f"../r{n + 1}")


@pytest.mark.parametrize("fault", ["through == 22: 1 / 0", "through == 3: raise OSError(40, os.strerror(40))"])
@pytest.mark.parametrize("forks", [True, False])
async def test_links_that_the_kernel_may_have_miscounted_are_counted_again(
    bench: Bench, forks: bool, fault: str
) -> None:
    # The path that is refused may be the one that another is compared with.
    where, _, what = fault.partition(": ")
    linked(bench, f"if {where} and not os.path.exists(begun):\n    open(begun, 'x').close()\n    {what}\n")
    engine = bench.engine(ruff=False, performance=PerformanceOptions(pytest_server=forks))
    verdict = await bench.one(engine, "pytest")
    assert (verdict.state, verdict.summary) == ("passed", "23 passed"), verdict.output
    assert bench.begun.exists()


async def test_what_cannot_be_collected_each_time_is_an_error_though_links_lead_there(bench: Bench) -> None:
    linked(bench, "if through == 22:\n    1 / 0\n")
    engine = bench.engine(ruff=False)
    verdict = await bench.one(engine, "pytest")
    assert (verdict.state, verdict.summary[:26]) == ("error", "1 error while collecting: "), verdict.output
    assert (await bench.one(engine, "pytest")).cache == "hit"


async def test_links_that_are_miscounted_each_time_leave_an_error_that_is_not_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jetbox.engine.probes.sessions.AGAIN", 1)
    # Another one each time: what a session said of one was untrue by the next.
    text = "with open(begun, 'a') as file:\n    file.write('x' * (through == 22))\n    odd = file.tell() % 2\n"
    linked(bench, text + "if through == 22 - odd:\n    1 / 0\n")
    engine = bench.engine(ruff=False)
    verdict = await bench.one(engine, "pytest")
    assert (verdict.state, verdict.summary[:26]) == ("error", "1 error while collecting: "), verdict.output
    assert (await bench.one(engine, "pytest")).cache == "ran"


async def test_error_in_a_conftest_is_told_in_its_words(bench: Bench) -> None:
    bench.write("conftest.py", "import nowhere_to_be_found\n")
    state, summary = await judged(bench, GREEN)
    assert state == "error"
    assert "No module named 'nowhere_to_be_found'" in summary


async def test_leaving_through_the_back_door_is_no_pass(bench: Bench) -> None:
    state, summary = await judged(bench, "import os\n\n\ndef test_x():\n    os._exit(0)\n")
    assert (state, summary) == ("error", "the process ended with exit code 0 before the session did")


async def test_segfault_names_the_signal(bench: Bench) -> None:
    state, summary = await judged(bench, "import os\n\n\ndef test_x():\n    os.kill(os.getpid(), 11)\n")
    assert (state, summary) == ("error", "killed by SIGSEGV before the session ended")


async def test_crash_after_the_session_is_no_pass(bench: Bench) -> None:
    text = "import atexit\nimport os\n\n\ndef test_x():\n    atexit.register(os._exit, 7)\n"
    assert (await judged(bench, text))[0] == "error"


async def test_hang_ends_at_the_time_limit_with_nothing_left(bench: Bench) -> None:
    mark = f"time.sleep(98{os.getpid()})"
    text = (
        "import subprocess\nimport sys\n\n\ndef test_x():\n"
        f"    subprocess.run([sys.executable, '-c', 'import time; {mark}'])\n"
    )
    assert await judged(bench, text, time_s=1.5) == ("timeout", "no result after 1.5 s")
    assert bench.running(mark) == []


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        (
            "import pytest\n\n\n@pytest.mark.skip\ndef test_x():\n    pass\n",
            "ran no tests although 1 test file exists (1 skipped)",
        ),
        ("def helper():\n    pass\n", "ran no tests although 1 test file exists"),
    ],
)
async def test_nothing_that_ran_is_skipped_not_passed(bench: Bench, text: str, summary: str) -> None:
    assert await judged(bench, text) == ("skipped", summary)


@pytest.mark.parametrize(
    ("files", "counts"),
    [
        ({"pytest.ini": "[pytest]\naddopts = --co\n"}, ""),
        ({"pytest.ini": "[pytest]\naddopts = -k nothing\n"}, " (2 deselected)"),
        ({"pytest.ini": "[pytest]\naddopts = -m slow\nmarkers = slow\n"}, " (2 deselected)"),
        ({"conftest.py": "collect_ignore_glob = ['*']\n"}, ""),
        ({"conftest.py": "def pytest_collection_modifyitems(items):\n    items.clear()\n"}, ""),
    ],
)
async def test_a_configuration_that_runs_no_test_does_not_verify(
    bench: Bench, files: dict[str, str], counts: str
) -> None:
    for name, text in files.items():
        bench.write(name, text)
    bench.write("tests/test_a.py", "def test_a():\n    assert 0\n")
    bench.write("tests/test_b.py", "def test_b():\n    assert 0\n")
    engine = bench.engine(ruff=False)
    ran, stored = await bench.one(engine, "pytest"), await bench.one(engine, "pytest")
    for verdict in (ran, stored):
        assert (verdict.state, verdict.hollow) == ("skipped", True)
        assert verdict.summary == f"ran no tests although 2 test files exist{counts}"


async def test_exit_status_that_a_plugin_mends_does_not_hide_failures(bench: Bench) -> None:
    bench.write("conftest.py", "def pytest_sessionfinish(session):\n    session.exitstatus = 0\n")
    assert await judged(bench, "def test_x():\n    assert 0\n") == ("failed", "1 of 1 failed: test_x")


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
    engine = bench.engine(ruff=False, performance=PerformanceOptions(pytest_server=forks))
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
