"""A recording's rounds as a log: what each took, what of that the model, and what its verdicts came from.

The form is that of the agents whose published runs this product is measured against:
`Round 1: 3685ms (LLM: 3640ms) - Probe: 32ms ⚡`, and `- Cache hit ↻` where nothing had to run.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from jetbox.engine.clock import PHASES
from jetbox.engine.events import (
    GoalEnded,
    GoalStarted,
    MessageAdded,
    MessagesCounted,
    ProbeEnded,
    RoundEnded,
    RoundStarted,
    Stamped,
)
from jetbox.record.prepared import stages
from jetbox.record.spent import MODEL

SIGNS = {"ran": "⚡", "hit": "↻", "partial": "◐", "skipped": "⏭"}


class Logged(msgspec.Struct):
    """One round; times in ms."""

    number: int
    model: str = ""
    wall_ms: float = 0.0
    llm_ms: float = 0.0
    probe_ms: float = 0.0
    """What it waited for probes and for nothing else."""
    phases_ms: dict[str, float] = {}
    verdicts: dict[str, str] = {}
    """By probe: how the verdict on the files of this round came about."""
    stages_ms: dict[str, float] = {}
    """What the engine itself did meanwhile: preparing the prompt, choosing a model, and so on."""
    log_ms: float = 0.0
    """How long recording held up the event loop."""
    unproven: bool = False
    """A verdict was served by its age alone."""
    ended: bool = False

    @property
    def line(self) -> str:
        """The round as a line of the log."""
        took = f"Round {self.number}: {self.wall_ms:.0f}ms (LLM: {self.llm_ms:.0f}ms)" if self.ended else ""
        return (took or f"Round {self.number}: cut off") + self._verdict()

    def _verdict(self) -> str:
        came = set(self.verdicts.values())
        if not came:
            return ""
        if came == {"skipped"}:
            return f" - Probe skipped {SIGNS['skipped']}"
        came.discard("skipped")
        if came == {"hit"}:
            return f" - Cache hit {SIGNS['hit']}" + ("?" if self.unproven else "")
        return f" - Probe: {self.probe_ms:.0f}ms " + (SIGNS["partial"] if "partial" in came else SIGNS["ran"])


def round_log(events: Iterable[Stamped]) -> list[Logged]:
    """All rounds of a session; a verdict stands in the round whose files it judges."""
    rounds: dict[int, Logged] = {}

    def of(number: int) -> Logged:
        return rounds.setdefault(number, Logged(number, verdicts={}, phases_ms={}, stages_ms={}))

    over = False
    for stamped in events:
        match stamped.event:
            case GoalStarted() | GoalEnded() as goal:
                over = isinstance(goal, GoalEnded)
            case ProbeEnded() as asked if over and not asked.of_round:
                pass  # by the user, of no round
            case RoundStarted() as begun:
                of(stamped.round).model = begun.model
            case RoundEnded() as ended:
                done = of(stamped.round)
                done.ended, done.wall_ms = True, ended.wall_ns / 1e6
                done.phases_ms = {name: ended.phases[name] / 1e6 for name in PHASES if name in ended.phases}
                done.stages_ms = {name: ns / 1e6 for name, ns in stages(ended).items()}
                done.log_ms = ended.log_ns / 1e6
                done.llm_ms = sum(done.phases_ms.get(name, 0.0) for name in MODEL)
                done.probe_ms = done.phases_ms.get("probe", 0.0)
            case ProbeEnded() as verdict if verdict.state != "cancelled" and not verdict.baseline:
                judged = of(verdict.of_round or stamped.round)
                judged.verdicts[verdict.name] = "skipped" if verdict.state == "skipped" else verdict.cache
                judged.unproven = judged.unproven or verdict.unproven
            case _:
                pass
    return [rounds[number] for number in sorted(rounds) if number]


def prompts_line(log: Iterable[Logged]) -> str:
    """What preparing the prompts of these rounds came to; empty where that was not recorded."""
    spent: dict[str, float] = {}
    logged = 0.0
    for one in log:
        logged += one.log_ms
        for name, ms in one.stages_ms.items():
            spent[name] = spent.get(name, 0.0) + ms
    if not spent:
        return ""
    parts = ", ".join(f"{name} {ms:.1f}" for name, ms in spent.items())
    return f"Prompts: prepared in {sum(spent.values()):.1f}ms ({parts}) - Journal: {logged:.1f}ms"


def system_line(events: Iterable[Stamped]) -> str:
    """Which system prompt the session had, and its tokens with those of the tools, as the server counted them."""
    version, text, tokens, tools = "", 0, 0, 0
    for stamped in events:
        match stamped.event:
            case MessageAdded() as added if added.version:
                version, text = added.version, len(added.json.encode())
            case MessagesCounted() as counted if counted.first == 0 and not tokens:
                tokens, tools = counted.tokens[0], counted.head
            case _:
                pass
    if not version:
        return ""
    return f"{version}, {text:,} bytes" + (f", {tokens:,} tokens beside {tools:,} of the tools" if tokens else "")
