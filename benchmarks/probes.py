"""Verdicts of the probe engine beside `ruff check .` and `python -m pytest -q`, on three workspaces.

    python benchmarks/probes.py [--runs 9] [--workspaces tiny,large] [--project FOLDER] [--json]

- tiny: one module, three tests
- large: 1,000 modules and 300 test files with ten tests each, made here
- project: an unpacked source distribution with its tests, whose interpreter is this one

After a whole verdict one file is edited again and again; each edit is judged by the engine's early
verdict and by the plain commands, interleaved; of every third edit the whole verdict is waited for too, and
`python -m pytest -q` is run. `first` is the time until the first test was decided, for plain pytest its first
byte. Times in ms: median and p95 (the greatest below n = 20). The goals stand at the end.
`ruff server` is the check of one text of 2, 20 and 150 KB that is not on the disk; "asked again" is
the same question about the same text, which sends nothing: what ruff itself takes for it. `pytest alone`
is the least that the same tests take: a fork of a pytest that has read its options, and nothing around it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from jetbox.engine.options import PerformanceOptions, ProbeOptions
from jetbox.engine.probes.base import Verdict
from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.inscope import out_of_scope
from jetbox.engine.probes.interpreter import Interpreters
from jetbox.engine.probes.pytest import PytestProbe
from jetbox.engine.probes.ruff import RuffProbe
from jetbox.engine.probes.runner import ProbeEngine
from jetbox.engine.probes.sessions import Ended
from jetbox.engine.safety.choose import choose_sandbox
from jetbox.engine.safety.process import ProcessRunner

Figures = dict[str, list[float]]


def tiny(root: Path) -> Path:
    """One module, three tests; returns the file to edit."""
    (root / "m.py").write_text("def f(x: int) -> int:\n    return x + 1\n")
    tests = "".join(f"def test_{n}() -> None:\n    assert f({n}) == {n + 1}\n\n\n" for n in range(3))
    (root / "test_m.py").write_text("from m import f\n\n\n" + tests.rstrip() + "\n")
    return root / "m.py"


def large(root: Path) -> Path:
    """1,000 modules, 300 test files."""
    (root / "pkg").mkdir()
    (root / "pkg" / "__init__.py").write_text("")
    (root / "tests").mkdir()
    for n in range(1000):
        needs = f"from pkg.m{n - 7:03} import f{n - 7}\n\n\n" if n >= 300 and n % 50 == 0 else ""
        (root / "pkg" / f"m{n:03}.py").write_text(f"{needs}def f{n}(x: int) -> int:\n    return x + {n}\n")
    for n in range(300):
        lines = [f"from pkg.m{n:03} import f{n}\n"]
        lines += [f"\n\ndef test_{n}_{k}() -> None:\n    assert f{n}({k}) == {k + n}\n" for k in range(10)]
        (root / "tests" / f"test_m{n:03}.py").write_text("".join(lines))
    return root / "pkg" / "m007.py"


def at_home(root: Path) -> None:
    """Let the tests of a project that is not installed import it from its `src`."""
    settings, mark = root / "pyproject.toml", "[tool.pytest.ini_options]\n"
    if (root / "src").is_dir() and settings.is_file() and "pythonpath" not in settings.read_text():
        settings.write_text(settings.read_text().replace(mark, f'{mark}pythonpath = ["src"]\n'))


def timed(argv: list[str], root: Path) -> tuple[float, float]:
    """A command from start to end, in ms, and to the first byte that it says."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    began = time.perf_counter()
    with subprocess.Popen(argv, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
        assert run.stdout is not None
        run.stdout.read(1)
        first = time.perf_counter()
        run.stdout.read()
    return (time.perf_counter() - began) * 1e3, (first - began) * 1e3


async def one(engine: ProbeEngine, name: str) -> tuple[float, Verdict]:
    """How long until the probe's verdict is given, with the other probes beside it."""
    began = time.perf_counter()
    verdicts = await engine.verdicts()
    spent = (time.perf_counter() - began) * 1e3
    return spent, next(verdict for verdict in verdicts if verdict.name == name)


class Alone:
    """pytest with nothing around it, for some test files."""

    def __init__(self, root: Path, tests: list[str]) -> None:
        program = [sys.executable, str(Path(__file__).with_name("bare_pytest.py")), str(root), *tests]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(program, stdin=pipe, stdout=pipe, text=True, env=environment)

    def run(self) -> float:
        """One run, in ms."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.communicate("")


class Noted:
    """The latest run for which somebody waited."""

    def __init__(self, engine: ProbeEngine) -> None:
        probe = engine.probes[0]
        assert isinstance(probe, PytestProbe)
        self.files: list[str] = []
        """Its test files; empty where it was of all."""
        self.after_first = 0.0
        """From the first test that was decided to its end, in ms; 0 where that is not known."""
        self._run = probe.sessions.run
        probe.sessions.run = self._note  # type: ignore[method-assign, assignment]

    async def _note(self, chosen: tuple[str, ...], *, behind: bool = False, touched: bool = False) -> Ended:
        ended = await self._run(chosen, behind=behind, touched=touched)
        if not behind:
            self.files[:] = chosen
            self.after_first = ended.duration_ns / 1e6 - ended.first_ms if ended.first_ms is not None else 0.0
        return ended


async def workspace(root: Path, edited: Path, runs: int) -> Figures:
    """All figures of one workspace."""
    sandbox = await choose_sandbox(root, enabled=True, network=False)
    found: Figures = {}
    ruff = str(Path(sys.executable).with_name("ruff"))
    plain = [sys.executable, "-m", "pytest", "-q"]
    text = edited.read_text()
    performance = PerformanceOptions(probe_baseline=False)
    engines = {
        name: ProbeEngine(
            root,
            ProcessRunner(sandbox, root),
            ProbeOptions(ruff=name == "ruff", pytest=name == "pytest"),
            performance,
            on_start=lambda name, why: None,
            on_end=lambda verdict: None,
        )
        for name in ("ruff", "pytest")
    }
    noted = Noted(engines["pytest"])
    alone: Alone | None = None
    try:
        for engine in engines.values():
            engine.prepare()
            await engine.verdicts(final=True)
        for run in range(runs + 1):
            edited.write_text(f"{text}\n\nEDIT = {run}\n")
            figures: dict[str, float] = {}
            for name, engine in engines.items():
                spent, verdict = await one(engine, name)
                tested = list(noted.files)
                figures[f"{name}: ours ({verdict.cache})"] = spent
                if name == "pytest" and noted.after_first:
                    figures["pytest: ours, first"] = spent - noted.after_first
                if run % 3 == 1:
                    whole = time.perf_counter()
                    await engine.verdicts(final=True)
                    figures[f"{name}: ours, whole"] = spent + (time.perf_counter() - whole) * 1e3
                else:
                    engine.wrote((edited.relative_to(root).as_posix(),))  # ends what runs behind
            alone = alone or Alone(root, tested)
            figures["pytest alone, the same tests"] = alone.run()
            figures["ruff check . --no-cache"], _ = timed([ruff, "check", "--no-cache", "."], root)
            figures["ruff check ."], _ = timed([ruff, "check", "."], root)
            if run % 3 == 1:
                if tested:
                    same = "python -m pytest -q, the same tests"
                    figures[same], figures[f"{same}, first"] = timed([*plain, *tested], root)
                figures["python -m pytest -q"], figures["python -m pytest -q, first"] = timed(plain, root)
            if run:  # the first one fills caches
                for name, value in figures.items():
                    found.setdefault(name, []).append(value)
        for engine in engines.values():
            await engine.verdicts(final=True)
            for _ in range(20):
                spent, verdict = await one(engine, verdict.name if len(engines) == 1 else engine.probes[0].name)
                found.setdefault(f"{engine.probes[0].name}: {verdict.cache}", []).append(spent)
    finally:
        if alone is not None:
            alone.close()
        for engine in engines.values():
            await engine.close()
        await sandbox.close()
    return found


async def server(runs: int) -> Figures:
    """`ruff server` on texts of three sizes."""
    root = Path(tempfile.mkdtemp(prefix="probes-"))
    sandbox = await choose_sandbox(root, enabled=True, network=False)
    processes = ProcessRunner(sandbox, root)
    made = RuffProbe(root, processes, ProbeOptions(), Tree(root, out_of_scope), Interpreters(root, processes, ""))
    found: Figures = {}
    try:
        for size in (2, 20, 150):
            unit = "def function_{n}(first: int, second: str) -> str:\n    return f'{{first + {n}}} {{second}}'\n\n\n"
            text = "".join(unit.format(n=n) for n in range(size * 1024 // 90))
            for run in range(runs * 5 + 3):
                began = time.perf_counter()
                verdict = await made.candidate(f"m{size}.py", f"{text}X = {run}\n")
                assert verdict is not None
                if run >= 3:
                    found.setdefault(f"{size} KB", []).append((time.perf_counter() - began) * 1e3)
                    began = time.perf_counter()
                    assert made._server is not None
                    assert await made._server.check(f"m{size}.py", f"{text}X = {run}\n") is not None
                    spent = (time.perf_counter() - began) * 1e3
                    found.setdefault(f"{size} KB, asked again", []).append(spent)
    finally:
        await made.close()
        await sandbox.close()
        shutil.rmtree(root)
    return found


def summary(values: list[float]) -> dict[str, float]:
    """Median, least and n; p95 from n = 20 on."""
    figures = {"median": statistics.median(values), "min": min(values), "n": float(len(values))}
    if len(values) >= 20:
        figures["p95"] = statistics.quantiles(values, n=20)[-1]
    else:
        figures["max"] = max(values)
    return {name: round(value, 2) for name, value in figures.items()}


def measure(names: list[str], project: Path | None, runs: int) -> dict[str, Figures]:
    """Everything that was asked for."""
    results = {"ruff server": asyncio.run(server(runs))}
    for name in names:
        root = Path(tempfile.mkdtemp(prefix="probes-")).resolve()
        edited = {"tiny": tiny, "large": large}[name](root)
        results[name] = asyncio.run(workspace(root, edited, runs))
        shutil.rmtree(root)
    if project is not None:
        root = Path(tempfile.mkdtemp(prefix="probes-")).resolve() / "project"
        shutil.copytree(project, root)
        at_home(root)
        sources = sorted((root / "src").rglob("*.py") if (root / "src").is_dir() else root.glob("*/*.py"))
        edited = max((path for path in sources if "test" not in path.name), key=lambda path: path.stat().st_size)
        results[f"project, {edited.relative_to(root)} edited"] = asyncio.run(workspace(root, edited, runs))
        shutil.rmtree(root.parent)
    return results


def judged(name: str, figures: Figures) -> list[str]:
    """What was aimed at, and what came of it: medians in ms, and how many times sooner than plain pytest."""
    middle = {figure: statistics.median(values) for figure, values in figures.items()}
    limits = {"2 KB": 1, "20 KB": 1, "150 KB": 5} if name == "ruff server" else {}
    ours = next((figure for figure in middle if figure.startswith("pytest: ours (")), "")
    if name == "tiny":
        limits[ours] = 15
    said = [
        f"{name}, {figure}: {middle[figure]:.2f} of {limit} ms, {'met' if middle[figure] <= limit else 'missed'}"
        for figure, limit in limits.items()
    ]
    for plain, times in (("python -m pytest -q, the same tests", 4), ("python -m pytest -q", 20)):
        if ours and plain in middle:
            got = middle[plain] / middle[ours]
            said.append(f"{name}, {plain}: x{got:.1f} of x{times}, {'met' if got >= times else 'missed'}")
    return said


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--workspaces", default="tiny,large")
    parser.add_argument("--project", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    names = [name for name in arguments.workspaces.split(",") if name]
    results = measure(names, arguments.project, arguments.runs)
    if arguments.json:
        print(json.dumps({name: {f: summary(v) for f, v in figures.items()} for name, figures in results.items()}))
        return
    for name, figures in results.items():
        print(name)
        for figure, values in figures.items():
            print(f"  {figure:42} " + "  ".join(f"{key} {value:g}" for key, value in summary(values).items()))
    for name, figures in results.items():
        for words in judged(name, figures):
            print(f"goal {words}")


if __name__ == "__main__":
    main()
