"""What workspaces and tests do to the probes: each ends in a right verdict or an honest error.

By the real engine in the real sandbox; runs of pytest forked, and from scratch.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.probes.conftest import uncompared
from engine.probes.proved import few_watches
from jetbox.engine.options import PerformanceOptions
from jetbox.engine.probes import inotify
from jetbox.engine.probes.base import Verdict
from jetbox.engine.probes.pytest import PytestProbe
from jetbox.engine.safety.choose import choose_sandbox
from jetbox.engine.safety.process import ProcessRunner

if TYPE_CHECKING:
    from engine.probes.conftest import Bench
    from jetbox.engine.probes.runner import ProbeEngine

GREEN = "def test_a():\n    pass\n"
PATHS = [
    pytest.param(True, id="forked", marks=pytest.mark.skipif(sys.platform != "linux", reason="forked runs need Linux")),
    pytest.param(False, id="from scratch"),
]
RUFF = shutil.which("ruff", path=str(Path(sys.executable).parent))


@pytest.fixture
async def bench(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    # The plugins of this suite take longer to import than all that is tested here.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    sandbox = await choose_sandbox(bench.root, enabled=True, network=False)
    bench.processes = ProcessRunner(sandbox, bench.root, pass_env=("PYTEST_DISABLE_PLUGIN_AUTOLOAD",))
    yield bench
    for engine in bench.engines:
        await engine.close()
    await sandbox.close()


def only_pytest(bench: Bench, forks: bool, *, compares: bool = True, **options: Any) -> ProbeEngine:
    """One that learns nothing of tests; `compares` forked runs with some from scratch."""
    performance = PerformanceOptions(pytest_server=forks, affected_first=False)
    engine = bench.engine(performance=performance, ruff=False, **options)
    return engine if compares else uncompared(engine)


async def verdict_of(engine: ProbeEngine) -> Verdict:
    (verdict,) = await engine.verdicts()
    return verdict


def was_forked(engine: ProbeEngine) -> bool:
    (probe,) = engine.probes
    assert isinstance(probe, PytestProbe)
    return probe.sessions.forks


DEEDS = {
    "leaves by os._exit": ("os._exit(0)", "error", "the process ended with exit code 0 before the session did"),
    "forks and both go on": ("os.fork()", "passed", "1 passed"),
    "leaves a process behind": (
        "os.fork() or (os.setsid(), signal.signal(15, signal.SIG_IGN), time.sleep(600))",
        "passed",
        "1 passed",
    ),
    "prints 1 GB": ("[os.write(1, b'x' * 2**20) for _ in range(MEGABYTES)]", "passed", "1 passed"),
    "takes 4 GB": ("bytearray(4 * 1024**3)", "failed", "1 of 1 failed: test_a"),
    "changes directory": ("os.chdir('/')", "passed", "1 passed"),
    "deletes its directory": ("os.mkdir('d'); os.chdir('d'); os.rmdir('../d')", "passed", "1 passed"),
}


@pytest.mark.parametrize("forks", PATHS)
async def test_what_a_test_does_to_its_process(bench: Bench, forks: bool) -> None:
    engine = only_pytest(bench, forks, compares=False)
    # Of a process of its own a thousand times of what is kept shows the same.
    head = f"import os, signal, sys, time\nMEGABYTES = {1024 if forks else 80}\n"
    for name, (deed, state, summary) in DEEDS.items():
        bench.write("test_m.py", f"{head}def test_a(capfd):\n    with capfd.disabled():\n        {deed}\n")
        verdict = await verdict_of(engine)
        assert (name, verdict.state, verdict.summary) == (name, state, summary), verdict
        assert len(verdict.output.encode()) < 11_000, name
        assert was_forked(engine) == forks, name
    bench.write("test_m.py", GREEN)
    verdict = await verdict_of(engine)
    assert (verdict.state, verdict.summary, verdict.why) == ("passed", "1 passed", "test_m.py changed")
    assert (await verdict_of(engine)).cache == "hit"


@pytest.mark.parametrize("forks", PATHS)
async def test_a_test_that_hangs(bench: Bench, forks: bool) -> None:
    word = f"96{os.getpid() % 10000:04d}"
    bench.write(
        "test_m.py",
        f"import subprocess\ndef test_a():\n    subprocess.Popen(['sleep', '{word}'], start_new_session=True).wait()\n",
    )
    engine = only_pytest(bench, forks, time_s=3 if forks else 1.5)
    verdict = await verdict_of(engine)
    within = "3 s, in test_m.py::test_a" if forks else "1.5 s"
    assert (verdict.state, verdict.summary) == ("timeout", f"no result after {within}")
    assert not bench.running(f"sleep\0{word}")
    assert (await verdict_of(engine)).cache == "ran", "no later look is spared by a run that had no end"


@pytest.mark.parametrize("forks", PATHS)
async def test_a_test_that_kills_its_parents_group(bench: Bench, forks: bool) -> None:
    bench.write("test_m.py", "import os\ndef test_a():\n    os.killpg(os.getpgid(os.getppid()), 9)\n")
    engine = only_pytest(bench, forks)
    verdict = await verdict_of(engine)
    assert verdict.state == "error"
    assert "before the session" in verdict.summary
    bench.write("test_m.py", GREEN)
    assert (await verdict_of(engine)).state == "passed"


@pytest.mark.parametrize("forks", PATHS)
async def test_a_test_that_writes_into_the_workspace(bench: Bench, forks: bool) -> None:
    bench.write(
        "test_m.py", "import os, pathlib\ndef test_a():\n    pathlib.Path('out.log').write_text(os.urandom(8).hex())\n"
    )
    engine = only_pytest(bench, forks, compares=False)
    verdict = await verdict_of(engine)
    assert (verdict.state, verdict.summary) == ("passed", "1 passed")
    assert verdict.why.endswith("not kept: it changes out.log")
    assert (await verdict_of(engine)).cache == "ran"


@pytest.mark.parametrize("forks", PATHS)
async def test_a_test_that_writes_program_text(bench: Bench, forks: bool) -> None:
    bench.write(
        "test_m.py", "import os, pathlib\ndef test_a():\n    pathlib.Path('m.py').write_text(f'n = {os.urandom(4)}')\n"
    )
    verdict = await verdict_of(only_pytest(bench, forks, compares=False))
    assert (verdict.state, verdict.summary) == ("error", "files keep changing while it runs: m.py")


@pytest.mark.parametrize("forks", PATHS)
async def test_collection_errors_and_configurations_that_cannot_be_read(bench: Bench, forks: bool) -> None:
    bench.write("test_m.py", GREEN)
    bench.write("test_n.py", "import nothing_of_that_name\n")
    engine = only_pytest(bench, forks, compares=False)
    verdict = await verdict_of(engine)
    assert (verdict.state, verdict.summary) == ("error", "1 error while collecting: test_n.py")
    (bench.root / "test_n.py").unlink()
    assert (await verdict_of(engine)).state == "passed"
    bench.write("pyproject.toml", "[tool.pytest.ini_options\n")
    verdict = await verdict_of(engine)
    assert (verdict.state, verdict.red) == ("error", True)
    assert "pyproject.toml" in verdict.summary
    bench.write("pyproject.toml", "")
    assert (await verdict_of(engine)).state == "passed"


@pytest.mark.parametrize("forks", PATHS)
async def test_no_tests_and_no_pytest(bench: Bench, forks: bool) -> None:
    import venv

    bench.write("m.py", "x = 1\n")
    engine = only_pytest(bench, forks)
    verdict = await verdict_of(engine)
    assert (verdict.state, verdict.summary) == ("skipped", "no tests")
    bench.write("test_m.py", GREEN)
    assert (await verdict_of(engine)).state == "passed"
    venv.create(bench.root / ".venv", with_pip=False, symlinks=True)
    verdict = await verdict_of(engine)
    assert verdict.state == "skipped"
    assert verdict.summary.startswith(".venv/bin/python has no pytest; cure: ")


def another_ruff(bench: Bench, script: str) -> None:
    """The workspace's own ruff is this program."""
    (bench.root / ".venv/bin").mkdir(parents=True, exist_ok=True)
    own = bench.write(".venv/bin/ruff", f"#!/bin/sh\n{script}\n")
    own.chmod(0o755)
    python = bench.root / ".venv/bin/python"
    if not python.exists():
        python.symlink_to(os.path.realpath("/bin/sh"))


async def test_a_broken_pyproject_is_an_error_of_both_and_mended_it_is_none(bench: Bench) -> None:
    bench.write("test_m.py", GREEN)
    bench.write("pyproject.toml", "[tool.ruff\n")
    engine = bench.engine()
    engine.prepare()
    assert [(v.name, v.state) for v in await engine.verdicts()] == [("ruff", "error"), ("pytest", "error")]
    assert await engine.lint("test_m.py", "import os\n") == ""
    bench.write("pyproject.toml", "[tool.ruff]\n")
    assert [v.state for v in await engine.verdicts()] == ["passed", "passed"]


async def test_a_ruff_of_another_major_version_is_run_from_scratch(bench: Bench) -> None:
    hello = (
        '{"jsonrpc":"2.0","id":1,"result":{"capabilities":{"positionEncoding":"utf-32"},'
        '"serverInfo":{"name":"ruff","version":"1.0.0"}}}'
    )
    another_ruff(
        bench,
        f'if [ "$1" != server ]; then exec {RUFF} "$@"; fi\n'
        f"printf 'Content-Length: {len(hello)}\\r\\n\\r\\n%s' '{hello}'\ncat >/dev/null",
    )
    bench.write("m.py", "import os\n")
    engine = bench.engine(pytest=False)
    engine.prepare()
    assert await engine.lint("m.py", "import os\n") == ""
    verdict = await verdict_of(engine)
    assert (verdict.state, verdict.slow) == ("failed", "its server is of version 1.0.0")
    assert verdict.summary.startswith("1 problem")
    bench.write("m.py", "x = 1\n")
    verdict = await verdict_of(engine)
    assert (verdict.state, verdict.cache) == ("passed", "ran")


async def test_a_ruff_that_does_not_know_its_arguments_any_more_is_an_error(bench: Bench) -> None:
    another_ruff(bench, "echo \"error: unexpected argument '--no-cache' found\" >&2; exit 2")
    bench.write("m.py", "x = 1\n")
    verdict = await verdict_of(bench.engine(pytest=False))
    assert (verdict.state, verdict.red) == ("error", True)
    assert "unexpected argument '--no-cache'" in verdict.summary


async def test_ruff_that_goes_and_comes_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.write("m.py", "x = 1\n")
    monkeypatch.setattr("sys.prefix", str(bench.root / "nowhere"))
    monkeypatch.setenv("PATH", str(bench.root))
    another_ruff(bench, f'exec {RUFF} "$@"')
    engine = bench.engine(pytest=False)
    assert (await verdict_of(engine)).state == "passed"
    (bench.root / ".venv/bin/ruff").unlink()
    verdict = await verdict_of(engine)
    assert (verdict.state, verdict.summary) == ("skipped", "ruff is not installed; cure: pip install ruff")
    another_ruff(bench, f'exec {RUFF} "$@"')
    assert (await verdict_of(engine)).state == "passed"


async def test_ten_thousand_files(bench: Bench) -> None:
    for folder in range(100):
        (bench.root / f"d{folder}").mkdir()
        for n in range(50):
            for name in (f"m{n}.py", f"n{n}.txt"):
                os.close(os.open(f"{bench.root}/d{folder}/{name}", os.O_CREAT, 0o644))
    bench.write("test_m.py", GREEN)
    engine = uncompared(bench.engine(performance=PerformanceOptions(affected_first=False)))
    assert [v.state for v in await engine.verdicts()] == ["passed", "passed"]
    assert [v.cache for v in await engine.verdicts(final=True)] == ["hit", "hit"]
    bench.write("d99/m49.py", "import os\n")
    ruff, tests = await engine.verdicts(final=True)
    assert (ruff.state, ruff.why, tests.state) == ("failed", "d99/m49.py changed", "passed")


async def follows_changes(bench: Bench, engine: ProbeEngine) -> None:
    """Each look is right about the files as they are, and unchanged files are a hit."""
    path = bench.write("m.py", "import os\n")
    for _ in range(2):
        assert (await verdict_of(engine)).summary == "1 problem: F401"
        # As long, and by its times as old as before.
        seen = path.stat()
        path.write_text("io  = True")
        os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
        assert (await verdict_of(engine)).state == "passed"
        (final,) = await engine.verdicts(final=True)
        assert (final.state, (await verdict_of(engine)).cache) == ("passed", "hit")
        path.write_text("import os\n")


async def test_a_file_system_without_inotify(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inotify, "file_system", lambda path: 0x6969)
    engine = bench.engine(pytest=False)
    await follows_changes(bench, engine)
    assert engine.files.how == f"sweep: the file system of {bench.root} does not tell of every change"


async def test_watches_that_run_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    few_watches(monkeypatch)
    for n in range(40):
        bench.write(f"d{n}/data.txt", "")
    engine = bench.engine(pytest=False)
    await follows_changes(bench, engine)
    assert engine.files.how == "sweep: no more watches (fs.inotify.max_user_watches)"


@pytest.mark.parametrize("watch", [True, False], ids=["inotify", "sweep"])
async def test_a_clock_that_is_set_back(bench: Bench, monkeypatch: pytest.MonkeyPatch, watch: bool) -> None:
    now, now_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: now() + 3600)
    monkeypatch.setattr(time, "time_ns", lambda: now_ns() + 3600 * 10**9)
    engine = bench.engine(pytest=False, performance=PerformanceOptions(probe_inotify=watch))
    await follows_changes(bench, engine)
    monkeypatch.setattr(time, "time", now)
    monkeypatch.setattr(time, "time_ns", now_ns)
    await follows_changes(bench, engine)


async def test_links_in_circles(bench: Bench) -> None:
    bench.write("pkg/test_m.py", GREEN)
    # pytest itself follows a link as often as the kernel lets it, but looks into no folder of this name.
    (bench.root / "build/deep").mkdir(parents=True)
    (bench.root / "build/deep/up").symlink_to("..")
    (bench.root / "one.txt").symlink_to("two.txt")
    (bench.root / "two.txt").symlink_to("one.txt")
    (bench.root / "self").symlink_to("self")
    engine = bench.engine()
    seen = [(v.name, v.state, v.summary) for v in await engine.verdicts()]
    assert seen == [("ruff", "passed", "0 problems"), ("pytest", "passed", "1 passed")]
    assert [v.cache for v in await engine.verdicts()] == ["hit", "hit"]
    bench.write("pkg/test_m.py", "import os\n\n\ndef test_a():\n    assert 0\n")
    seen = [(v.name, v.state, v.summary) for v in await engine.verdicts(final=True)]
    assert [state for _, state, _ in seen] == ["failed", "failed"], seen


@pytest.mark.parametrize("forks", PATHS)
async def test_a_link_in_a_circle_that_pytest_follows(bench: Bench, forks: bool) -> None:
    bench.write("pkg/test_m.py", GREEN)
    (bench.root / "pkg/up").symlink_to("..")
    engine = only_pytest(bench, forks, compares=False)
    # As often as the kernel lets it: the same test under so many names, of which those through more than 20
    # links may be left out by a kernel that looks a path up anew and goes on counting.
    (verdict,) = await engine.verdicts(final=True)
    assert verdict.state == "passed", f"{verdict.output}"
    assert re.fullmatch(r"[234]\d passed", verdict.summary), f"{verdict.output}"
    bench.write("pkg/test_m.py", "def test_a():\n    assert 0\n")
    (verdict,) = await engine.verdicts(final=True)
    assert verdict.state == "failed", f"{verdict.output}"
    assert re.match(r"([234]\d) of \1 failed: ", verdict.summary), f"{verdict.output}"


@pytest.mark.parametrize("forks", PATHS)
async def test_a_file_that_is_replaced_between_look_up_and_read(bench: Bench, forks: bool) -> None:
    """What was looked at is red, what is run is green, and back: the verdict is about what is there at its end."""
    path = bench.write("test_m.py", "import os\n\n\ndef test_a():\n    assert 0\n")
    texts = [GREEN]

    def replace(name: str) -> None:
        if texts:
            bench.write("../new", texts.pop())
            os.replace(bench.root.parent / "new", path)

    bench.on_start = replace
    engine = bench.engine(performance=PerformanceOptions(pytest_server=forks))
    verdicts = await engine.verdicts()
    assert [(v.name, v.state) for v in verdicts] == [("ruff", "passed"), ("pytest", "passed")]
    assert ("end", "ruff", "cancelled") in bench.told
    texts.append("import os\n\n\ndef test_a():\n    assert 0\n")
    bench.write("other.py", "x = 1\n")
    assert [v.state for v in await engine.verdicts()] == ["failed", "failed"]
    assert [v.state for v in await engine.verdicts(final=True)] == ["failed", "failed"]
