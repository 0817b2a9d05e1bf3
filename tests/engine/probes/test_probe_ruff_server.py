"""What the server says of single files, beside what a run from scratch says of all."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pathspec
import pytest

from jetbox.engine.options import ProbeOptions
from jetbox.engine.probes.base import Change, Verdict
from jetbox.engine.probes.fingerprint import Snapshot, Tree
from jetbox.engine.probes.inscope import out_of_scope
from jetbox.engine.probes.interpreter import Interpreters
from jetbox.engine.probes.ruff import RuffProbe
from jetbox.engine.safety.family import descendants

if TYPE_CHECKING:
    from engine.probes.conftest import Bench

RULES = '[lint]\nselect = ["E", "F", "I", "N", "UP", "EXE", "INP", "W", "B"]\nexclude = ["left_out.py"]\n'
BROKEN = (
    "import os, sys\nfrom typing import List\n\ndef F(x: List[int]):\n    y = 'ü€𝄞'; return undefined  # noqa: E702\n"
)


class Ruff:
    """The probe by itself, on a folder."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.tree = Tree(bench.root, out_of_scope)
        interpreters = Interpreters(bench.root, bench.processes, "")
        self.probe = RuffProbe(bench.root, bench.processes, ProbeOptions(), self.tree, interpreters)
        self.whole: tuple[Verdict, Snapshot] | None = None

    async def run(self) -> Verdict:
        """From scratch."""
        files = await self.tree.sweep()
        verdict = await self.probe.run()
        self.whole = (verdict, files)
        return verdict

    async def early(self) -> Verdict | None:
        """On what changed since the last run from scratch."""
        assert self.whole is not None
        verdict, before = self.whole
        now = await self.tree.sweep()
        return await self.probe.early(Change(verdict, before, now, now.changed(before)))


@pytest.fixture
async def ruff(bench: Bench) -> AsyncIterator[Ruff]:
    made = Ruff(bench)
    yield made
    await made.probe.close()


def said(verdict: Verdict | None) -> tuple[str, str, str]:
    assert verdict is not None
    return verdict.state, verdict.summary, verdict.output


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


@pytest.mark.parametrize("package", [click, pathspec], ids=["click", "pathspec"])
async def test_both_agree_on_real_projects_under_random_edits(bench: Bench, ruff: Ruff, package: object) -> None:
    source = Path(str(package.__file__)).parent  # type: ignore[attr-defined]
    shutil.copytree(source, bench.root / "src" / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    bench.write("ruff.toml", RULES)
    bench.write("left_out.py", BROKEN)
    bench.write("script.py", "#!/usr/bin/env python\nprint(1)\n")
    bench.write("syntax.py", "def f(:\n    pass\n")
    paths = sorted(path for path in (bench.root / "src").rglob("*.py"))
    chance = random.Random(11)
    await ruff.run()
    for _ in range(12):
        for path in chance.sample(paths, 2):
            lines = path.read_text().splitlines(keepends=True)
            at = chance.randrange(len(lines) + 1)
            new = chance.choice([BROKEN, "import os\n", "x=1;y=2\n", "def f(:\n", "\n\n\n\n", "    indented = 1\n", ""])
            kept = lines[at + 1 :] if chance.random() < 0.3 else lines[at:]
            path.write_text("".join([*lines[:at], new, *kept]))
        early = await ruff.early()
        whole = await ruff.run()
        assert early is not None
        assert set(early.failing) == set(whole.failing)
        assert said(early) == said(whole)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("new.py", "import os\n"),
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


async def test_modes_and_deletions_are_for_a_run_from_scratch(bench: Bench, ruff: Ruff) -> None:
    script = bench.write("a.py", "#!/usr/bin/env python\nx = 1\n")
    await ruff.run()
    script.chmod(0o755)
    assert await ruff.early() is None
    await ruff.run()
    script.unlink()
    assert await ruff.early() is None


async def test_settings_that_changed_are_not_forgotten_by_the_server(bench: Bench, ruff: Ruff) -> None:
    bench.write("a.py", "x = 1\n")
    bench.write("ruff.toml", "line-length = 100\n")
    await ruff.run()
    bench.write("a.py", f"x = '{'a' * 60}'\n")
    assert said(await ruff.early())[0] == "passed"
    bench.write("ruff.toml", 'line-length = 30\nlint.select = ["E501"]\n')
    assert await ruff.early() is None
    assert (await ruff.run()).state == "failed"
    bench.write("a.py", f"x = '{'b' * 70}'\n")
    assert said(await ruff.early()) == said(await ruff.run())


async def test_a_text_is_judged_before_it_is_written(bench: Bench, ruff: Ruff) -> None:
    bench.write("a.py", "x = 1\n")
    found = await ruff.probe.candidate("pkg/new.py", "import os\n")
    assert found is not None
    assert "F401" in found.output
    assert not (bench.root / "pkg").exists()
    assert (await ruff.probe.words("a.py", "x = 2\n")) == "ruff: clean"
    words = await ruff.probe.words("a.py", "import os\n")
    assert words.startswith("ruff: 1 problem: F401\na.py:1:8 F401")
    assert await ruff.probe.words("a.txt", "import os\n") == ""
    assert said(await ruff.probe.candidate("a.py", "x = 1\n"))[0] == "passed"


async def test_text_that_was_only_tried_is_not_taken_for_the_file(bench: Bench, ruff: Ruff) -> None:
    bench.write("a.py", "x = 1\n")
    await ruff.run()
    await ruff.probe.candidate("a.py", "import os\n")
    bench.write("a.py", "x = 2\n")
    assert said(await ruff.early())[0] == "passed"


async def test_a_server_that_is_killed_is_started_again_and_then_left_alone(bench: Bench, ruff: Ruff) -> None:
    for _ in range(3):
        assert await ruff.probe.candidate("a.py", "x = 1\n") is not None
        server = ruff.probe._server
        assert server is not None
        assert server._client is not None
        for pid in (server._client._service.pid, *descendants(server._client._service.pid)):
            os.kill(pid, signal.SIGKILL)
        await server._client._service.exited.wait()
        await asyncio.wait({server._client._reading})
    assert await ruff.probe.candidate("a.py", "x = 1\n") is None
    assert (await ruff.run()).state == "skipped" or ruff.whole is not None


async def test_a_ruff_without_a_server_leaves_it_to_the_command_line(bench: Bench, ruff: Ruff, tmp_path: Path) -> None:
    fake = tmp_path / "ruff"
    fake.write_text("#!/bin/sh\necho 'error: unrecognized subcommand' >&2\nexit 2\n")
    fake.chmod(0o755)
    server = ruff.probe._server
    assert server is not None
    server._program = lambda: str(fake)
    assert await ruff.probe.candidate("a.py", "x = 1\n") is None
    assert "unrecognized subcommand" in server.off


@pytest.mark.parametrize("words", ["garbage\\r\\n\\r\\n", "Content-Length: 5\\r\\n\\r\\nxxxxx"])
async def test_a_server_that_says_garbage_is_left(bench: Bench, ruff: Ruff, tmp_path: Path, words: str) -> None:
    fake = tmp_path / "ruff"
    fake.write_text(f"#!/bin/sh\nprintf '{words}'\ncat >/dev/null\n")
    fake.chmod(0o755)
    server = ruff.probe._server
    assert server is not None
    server._program = lambda: str(fake)
    assert await ruff.probe.candidate("a.py", "x = 1\n") is None
    assert server.off


async def test_nothing_is_left_behind(bench: Bench, ruff: Ruff) -> None:
    assert await ruff.probe.candidate("a.py", "x = 1\n") is not None
    server = ruff.probe._server
    assert server is not None
    assert server._client is not None
    pid = server._client._service.pid
    await ruff.probe.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
