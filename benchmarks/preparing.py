"""What preparing a request costs, stage by stage, and whether anything of it is worth running beside the rest.

    python benchmarks/preparing.py [--runs 50] [--json]

Histories of 1,000 to 128,000 tokens grow by an answer and its result; what follows is timed as a round does
it, in ms: `assemble` puts both into the history, `budget` bounds the answer, `render` makes the bytes and their
SHA-256, `compare` finds what the request before began with too, `count` shares the server's figure among
the new messages. All of it depends on what is new, but for the copying of the bytes. A session's own figures are
spans of its rounds, by the same names: the timing screen and `jetbox-tui sessions show` have them.

A prompt follows from the answer before it, so it cannot be prepared beside that answer; what of it is there
already is hashed and kept. The question is whether the rest is worth a thread: `thread` is what it costs to hand
over nothing and to wait for it. The exit code is 8 where a whole preparation takes more than 2.5 ms (median).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys

from jetbox.engine.clock import Span, Timed, monotonic
from jetbox.engine.context.budget import Budget
from jetbox.engine.context.history import History
from jetbox.engine.context.prompt import system_prompt
from jetbox.engine.context.wire import OllamaWire, Wanted
from jetbox.engine.errors import ExitCode
from jetbox.engine.models.prefix import PrefixWatch
from jetbox.engine.options import ModelOptions
from jetbox.engine.session import NoRecorder, Session
from jetbox.engine.tools.registry import specs, standard_tools

SIZES = (1_000, 8_000, 32_000, 128_000)
BYTES_A_TOKEN = 3.4
WINDOW = 1 << 20
GOAL_MS = 2.5
OUTPUT = "    a line of some file that was read\n" * 100
STAGES = ("assemble", "budget", "render", "compare", "count")


def measure(tokens: int, runs: int) -> dict[str, float]:
    """Medians of the stages, ms, and of all together as `whole`."""
    history = History(Session(NoRecorder()), OllamaWire())
    history.head("model", ModelOptions(), specs(standard_tools(), "compact"))
    history.system(system_prompt())
    history.user("Do it.")
    while history.size < tokens * BYTES_A_TOKEN:
        grow(history)
    budget, prefix = Budget(WINDOW), PrefixWatch()
    found: dict[str, list[float]] = {stage: [] for stage in (*STAGES, "whole")}
    for run in range(runs + 1):
        spans = once(history, budget, prefix)
        if run == 0:  # there all of it is new
            continue
        for span in spans:
            found[span.name].append((span.end - span.start) / 1e6)
        found["whole"].append(sum(span.end - span.start for span in spans) / 1e6)
    return {stage: round(statistics.median(values), 3) for stage, values in found.items()}


def once(history: History, budget: Budget, prefix: PrefixWatch) -> list[Span]:
    """The stages of one request, as a round goes through them."""
    spans: list[Span] = []
    with Timed(spans, monotonic, "assemble"):
        grow(history)
    with Timed(spans, monotonic, "budget"):
        most = budget.num_predict(budget.estimate(history.size), 8192)
    with Timed(spans, monotonic, "render"):
        body = history.body(Wanted(budget.num_ctx, most))
    with Timed(spans, monotonic, "compare"):
        prefix.sent("model", *history.parts, body.tail)
    with Timed(spans, monotonic, "count"):
        read = int(len(body.data) / BYTES_A_TOKEN)
        budget.learn(len(body.data), read)
        history.counted(read)
    return spans


def handed_over(runs: int) -> float:
    """What it costs to let a thread do nothing, ms."""

    async def all_of_them() -> list[Span]:
        spans: list[Span] = []
        for _ in range(runs):
            with Timed(spans, monotonic, "thread"):
                await asyncio.to_thread(int)
        return spans

    return round(statistics.median((span.end - span.start) / 1e6 for span in asyncio.run(all_of_them())), 3)


def grow(history: History) -> None:
    """A round's answer and the result of its call."""
    history.assistant("I go on to the next.", "", [])
    history.tool("read_file", "", OUTPUT)


def main() -> int:
    """Measure and print; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = {tokens: measure(tokens, given.runs) for tokens in SIZES}
    thread = handed_over(given.runs)
    if given.json:
        print(json.dumps({"tokens": found, "thread": thread}, indent=1))
    else:
        print(f"{'tokens':>8}" + "".join(f"{stage:>10}" for stage in (*STAGES, "whole")) + f"   ms, n {given.runs}")
        for tokens, figures in found.items():
            print(f"{tokens:>8,}" + "".join(f"{figures[stage]:>10.3f}" for stage in (*STAGES, "whole")))
        print(f"{'thread':>8}{thread:>10.3f}")
    return int(ExitCode.BENCH_GATE) if max(each["whole"] for each in found.values()) > GOAL_MS else 0


if __name__ == "__main__":
    sys.exit(main())
