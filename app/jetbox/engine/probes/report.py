"""Verdicts in words, for the model; output kept within bounds."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from jetbox.engine.probes.base import Verdict
from jetbox.engine.safety.secrets import Redactor

MODEL_BYTES = 4_096
"""Most bytes of failing output that go back to the model, all probes together."""


def bounded(text: str, limit: int) -> str:
    """Head and tail of a text in at most about `limit` bytes; the tail, where the result stands, gets two thirds."""
    data = text.encode(errors="replace")
    if len(data) <= limit:
        return text
    head = data[: limit // 3].decode(errors="ignore").rpartition("\n")[0]
    tail = data[len(data) - (limit - limit // 3) :].decode(errors="ignore")
    if "\n" in tail[:-1]:
        tail = tail.partition("\n")[2]
    left_out = len(data) - len(head.encode(errors="replace")) - len(tail.encode(errors="replace"))
    return f"{head}\n... {left_out} bytes left out ...\n{tail}"


def line(verdict: Verdict) -> str:
    """One verdict in a few words: `pytest: failed (1 of 3 failed: test_mul)`."""
    return f"{verdict.name}: {verdict.state}" + (f" ({verdict.summary})" if verdict.summary else "")


def late_text(verdicts: Sequence[Verdict]) -> str:
    """What the model is told of verdicts on an earlier round's files, which are still the present ones."""
    texts = [verdict_text([verdict], about=f" of round {verdict.of_round}") for verdict in verdicts if verdict.of_round]
    rest = verdict_text([verdict for verdict in verdicts if not verdict.of_round])
    return "\n".join([*texts, rest] if rest else texts)


def verdict_text(verdicts: Sequence[Verdict], pending: Sequence[str] = (), *, about: str = "") -> str:
    """What the model is told: one line for all, then what the red ones printed; empty for no verdict."""
    if not verdicts and not pending:
        return ""
    lines = [*map(line, verdicts), *(f"{name}: running on this state" for name in pending)]
    parts = [f"[probes{about}] " + "; ".join(lines)]
    red = [verdict for verdict in verdicts if verdict.red and verdict.output.strip()]
    left = MODEL_BYTES
    for n, verdict in enumerate(sorted(red, key=lambda v: len(v.output))):
        # The short ones go in whole, and leave the rest of the room to the long ones.
        text = bounded(verdict.output.strip(), left // (len(red) - n))
        left -= len(text.encode(errors="replace"))
        parts.append(f"[{verdict.name}]\n{text}")
    return "\n".join(parts)


def redacted(verdict: Verdict, redactor: Redactor) -> Verdict:
    """The verdict without known secrets: a test can print whatever it finds."""
    return msgspec.structs.replace(
        verdict, summary=redactor.redact(verdict.summary), output=redactor.redact(verdict.output)
    )
