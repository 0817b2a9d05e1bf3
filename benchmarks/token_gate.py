"""Two axes, one gate: whatever saves tokens is run against itself switched off, and must not cost time.

    python benchmarks/token_gate.py [--runs 5] [--latency A E] [--switch tools.spec_style ...] [--speed 1]
                                    [--noise 0.03] [--strict] [--json]

An optimiser of prompts once saved 15.8 % of the tokens and doubled the time. Here each switch that saves
tokens is played off and on in turns, as whole sessions of `jetbox-tui run` on a fresh folder and a fresh
embedded server, whose latency counts tokens and keeps prefixes as a server of that kind does. Its pauses
and its jitter follow from the work alone, so the goal of each turn is a word longer, to both sides. Tokens are
those of all prompts and answers, as the server counts them, summaries of the history included; `read`
are those of the prompts that it had to evaluate. Seconds are all of a goal, less what loading the model took.

Judged are medians: of the tokens, and of the difference in time between the two sessions of a turn. Time
has grown where that difference is more than the noise: a share of the time without the switch (`--noise`),
50 ms at least. The exit code is 8 where a switch that is on by default saves tokens and costs time, or ends
the goal otherwise. One that is off by default is told alike and fails nothing, unless `--strict`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import tasks
from benchmarks.planning import NOTES
from benchmarks.planning import TASKS as PLANNED
from benchmarks.tasks import SCRIPTS, Task

from jetbox.engine.errors import ExitCode
from jetbox.engine.events import AnyEvent, Compacted, ModelAnswered

MODEL = "gpt-oss:20b"
LATENCIES = ("A", "E")
NOISE = 0.03
LEAST_NOISE_S = 0.05
PARTS = tuple((f"part{n}.txt", f"this is part {n} of it\n" + f"word{n} " * 400) for n in range(1, 13))


class Switch(NamedTuple):
    """What saves tokens: its options off and on, and the goal by which that shows."""

    task: Task
    off: str
    on: str
    default: bool = True
    """It is on unless it is switched off."""


SWITCHES = {
    "tools.spec_style": Switch(PLANNED["notes"], "tools.spec_style=full", "tools.spec_style=compact"),
    "context.prompt_version": Switch(
        PLANNED["notes"], "context.prompt_version=full-1", "context.prompt_version=brief-1", default=False
    ),
    "tools.output_bytes": Switch(
        Task("Say how far it counts.", (str(SCRIPTS / "outputs.toml"),), "question", files=NOTES),
        "tools.output_bytes=100000",
        "tools.output_bytes=10000",
    ),
    "context.compact_tokens": Switch(
        Task("What do all the parts hold?", (str(SCRIPTS / "parts.toml"),), "question", files=PARTS),
        "context.compact_tokens=0",
        "context.compact_tokens=6144",
        default=False,
    ),
    "loop.plan": Switch(PLANNED["notes"], "loop.plan=false", "loop.plan=true", default=False),
}


class Run(NamedTuple):
    """What a session came to."""

    tokens: int
    read: int
    """Of the prompts, those that the server had to evaluate."""
    seconds: float
    outcome: str


class Verdict(NamedTuple):
    """What a switch does on both axes; less is better."""

    word: Literal["pays", "costs time", "saves nothing", "ends otherwise"]
    tokens: float
    read: float
    seconds: float
    noise: float
    """Seconds up to which a difference says nothing."""


def play(task: Task, option: str, latency: str, speed: float) -> Run:
    """One session."""
    return summary(tasks.play(task, ("-m", MODEL, "--set", option), profile=latency, speed=speed), speed)


def summary(happened: Sequence[AnyEvent], speed: float) -> Run:
    """The figures of a session that was played at that speed."""
    answers = [event for event in happened if isinstance(event, ModelAnswered)]
    shorter = [event for event in happened if isinstance(event, Compacted)]
    figures = [*(event.metrics for event in answers), *(event.metrics for event in shorter)]
    prompts = sum(each.get("prompt_eval_count", 0) for each in figures)
    cached = sum(each.get("prompt_eval_cached_count", 0) for each in figures)
    load = answers[0].metrics.get("load_duration", 0) if answers else 0
    summaries = sum(event.duration_ns for event in shorter if event.metrics)
    return Run(
        tokens=prompts + sum(each.get("eval_count", 0) for each in figures),
        read=prompts - cached,
        seconds=tasks.seconds(happened, speed) + (summaries * (speed - 1) - load * speed) / 1e9,
        outcome=tasks.ending(happened).outcome,
    )


def judge(off: Sequence[Run], on: Sequence[Run], noise: float = NOISE) -> Verdict:
    """What the switch does, by sessions that were played in turns."""
    tokens = tasks.median(on, lambda run: run.tokens) - tasks.median(off, lambda run: run.tokens)
    read = tasks.median(on, lambda run: run.read) - tasks.median(off, lambda run: run.read)
    seconds = statistics.median(b.seconds - a.seconds for a, b in zip(off, on, strict=True))
    bound = max(LEAST_NOISE_S, noise * tasks.median(off, lambda run: run.seconds))
    word: Literal["pays", "costs time", "saves nothing", "ends otherwise"] = "pays"
    if tasks.outcomes(off) != tasks.outcomes(on):
        word = "ends otherwise"
    elif tokens >= 0:
        word = "saves nothing"
    elif seconds > bound:
        word = "costs time"
    return Verdict(word, tokens, read, seconds, bound)


def fails(verdict: Verdict, *, default: bool, strict: bool) -> bool:
    """Whether the gate is shut by it."""
    return verdict.word in ("costs time", "ends otherwise") and (default or strict)


def line(name: str, latency: str, off: Sequence[Run], on: Sequence[Run], verdict: Verdict) -> str:
    """A row of the table."""
    before = tasks.median(off, lambda run: run.tokens)
    times = [f"{min(t):.2f}-{max(t):.2f}" for t in ([run.seconds for run in runs] for runs in (off, on))]
    figures = [
        f"{len(on)}",
        f"{before:,.0f}",
        f"{verdict.tokens:+,.0f} ({verdict.tokens / before:+.1%})",
        f"{verdict.read:+,.0f}",
        f"{tasks.median(off, lambda run: run.seconds):.2f} ({times[0]})",
        f"{tasks.median(on, lambda run: run.seconds):.2f} ({times[1]})",
        f"{1000 * verdict.seconds:+.0f}",
        f"{1000 * verdict.noise:.0f}",
    ]
    by_default = "on" if SWITCHES[name].default else "off"
    return "| " + " | ".join([name, by_default, latency, *figures, verdict.word]) + " |"


HEAD = """\
| switch | default | latency | n | tokens off | net tokens | net read | s off | s on | net ms | noise ms | verdict |
|---|---|---|---|---|---|---|---|---|---|---|---|"""


def main() -> int:
    """Play, judge and print; the exit code of the gate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--speed", type=float, default=1.0, help="how many times faster the server is")
    parser.add_argument("--latency", nargs="+", choices=LATENCIES, default=LATENCIES)
    parser.add_argument("--switch", nargs="+", choices=SWITCHES, default=list(SWITCHES))
    parser.add_argument("--noise", type=float, default=NOISE, help="share of the time that says nothing")
    parser.add_argument("--strict", action="store_true", help="let those fail too that are off by default")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.runs < 1:
        parser.error("--runs: at least 1")
    if given.speed <= 0:
        parser.error("--speed: more than 0")
    shut, rows = False, []
    if not given.json:
        print(HEAD)
    for latency in given.latency:
        for name in given.switch:
            switch = SWITCHES[name]
            off: list[Run] = []
            on: list[Run] = []
            for turn in range(given.runs):
                task = switch.task._replace(goal=switch.task.goal + " Please, indeed." * turn)
                # Every other turn the other way round, so that neither side always has the warmer machine.
                sides = [(switch.off, off), (switch.on, on)]
                for option, runs in reversed(sides) if turn % 2 else sides:
                    runs.append(play(task, option, latency, given.speed))
            verdict = judge(off, on, given.noise)
            shut = shut or fails(verdict, default=switch.default, strict=given.strict)
            if given.json:
                sessions = {"off": [run._asdict() for run in off], "on": [run._asdict() for run in on]}
                rows.append({"switch": name, "latency": latency, **verdict._asdict(), **sessions})
            else:
                print(line(name, latency, off, on, verdict), flush=True)
    if given.json:
        print(json.dumps(rows, indent=1))
    return int(ExitCode.BENCH_GATE) if shut else 0


if __name__ == "__main__":
    sys.exit(main())
