"""How long rounds wait for probes: ten edits in a package with tests, under four ways of waiting.

    python benchmarks/exposed.py [--runs 3] [--tests 12] [--pause 20] [--json]

Each run is a whole session of `jetbox-tui run` against the embedded server with the latencies per round
of a published run, on a fresh folder: five modules, each with a file of `--tests` tests that take
`--pause` ms each. `exposed` is what a round's journal says that it waited for probes and for nothing else
(`round.ended`, phase `probe`); `first` is how long the verdicts took that the next request waits for, side
by side; the gate is the round that says done, which waits for the whole suite under every condition.
Conditions are interleaved.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.headless import Round, session, spread

SCRIPT = Path(__file__).parent / "scripts" / "ten-edits.toml"
MODELS = ("gpt-oss:20b", "llama3.2:3b")
CONDITIONS = {
    "baseline": ("--profile", "baseline"),
    "seed": ("--profile", "seed"),
    "verdict": ("--set", "probes.wait=verdict"),
    "overlap": ("--set", "probes.wait=overlap"),
}
EDITS = 10
NOTHING_MS = 1.0
"""A wait below this is called none."""


def package(folder: Path, *, tests: int, pause_ms: float) -> None:
    """Five modules with a file of tests each."""
    (folder / "parts").mkdir()
    (folder / "tests").mkdir()
    (folder / "parts/__init__.py").write_text('"""Parts."""\n')
    (folder / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\ntestpaths = ["tests"]\n')
    for part in range(5):
        (folder / f"parts/part_{part}.py").write_text(
            f'"""Part {part}."""\n\nLEVEL = 0\n\n\ndef above(level: int) -> bool:\n    return level > LEVEL\n'
        )
        (folder / f"tests/test_part_{part}.py").write_text(
            f"import time\n\nimport pytest\n\nfrom parts.part_{part} import LEVEL, above\n\n\n"
            f'@pytest.mark.parametrize("level", range({tests}))\n'
            f"def test_above(level: int) -> None:\n    time.sleep({pause_ms / 1000})\n"
            "    assert above(level) == (level > LEVEL)\n"
        )


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
    """All conditions under both latency profiles."""
    prepare = partial(package, tests=tests, pause_ms=pause_ms)
    found: dict[str, dict[str, Any]] = {}
    for model in MODELS:
        sessions: dict[str, list[list[Round]]] = {name: [] for name in CONDITIONS}
        for _ in range(runs):
            for name, options in CONDITIONS.items():
                rounds = session(str(SCRIPT), "Do ten edits.", model=model, options=options, prepare=prepare)
                if len(rounds) != EDITS + 1:
                    raise SystemExit(f"{name}: {len(rounds)} rounds instead of {EDITS + 1}")
                sessions[name].append(rounds)
        found[model] = {name: figures(done) for name, done in sessions.items()}
    return found


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
        overlap, verdict = conditions["overlap"], conditions["verdict"]
        share = overlap["rounds without a wait"] / overlap["rounds"]
        over = [e - f for e, f in zip(verdict["exposed"], verdict["first"], strict=True)]
        slower = overlap["total"] - verdict["total"]
        print(f"  goal: overlap waits for nothing in 9 rounds of 10: {share:.0%}")
        print(f"  goal: verdict waits no longer than the first verdicts took: at most {max(over):+.1f} ms")
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
