"""How much of each prompt is evaluated again: our requests beside those of a client that rebuilds its prompt.

    python benchmarks/prefix.py [--speed 10] [--rounds N] [--json]

One session of `jetbox-tui run` against the embedded server, whose KV model counts the tokens that a prompt
shares with what a slot of it holds (`prompt_eval_cached_count`): ten rounds whose history grows by one
written file each. The very bodies of these requests are then sent to a fresh server twice: as they are, and
as a client would make them that writes the round's number at the end of its system prompt, as clients do with a time,
a list of files or a summary of what happened. `new` is what no earlier request held: the prompt less the one
before. Nothing else has to be evaluated: what a round evaluates beyond it is the goal's measure, switches of model
excepted. The exit code is 8 where it is missed.
"""

from __future__ import annotations

import argparse
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.headless import recorded

from jetbox.engine.errors import ExitCode
from jetbox.record.recording import read_journal
from jetbox.record.requests import rebuild_all
from jetbox.sim.launch import ServerProcess

SCRIPT = Path(__file__).parent / "scripts" / "ten-writes.toml"
MODEL = "gpt-oss:20b"


class Prompt(msgspec.Struct):
    """One request in tokens, as the server counted them."""

    tokens: int
    evaluated: int


class Row(msgspec.Struct):
    """A round: its model, and in tokens its prompt, what is new in it, and what was evaluated of either kind."""

    round: int
    model: str
    prompt: int
    new: int
    evaluated: int
    rebuilt: int
    rebuilt_of: int
    """Its prompt as the other client makes it."""


class Verdict(msgspec.Struct):
    """What came of the goal."""

    met: bool
    beyond: int
    """Most tokens that a round had evaluated beyond its new part; negative where even of that some were known."""
    rounds: list[int]
    """Those that missed it."""


def ours(speed: float) -> list[bytes]:
    """The bodies of the requests of a session, as the server got them."""
    with recorded(str(SCRIPT), "Write ten files.", model=MODEL, speed=speed) as journal:
        return [body for _, body in rebuild_all(read_journal(journal))]


def rebuilt(bodies: list[bytes]) -> list[bytes]:
    """The same requests with the number of the round in the system prompt."""
    made = []
    for number, body in enumerate(bodies, 1):
        request = msgspec.json.decode(body)
        system = request["messages"][0]
        if system["role"] != "system":
            raise SystemExit("the first message is no system prompt")
        system["content"] += f"\nRound {number}."
        made.append(msgspec.json.encode(request))
    return made


def sent(bodies: list[bytes], speed: float) -> list[Prompt]:
    """What a fresh server evaluates of each of these requests, one after the other."""
    prompts = []
    with ServerProcess(scripts=[str(SCRIPT)], speed=speed) as server, httpx.Client(base_url=server.url) as client:
        for body in bodies:
            answer = client.post("/api/chat", content=body, timeout=120)
            answer.raise_for_status()
            last: dict[str, Any] = msgspec.json.decode(answer.content.splitlines()[-1])
            tokens = int(last["prompt_eval_count"])
            prompts.append(Prompt(tokens, tokens - int(last.get("prompt_eval_cached_count", 0))))
    return prompts


def measured(speed: float, rounds: int = 0) -> list[Row]:
    """Ours beside the same prompts rebuilt, of the first `rounds` requests; of all for 0."""
    bodies = ours(speed)[: rounds or None]
    models = [msgspec.json.decode(body)["model"] for body in bodies]
    kept, naive = (sent(found, speed) for found in (bodies, rebuilt(bodies)))
    new = [after.tokens - before.tokens for before, after in zip([Prompt(0, 0), *kept], kept, strict=False)]
    made = enumerate(zip(models, kept, new, naive, strict=True), 1)
    return [Row(n, model, k.tokens, fresh, k.evaluated, r.evaluated, r.tokens) for n, (model, k, fresh, r) in made]


def judged(rows: list[Row]) -> Verdict:
    """Whether each round but the first, and those that follow a switch of model, had only its new part evaluated."""
    beyond = {row.round: row.evaluated - row.new for before, row in pairwise(rows) if row.model == before.model}
    missed = [number for number, tokens in beyond.items() if tokens > 0]
    return Verdict(bool(beyond) and not missed, max(beyond.values(), default=0), missed)


def table(rows: list[Row], verdict: Verdict) -> str:
    """All rounds, and what came of the goal."""
    lines = ["tokens    prompt      new   evaluated   share      rebuilt   share"]
    lines += [
        f"round {row.round:>2} {row.prompt:8} {row.new:8} {row.evaluated:11} {row.evaluated / row.prompt:7.1%}"
        f" {row.rebuilt:12} {row.rebuilt / row.rebuilt_of:7.1%}"
        for row in rows
    ]
    first = f", in round {verdict.rounds[0]}" if verdict.rounds else ""
    told = f"at most {verdict.beyond:+} tokens beyond it{first}"
    lines.append(f"goal only the new part, every round: {told}, {'met' if verdict.met else 'missed'}")
    total, again = sum(row.evaluated for row in rows[1:]), sum(row.rebuilt for row in rows[1:])
    lines.append(f"rounds 2 to {len(rows)}: {total} tokens evaluated, {again} where the prompt is rebuilt")
    return "\n".join(lines)


def main() -> int:
    """Measure and print; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--speed", type=float, default=10.0, help="how many times faster the server is")
    parser.add_argument("--rounds", type=int, default=0, help="of so many requests alone; 0, the default: all")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = measured(arguments.speed, arguments.rounds)
    verdict = judged(rows)
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode({"met": verdict.met, "rounds": rows}), indent=1).decode())
    else:
        print(table(rows, verdict))
    return 0 if verdict.met else int(ExitCode.BENCH_GATE)


if __name__ == "__main__":
    sys.exit(main())
