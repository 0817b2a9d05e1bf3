"""How much of each prompt is evaluated again: our requests beside those of a client that rebuilds its prompt.

    python benchmarks/prefix.py [--speed 10] [--json]

One session of `jetbox-tui run` against the embedded server, whose KV model counts the tokens that a prompt
shares with what a slot of it holds (`prompt_eval_cached_count`): ten rounds whose history grows by one
written file each. The very bodies of these requests are then sent to a fresh server twice: as they are, and
as a client would make them that writes the round's number at the end of its system prompt, as clients do with a time,
a list of files or a summary of what happened. `new` is what no earlier request held: the prompt less the one
before. Nothing else has to be evaluated; what a round evaluates beyond it is the goal's measure.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import httpx
import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.headless import recorded

from jetbox.record.recording import read_journal
from jetbox.record.requests import rebuild_all
from jetbox.sim.launch import ServerProcess

SCRIPT = Path(__file__).parent / "scripts" / "ten-writes.toml"
MODEL = "gpt-oss:20b"


class Prompt(msgspec.Struct):
    """One request in tokens, as the server counted them."""

    tokens: int
    evaluated: int


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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--speed", type=float, default=10.0, help="how many times faster the server is")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    bodies = ours(arguments.speed)
    kept, naive = (sent(found, arguments.speed) for found in (bodies, rebuilt(bodies)))
    new = [after.tokens - before.tokens for before, after in zip([Prompt(0, 0), *kept], kept, strict=False)]
    rows = [
        {"round": n, "prompt": k.tokens, "new": fresh, "evaluated": k.evaluated, "rebuilt": r.evaluated}
        for n, (k, fresh, r) in enumerate(zip(kept, new, naive, strict=True), 1)
    ]
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    print("tokens    prompt      new   evaluated   share      rebuilt   share")
    for row, k, r in zip(rows, kept, naive, strict=True):
        print(
            f"round {row['round']:>2} {k.tokens:8} {row['new']:8} {k.evaluated:11} {k.evaluated / k.tokens:7.1%}"
            f" {r.evaluated:12} {r.evaluated / r.tokens:7.1%}"
        )
    later = list(zip(kept, new, naive, strict=True))[1:]
    beyond = max(k.evaluated - fresh for k, fresh, _ in later)
    total, again = sum(k.evaluated for k, _, _ in later), sum(r.evaluated for _, _, r in later)
    print(f"goal: only the new part, every round: at most {beyond:+} tokens beyond it")
    print(f"rounds 2 to {len(kept)}: {total} tokens evaluated, {again} where the prompt is rebuilt")


if __name__ == "__main__":
    main()
