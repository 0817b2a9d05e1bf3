"""What an answer's figures teach: the cache's part, rates, loads, tokens of messages, and a prompt cut in silence."""

from __future__ import annotations

import msgspec

from jetbox.engine.context.cut import Cut
from jetbox.engine.errors import (
    CallGarbled,
    ContextOverflow,
    ModelNotFound,
    ModelUnfit,
    RequestRefused,
    ServerBusy,
    Stalled,
)
from jetbox.engine.events import Notice, PrefixReused, PromptCut
from jetbox.engine.models.base import CACHED, EVALUATED
from jetbox.engine.models.figures import COLD_NS, LEAST_TOKENS
from jetbox.engine.models.prefix import CUT, DROPPED, GONE
from jetbox.engine.parts import Parts
from jetbox.engine.room import LEAST_REAL
from jetbox.engine.stream import Answer

UNREAD = ServerBusy | RequestRefused | ContextOverflow | ModelNotFound | ModelUnfit
"""What a server says before it looks at a prompt."""
NEWER = "a newer Ollama refuses instead of cutting"
OWN_PROTOCOL = "over its own protocol (--host without /v1, no model.protocol openai) Ollama takes what it is asked for"


def learn(parts: Parts, answer: Answer, size: int, estimate: int) -> None:
    """Take what the server says of a request of `size` bytes, that had about `estimate` tokens."""
    parts.given_up = answer.cancelled or answer.runaway or isinstance(answer.error, Stalled)
    if not answer.complete:
        if answer.first >= 0 or isinstance(answer.error, CallGarbled):
            parts.prefix.read()
            parts.loaded = parts.loaded or parts.given_up
        elif isinstance(answer.error, UNREAD):
            parts.prefix.refused()
        return
    load, warmup = answer.metrics.get("load_duration", 0), parts.warmup
    unread = warmup is not None and warmup.unread
    # Of a load that it joined half-way, a request is told the half; and it is as cold as one that waited for its own.
    begun = warmup.load_of(parts.model_name) if warmup is not None else 0
    joined = begun if unread else 0
    loaded = answer.metrics | {"load_duration": max(load, begun)} if joined else answer.metrics
    reuse = parts.prefix.answered(loaded, warm=parts.loaded and not joined)
    cut = _cut(parts, answer, size, estimate)
    if reuse is not None:
        if cut is not None and reuse.miss in (DROPPED, GONE):
            reuse = msgspec.structs.replace(reuse, miss=CUT)
        parts.session.emit(PrefixReused(**msgspec.structs.asdict(reuse)))
    parts.loaded = True
    if slower := parts.speed.answered(parts.model_name, answer.metrics):
        parts.session.emit(slower)
    # Ollama counts the wait for another client's turn with the load that follows.
    if load >= COLD_NS and not answer.queued and (begun or answer.metrics.get(CACHED, 0) < LEAST_TOKENS):
        parts.load_ns = max(load, begun)
    if parts.switched is not None:
        from jetbox.engine.switching import pay

        metrics = answer.metrics | {"load_duration": max(load, begun)} if begun else answer.metrics
        pay(parts, metrics, reuse, answer.first - answer.sent if answer.first >= 0 else -1)
    count = answer.metrics.get("prompt_eval_count", 0)
    if cut is not None:
        _tell(parts, answer, cut)
        return
    parts.budget.learn(size, count, len(parts.history))
    parts.history.counted(count)
    learn_rate(parts, answer.metrics)


def learn_rate(parts: Parts, metrics: dict[str, int]) -> None:
    """How fast the model reads, by what it evaluated of the latest prompt.

    Where that is not counted, what was cached would pass for read: only what was new to the server counts then.
    """
    if EVALUATED not in metrics and CACHED not in metrics:
        parts.reading_rate = parts.prefix.rate or parts.reading_rate
        return
    fresh = metrics.get(EVALUATED, metrics.get("prompt_eval_count", 0) - metrics.get(CACHED, 0))
    duration = metrics.get("prompt_eval_duration", 0)
    # Of a few tokens the fixed part of each request is nearly all: a rate of that would announce minutes.
    if duration > 0 and (fresh >= LEAST_TOKENS or (fresh > 0 and not parts.reading_rate)):
        parts.reading_rate = fresh / (duration / 1e9)


def _cut(parts: Parts, answer: Answer, size: int, estimate: int) -> Cut | None:
    """What of the prompt was read, where the server cut it in silence."""
    return parts.cuts.look(
        parts.model_name,
        size,
        estimate,
        answer.metrics,
        window=parts.budget.num_ctx,
        whole=not parts.model.manages or bool(parts.server),
        messages=len(parts.history),
        optional=parts.history.optional,
    )


def _tell(parts: Parts, answer: Answer, cut: Cut) -> None:
    """Tell of a cut, in words once."""
    if cut.window >= LEAST_REAL:
        parts.budget.real = cut.window  # from here on no more is sent than is read
        answer.of_half = True
    parts.session.emit(PromptCut(tokens=cut.read, of=cut.of, window=cut.window))
    if not parts.cut_told:
        parts.cut_told = True
        real = f", as with a window of {cut.window:,}" if cut.window else ""
        read = f"{cut.read:,} of about {cut.of:,} tokens{real}"
        parts.session.emit(
            Notice(
                level="warning",
                text=f"the server cut the prompt in silence: it read {read}; the model does not see the rest",
                hint=f"begin a new session with a smaller goal; {NEWER if parts.model.manages else OWN_PROTOCOL}",
            )
        )
