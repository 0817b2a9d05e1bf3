"""The page of the seeds is whole, and what it names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from statistics import mean, median

import pytest

from jetbox.engine.options import EngineOptions
from jetbox.settings.load import load

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "seeds.md").read_text()
SIZES = {"S1": 50, "S2": 45, "S3": 28, "S4": 33, "S5": 18}
ROWS: list[tuple[str, str, str]] = re.findall(r"^\| ((?:S\d-|F|L)\d+) \| (.+?) \| (.+) \|$", PAGE, re.MULTILINE)


@cache
def names_in(path: str) -> frozenset[str]:
    """Names of the tests in a file, those of its classes included."""
    tree = ast.parse((ROOT / path).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(n.name for n in ast.walk(tree) if isinstance(n, kinds) and n.name.startswith("test_"))


def test_every_row_stands_once() -> None:
    seeds = [f"{seed}-{number:02}" for seed, count in SIZES.items() for number in range(1, count + 1)]
    failures = [f"F{number}" for number in range(1, 29)]
    lessons = [f"L{number}" for number in range(1, 16)]
    assert [name for name, _, _ in ROWS] == [*seeds, *failures, *lessons]
    assert len(re.findall(r"^\| [SFL]\d", PAGE, re.MULTILINE)) == len(ROWS)


def test_every_row_is_open_or_shown_by_what_exists() -> None:
    troubles = {name: trouble for name, asks, shown in ROWS if (trouble := trouble_of(asks, shown))}
    assert troubles == {}


def trouble_of(asks: str, shown: str) -> str:
    """What is wrong with a row; empty where nothing is."""
    named = re.findall(r"`([^`]+)`", shown)
    if shown != "open" and not shown.startswith("open: "):
        if shown != ", ".join(f"`{what}`" for what in named):
            return f"neither open nor a list of tests, benchmarks and commands: {shown}"
        if strange := [what for what in named if not re.match(r"(tests|benchmarks)/|make ", what)]:
            return f"no test, benchmark or command: {strange}"
    missing = [what for what in named if not is_there(what)]
    return f"not there: {missing}" if missing else "" if len(asks) > 8 else "says nothing"


def is_there(what: str) -> bool:
    """Whether a test, benchmark or target of make exists; other words are not looked for."""
    path, _, test = what.partition("::")
    if path.startswith("make "):
        return f"\n{path.removeprefix('make ')}:" in (ROOT / "Makefile").read_text()
    if not path.startswith(("tests/", "benchmarks/")):
        return True
    path = path.partition(" ")[0]
    return (ROOT / path).is_file() and (path.startswith("benchmarks/") or test.rpartition("::")[2] in names_in(path))


def asked(name: str) -> str:
    return next(asks for row, asks, _ in ROWS if row == name)


def listed(name: str) -> list[int]:
    """The longest plain list of numbers in a row."""
    return max(([int(n) for n in found.split()] for found in re.findall(r"\d+(?: \d+)+", asked(name))), key=sum)


@pytest.mark.parametrize(("rounds", "figures"), [("S1-19", "S1-20"), ("S1-26", "S1-28")])
def test_averages_are_those_of_the_listed_rounds(rounds: str, figures: str) -> None:
    values = listed(rounds)
    assert f"mean {mean(values):.0f} ms" in asked(figures)
    assert f"median {median(values):g} ms" in asked(figures)
    if figures == "S1-20":
        assert f"without round 1 {mean(values[1:]):.0f} ms" in asked(figures)


def test_the_other_computed_figures_follow_from_their_rows() -> None:
    assert f"{100 * (1 - 113 / 380):.0f}-{100 * (1 - 32 / 380):.0f} %" in asked("S1-21")
    assert f"{408 / (408 - 170):.1f}x at most" in asked("S1-49")
    assert f"{100 * (215 - 106) / 106:.1f} %" in asked("S5-01")
    assert f"difference is {215 - 106} s" in asked("S5-07")
    assert f"{100 * (140 - 106) / 106:.0f} % slower" in asked("S5-18")


def test_the_profiles_are_built_in() -> None:
    default = EngineOptions()
    baseline, fast, quality = (load(None, profile=name).settings for name in ("baseline", "fast", "quality"))
    assert (default.performance.probe_parallel, default.performance.probe_cache) == (True, True)
    assert (baseline.performance.probe_parallel, baseline.performance.probe_cache) == (False, False)
    assert 0 == default.context.num_ctx < fast.context.num_ctx < quality.context.num_ctx
    assert fast.model.num_predict < default.model.num_predict < quality.model.num_predict
    assert fast.loop.gate_attempts < default.loop.gate_attempts < quality.loop.gate_attempts


def test_the_map_of_the_code_is_true() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    package = ROOT / "app" / "jetbox"
    paths = set(re.findall(r"(?<![\w/.])((?:[\w-]+/)*[\w-]+\.py|(?:[\w-]+/)+)(?![\w*<])", text))
    places = [package, package / "engine", ROOT]
    assert len(paths) > 20
    assert [path for path in sorted(paths) if not any((place / path).exists() for place in places)] == []
