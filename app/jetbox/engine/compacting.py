"""Makes room in the window: cheapest means first, once a round, and never so that nothing is gained.

Old outputs are left out where that is enough. Else the model writes a summary of all but the newest
rounds, over the messages that it has in its cache; where that fails, a list of what was called has to
do. The prefix breaks there, which is why it happens late and then leaves room for long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from jetbox.engine.context.budget import SHARE
from jetbox.engine.context.compact import (
    CLIP,
    KEPT_OUTPUTS,
    clipped,
    listed,
    newest,
    rewritten,
    rounds_of,
    without_old_outputs,
)
from jetbox.engine.events import Compacted, Notice
from jetbox.engine.parts import Parts
from jetbox.engine.room import roof
from jetbox.engine.summary import Summary, written

AIM = 0.5
"""Of what stands beside system message and tools, at most so much is used after it."""
KEEP = 0.3
"""Of the same, for the newest rounds as they are."""
WORDS = 0.25
"""And for what the user said before them."""
GAIN = 0.95
"""A history that is not shorter than this part of what it was is left as it is."""


async def on_wish(parts: Parts) -> None:
    """Make the history shorter since the user asked for it; where that gains nothing, that is said."""
    if not await make_room(parts, "you asked for it", whole=True):
        parts.session.emit(Notice(level="info", text="there is nothing yet that could be made shorter"))


async def make_room(parts: Parts, why: str, *, whole: bool = False, ask: bool = True) -> bool:
    """Make the history shorter; False where that gains nothing. `whole`: with a summary in any case.

    Without `ask` the model is not asked for one, and a list of what was called stands in its place.

    Raises:
        StorageError: the journal cannot be written.
    """
    said, start = parts.history.said, parts.session.now()
    if not rounds_of(said):
        return False
    lean = without_old_outputs(said)
    if not whole and _used(parts, lean) <= AIM and _gains(lean, said):
        made = _Made("outputs", lean, len(lean))
    else:
        made = await _rewritten(parts, said, lean, whole=whole, ask=ask)
    if not _gains(made.messages, said):
        return False
    parts.session.emit(
        Compacted(
            why=why,
            how=made.how,
            before=parts.budget.estimate(parts.history.size),
            after=int(_estimate(parts, made.messages)),
            messages=len(made.messages),
            of=len(said),
            kept=made.kept,
            bytes_before=parts.history.size,
            duration_ns=parts.session.now() - start,
            summary=made.summary,
            metrics=made.metrics,
        )
    )
    parts.history.replace(made.messages)
    parts.budget.rewritten()
    parts.prefix.broke(f"the history was made shorter: {why}")
    return True


class _Made(NamedTuple):
    """A shorter history, and how it came about."""

    how: Literal["outputs", "summary", "list"]
    messages: list[bytes]
    kept: int
    summary: str = ""
    metrics: dict[str, int] = {}  # noqa: RUF012 (never changed)


async def _rewritten(parts: Parts, said: Sequence[bytes], lean: Sequence[bytes], *, whole: bool, ask: bool) -> _Made:
    """All but the newest rounds as one message, and those as they are where there is room for that."""
    free, rounds = _free(parts) * parts.budget.ratio, rounds_of(said)
    begin = newest(said, int(KEEP * free))
    if whole and len(rounds) > KEPT_OUTPUTS:
        begin = max(begin, rounds[-KEPT_OUTPUTS])
    if begin <= rounds[0]:  # nothing is older
        return _Made("outputs", clipped(said, CLIP), len(said))
    found = await _summary(parts, said, lean) if ask else Summary()
    summary = parts.redactor.redact(found.text) or listed(said[1:begin])
    messages = rewritten(said, begin, summary, parts.goal, int(WORDS * free))
    if _used(parts, messages) > 1 - 2 / SHARE:
        messages = clipped(messages, CLIP)
    kept = len(said) - begin
    return _Made("summary" if found.text else "list", messages, kept, summary, found.metrics)


def _fixed(parts: Parts) -> float:
    """Tokens of what every request begins with."""
    return _estimate(parts, parts.history.parts[1][:1])


def _free(parts: Parts) -> float:
    """Tokens of the window beside them."""
    return max(1.0, roof(parts) - _fixed(parts))


def _used(parts: Parts, messages: Sequence[bytes]) -> float:
    """The share of those that this history takes."""
    return (_estimate(parts, messages) - _fixed(parts)) / _free(parts)


def _estimate(parts: Parts, messages: Sequence[bytes]) -> float:
    return parts.history.tokens_of(messages, parts.budget.ratio)


def _gains(new: Sequence[bytes], old: Sequence[bytes]) -> bool:
    return sum(map(len, new)) < GAIN * sum(map(len, old))


async def _summary(parts: Parts, said: Sequence[bytes], lean: Sequence[bytes]) -> Summary:
    """What the model writes, over as much as leaves room for that."""
    found = await written(parts, said, parts.budget.estimate(parts.history.size))
    if found.roomless:
        found = await written(parts, lean, int(_estimate(parts, lean)))
    if found.why and not found.roomless:
        told = f"the model wrote no summary: {found.why}"
        parts.session.emit(Notice(level="warning", text=told, hint="what was called is listed instead"))
    return found
