"""What a linter says of a text, in the result of the call that writes it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from jetbox.engine.options import PerformanceOptions, ProbeOptions
from jetbox.engine.probes.runner import ProbeEngine

if TYPE_CHECKING:
    from engine.tools.conftest import Bench


@pytest.fixture
async def engine(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProbeEngine]:
    """The probes, connected to the tools as a session does it."""
    made = ProbeEngine(
        bench.root,
        bench.context.processes,
        ProbeOptions(pytest=False),
        PerformanceOptions(),
        on_start=lambda name, why: None,
        on_end=lambda verdict: None,
    )
    bench.context.lint = made.lint
    # A cold server is not waited for, and here its words are wanted, however busy the machine is.
    monkeypatch.setattr("jetbox.engine.probes.ruff.CANDIDATE_S", 20)
    yield made
    await made.close()


async def test_the_words_stand_at_the_end_of_the_result(bench: Bench, engine: ProbeEngine) -> None:
    text = await bench.text("write_file", path="a.py", content="import os\n\nx = 1\n")
    assert text == "created a.py: +3\nruff: 1 problem: F401\na.py:1:8 F401 `os` imported but unused"
    text = await bench.text("edit_file", path="a.py", edits=[{"old": "import os\n\n", "new": ""}])
    assert text.splitlines()[-1] == "ruff: clean"
    assert await bench.text("write_file", path="a.txt", content="import os\n") == "created a.txt: +1"


async def test_the_text_is_judged_before_it_is_written(bench: Bench, engine: ProbeEngine) -> None:
    seen = []

    async def lint(path: str, text: str) -> str:
        seen.append((path, text, (bench.root / path).exists()))
        return await engine.lint(path, text)

    bench.context.lint = lint
    plan = await bench.plan("write_file", path="new.py", content="def f(:\n")
    assert seen == [("new.py", "def f(:\n", False)]
    assert not (bench.root / "new.py").exists()
    assert "ruff: " in (await plan.perform()).text


async def test_without_a_linter_or_with_it_switched_off_nothing_is_said(bench: Bench) -> None:
    assert await bench.text("write_file", path="a.py", content="import os\n") == "created a.py: +1"
    off = ProbeEngine(
        bench.root,
        bench.context.processes,
        ProbeOptions(pytest=False),
        PerformanceOptions(lint_candidates=False),
        on_start=lambda name, why: None,
        on_end=lambda verdict: None,
    )
    bench.context.lint = off.lint
    assert await bench.text("write_file", path="b.py", content="import os\n") == "created b.py: +1"
    await off.close()


@pytest.mark.parametrize(
    ("path", "content", "says"),
    [
        ("calc.py", "(def add(a, b): return a + b;\n", r"parse: this is no valid Python 3\.\d+: line 1: "),
        ("deep/typed.pyi", "x: int\ndef f(:\n", r"Python 3\.\d+: line 2: "),
        ("data.json", '{"a": 1,}\n', "parse: this is no valid JSON: line 1, column [89]: "),  # by Python's version
        ("pyproject.toml", '[project]\nname = x"\n', r"parse: this is no valid TOML: .*line 2"),
        ("escape.py", 'x = "\\d"\n', ""),
        ("nested.py", "x = " + "-" * 3000 + "1\n", ""),
        ("nested.json", "[" * 60_000, ""),
        ("tsconfig.json", '{"a": 1,}\n', ""),
        ("commented.json", '// one\n{"a": 1}\n', ""),
        ("words.txt", "def f(:\n", ""),
    ],
)
async def test_what_does_not_parse_is_told_without_a_linter(bench: Bench, path: str, content: str, says: str) -> None:
    first, *rest = (await bench.text("write_file", path=path, content=content)).split("\n", 1)
    assert first.startswith(f"created {path}: ")
    assert re.search(says, rest[0]) if says else rest == []
    assert (bench.root / path).read_text() == content, "told, and written all the same"


async def test_a_long_text_is_parsed_elsewhere_and_an_edit_is_told_of_too(bench: Bench) -> None:
    long = "x = 1\n" * 1000
    assert await bench.text("write_file", path="long.py", content=long + "y = 2\n") == "created long.py: +1001"
    text = await bench.text("edit_file", path="long.py", edits=[{"old": "y = 2", "new": "y = ("}])
    assert text.splitlines()[1].endswith("line 1001: '(' was never closed")
    bench.context.parse = False
    text = await bench.text("edit_file", path="long.py", edits=[{"old": "y = (", "new": "y = ["}])
    assert text == "edited long.py: +1 -1"


async def test_a_linter_that_has_spoken_is_enough(bench: Bench) -> None:
    async def lint(path: str, text: str) -> str:
        return "ruff: 1 problem"

    bench.context.lint = lint
    assert await bench.text("write_file", path="a.py", content="def f(:\n") == "created a.py: +1\nruff: 1 problem"
