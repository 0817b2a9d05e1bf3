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

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from jetbox.engine.events import GoalEnded, ModelAnswered, PlanEnded, RequestSent, Stamped, ToolCalled
from jetbox.record.recording import read_journal
from jetbox.sim.launch import ServerProcess
from jetbox.sim.workspaces import goal_for

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = Path(__file__).parent / "scripts"
WORKSPACES = ROOT / "app" / "jetbox" / "sim" / "workspaces"
LATENCIES = ("gpt-oss:20b", "llama3.2:3b", "A", "E")
CONDITIONS: dict[str, tuple[str, ...]] = {"calls": (), "plan": ("--set", "loop.plan=true")}
TIME_LIMIT_S = 600
NOTES = tuple((f"{word[0]}.txt", f"{word}\n") for word in ("alder", "birch", "cedar", "damson", "elm"))
FIVE = "What do the five notes in this folder hold?"


class Task(NamedTuple):
    """A goal, what plays it, and what it begins with."""

    goal: str
    script: str
    workspace: str = ""
    files: tuple[tuple[str, str], ...] = ()


TASKS = {
    "mathx": Task(goal_for("mathx"), "mathx"),
    "fix-test": Task(goal_for("fix-test"), "fix-test", "fix-test"),
    "refactor": Task(goal_for("refactor"), "refactor", "refactor"),
    "question": Task(goal_for("question"), "question"),
    "notes": Task(FIVE, str(SCRIPTS / "notes.toml"), files=NOTES),
    "together": Task(FIVE, str(SCRIPTS / "notes-together.toml"), files=NOTES),
    "refused": Task(FIVE, str(SCRIPTS / "notes-refused.toml"), files=NOTES),
    "broken": Task(FIVE, str(SCRIPTS / "notes-broken.toml"), files=NOTES),
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
    """One session.

    Raises:
        SystemExit: it could not be begun; says what it printed.
    """
    place = Path(tempfile.mkdtemp(prefix="jetbox-bench-"))
    folder, home = place / "work", place / "home"
    home.mkdir()
    if task.workspace:
        shutil.copytree(WORKSPACES / task.workspace, folder)
    else:
        folder.mkdir()
    for name, text in task.files:
        (folder / name).write_text(text, encoding="utf-8")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("JETBOX_", "OLLAMA_", "XDG_"))}
    command = [sys.executable, "-m", "jetbox.cli.main", "run", "--mode", "auto", "-m", "gpt-oss:20b", "-C", str(folder)]
    try:
        with ServerProcess(scripts=[task.script], speed=speed, profile=latency) as server:
            done = subprocess.run(
                [*command, *CONDITIONS[condition], task.goal],
                check=False,
                env=kept | {"HOME": str(home), "OLLAMA_HOST": server.url},
                capture_output=True,
                text=True,
                timeout=TIME_LIMIT_S,
            )
        journals = list(home.glob(".local/share/jetbox/sessions/*/journal.jsonl"))
        if len(journals) != 1 or done.returncode not in (0, 3, 4):
            raise SystemExit(f"{condition}: ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return summary(list(read_journal(journals[0]).events), speed)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def summary(events: list[Stamped], speed: float) -> Run:
    """The figures of a recording that was played at that speed."""
    happened = [stamped.event for stamped in events]
    ended = next(event for event in happened if isinstance(event, GoalEnded))
    answers = [event for event in happened if isinstance(event, ModelAnswered)]
    model_ns = sum(event.wall_ns for event in answers)
    first = answers[0].metrics.get("load_duration", 0)
    return Run(
        model=(model_ns - first) * speed / 1e9,
        seconds=(model_ns * speed + ended.wall_ns - model_ns) / 1e9,
        calls=sum(isinstance(event, RequestSent) for event in happened),
        tools=sum(isinstance(event, ToolCalled) for event in happened),
        tokens=sum(event.metrics.get("eval_count", 0) for event in answers),
        outcome=ended.outcome,
        plan=next((event.outcome for event in happened if isinstance(event, PlanEnded)), ""),
    )


def table(found: dict[tuple[str, str, str], list[Run]]) -> str:
    """One line for each latency, task and condition."""
    lines = [
        "| latency | task | condition | model s | of calls | all s | requests | tools | tokens | plan | outcome |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (latency, task, condition), runs in found.items():
        plain = found.get((latency, task, "calls"))
        model = statistics.median(one.model for one in runs)
        of_plain = f"{model / statistics.median(one.model for one in plain):.2f}" if plain else "–"
        seconds = f"{statistics.median(one.seconds for one in runs):.1f}"
        one = runs[0]
        outcomes = " ".join(sorted({each.outcome for each in runs}))
        figures = [f"{model:.2f}", of_plain, seconds, str(one.calls), str(one.tools), str(one.tokens), one.plan or "–"]
        lines.append("| " + " | ".join([latency, task, condition, *figures, outcomes]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--speed", type=float, default=4.0)
    parser.add_argument("--latency", nargs="+", choices=LATENCIES, default=LATENCIES)
    parser.add_argument("--task", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found: dict[tuple[str, str, str], list[Run]] = {}
    for _ in range(given.runs):
        for latency in given.latency:
            for task in given.task:
                for condition in CONDITIONS:
                    made = run(TASKS[task], condition, latency, given.speed)
                    found.setdefault((latency, task, condition), []).append(made)
    if given.json:
        rows: list[dict[str, Any]] = [
            dict(zip(("latency", "task", "condition"), key, strict=True)) | {"runs": [one._asdict() for one in runs]}
            for key, runs in found.items()
        ]
        print(json.dumps(rows, indent=2))
    else:
        print(table(found))


if __name__ == "__main__":
    main()
