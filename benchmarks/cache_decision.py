"""How long it takes to decide that a verdict still holds: 10, 1,000 and 10,000 files.

    python benchmarks/cache_decision.py [--lookups 20000] [--sweeps 100] [--json]

- proof: the files are as they were, by the kernel's queue of changes (`inotify`) and by looking at each (`sweep`)
- verdict: the whole call that serves a stored verdict, the proof included
- bare walk: every name listed and looked at by the standard library alone, compared with nothing, between two sweeps
- edit: the same after one file changed and its content was put back, so that the verdict is a hit again
- ruff, pytest, command, all: the verdict again, of the real probes
- before done: the verdict of all of them as the gate asks for it, which looks at every file whatever the queue says
Times in ms; in the first three the probe runs in this process, and only hits are timed. The goals stand at the end:
a decision by the queue and one by a sweep each have theirs, by the number of files, whatever is decided. A sweep for
real probes also looks at what they name outside the tree, such as the packages of the interpreter.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.content_probe import ContentProbe, engine_on, real_engine

REAL = ("ruff", "pytest", "command", "all")
SIZES = (10, 1_000, 10_000)
SWEPT = ("all", "before done")
GOALS = {("inotify", 10): 0.05, ("inotify", 1_000): 0.05, ("inotify", 10_000): 0.05}
GOALS |= {("sweep", 1_000): 5.0, ("sweep", 10_000): 30.0}


def grow(root: Path, files: int) -> None:
    """Folders of twenty modules, two deep, and old enough for their times to be believed."""
    for n in range(0, files, 20):
        folder = root / f"p{n // 400}" / f"q{n // 20}"
        folder.mkdir(parents=True)
        for k in range(n, min(n + 20, files)):
            (folder / f"m{k}.py").write_text(f"x = {k}\n")


def spread(times: list[int]) -> dict[str, float]:
    """Median, p99 and worst of times in ns, in ms."""
    times.sort()
    pick = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: round(times[min(int(len(times) * part), len(times) - 1)] / 1e6, 5) for name, part in pick.items()}


async def timed(what: Callable[[], Awaitable[Any]], times: int) -> dict[str, float]:
    """How long each of so many calls took."""
    found = []
    gc.collect()
    for _ in range(times):
        start = time.perf_counter_ns()
        await what()
        found.append(time.perf_counter_ns() - start)
    return spread(found)


def walk(folder: str) -> None:
    """List every folder and look at every name, and do nothing with it."""
    with os.scandir(folder) as found:
        for entry in found:
            entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                walk(entry.path)


async def beside_a_walk(sweep: Callable[[], Awaitable[Any]], root: Path, times: int) -> tuple[dict[str, float], ...]:
    """Sweeps and bare walks by turns: what held up the machine held up both."""
    sweeps, walks = [], []
    gc.collect()
    for _ in range(times):
        start = time.perf_counter_ns()
        await sweep()
        between = time.perf_counter_ns()
        walk(str(root))
        sweeps.append(between - start)
        walks.append(time.perf_counter_ns() - between)
    return spread(sweeps), spread(walks)


async def measure(root: Path, how: str, lookups: int) -> dict[str, Any]:
    """One tree, proved one way."""
    probe = ContentProbe(lambda: "seen")
    engine = engine_on(root, probe, inotify=how == "inotify")
    start = time.perf_counter_ns()
    await engine.verdicts()
    first = time.perf_counter_ns() - start
    assert engine.files.how.startswith(how), engine.files.how
    for _ in range(5):
        await engine.verdicts()
    found: dict[str, Any] = {"first look ms": round(first / 1e6, 2)}
    if how == "sweep":
        found["proof"], found["bare walk"] = await beside_a_walk(engine.files.now, root, lookups)
    else:
        found["proof"] = await timed(engine.files.now, lookups)
    found["verdict"] = await timed(engine.verdicts, lookups)
    path = next(root.rglob("*.py"))
    times = []
    for _ in range(min(lookups, 200)):
        text = path.read_text()
        path.write_text("changed\n")
        path.write_text(text)
        start = time.perf_counter_ns()
        (verdict,) = await engine.verdicts()
        times.append(time.perf_counter_ns() - start)
        assert verdict.cache == "hit", verdict
    found["edit"] = spread(times)
    assert probe.runs == 1, probe.runs
    await engine.close()
    return found


async def real(root: Path, name: str, lookups: int, *, inotify: bool = True, final: bool = False) -> dict[str, Any]:
    """A hit of real probes on one tree."""
    # A run that follows another to compare would be measured too.
    engine = real_engine(root, name, inotify=inotify, servers=False)
    ask = partial(engine.verdicts, final=final)
    for _ in range(5):
        verdicts = await ask()
    assert all(verdict.cache == "hit" for verdict in verdicts), verdicts
    assert engine.files.how.startswith("inotify" if inotify else "sweep"), engine.files.how
    found = await timed(ask, lookups)
    assert all(verdict.cache == "hit" for verdict in await ask())
    await engine.close()
    return found


async def everything(lookups: int, sweeps: int) -> dict[str, Any]:
    """All sizes, both ways."""
    found: dict[str, Any] = {}
    for files in SIZES:
        home = Path(tempfile.mkdtemp(prefix="decision-"))
        try:
            root = home / "ws"
            grow(root, files)
            (root / "pyproject.toml").write_text("[project]\nname = 'grown'\n")
            (root / "test_one.py").write_text("def test_one():\n    assert True\n")
            # What has just been written is read again for two seconds, whatever its times say.
            await asyncio.sleep(2.5)
            for how, times in (("inotify", lookups), ("sweep", sweeps)):
                found[f"{how} {files}"] = await measure(root, how, times)
            found[f"inotify {files}"] |= {name: await real(root, name, lookups) for name in REAL}
            found[f"sweep {files}"] |= {
                "all": await real(root, "all", sweeps, inotify=False),
                "before done": await real(root, "all", sweeps, final=True),
            }
        finally:
            shutil.rmtree(home)
    return found


def judged(found: dict[str, Any]) -> Iterator[str]:
    """What was aimed at, and what came of it."""
    for (how, files), goal in GOALS.items():
        for what in ("proof", "verdict", *(REAL if how == "inotify" else SWEPT)):
            p99 = found[f"{how} {files}"][what]["p99"]
            yield f"goal {how} {files} {what}: p99 {p99:.4f} of {goal} ms, {'met' if p99 <= goal else 'missed'}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lookups", type=int, default=20_000, help="calls with inotify (default 20000)")
    parser.add_argument("--sweeps", type=int, default=100, help="calls with the sweep (default 100)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    found = asyncio.run(everything(options.lookups, options.sweeps))
    if options.json:
        print(json.dumps(found))
        return
    print(
        f"{'':16}{'first':>9}" + "".join(f"{name:>30}" for name in ("proof p50 p99", "verdict p50 p99", "edit p50 p99"))
    )
    for title, row in found.items():
        cells = "".join(f"{row[k]['p50']:>20.4f}{row[k]['p99']:>10.4f}" for k in ("proof", "verdict", "edit"))
        print(f"{title:16}{row['first look ms']:>9.1f}{cells}")
    print(f"\n{'':16}" + "".join(f"{name + ' p50 p99':>24}" for name in REAL))
    for files in SIZES:
        row = found[f"inotify {files}"]
        print(f"inotify {files:<8}" + "".join(f"{row[k]['p50']:>14.4f}{row[k]['p99']:>10.4f}" for k in REAL))
    print(f"\n{'':16}" + "".join(f"{name + ' p50 p99':>24}" for name in SWEPT))
    for files in SIZES:
        row = found[f"sweep {files}"]
        print(f"sweep {files:<10}" + "".join(f"{row[k]['p50']:>14.4f}{row[k]['p99']:>10.4f}" for k in SWEPT))
    print(*judged(found), sep="\n")
    for files in SIZES:
        bare = found[f"sweep {files}"]["bare walk"]
        print(f"bare walk {files}: p50 {bare['p50']:.4f}, p99 {bare['p99']:.4f} ms")


if __name__ == "__main__":
    main()
