"""What a round could still have saved, and how much: cautious figures, each with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from jetbox.engine.models.figures import COLD_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jetbox.engine.events import PrefixReused
    from jetbox.record.spent import RoundTime

READS = frozenset({"read_file", "list_dir", "grep", "glob"})
"""Tools that change nothing, so that several can be asked for in one answer and run together."""
LEAST_NS = 1_000_000
"""Less than this is not worth a word."""

Kind = Literal["reads", "prefix", "probe", "load"]
KINDS: dict[Kind, str] = {
    "reads": "reads one after another",
    "prefix": "prompt read again",
    "probe": "probes waited for",
    "load": "model loads waited for",
}


class Saving(msgspec.Struct, frozen=True, gc=False):
    """Something that could have been had for less."""

    kind: Kind
    round: int
    ns: int
    why: str


def within(
    done: RoundTime,
    reads: Sequence[tuple[int, int]],
    prefix: PrefixReused | None,
    before: int,
    reading: float,
    *,
    again: bool,
) -> list[Saving]:
    """What one round tells.

    `reads` are from when to when each read ran, `before` is how many tokens the model's prompt had the last
    time, `reading` what a token of it costs in ns, `again`: this model has answered before.
    """
    out: list[Saving] = []
    busy = sum(end - start for start, end in reads)
    if len(reads) > 1 and (spared := _covered(reads) - max(end - start for start, end in reads)) > 0 and busy:
        out.append(Saving("reads", done.number, spared, f"{len(reads)} reads ran one after another"))
    if prefix is not None and prefix.miss:
        lost = max(prefix.expected, min(before, prefix.of)) - prefix.tokens
        out.append(Saving("prefix", done.number, round(lost * reading), f"{prefix.miss}: {lost:,} tokens"))
    if done.load >= COLD_NS:
        spared = min(done.load, done.phases.get("queue and load", 0))
        why = f"{done.model} had been unloaded" if again else "could be loaded ahead"
        out.append(Saving("load", done.number, spared, why))
    return [each for each in out if each.ns >= LEAST_NS]


def between(before: RoundTime, done: RoundTime) -> list[Saving]:
    """What two rounds of a goal, one after the other, tell."""
    out: list[Saving] = []
    if before.only_reads and done.only_reads and before.model == done.model:
        # What the model wrote it would have had to write in any case.
        spared = sum(done.phases.get(name, 0) for name in ("context", "queue and load", "prompt eval"))
        out.append(Saving("reads", done.number, spared, f"rounds {before.number} and {done.number} only read"))
    if before.probe and not before.final:
        spared = min(before.probe, done.llm)
        out.append(Saving("probe", before.number, spared, f"round {done.number} could begin beside it"))
    return [each for each in out if each.ns >= LEAST_NS]


def _covered(spans: Sequence[tuple[int, int]]) -> int:
    """How long at least one of them ran."""
    total, until = 0, -1
    for start, end in sorted(spans):
        if end > until:
            total += end - max(start, until)
            until = end
    return total
