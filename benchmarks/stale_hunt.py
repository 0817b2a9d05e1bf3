"""Hunts for a verdict that is served although files have changed, and for hits that are lost.

    python benchmarks/stale_hunt.py [--lookups 1000000] [--seconds 0] [--sweep] [--real] [--seed 1] [--json]

Two parts, each with half of the look-ups:
- in turn: a change of one of many kinds, some of them while a probe runs; then everything is read,
  and a series of look-ups has to tell of just that, all but the first from the cache
- beside: another process makes changes of the same kinds without pause (in place, appended, times set back, renamed
  over, deleted, mode, folders, links turned, files behind links, configuration, branches); each look-up has to tell of
  every change that was complete when it began; it goes on until there was one of each kind
A look-up is `ProbeEngine.verdicts()`; the probe's verdict is what the files hold.

With `--real`, in their place: ruff and pytest as a session runs them, but without its sandbox, on a
small package with an environment of its own; each verdict has to be what a plain run says of the same
files. `--lookups` counts the changes then.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.content_probe import ContentProbe, engine_on, read_everything, real_engine, shown
from benchmarks.stale_package import Package, own_ruff, told
from benchmarks.stale_world import World
from benchmarks.stale_writer import BRANCH, EMPTY, GONE, PATHS, PLACES, History, kinds, numbers

REMEMBERED = 40
"""States whose verdict the engine surely still has."""


LOST_MOST = 0.01
"""Share of the true hits that may be lost."""


class Tally:
    """What came of the look-ups."""

    def __init__(self) -> None:
        self.lookups = self.hits = self.stale = self.true_hits = self.lost = self.unsettled = 0
        self.by_change: Counter[str] = Counter()
        self.stale_after: Counter[str] = Counter()
        self.true_after: Counter[str] = Counter()
        self.lost_after: Counter[str] = Counter()
        """True hits, and those of them that were lost, by the kind of change before them."""
        self.cases: list[str] = []

    def judge(self, verdict: Any, truth: str, change: str, *, expected: bool) -> None:
        """Count one look-up; `expected`: the verdict on these files is known already."""
        self.lookups += 1
        hit = verdict.cache == "hit"
        self.hits += hit
        if verdict.output != truth:
            self.stale += 1
            self.stale_after[change] += 1
        if expected:
            self.expect(change, lost=not hit)

    def expect(self, change: str, *, lost: bool) -> None:
        """Count a look-up that should be a hit."""
        self.true_hits += 1
        self.true_after[change] += 1
        if lost:
            self.lost += 1
            self.lost_after[change] += 1

    def failures(self) -> list[str]:
        """What must not be: in words; nothing where all is well."""
        found = [f"stale: {self.stale}"] if self.stale else []
        if self.lost > self.true_hits * LOST_MOST:
            found.append(f"lost {self.lost} of {self.true_hits} true hits")
        gone = [change for change, n in self.true_after.items() if self.lost_after[change] == n]
        return found + [f"lost all true hits after {change}" for change in gone]


async def in_turn(home: Path, tally: Tally, lookups: int, until: float, rng: random.Random, inotify: bool) -> None:
    """Change, read everything, look up."""
    world = World(home, rng)
    probe = ContentProbe(lambda: shown(read_everything(world.root)))
    engine = engine_on(world.root, probe, inotify=inotify)
    known: OrderedDict[str, None] = OrderedDict()
    done = 0
    while done < lookups and time.monotonic() < until:
        change = world.change()
        if rng.random() < 0.1:
            probe.during = lambda: tally.by_change.update([f"while a probe runs: {world.change()}"])
        truth = shown(read_everything(world.root))
        expected = truth in known and probe.during is None
        (verdict,) = await engine.verdicts()
        probe.during = None
        truth = shown(read_everything(world.root))
        tally.by_change[change] += 1
        tally.judge(verdict, truth, change, expected=expected)
        known[truth] = None
        known.move_to_end(truth)
        if len(known) > REMEMBERED:
            known.popitem(last=False)
        for _ in range(rng.randrange(2, 20)):
            (verdict,) = await engine.verdicts()
            tally.judge(verdict, truth, change, expected=True)
            done += 1
        done += 1
    assert engine.files.how.startswith("inotify" if inotify else "sweep"), engine.files.how
    await engine.close()


async def beside(home: Path, tally: Tally, lookups: int, until: float, seed: int, inotify: bool) -> None:
    """Look up while another process writes."""
    root = home / "ws"
    root.mkdir(parents=True)
    history = History(home / "history", create=True)
    engine = engine_on(root, ContentProbe(lambda: json.dumps(numbers(root))), inotify=inotify)
    command = [sys.executable, str(Path(__file__).with_name("stale_writer.py")), str(home), str(seed)]
    writer = subprocess.Popen(command)
    try:
        while history.done < PLACES and writer.poll() is None:
            await asyncio.sleep(0.001)
        at = [GONE] * PLACES
        upto = done = 0
        missing = kinds()
        while (done < lookups or missing) and time.monotonic() < until and writer.poll() is None:
            before = history.done
            for place, number, kind in history.changes(upto, before):
                at[place] = number
                missing.discard(kind)
                tally.by_change[f"beside: {kind}"] += 1
            upto = before
            (verdict,) = await engine.verdicts()
            done += 1
            if verdict.state != "passed":
                tally.unsettled += 1
                continue
            tally.lookups += 1
            tally.hits += verdict.cache == "hit"
            allowed = [{number} for number in at]
            for place, number, _ in history.changes(before, history.started):
                # git takes a file away before it writes the other one.
                allowed[place] |= {number, GONE, EMPTY} if place == BRANCH else {number}
            told = json.loads(verdict.output)
            wrong = [place for place in range(PLACES) if told[place] not in allowed[place]]
            if wrong:
                tally.stale += 1
                tally.stale_after.update(f"beside: {PATHS[place]}" for place in wrong)
                words = ", ".join(f"{PATHS[place]}: {told[place]}, not of {allowed[place]}" for place in wrong)
                tally.cases.append(f"changes {before} to {history.started}, {verdict.cache}: {words}")
    finally:
        history.stop()
        writer.wait()
        await engine.close()
    if writer.returncode != 0:
        raise RuntimeError(f"the writer ended with {writer.returncode}: of what followed nothing was shown")


async def real(home: Path, tally: Tally, changes: int, until: float, rng: random.Random, inotify: bool) -> None:
    """Change a package, at times while probes run; ask for verdicts as a session does; compare with plain runs."""
    package = Package(home, rng)
    engine = real_engine(package.root, "both", inotify=inotify, python=package.environment / "bin" / "python")
    engine.prepare()
    seen: set[tuple[str, str]] = set()
    for _ in range(changes):
        if time.monotonic() > until:
            break
        change = package.change()
        tally.by_change[change] += 1
        if rng.random() < 0.5:
            engine.wrote(("app/alpha.py",))
        if rng.random() < 0.5:
            engine.start("a change")
            await asyncio.sleep(rng.choice((0, 0, 0.02, 0.5)))
        during = asyncio.create_task(_later(package, tally, rng.random() * 0.5)) if rng.random() < 0.3 else None
        final = rng.random() < 0.3
        verdicts = await engine.verdicts(final=final)
        if during is not None:
            during.cancel()
        for times in range(3):
            for verdict in verdicts:
                expected = times > 0 or (package.state(), verdict.name) in seen
                _compare(package, tally, verdict, change, final=final, expected=expected)
                if verdict.cache != "partial":
                    seen.add((package.state(), verdict.name))
            final = times == 0
            verdicts = await engine.verdicts(final=final)
    await engine.close()


async def _later(package: Package, tally: Tally, seconds: float) -> None:
    await asyncio.sleep(seconds)
    tally.by_change[f"while probes run: {package.change()}"] += 1


def _compare(package: Package, tally: Tally, verdict: Any, change: str, *, final: bool, expected: bool) -> None:
    """Judge a verdict by a plain run on the same files."""
    truth = package.truth(verdict.name, own_ruff())
    said = told(verdict.name, verdict.state, verdict.failing)
    # What is not run again after a change is not judged by it.
    early = verdict.name == "pytest" and verdict.cache == "partial"
    early = early and set(said[1]) <= set(truth[1])
    right = said == truth or (verdict.state == truth[0] and verdict.state not in ("passed", "failed"))
    tally.lookups += 1
    tally.hits += verdict.cache == "hit"
    if expected and verdict.durable and not early:
        lost = verdict.cache not in ("hit", "partial") and verdict.state not in ("skipped", "error")
        tally.expect(change, lost=lost)
    if not right and early:
        tally.unsettled += 1
    if not right:
        tally.stale += not early
        tally.stale_after[f"{change}{' (early)' if early else ''}"] += 1
        words = f"{verdict.name} {verdict.cache} after {change}, final {final}: {said}, in truth {truth}; {verdict.why}"
        tally.cases.append(f"{words}; {verdict.summary}; {verdict.output[-600:]}")


async def hunt_real(changes: int, seconds: float, seed: int, inotify: bool) -> Tally:
    """Ruff and pytest instead of what reads the files."""
    tally = Tally()
    home = Path(tempfile.mkdtemp(prefix="stale-hunt-"))
    try:
        until = time.monotonic() + (seconds or float("inf"))
        await real(home, tally, changes, until, random.Random(seed), inotify)
    finally:
        shutil.rmtree(home)
    return tally


async def hunt(lookups: int, seconds: float, seed: int, inotify: bool) -> Tally:
    """Both parts."""
    tally = Tally()
    home = Path(tempfile.mkdtemp(prefix="stale-hunt-"))
    try:
        rng = random.Random(seed)
        limit = seconds / 2 or float("inf")
        await in_turn(home / "turn", tally, lookups // 2, time.monotonic() + limit, rng, inotify)
        rest = lookups - tally.lookups
        await beside(home / "beside", tally, rest, time.monotonic() + limit, seed, inotify)
    finally:
        shutil.rmtree(home)
    return tally


def main() -> int:
    """Hunt and print; 1 where anything stale was served, or too many true hits or all of one kind were lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lookups", type=int, default=1_000_000)
    parser.add_argument(
        "--seconds", type=float, default=0, help="stop after so many, whatever is left (default: never)"
    )
    parser.add_argument("--sweep", action="store_true", help="without the kernel's queue of changes")
    parser.add_argument("--real", action="store_true", help="with ruff and pytest")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    start = time.monotonic()
    tally = asyncio.run(
        (hunt_real if options.real else hunt)(options.lookups, options.seconds, options.seed, not options.sweep)
    )
    if options.json:
        print(json.dumps(vars(tally)))
        return int(bool(tally.failures()))
    kept = 100 * (1 - tally.lost / max(tally.true_hits, 1))
    print(f"{tally.lookups:,} look-ups in {time.monotonic() - start:.0f} s, {tally.hits:,} served from the cache")
    print(f"stale: {tally.stale}   {dict(tally.stale_after) or ''}")
    print(*tally.cases[:30], sep="\n")
    print(f"true hits kept: {kept:.3f} percent of {tally.true_hits:,}; files did not hold still: {tally.unsettled:,}")
    for change, times in sorted(tally.by_change.items()):
        lost = tally.lost_after[change]
        print(f"  {times:>9,}  {change}" + (f", {lost} of {tally.true_after[change]} true hits lost" if lost else ""))
    failures = tally.failures()
    print(*failures, sep="\n", end="\n" if failures else "")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
