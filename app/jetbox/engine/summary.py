"""Asks the model for a summary of what was said so far, and takes nothing for one that is none."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from jetbox.engine.context.budget import LEAST_ANSWER, MARGIN
from jetbox.engine.context.compact import INSTRUCTION
from jetbox.engine.context.wire import Wanted
from jetbox.engine.errors import ModelError, TakenBack
from jetbox.engine.events import Waiting
from jetbox.engine.listening import Listener
from jetbox.engine.models.base import Chunk
from jetbox.engine.parts import Parts
from jetbox.engine.stream import FILTERED, TOLD_FILTERED
from jetbox.engine.waiting import Expectation

MOST_TOKENS = 1024
_THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL)
_THOUGHT_END = re.compile(r".*</think(?:ing)?>", re.DOTALL)
"""Where a prompt's template opens the thinking, the answer only closes it."""
CALLED = "it called a tool instead"


class Summary(msgspec.Struct, frozen=True):
    """What the model wrote."""

    text: str = ""
    """Empty where it wrote none."""
    why: str = ""
    """Why there is none."""
    roomless: bool = False
    """It was not asked for: the window has no room for it."""
    metrics: dict[str, int] = {}
    """The server's figures."""


class _Heard(msgspec.Struct):
    """An answer, as it comes."""

    text: str = ""
    called: bool = False
    done_reason: str = ""
    metrics: dict[str, int] = {}

    def take(self, chunk: Chunk) -> None:
        self.text += chunk.text
        self.called = self.called or bool(chunk.calls) or chunk.coming is not None
        if chunk.done:
            self.done_reason, self.metrics = chunk.done_reason, chunk.metrics


async def written(parts: Parts, messages: Sequence[bytes], tokens: int) -> Summary:
    """The model's summary of these messages, of about so many tokens; why there is none, where it writes none."""
    most = min(MOST_TOKENS, parts.budget.window - tokens - MARGIN - len(INSTRUCTION) // 3)
    if most < min(LEAST_ANSWER, parts.budget.window // 8):
        return Summary(why="the window has no room for it", roomless=True)
    body = _body(parts, messages, most)
    expected = parts.expected(tokens, most)
    while True:
        try:
            return _judged(parts, await _heard(parts, body, expected))
        except TakenBack:
            continue
        except ModelError as error:
            return Summary(why=error.message)


def _body(parts: Parts, messages: Sequence[bytes], most: int) -> bytes:
    """The messages as they stand in the server's cache, and the instruction behind them."""
    model = parts.options.model
    question = msgspec.json.encode({"role": "user", "content": INSTRUCTION})
    body = parts.history.parts[0] + b",".join([*parts.history.carried(messages), question])
    return body + parts.model.wire().tail(Wanted(parts.budget.num_ctx, most, model.temperature, model.seed))


async def _heard(parts: Parts, body: bytes, expected: Expectation) -> _Heard:
    waits = Waiting(what="compacting", detail=f"{expected.tokens:,} tokens", expected_ns=expected.reading_ns)
    parts.session.emit(waits)
    answer = _Heard()
    listener = Listener(
        parts.session,
        parts.model,
        parts.options.model,
        answer.take,
        pace=parts.pace,
        attended=parts.control.attended,
        resumed=waits,
    )
    parts.control.again = listener.again
    try:
        await listener.run(body, expected)
    finally:
        parts.control.again = None
    return answer


def _judged(parts: Parts, answer: _Heard) -> Summary:
    from jetbox.engine.models.repair import looks_like_a_call, recover

    text = _THOUGHT_END.sub("", _THOUGHT.sub("", answer.text)).strip()
    offer = parts.dispatcher
    found = recover(text, "", offer.fits, offered=offer.offered)
    if answer.called or found is not None or looks_like_a_call(text, offer):
        return Summary(why=CALLED, metrics=answer.metrics)
    if not text:
        return Summary(why="it wrote nothing", metrics=answer.metrics)
    if answer.done_reason == "length":
        return Summary(why="it did not come to an end", metrics=answer.metrics)
    if answer.done_reason == FILTERED:
        return Summary(why=TOLD_FILTERED, metrics=answer.metrics)
    return Summary(text, metrics=answer.metrics)
