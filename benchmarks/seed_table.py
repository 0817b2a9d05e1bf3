"""The seeds' own table again: the mathx goal under their designs and ours, on the embedded server.

    python benchmarks/seed_table.py [--runs 3] [--no-ablation | --whole-ablation] [--ablation-seconds 165] [--json]

Each run is a whole session of `jetbox-tui run` on a fresh folder, with the latencies per round that the
published runs printed. Per round: its wall time, what it waited for the model, what it waited for probes,
and its verdicts: ⚡ ran, ↻ hit, ◐ partial, ⏭ skipped, ? served without a proof. Their agents asked for a
verdict in every round; ours asks where something changed, so that a round without one counts as they
counted a hit: nothing had to run. The published figures stand beside, with the means that follow from
them. Mean and median are told three times: of cold rounds (the first, which loads the model), of warm ones, and
of all rounds, as the published averages were. The last table is each optimisation's saving on its own: `baseline`
with exactly one switch turned on; with `--whole-ablation` also the default with exactly one turned off. It is played
in turns with the shorter latencies, llama3.2's, as many turns as the seconds allow (at least one), and says how many
they were: the model's time is left out of it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.headless import Round, session

GOAL = "Create mathx package with add(a,b) and multiply(a,b), add tests, run ruff and pytest."
GPT, LLAMA = "gpt-oss:20b", "llama3.2:3b"


class Published(msgspec.Struct, frozen=True):
    """What a published run printed; times in ms."""

    rounds: tuple[int, ...]
    llm: tuple[int, ...]
    probes: tuple[int | None, ...]
    """None for a hit of their cache."""
    said: str
    """The summary that they gave."""


PUBLISHED = {
    GPT: Published(
        (3685, 862, 694, 728, 602, 466, 472, 452, 656, 635),
        (3640, 711, 676, 676, 569, 449, 428, 426, 452, 432),
        (32, 113, None, None, None, None, 32, None, None, None),
        "average round ~625 ms, probe 32-113 ms, hit rate 70 %, total ~10 s",
    ),
    LLAMA: Published(
        (724, 568, 712, 247, 391, 224, 326, 347, 333),
        (677, 403, 314, 227, 221, 205, 205, 223, 205),
        (32, 36, 371, None, 128, None, None, None, None),
        "average round 408 ms, hit rate 56 %, total ~4 s",
    ),
}
BASELINE_SAID = "baseline: average round ~1000 ms, probe ~380 ms, total ~10 s for 10 rounds"

Conditions = dict[str, tuple[str, tuple[str, ...]]]
"""A model and options by name."""
Sessions = dict[str, list[list[Round]]]
"""The rounds of each run of a condition."""

CONDITIONS: Conditions = {
    "baseline, gpt-oss": (GPT, ("--profile", "baseline")),
    "seed, gpt-oss": (GPT, ("--profile", "seed")),
    "verdict, gpt-oss": (GPT, ()),
    "overlap, gpt-oss": (GPT, ("--set", "probes.wait=overlap")),
    "seed, llama3.2": (LLAMA, ("--profile", "seed")),
    "verdict, llama3.2": (LLAMA, ()),
    "overlap, llama3.2": (LLAMA, ("--set", "probes.wait=overlap")),
}
PARTS = ("cold", "warm", "all")
SWITCHES = (
    "probe_cache",
    "probe_parallel",
    "probe_skip_without_tests",
    "probe_early",
    "probe_baseline",
    "ruff_server",
    "lint_candidates",
    "pytest_server",
    "affected_first",
    "parallel_tools",
)


def ablations(*, whole: bool = True) -> dict[str, tuple[str, ...]]:
    """`baseline` with one switch on, and, for the whole of it, the default with one off."""
    found: dict[str, tuple[str, ...]] = {"baseline": ("--profile", "baseline")}
    for switch in SWITCHES:
        found[f"baseline + {switch}"] = ("--profile", "baseline", "--set", f"performance.{switch}=true")
    found["baseline + 3 s to live"] = ("--profile", "baseline", "--set", "performance.probe_ttl_s=3")
    if not whole:
        return found
    found["default"] = ()
    for switch in (*SWITCHES, "probe_inotify"):  # which `baseline` has too
        found[f"default - {switch}"] = ("--set", f"performance.{switch}=false")
    return found


def means(runs: Sequence[Sequence[float]]) -> dict[str, float]:
    """Mean and median of the first rounds, of the others, and of all, in ms, and the total of a run."""
    parts = {
        "cold": [run[0] for run in runs],
        "warm": [one for run in runs for one in run[1:]],
        "all": [one for run in runs for one in run],
    }
    found = {"total": statistics.median(sum(run) for run in runs)}
    for part, values in parts.items():
        found |= {f"{part} mean": statistics.fmean(values), f"{part} median": statistics.median(values)}
    return {name: round(value, 1) for name, value in found.items()}


def told(found: dict[str, float]) -> str:
    """The same in a line."""
    parts = [f"{part} mean {found[f'{part} mean']:.0f}, median {found[f'{part} median']:.1f}" for part in PARTS]
    return "; ".join([*parts, f"total {found['total'] / 1000:.1f} s"])


def middle(sessions: list[list[Round]], what: str) -> list[float]:
    """The median of a figure for each round, over all runs."""
    return [statistics.median(getattr(one, what) for one in same) for same in zip(*sessions, strict=True)]


def hit_rate(sessions: list[list[Round]]) -> float:
    """Share of the rounds that had a verdict in which every verdict was a hit."""
    judged = [one for rounds in sessions for one in rounds if any(v.state != "skipped" for v in one.given)]
    return sum(one.hit for one in judged) / len(judged) if judged else 0.0


def turn(conditions: Conditions, found: Sessions) -> None:
    """One session of each condition."""
    for name, (model, options) in conditions.items():
        found.setdefault(name, []).append(session("mathx", GOAL, model=model, options=options))


def run_all(conditions: Conditions, runs: int) -> Sessions:
    """The sessions of each condition, interleaved."""
    found: Sessions = {}
    for _ in range(runs):
        turn(conditions, found)
    return found


def run_within(conditions: Conditions, seconds: float, clock: Callable[[], float] = time.monotonic) -> Sessions:
    """The same in as many turns as there is time for, by how long the longest took; one at least."""
    found: Sessions = {}
    began = last = clock()
    longest = 0.0
    while not found or last - began + longest <= seconds:
        turn(conditions, found)
        now = clock()
        longest, last = max(longest, now - last), now
    return found


def figures(name: str, model: str, sessions: list[list[Round]]) -> dict[str, Any]:
    """What a condition comes to; times in ms, medians over its runs."""
    return {
        "condition": name,
        "model": model,
        "wall": [round(value, 1) for value in middle(sessions, "wall")],
        "llm": [round(value, 1) for value in middle(sessions, "llm")],
        "exposed": [round(value, 1) for value in middle(sessions, "exposed")],
        "glyphs": [one.glyphs for one in sessions[-1]],
        "hit rate": round(hit_rate(sessions), 3),
        "nothing ran": round(statistics.fmean(one.idle for rounds in sessions for one in rounds), 3),
        "n": len(sessions),
        "means": means([[one.wall for one in rounds] for rounds in sessions]),
    }


def saving(sessions: Sessions) -> list[dict[str, Any]]:
    """What each switch on its own makes of the time that is not the model's, a session."""

    def apart(name: str) -> float:
        return statistics.median(sum(one.wall - one.llm for one in rounds) for rounds in sessions[name])

    def waited(name: str) -> float:
        return statistics.median(sum(one.exposed for one in rounds) for rounds in sessions[name])

    rows = []
    for name in sessions:
        base = name.partition(" ")[0]
        sign = 1 if base == "baseline" else -1
        rows.append(
            {
                "condition": name,
                "not the model": round(apart(name), 1),
                "probes": round(waited(name), 1),
                "saves": round(sign * (apart(base) - apart(name)), 1),
                "n": len(sessions[name]),
            }
        )
    return rows


def show_rounds(rows: list[dict[str, Any]]) -> None:
    """Print each condition round by round, beside what was published for its model."""
    for row in rows:
        published = PUBLISHED[row["model"]]
        print(f"{row['condition']}, {row['n']} runs" + " " * 9 + "published")
        print("  round    wall     llm   probe            wall     llm   probe")
        for number in range(max(len(row["wall"]), len(published.rounds))):
            ours = theirs = ""
            if number < len(row["wall"]):
                wall, llm, probe = (row[what][number] for what in ("wall", "llm", "exposed"))
                ours = f"{wall:7.0f} {llm:7.0f} {probe:7.1f} {row['glyphs'][number]}"
            if number < len(published.rounds):
                probed = published.probes[number]
                shown = "↻" if probed is None else f"{probed}"
                theirs = f"{published.rounds[number]:7} {published.llm[number]:7} {shown:>7}"
            print(f"  {number + 1:5} {ours:34}{theirs}")
        print(f"  {told(row['means'])}")
        print(
            f"  nothing ran in {row['nothing ran']:.0%} of the rounds; hits in {row['hit rate']:.0%} of those judged\n"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=3)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--no-ablation", action="store_true")
    how.add_argument("--whole-ablation", action="store_true")
    parser.add_argument("--ablation-seconds", type=float, default=165.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    sessions = run_all(CONDITIONS, arguments.runs)
    rows = [figures(name, CONDITIONS[name][0], done) for name, done in sessions.items()]
    savings: list[dict[str, Any]] = []
    if not arguments.no_ablation:
        switched = {name: (LLAMA, options) for name, options in ablations(whole=arguments.whole_ablation).items()}
        savings = saving(run_within(switched, arguments.ablation_seconds))
    if arguments.json:
        print(json.dumps({"conditions": rows, "savings": savings}, indent=1, ensure_ascii=False))
        return
    show_rounds(rows)
    print(BASELINE_SAID)
    for model, published in PUBLISHED.items():
        hits = sum(probe is None for probe in published.probes)
        print(f"{model}: said: {published.said}")
        words = told(means([published.rounds]))
        print(f"{' ' * len(model)}  from its rounds: {words}, hits {hits} of {len(published.rounds)}")
    if savings:
        turns = savings[0]["n"]
        print(f"\nms of a session that are not the model's, medians of {turns}; of them, waiting for probes; saved")
        for row in savings:
            print(f"  {row['condition']:38} {row['not the model']:8.0f} {row['probes']:8.0f} {row['saves']:+8.0f}")


if __name__ == "__main__":
    main()
