"""One ruff server: what it says of a text before it is written, and its bad days."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.probes.linting import BROKEN, Ruff, said, stop
from jetbox.engine.options import ProbeOptions
from jetbox.engine.probes.reasons import explained
from jetbox.engine.probes.ruff import RuffProbe
from jetbox.engine.probes.ruff_aside import told
from jetbox.engine.probes.ruff_server import OPEN_MOST, STARTS
from jetbox.engine.safety.choose import choose_sandbox
from jetbox.engine.safety.family import descendants

if TYPE_CHECKING:
    from engine.probes.conftest import Bench

REAL = shutil.which("ruff", path=str(Path(sys.prefix) / "bin"))

WIDE = '"capabilities":{"positionEncoding":"utf-32"}'


@pytest.fixture
async def ruff(bench: Bench) -> AsyncIterator[Ruff]:
    made = Ruff(bench)
    yield made
    await made.probe.close()


def stand_in(ruff: Ruff, script: str) -> None:
    """Let the server be another program; all else is the real ruff."""
    fake = ruff.bench.root.parent / "ruff"
    fake.write_text(f'#!/bin/sh\nif [ "$1" != server ]; then exec {REAL} "$@"; fi\n{script}\n')
    fake.chmod(0o755)
    ruff.server._program = lambda: str(fake)


def pids(ruff: Ruff) -> list[int]:
    assert ruff.server._client is not None
    pid = ruff.server._client._service.pid
    return [pid, *descendants(pid)]


async def test_it_is_confined_and_limited_as_other_probes_are(bench: Bench, ruff: Ruff, tmp_path: Path) -> None:
    secret = Path(os.environ["HOME"], "secret.txt")
    secret.write_text("mine")
    sandbox = await choose_sandbox(bench.root, enabled=True, network=False)
    listener = socket.create_server(("127.0.0.1", 0))
    connect = f'import socket; socket.create_connection(("127.0.0.1", {listener.getsockname()[1]}), 5)'
    fake = bench.write(
        "bin/ruff",
        "#!/bin/sh\nulimit -v > bin/limit\n"
        f"(echo x > {tmp_path}/written) 2> /dev/null\n"
        f"cat {secret} > /dev/null 2>&1 && echo home >> bin/did\n"
        f"{sys.executable} -c '{connect}' 2> /dev/null && echo network >> bin/did\n"
        f'echo tried >> bin/did\nexec {REAL} "$@"\n',
    )
    fake.chmod(0o755)
    ruff.server._program = lambda: str(fake)
    try:
        bench.processes.sandbox = sandbox
        found = await ruff.server.check("a.py", "import os\n")
        assert found is not None
        assert [finding.code for finding in found] == ["F401"]
    finally:
        listener.close()
        await ruff.probe.close()
        await sandbox.close()
    assert (bench.root / "bin/limit").read_text() == f"{ProbeOptions().memory // 1024}\n"
    could = {"home", "network"} if not sandbox.confines else set()
    if any("network" in words for words in sandbox.cannot):
        could.add("network")
    assert set((bench.root / "bin/did").read_text().split()) == {"tried", *could}
    assert (tmp_path / "written").exists() == (not sandbox.confines), "what it writes beside the workspace is not there"


async def test_a_changed_file_gets_the_verdict_of_a_run_from_scratch(bench: Bench, ruff: Ruff) -> None:
    bench.write("a.py", "import os\n")
    bench.write("b.py", "x = 1\n")
    assert (await ruff.run()).state == "failed"
    bench.write("b.py", BROKEN)
    early = await ruff.early()
    assert early is not None
    assert early.cache == "partial"
    assert said(early) == said(await ruff.run())
    bench.write("a.py", "x = 1\n")
    bench.write("b.py", "x = 1\n")
    assert said(await ruff.early()) == ("passed", "0 problems", "")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("new.py", "import os\n"),
        ("new.txt", "import os\n"),
        ("ruff.toml", "line-length = 20\n"),
        ("pkg/__init__.py", ""),
        ("a.ipynb", "{}"),
        (".gitignore", "a.py\n"),
    ],
)
async def test_where_more_than_a_text_changed_only_a_run_from_scratch_tells(
    bench: Bench, ruff: Ruff, path: str, text: str
) -> None:
    bench.write("a.py", "x = 1\n")
    await ruff.run()
    bench.write(path, text)
    assert await ruff.early() is None


async def test_modes_deletions_and_folders_are_for_a_run_from_scratch(bench: Bench, ruff: Ruff) -> None:
    script = bench.write("a.py", "#!/usr/bin/env python\nx = 1\n")
    await ruff.run()
    script.chmod(0o755)
    assert await ruff.early() is None
    await ruff.run()
    (bench.root / "zlibx").mkdir()
    assert await ruff.early() is None
    await ruff.run()
    script.unlink()
    assert await ruff.early() is None


async def test_a_verdict_that_is_not_known_in_full_starts_no_early_one(bench: Bench, ruff: Ruff) -> None:
    bench.write("ruff.toml", "[lint\n")
    bench.write("a.py", "x = 1\n")
    assert (await ruff.run()).state == "error"
    bench.write("a.py", "x = 2\n")
    assert await ruff.early() is None


async def test_text_that_was_only_tried_is_not_taken_for_the_file(bench: Bench, ruff: Ruff) -> None:
    bench.write("a.py", "x = 1\n")
    await ruff.run()
    await ruff.probe.candidate("a.py", "import os\n")
    bench.write("a.py", "x = 2\n")
    assert said(await ruff.early())[0] == "passed"


KINDS = ("import os", "x = '\u00e9\U0001f600'; y = z", "def f():\x0c return 1", "", '"""', "\tpass\r", "q = 1")


async def test_after_many_changes_the_server_still_has_the_same_text(bench: Bench, ruff: Ruff) -> None:
    rng, lines = random.Random(7), ["x = 1"] * 6
    for n in range(40):
        at = rng.randrange(len(lines) + 1)
        lines[at : at + rng.randrange(3)] = rng.choices(KINDS, k=rng.randrange(3))
        text = "\n".join(lines)
        kept = await ruff.server.check("a.py", text)
        assert kept == await ruff.server.check(f"new{n}.py", text)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The words are wanted, however busy the machine is."""
    monkeypatch.setattr("jetbox.engine.probes.ruff.CANDIDATE_S", 20)


@pytest.mark.usefixtures("patience")
async def test_a_text_is_judged_before_it_is_written(bench: Bench, ruff: Ruff) -> None:
    bench.write("a.py", "x = 1\n")
    found = await ruff.probe.candidate("pkg/new.py", "import os\n")
    assert found is not None
    assert "F401" in found.output
    assert not (bench.root / "pkg").exists()
    assert (await ruff.probe.words("a.py", "x = 2\n")) == "ruff: clean"
    words = await ruff.probe.words("a.py", "import os\n")
    assert words.startswith("ruff: 1 problem: F401\na.py:1:8 F401")
    assert said(await ruff.probe.candidate("a.py", "x = 1\n"))[0] == "passed"


@pytest.mark.usefixtures("patience")
async def test_many_problems_are_told_in_about_a_kilobyte(bench: Bench, ruff: Ruff) -> None:
    assert await ruff.probe.candidate("a.py", "x = 1\n") is not None
    verdict = await ruff.probe.candidate("a.py", "".join(f"import module_{n}\n" for n in range(500)))
    assert verdict is not None
    words = await ruff.probe.words("a.py", "".join(f"import module_{n}\n" for n in range(100)))
    assert words.startswith("ruff: 100 problems: F401 ×100\na.py:1:8 F401")
    assert "bytes left out" in words
    assert len(words.encode()) < 1_200


@pytest.mark.parametrize(
    ("rules", "path", "text"),
    [
        ("", "a.txt", "import os\n"),
        ("", "a.ipynb", "{}"),
        ("", "kept.py", "import os\n"),
        ("", "new/kept.py", "import os\n"),
        ("", "dist/x.py", "import os\n"),
        ('include = ["src/*.py"]\n', "new.py", "import os\n"),
        ('extension = {py = "ipynb"}\n', "new.py", "import os\n"),
        ("[lint\n", "new.py", "import os\n"),
        ('required-version = "==0.1.0"\n', "new.py", "import os\n"),
        ('lint.select = ["ZZZ"]\n', "new.py", "import os\n"),
        ("", "new.py", "\ufeffimport os\n"),
        ("", "new.py", "x = '\ud800'\n"),
        ("", "new.py", "x = 1\n" * 1_000_000),
        ("", "a:1:2 F401.py", "import os\n"),
    ],
    ids=[
        "text", "notebook", "ignored", "ignored-new", "excluded", "not-included", "extension", "broken", "version",
        "rule", "mark", "surrogate", "large", "name",
    ],
)  # fmt: skip
async def test_nothing_is_said_of_what_a_run_would_not_look_at_or_might_see_otherwise(
    bench: Bench, ruff: Ruff, rules: str, path: str, text: str
) -> None:
    bench.write("ruff.toml", rules)
    bench.write(".git/HEAD", "ref: refs/heads/main\n")
    bench.write(".gitignore", "kept.py\n")
    bench.write("kept.py", "x = 1\n")
    bench.write("a.py", "x = 1\n")
    found = await ruff.probe.candidate(path, text)
    assert found is None or (path.startswith("dist") and found.state == "passed")
    assert found is not None or await ruff.probe.words(path, text) == ""
    assert not ruff.probe.slow


async def test_many_files_are_held_and_the_oldest_forgotten(bench: Bench, ruff: Ruff) -> None:
    for n in range(OPEN_MOST + 20):
        assert await ruff.probe.candidate(f"m{n}.py", "import os\n") is not None
    assert len(ruff.server._open) == OPEN_MOST
    assert said(await ruff.probe.candidate("m0.py", "x = 1\n"))[0] == "passed"


async def test_calls_side_by_side_each_get_their_own_answer(bench: Bench, ruff: Ruff) -> None:
    found = await asyncio.gather(
        *(ruff.probe.candidate("a.py", f"import m{n}\n") for n in range(20)),
    )
    assert [f"`m{n}` imported" in verdict.output for n, verdict in enumerate(found) if verdict] == [True] * 20


async def test_a_server_that_is_killed_is_started_again_and_then_left_alone(bench: Bench, ruff: Ruff) -> None:
    bench.write("a.py", "x = 1\n")
    for _ in range(STARTS):
        assert await ruff.probe.candidate("a.py", "x = 1\n") is not None
        client = ruff.server._client
        assert client is not None
        for pid in pids(ruff):
            os.kill(pid, signal.SIGKILL)
        await asyncio.wait({client._reading})
    assert await ruff.probe.candidate("a.py", "x = 1\n") is None
    assert ruff.probe.slow.startswith("its server ended")
    assert ruff.told == [f"ruff runs from scratch: {ruff.probe.slow}"]
    assert (await ruff.run()).state == "passed"
    bench.write("a.py", "import os\n")
    assert await ruff.early() is None


async def test_a_server_that_is_killed_over_a_request_is_replaced(bench: Bench, ruff: Ruff) -> None:
    bench.write("a.py", "x = 1\n")
    await ruff.run()
    assert await ruff.probe.candidate("a.py", "x = 1\n") is not None
    stopped = pids(ruff)
    await stop(stopped)
    asking = asyncio.create_task(ruff.probe.candidate("a.py", "import os\n"))
    for _ in range(20):
        await asyncio.sleep(0)
    for pid in stopped:
        os.kill(pid, signal.SIGKILL)
    assert await asking is None
    bench.write("a.py", "import os\n")
    assert said(await ruff.early()) == said(await ruff.run())


async def test_a_server_that_hangs_holds_a_write_up_for_a_moment_and_a_verdict_for_no_longer_than_a_run(
    bench: Bench, ruff: Ruff, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("a.py", "x = 1\n")
    await ruff.run()
    for n in range(STARTS):
        # A write that waited for an answer would wait for ever.
        monkeypatch.setattr("jetbox.engine.probes.ruff_server.ANSWER_S", 3600.0)
        assert await ruff.probe.candidate("a.py", f"y{n} = 1\n") is not None
        await stop(pids(ruff))
        assert await ruff.probe.words("a.py", f"z{n} = 1\n") == ""
        monkeypatch.setattr("jetbox.engine.probes.ruff_server.ANSWER_S", 0.3)
        bench.write("a.py", f"import m{n}\n")
        assert await ruff.early() is None
    assert ruff.probe.slow.startswith("its server failed")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'error: unrecognized subcommand' >&2; exit 2", "unrecognized subcommand"),
        ("printf 'garbage\\r\\n\\r\\n'; cat >/dev/null", "does not start"),
        ("printf 'Content-Length: 5\\r\\n\\r\\nxxxxx'; cat >/dev/null", "does not start"),
        ("exec cat >/dev/null", "does not start"),
    ],
    ids=["no-server", "garbage", "no-message", "silent"],
)
async def test_a_ruff_without_a_server_leaves_it_to_the_command_line(
    bench: Bench, ruff: Ruff, script: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jetbox.engine.probes.ruff_server.START_S", 0.5 if script.startswith("exec") else 60.0)
    bench.write("a.py", "x = 1\n")
    stand_in(ruff, script)
    assert await ruff.probe.candidate("a.py", "x = 1\n") is None
    assert why in ruff.probe.slow
    await ruff.run()
    bench.write("a.py", "import os\n")
    assert await ruff.early() is None
    assert (await ruff.run()).state == "failed"


@pytest.mark.parametrize(
    ("said_of_itself", "why"),
    [
        (f'{{{WIDE},"serverInfo":{{"name":"ruff","version":"1.0.0"}}}}', "version 1.0.0"),
        (f'{{{WIDE},"serverInfo":{{"name":"ruff","version":"0.4.10"}}}}', "version 0.4.10"),
        (f"{{{WIDE}}}", "version unknown"),
        ('{"capabilities":{},"serverInfo":{"name":"ruff","version":"0.17.5"}}', "columns in utf-16"),
        ("{}", "does not start"),
    ],
)
async def test_a_server_of_another_kind_is_not_used(bench: Bench, ruff: Ruff, said_of_itself: str, why: str) -> None:
    answer = f'{{"jsonrpc":"2.0","id":1,"result":{said_of_itself}}}'
    stand_in(ruff, f"printf 'Content-Length: {len(answer)}\\r\\n\\r\\n%s' '{answer}'\ncat >/dev/null")
    bench.write("a.py", "x = 1\n")
    assert await ruff.probe.candidate("a.py", "x = 1\n") is None
    assert why in ruff.probe.slow


async def test_a_ruff_that_is_replaced_is_asked_anew(bench: Bench, ruff: Ruff) -> None:
    bench.write("a.py", "x = 1\n")
    await ruff.run()
    assert await ruff.probe.candidate("a.py", "x = 1\n") is not None
    before = pids(ruff)
    stand_in(ruff, f"exec {REAL} server")
    assert said(await ruff.probe.candidate("a.py", "import os\n"))[1] == "1 problem: F401"
    assert pids(ruff) != before
    for pid in before:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_nothing_is_left_behind_whenever_it_is_closed(bench: Bench, ruff: Ruff) -> None:
    assert await ruff.probe.candidate("a.py", "x = 1\n") is not None
    left = pids(ruff)
    await ruff.probe.close()
    for pid in left:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert await ruff.probe.candidate("a.py", "x = 2\n") is None
    for turns in range(8):
        other = Ruff(bench)
        other.probe.prepare()
        for _ in range(turns * 3):
            await asyncio.sleep(0)
        await other.probe.close()
        assert not bench.running(f"{bench.root}\0")


async def test_a_disagreement_holds_for_later_sessions_until_ruff_is_another(
    bench: Bench, ruff: Ruff, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("a.py", "x = 1\n")
    store = tmp_path / "store"
    before = Ruff(bench, store)
    before.server.give_up("its server disagreed with a run from scratch", lasting=True)
    later = Ruff(bench, store)
    later.probe.prepare()
    assert later.server._starting is None
    assert await later.probe.candidate("a.py", "import os\n") is None
    assert later.told == before.told == ["ruff runs from scratch: its server disagreed with a run from scratch"]
    assert told(store) == later.probe.slow
    other = Ruff(bench, store)
    stand_in(other, f"exec {REAL} server")
    assert said(await other.probe.candidate("a.py", "import os\n"))[1] == "1 problem: F401"
    await other.probe.close()
    assert (other.told, told(store)) == ([], "")


async def test_a_failure_is_for_its_own_session_alone(bench: Bench, tmp_path: Path) -> None:
    store = tmp_path / "store"
    before = Ruff(bench, store)
    stand_in(before, "echo 'no such command' >&2; exit 2")
    assert await before.probe.candidate("a.py", "x = 1\n") is None
    assert "no such command" in told(store)
    later = Ruff(bench, store)
    assert await later.probe.candidate("a.py", "import os\n") is not None
    await later.probe.close()
    assert (later.told, told(store)) == ([], "")


async def test_a_verdict_says_why_ruff_runs_from_scratch(bench: Bench) -> None:
    bench.write("a.py", "x = 1\n")
    engine = bench.engine(pytest=False)
    probe = engine.probes[0]
    assert isinstance(probe, RuffProbe)
    assert probe._server is not None
    (verdict,) = await engine.verdicts()
    assert "slow" not in dict(explained(verdict))
    probe._server.give_up("its server failed: x")
    (hit,) = await engine.verdicts()
    assert (hit.cache, dict(explained(hit))["slow"]) == ("hit", "it runs from scratch: its server failed: x")
