"""How long rounds wait for probes: ten edits in a package with tests, under four ways of waiting.

    python benchmarks/exposed.py [--runs 3] [--tests 12] [--pause 20] [--json]

Each run is a whole session of `jetbox-tui run` against the embedded server with the latencies per round
of a published run, on a fresh folder: five modules, each with a file of `--tests` tests that take
`--pause` ms each. `exposed` is what a round's journal says that it waited for probes and for nothing else
(`round.ended`, phase `probe`); `first` is how long the verdicts took that the next request waits for, side
by side; the gate is the round that says done, which waits for the whole suite under every condition.
Conditions are interleaved, and so is what `verdict` is held against: the tests that the edit of a round can
touch, after the same edits of a package that no session sees, once in a bare fork of pytest that has read its
options (the least that they can take) and once as `python -m pytest -q TESTS` (what they take where nothing is
kept ready). Each round is compared with the runs of its own turn.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.headless import Round, session, spread
from benchmarks.plain import PYTEST, Alone, timed

SCRIPT = Path(__file__).parent / "scripts" / "ten-edits.toml"
MODELS = ("gpt-oss:20b", "llama3.2:3b")
CONDITIONS = {
    "baseline": ("--profile", "baseline"),
    "seed": ("--profile", "seed"),
    "verdict": ("--set", "probes.wait=verdict"),
    "overlap": ("--set", "probes.wait=overlap"),
}
EDITS = 10
PARTS = 5
NOTHING_MS = 1.0
"""A wait below this is called none."""


def package(folder: Path, *, tests: int, pause_ms: float) -> None:
    """Five modules with a file of tests each."""
    (folder / "parts").mkdir()
    (folder / "tests").mkdir()
    (folder / "parts/__init__.py").write_text('"""Parts."""\n')
    (folder / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\ntestpaths = ["tests"]\n')
    for part in range(PARTS):
        (folder / f"parts/part_{part}.py").write_text(
            f'"""Part {part}."""\n\nLEVEL = 0\n\n\ndef above(level: int) -> bool:\n    return level > LEVEL\n'
        )
        (folder / f"tests/test_part_{part}.py").write_text(
            f"import time\n\nimport pytest\n\nfrom parts.part_{part} import LEVEL, above\n\n\n"
            f'@pytest.mark.parametrize("level", range({tests}))\n'
            f"def test_above(level: int) -> None:\n    time.sleep({pause_ms / 1000})\n"
            "    assert above(level) == (level > LEVEL)\n"
        )


class Needs:
    """What the tests need that an edit can touch, on a package of its own; times in ms."""

    def __init__(self, *, tests: int, pause_ms: float) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="exposed-")).resolve()
        package(self._root, tests=tests, pause_ms=pause_ms)
        self._edited = [self._root / f"parts/part_{part}.py" for part in range(PARTS)]
        self._tests = [f"tests/test_part_{part}.py" for part in range(PARTS)]
        self._alone = [Alone(self._root, [tests]) for tests in self._tests]
        self.bare: list[float] = []
        """In a fork of pytest that has read its options, edit by edit."""
        self.plain: list[float] = []
        """As a command."""

    def turn(self) -> None:
        """The edits of a session, each judged both ways."""
        before = {path: path.read_text() for path in self._edited}
        for edit in range(EDITS):
            part, level = edit % PARTS, edit // PARTS
            path = self._edited[part]
            path.write_text(path.read_text().replace(f"LEVEL = {level}", f"LEVEL = {level + 1}"))
            self.bare.append(self._alone[part].run())
            self.plain.append(timed([*PYTEST, self._tests[part]], self._root)[0])
        for path, text in before.items():
            path.write_text(text)

    def close(self) -> None:
        """End what waits, and delete the package."""
        for alone in self._alone:
            alone.close()
        shutil.rmtree(self._root)


def figures(sessions: list[list[Round]]) -> dict[str, Any]:
    """What the rounds of several sessions come to; times in ms."""
    edits = [one for rounds in sessions for one in rounds[:EDITS]]
    gates = [one for rounds in sessions for one in rounds[EDITS:]]
    exposed = [one.exposed for one in edits]
    return {
        "exposed": [round(value, 1) for value in exposed],
        "first": [round(one.first, 1) for one in edits],
        "gate": [round(one.exposed, 1) for one in gates],
        "median": round(statistics.median(exposed), 1),
        "worst": round(max(exposed), 1),
        "rounds without a wait": sum(value < NOTHING_MS for value in exposed),
        "rounds": len(exposed),
        "total": round(statistics.median(sum(one.wall for one in rounds) for rounds in sessions), 1),
        "hits": sum(one.hit for one in edits),
        "glyphs": [one.glyphs for one in sessions[-1]],
    }


def measure(runs: int, tests: int, pause_ms: float) -> dict[str, dict[str, Any]]:
    """All conditions under both latency profiles, and what the tests need between them."""
    prepare = partial(package, tests=tests, pause_ms=pause_ms)
    found: dict[str, dict[str, Any]] = {}
    for model in MODELS:
        sessions: dict[str, list[list[Round]]] = {name: [] for name in CONDITIONS}
        needs = Needs(tests=tests, pause_ms=pause_ms)
        try:
            for _ in range(runs):
                for name, options in CONDITIONS.items():
                    rounds = session(str(SCRIPT), "Do ten edits.", model=model, options=options, prepare=prepare)
                    if len(rounds) != EDITS + 1:
                        raise SystemExit(f"{name}: {len(rounds)} rounds instead of {EDITS + 1}")
                    sessions[name].append(rounds)
                needs.turn()
        finally:
            needs.close()
        found[model] = {name: figures(done) for name, done in sessions.items()}
        found[model]["verdict"] |= {
            "bare": [round(value, 1) for value in needs.bare],
            "plain": [round(value, 1) for value in needs.plain],
        }
    return found


def judged(conditions: dict[str, Any]) -> list[str]:
    """What was aimed at, and what came of it."""
    overlap, verdict = conditions["overlap"], conditions["verdict"]
    share = overlap["rounds without a wait"] / overlap["rounds"]
    said = [f"goal: overlap waits for nothing in 9 rounds of 10: {share:.0%}, {'met' if share >= 0.9 else 'missed'}"]
    for how, words in (("bare", "a bare fork of pytest"), ("plain", "python -m pytest -q")):
        over = [e - n for e, n in zip(verdict["exposed"], verdict[how], strict=True)]
        kept = sum(value <= 0 for value in over)
        said.append(
            f"goal: verdict waits no longer than the affected tests need in {words} (median "
            f"{statistics.median(verdict[how]):.0f} ms): in {kept} rounds of {len(over)}, median "
            f"{statistics.median(over):+.1f} ms, at most {max(over):+.1f} ms, {'missed' if kept < len(over) else 'met'}"
        )
    return said


def show(found: dict[str, dict[str, Any]]) -> None:
    """Print a table for each latency profile, and what the goals say."""
    for model, conditions in found.items():
        print(f"{model}: ms exposed per round of an edit")
        print("            median   worst   none in    first verdict         gate             session   hits")
        for name, row in conditions.items():
            none = f"{row['rounds without a wait']}/{row['rounds']}"
            print(
                f"  {name:9} {row['median']:8.1f} {row['worst']:7.1f} {none:>9}    {spread(row['first']):20}  "
                f"{spread(row['gate']):16} {row['total']:7.0f}   {row['hits']:4}"
            )
            print(f"            {' '.join(row['glyphs'])}")
        print(*(f"  {words}" for words in judged(conditions)), sep="\n")
        verdict = conditions["verdict"]
        over = [e - f for e, f in zip(verdict["exposed"], verdict["first"], strict=True)]
        slower = conditions["overlap"]["total"] - verdict["total"]
        print(f"  verdict against its own first verdicts: at most {max(over):+.1f} ms")
        print(f"  overlap against verdict, a whole session: {slower:+.0f} ms\n")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--tests", type=int, default=12)
    parser.add_argument("--pause", type=float, default=20.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.runs, arguments.tests, arguments.pause)
    if arguments.json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        show(found)


if __name__ == "__main__":
    main()
