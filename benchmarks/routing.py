"""The same tasks under one model, another, and the rules that choose between both.

    python benchmarks/routing.py [--runs 1] [--speed 4] [--latency own ...] [--task slips ...] [--json]

Each run is a whole session of `jetbox-tui run` with the real tools and probes, on a fresh folder and a
fresh embedded server. `own` gives each model the latencies per round that were published of it;
`gpt-oss:20b` and `llama3.2:3b` give both models those of one: a machine on which the small model is no
faster, and one on which the large one is. Seconds are the model's, as the profile says, plus all
else as it was. The tasks are the seeds': `mathx`, work on what is there, a question, fifty reads
(`triage`), ten files to review, an incident. All are played alike by both models, so that routing can only
cost there; `slips` is one that the small model never gets right and the large one repairs. Scripted models say nothing
about real ones: what is compared is what each rule does with the same answers, and what a switch costs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import tasks
from benchmarks.cases import CASES
from benchmarks.tasks import SCRIPTS, SHIPPED, Found, Task

from jetbox.engine.events import RED, AnyEvent, ModelSwitched, ProbeEnded, RequestSent, SwitchPaid

SMALL, LARGE = "llama3.2:3b", "gpt-oss:20b"
LATENCIES = ("own", LARGE, SMALL)
NAMED = ("--set", f"routing.small={SMALL}", "--set", f"routing.large={LARGE}")
CONDITIONS: dict[str, tuple[str, ...]] = {
    "small": ("-m", SMALL),
    "large": ("-m", LARGE),
    "complexity": (*NAMED, "--set", "routing.mode=complexity"),
    "hybrid": (*NAMED, "--profile", "hybrid"),
    "evidence": (*NAMED, "--set", "routing.mode=evidence"),
    "cascade": (*NAMED, "--set", "routing.mode=cascade"),
}


TASKS = {
    **SHIPPED,
    **CASES,
    "slips": Task(
        "Write a score keeper.", (str(SCRIPTS / "slips-small.toml"), str(SCRIPTS / "slips-large.toml")), "new"
    ),
}


class Run(NamedTuple):
    """What a session came to."""

    seconds: float
    calls: int
    switches: int
    outcome: str
    red: int
    """Red verdicts on the way."""
    switching: float
    """Seconds that loads and reading after switches took, as the server says; a part of `seconds`."""


def run(task: Task, condition: str, latency: str, speed: float) -> Run:
    """One session."""
    profile = "" if latency == "own" else latency
    return summary(tasks.play(task, CONDITIONS[condition], profile=profile, speed=speed), speed)


def summary(happened: Sequence[AnyEvent], speed: float) -> Run:
    """The figures of a session that was played at that speed."""
    paid = sum(max(0, event.cost.total_ns) for event in happened if isinstance(event, SwitchPaid))
    return Run(
        seconds=tasks.seconds(happened, speed),
        calls=sum(isinstance(event, RequestSent) for event in happened),
        switches=sum(isinstance(event, ModelSwitched) for event in happened),
        outcome=tasks.ending(happened).outcome,
        red=sum(isinstance(e, ProbeEnded) and not e.baseline and e.state in RED for e in happened),
        switching=paid * speed / 1e9,
    )


def table(found: Found[Run]) -> str:
    """One line for each latency, task and condition."""
    lines = [
        "| latency | task | condition | s | of large | calls | switches, s | red | outcome |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (latency, task, condition), runs in found.items():
        large = found.get((latency, task, "large"))
        seconds = tasks.median(runs, lambda run: run.seconds)
        of_large = f"{seconds / tasks.median(large, lambda run: run.seconds):.2f}" if large else "–"
        one = runs[0]
        spent = f"{one.switches}, {one.switching:.1f}"
        outcomes = tasks.outcomes(runs)
        cells = [latency, task, condition, f"{seconds:.1f}", of_large, str(one.calls), spent, str(one.red), outcomes]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    tasks.compare(__doc__ or "", LATENCIES, TASKS, list(CONDITIONS), run, table)
