"""How long the loop is held at a time by what is loud on the screen and what is long, at a session of 10,000 rounds.

    python benchmarks/turns.py [--rounds 10000] [--tries 4] [--json]

Each turn of the loop, from one look at what came from outside to the next, by the processor time of its thread: a key
waits for that long at most. Everything is done as a user does it (`tests/ui/loud.py`); a row is the longest turn, ms,
the first time that something was done and the least of all times. The cyclic
collector is off: `benchmarks/ui.py` has it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from jetbox.engine.errors import ExitCode

if TYPE_CHECKING:
    from ui.loud import Row

GOAL_MS = 5.0


def main() -> int:
    """Measure, and print the table; the exit code says whether every row met the goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10_000)
    parser.add_argument("--tries", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = asyncio.run(measured(given.rounds, given.tries))
    sys.stdout.write((msgspec.json.encode(rows).decode() if given.json else table(rows)) + "\n")
    return 0 if all(met(row) for row in rows) else ExitCode.BENCH_GATE


async def measured(rounds: int, tries: int) -> list[Row]:
    """The rows, of the live screen and of a recording."""
    here = Path(__file__).resolve()
    # Instead of this folder, whose `ui` is another.
    sys.path[:] = [str(here.parents[1] / "tests"), *(each for each in sys.path if each != str(here.parent))]
    from ui import loud

    with tempfile.TemporaryDirectory() as folder:
        return [*await loud.live(Path(folder), rounds, tries), *await loud.sought(rounds, tries)]


def met(row: Row) -> bool:
    """Whether it holds nobody up: what can be done again is judged by the least, since noise only adds."""
    return row.least.cpu_ns <= GOAL_MS * 1e6


def table(rows: list[Row]) -> str:
    """A line for each, the longest last."""
    from ui.turns import unit

    here = f"goal {GOAL_MS:g} ms; what takes 5 ms on the machine of the goals takes {unit() / 1e6:.1f} ms here now"
    lines = [f"{'longest turn, ms':28} {'first':>7} {'least':>7}  most of it in ({here})"]
    for row in sorted(rows, key=lambda row: row.least.cpu_ns):
        first, least = row.first.cpu_ns / 1e6, row.least.cpu_ns / 1e6
        lines.append(f"{row.what:28} {first:7.1f} {least:7.1f}  {'' if met(row) else 'missed: '}{row.least.name}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
