"""The seeds' own table again: the mathx goal under their designs and ours, on the embedded server.

    python benchmarks/seed_table.py [--runs 3] [--no-ablation] [--json]

Each run is a whole session of `jetbox-tui run` on a fresh folder, with the latencies per round that the
published runs printed. Per round: its wall time, what it waited for the model, what it waited for probes,
and its verdicts: ⚡ ran, ↻ hit, ◐ partial, ⏭ skipped, ? served without a proof. Their agents asked for a
verdict in every round; ours asks where something changed, so that a round without one counts as they
counted a hit: nothing had to run. The published figures stand beside, with the means that follow from
them. Cold (round 1, which loads the model) and warm rounds are never averaged together. The last table is
each optimisation's saving on its own: `baseline` with exactly one switch turned on, and the default with
exactly one turned off.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
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

CONDITIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "baseline, gpt-oss": (GPT, ("--profile", "baseline")),
    "seed, gpt-oss": (GPT, ("--profile", "seed")),
    "verdict, gpt-oss": (GPT, ()),
    "overlap, gpt-oss": (GPT, ("--set", "probes.wait=overlap")),
    "seed, llama3.2": (LLAMA, ("--profile", "seed")),
    "verdict, llama3.2": (LLAMA, ()),
    "overlap, llama3.2": (LLAMA, ("--set", "probes.wait=overlap")),
}
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


def ablations() -> dict[str, tuple[str, ...]]:
    """`baseline` with one switch on, and the default with one off."""
    found: dict[str, tuple[str, ...]] = {"baseline": ("--profile", "baseline")}
    for switch in SWITCHES:
        found[f"baseline + {switch}"] = ("--profile", "baseline", "--set", f"performance.{switch}=true")
    found["baseline + 3 s to live"] = ("--profile", "baseline", "--set", "performance.probe_ttl_s=3")
    found["default"] = ()
    for switch in SWITCHES:
        found[f"default - {switch}"] = ("--set", f"performance.{switch}=false")
    return found


def means(rounds: Sequence[float]) -> str:
    """Mean, median, and the first round apart from the others."""
    values = [float(value) for value in rounds]
    return (
        f"mean {statistics.fmean(values):.0f}, median {statistics.median(values):.1f}, "
        f"cold {values[0]:.0f}, warm mean {statistics.fmean(values[1:]):.0f}, total {sum(values) / 1000:.1f} s"
    )


def middle(sessions: list[list[Round]], what: str) -> list[float]:
    """The median of a figure for each round, over all runs."""
    return [statistics.median(getattr(one, what) for one in same) for same in zip(*sessions, strict=True)]


def hit_rate(sessions: list[list[Round]]) -> float:
    """Share of the rounds that had a verdict in which every verdict was a hit."""
    judged = [one for rounds in sessions for one in rounds if any(v.state != "skipped" for v in one.given)]
    return sum(one.hit for one in judged) / len(judged) if judged else 0.0


def run_all(conditions: dict[str, tuple[str, tuple[str, ...]]], runs: int) -> dict[str, list[list[Round]]]:
    """The sessions of each condition, interleaved."""
    found: dict[str, list[list[Round]]] = {name: [] for name in conditions}
    for _ in range(runs):
        for name, (model, options) in conditions.items():
            found[name].append(session("mathx", GOAL, model=model, options=options))
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
    }


def saving(sessions: dict[str, list[list[Round]]]) -> list[dict[str, Any]]:
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
        print(f"  {means(row['wall'])}")
        print(
            f"  nothing ran in {row['nothing ran']:.0%} of the rounds; hits in {row['hit rate']:.0%} of those judged\n"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--no-ablation", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    sessions = run_all(CONDITIONS, arguments.runs)
    rows = [figures(name, CONDITIONS[name][0], done) for name, done in sessions.items()]
    savings: list[dict[str, Any]] = []
    if not arguments.no_ablation:
        savings = saving(run_all({name: (GPT, options) for name, options in ablations().items()}, arguments.runs))
    if arguments.json:
        print(json.dumps({"conditions": rows, "savings": savings}, indent=1, ensure_ascii=False))
        return
    show_rounds(rows)
    print(BASELINE_SAID)
    for model, published in PUBLISHED.items():
        hits = sum(probe is None for probe in published.probes)
        print(f"{model}: said: {published.said}")
        print(f"{' ' * len(model)}  from its rounds: {means(published.rounds)}, hits {hits} of {len(published.rounds)}")
    if savings:
        print(f"\nms of a session that are not the model's, {arguments.runs} runs; of them, waiting for probes; saved")
        for row in savings:
            print(f"  {row['condition']:38} {row['not the model']:8.0f} {row['probes']:8.0f} {row['saves']:+8.0f}")


if __name__ == "__main__":
    main()
