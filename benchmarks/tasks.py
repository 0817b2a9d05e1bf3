"""Tasks that are played as whole sessions, and what comparisons of them share.

Each is played with `jetbox-tui run`, the real tools and probes, on a fresh folder and a fresh embedded
server. Of the shipped ones, one makes something new, one mends, one changes what is there, one answers.
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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from jetbox.engine.events import AnyEvent, GoalEnded, ModelAnswered
from jetbox.record.recording import read_journal
from jetbox.sim.launch import ServerProcess
from jetbox.sim.workspaces import goal_for

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = Path(__file__).parent / "scripts"
WORKSPACES = ROOT / "app" / "jetbox" / "sim" / "workspaces"
TIME_LIMIT_S = 600
PLAYED = (0, 3, 4)
"""Exit codes of sessions that came to an end of their own: green, red, a limit."""
Kind = Literal["new", "mend", "change", "question"]


class Task(NamedTuple):
    """A goal, what plays it, and what it begins with."""

    goal: str
    scripts: tuple[str, ...]
    kind: Kind
    workspace: str = ""
    files: tuple[tuple[str, str], ...] = ()


SHIPPED = {
    "mathx": Task(goal_for("mathx"), ("mathx",), "new"),
    "fix-test": Task(goal_for("fix-test"), ("fix-test",), "mend", "fix-test"),
    "refactor": Task(goal_for("refactor"), ("refactor",), "change", "refactor"),
    "question": Task(goal_for("question"), ("question",), "question"),
}


class Figures(Protocol):
    """What a session came to: a named tuple."""

    def _asdict(self) -> dict[str, Any]: ...


R = TypeVar("R", bound=Figures)
Found = dict[tuple[str, str, str], list[R]]
"""Sessions by latency, task and condition."""


def play(task: Task, options: Sequence[str], *, profile: str, speed: float) -> list[AnyEvent]:
    """One session; everything that happened in it.

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
    command = [sys.executable, "-m", "jetbox.cli.main", "run", "--mode", "auto", "-C", str(folder)]
    try:
        with ServerProcess(scripts=task.scripts, speed=speed, profile=profile) as server:
            done = subprocess.run(
                [*command, *options, task.goal],
                check=False,
                env=kept | {"HOME": str(home), "OLLAMA_HOST": server.url},
                capture_output=True,
                text=True,
                timeout=TIME_LIMIT_S,
            )
        journals = list(home.glob(".local/share/jetbox/sessions/*/journal.jsonl"))
        if len(journals) != 1 or done.returncode not in PLAYED:
            said = f"{done.stdout}{done.stderr}"
            raise SystemExit(f"{' '.join(options)}: ended with {done.returncode}:\n{said}")
        return [stamped.event for stamped in read_journal(journals[0]).events]
    finally:
        shutil.rmtree(place, ignore_errors=True)


def ending(happened: Sequence[AnyEvent]) -> GoalEnded:
    """How the goal of a session ended."""
    return next(event for event in happened if isinstance(event, GoalEnded))


def answered_ns(happened: Sequence[AnyEvent]) -> int:
    """What all answers took, as they were played."""
    return sum(event.wall_ns for event in happened if isinstance(event, ModelAnswered))


def seconds(happened: Sequence[AnyEvent], speed: float) -> float:
    """All of a session that was played at that speed: answers as the latency says, everything else as it was."""
    answers = answered_ns(happened)
    return (answers * speed + ending(happened).wall_ns - answers) / 1e9


def compare(
    about: str,
    latencies: Sequence[str],
    tasks: Mapping[str, Task],
    conditions: Sequence[str],
    run: Callable[[Task, str, str, float], R],
    table: Callable[[Found[R]], str],
) -> None:
    """The command line of a comparison: play every task under every condition, and print what came of it."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--speed", type=float, default=4.0)
    parser.add_argument("--latency", nargs="+", choices=latencies, default=latencies)
    parser.add_argument("--task", nargs="+", choices=tasks, default=list(tasks))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found: Found[R] = {}
    for _ in range(given.runs):
        for latency in given.latency:
            for task in given.task:
                for condition in conditions:
                    made = run(tasks[task], condition, latency, given.speed)
                    found.setdefault((latency, task, condition), []).append(made)
    print(as_json(found) if given.json else table(found))


def as_json(found: Found[R]) -> str:
    """Every session, for other programs."""
    rows = [
        dict(zip(("latency", "task", "condition"), key, strict=True)) | {"runs": [one._asdict() for one in runs]}
        for key, runs in found.items()
    ]
    return json.dumps(rows, indent=2)


def median(runs: Sequence[R], figure: Callable[[R], float]) -> float:
    """Of a figure of some sessions."""
    return statistics.median(figure(one) for one in runs)


def outcomes(runs: Sequence[Any]) -> str:
    """How they ended, each way once."""
    return " ".join(sorted({one.outcome for one in runs}))
