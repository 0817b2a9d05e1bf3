"""The same tasks under one model, another, and the rules that choose between both.

    python benchmarks/routing.py [--runs 1] [--speed 4] [--latency own ...] [--task slips ...] [--json]

Each run is a whole session of `jetbox-tui run` with the real tools and probes, on a fresh folder and a
fresh embedded server. `own` gives each model the latencies per round that were published of it;
`gpt-oss:20b` and `llama3.2:3b` give both models those of one: a machine on which the small model is no
faster, and one on which the large one is. Seconds are the model's, as the profile says, plus all
else as it was. Four tasks are played alike by both models, so that routing can only cost there; `slips`
is one that the small model never gets right and the large one repairs. Scripted models say nothing
about real ones: what is compared is what each rule does with the same answers, and what a switch costs.
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

from jetbox.engine.events import (
    RED,
    GoalEnded,
    ModelAnswered,
    ModelSwitched,
    ProbeEnded,
    RequestSent,
    Stamped,
    SwitchPaid,
)
from jetbox.record.recording import read_journal
from jetbox.sim.launch import ServerProcess

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = Path(__file__).parent / "scripts"
WORKSPACES = ROOT / "app" / "jetbox" / "sim" / "workspaces"
SMALL, LARGE = "llama3.2:3b", "gpt-oss:20b"
LATENCIES = ("own", LARGE, SMALL)
TIME_LIMIT_S = 300
NAMED = ("--set", f"routing.small={SMALL}", "--set", f"routing.large={LARGE}", "-m", SMALL)
CONDITIONS: dict[str, tuple[str, ...]] = {
    "small": ("-m", SMALL),
    "large": ("-m", LARGE),
    "complexity": (*NAMED, "--set", "routing.mode=complexity"),
    "hybrid": (*NAMED, "--profile", "hybrid"),
    "evidence": (*NAMED, "--set", "routing.mode=evidence"),
    "cascade": (*NAMED, "--set", "routing.mode=cascade"),
}


class Task(NamedTuple):
    """A goal, what plays it, and the folder that it begins in."""

    goal: str
    scripts: tuple[str, ...]
    workspace: str = ""


TASKS = {
    "mathx": Task("Create mathx package with add and multiply, add tests, make ruff and pytest pass.", ("mathx",)),
    "fix-test": Task("Fix the failing test in this package.", ("fix-test",), "fix-test"),
    "refactor": Task(
        "Refactor the weather package: replace the tuples in its three modules by a dataclass Reading.",
        ("refactor",),
        "refactor",
    ),
    "question": Task("What is a context manager in Python, and when should I write one?", ("question",)),
    "slips": Task("Write a score keeper.", (str(SCRIPTS / "slips-small.toml"), str(SCRIPTS / "slips-large.toml"))),
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
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("JETBOX_", "OLLAMA_", "XDG_"))}
    command = [sys.executable, "-m", "jetbox.cli.main", "run", "--mode", "auto", "-C", str(folder)]
    profile = "" if latency == "own" else latency
    try:
        with ServerProcess(scripts=task.scripts, speed=speed, profile=profile) as server:
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
    model_ns = sum(event.wall_ns for event in happened if isinstance(event, ModelAnswered))
    paid = sum(max(0, event.cost.total_ns) for event in happened if isinstance(event, SwitchPaid))
    return Run(
        seconds=(model_ns * speed + ended.wall_ns - model_ns) / 1e9,
        calls=sum(isinstance(event, RequestSent) for event in happened),
        switches=sum(isinstance(event, ModelSwitched) for event in happened),
        outcome=ended.outcome,
        red=sum(isinstance(e, ProbeEnded) and not e.baseline and e.state in RED for e in happened),
        switching=paid * speed / 1e9,
    )


def table(found: dict[tuple[str, str, str], list[Run]]) -> str:
    """One line for each latency, task and condition."""
    lines = [
        "| latency | task | condition | s | of large | calls | switches, s | red | outcome |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (latency, task, condition), runs in found.items():
        large = found.get((latency, task, "large"))
        seconds = statistics.median(one.seconds for one in runs)
        of_large = f"{seconds / statistics.median(one.seconds for one in large):.2f}" if large else "–"
        one = runs[0]
        spent = f"{one.switches}, {one.switching:.1f}"
        outcomes = " ".join(sorted({each.outcome for each in runs}))
        cells = [latency, task, condition, f"{seconds:.1f}", of_large, str(one.calls), spent, str(one.red), outcomes]
        lines.append("| " + " | ".join(cells) + " |")
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
