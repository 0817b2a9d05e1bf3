"""The same tasks call by call, and with all that can be foreseen planned in one answer (`loop.plan`).

    python benchmarks/planning.py [--runs 1] [--speed 4] [--latency A ...] [--task notes ...] [--json]

Each run is a whole session of `jetbox-tui run` with the real tools and probes, on a fresh folder and a
fresh embedded server. Seconds are those of the answers, as the latency says, and in all with everything else as it was.

Two latencies are the milliseconds per round that were published of `gpt-oss:20b` and `llama3.2:3b`: there an
answer takes as long as its round did, however much it says, which is to the advantage of a plan. `A` (a GPU)
and `E` (no GPU) count tokens: what a plan spares is what each request costs besides its answer.

Four tasks are the seeds'. `notes` reads five files one in each answer; `together` reads them as calls of one
answer, which needs no plan; `refused` begins with a plan that cannot be, `broken` with one that fails: there
a plan can only cost. Scripted models say nothing about whether real ones plan well.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import tasks
from benchmarks.tasks import SCRIPTS, SHIPPED, Found, Task

from jetbox.engine.events import AnyEvent, ModelAnswered, PlanEnded, RequestSent, ToolCalled

LATENCIES = ("gpt-oss:20b", "llama3.2:3b", "A", "E")
CONDITIONS: dict[str, tuple[str, ...]] = {"calls": (), "plan": ("--set", "loop.plan=true")}
NOTES = tuple((f"{word[0]}.txt", f"{word}\n") for word in ("alder", "birch", "cedar", "damson", "elm"))
FIVE = "What do the five notes in this folder hold?"


def _notes(script: str) -> Task:
    return Task(FIVE, (str(SCRIPTS / script),), "question", files=NOTES)


TASKS = {
    **SHIPPED,
    "notes": _notes("notes.toml"),
    "together": _notes("notes-together.toml"),
    "refused": _notes("notes-refused.toml"),
    "broken": _notes("notes-broken.toml"),
}


class Run(NamedTuple):
    """What a session came to."""

    seconds: float
    """All of it."""
    model: float
    """Of them, those that answers took; what loading the model took at first is left out."""
    calls: int
    """Requests to the model."""
    tools: int
    tokens: int
    """That the model wrote."""
    outcome: str
    plan: str
    """What became of the plan; empty where there was none."""


def run(task: Task, condition: str, latency: str, speed: float) -> Run:
    """One session."""
    options = ("-m", "gpt-oss:20b", *CONDITIONS[condition])
    return summary(tasks.play(task, options, profile=latency, speed=speed), speed)


def summary(happened: Sequence[AnyEvent], speed: float) -> Run:
    """The figures of a session that was played at that speed."""
    answers = [event for event in happened if isinstance(event, ModelAnswered)]
    first = answers[0].metrics.get("load_duration", 0)
    return Run(
        model=(tasks.answered_ns(happened) - first) * speed / 1e9,
        seconds=tasks.seconds(happened, speed),
        calls=sum(isinstance(event, RequestSent) for event in happened),
        tools=sum(isinstance(event, ToolCalled) for event in happened),
        tokens=sum(event.metrics.get("eval_count", 0) for event in answers),
        outcome=tasks.ending(happened).outcome,
        plan=next((event.outcome for event in happened if isinstance(event, PlanEnded)), ""),
    )


def table(found: Found[Run]) -> str:
    """One line for each latency, task and condition."""
    lines = [
        "| latency | task | condition | model s | of calls | all s | requests | tools | tokens | plan | outcome |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (latency, task, condition), runs in found.items():
        plain = found.get((latency, task, "calls"))
        model = tasks.median(runs, lambda run: run.model)
        of_plain = f"{model / tasks.median(plain, lambda run: run.model):.2f}" if plain else "–"
        seconds = f"{tasks.median(runs, lambda run: run.seconds):.1f}"
        one = runs[0]
        figures = [f"{model:.2f}", of_plain, seconds, str(one.calls), str(one.tools), str(one.tokens), one.plan or "–"]
        lines.append("| " + " | ".join([latency, task, condition, *figures, tasks.outcomes(runs)]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    tasks.compare(__doc__ or "", LATENCIES, TASKS, list(CONDITIONS), run, table)
