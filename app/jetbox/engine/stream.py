"""One attempt of a round: send the request, take the answer as it comes, watch the silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from jetbox.engine.clock import Span
from jetbox.engine.context.history import Body
from jetbox.engine.errors import CallGarbled, JetboxError, Runaway, Stalled, StorageError
from jetbox.engine.events import ModelAnswered, Notice, RequestSent, TextDelta, ThinkingDelta, Waiting
from jetbox.engine.models.base import Call, ChatModel, Chunk, Coming
from jetbox.engine.models.repetition import Repetition
from jetbox.engine.options import ModelOptions
from jetbox.engine.safety.secrets import Redactor, StreamRedactor
from jetbox.engine.session import Session

if TYPE_CHECKING:
    from jetbox.engine.models.repair import Offer, Recovered

SPEAK_AFTER_S = 0.3
"""A wait that is longer is put in words."""
SILENT_AFTER_S = 5.0
REPEATED = "repeated"
"""Why an answer ended that was stopped for saying the same again and again."""
PATIENCE = 3
"""So many times the expected reading is waited for, beside the limit for the first chunk."""
CLOSING_S = 1.0
"""How long the end of the body is waited for once the answer is complete."""


class Answer(msgspec.Struct):
    """What came, whole or in part."""

    text: str = ""
    thinking: str = ""
    calls: list[Call] = []
    done_reason: str = ""
    complete: bool = False
    metrics: dict[str, int] = {}
    chunks: int = 0
    sent: int = 0
    first: int = -1
    spoke: int = -1
    """When the thinking ended and the answer itself began."""
    ended: int = 0
    error: JetboxError | None = None
    cancelled: bool = False
    suspect: bool = False
    """Its text holds what looks like a call that nobody could take from it."""

    logprob: float = 0.0
    """Of all tokens that the server told it of, summed, and how many those are."""
    weighed: int = 0

    @property
    def confidence(self) -> float | None:
        """The geometric mean of the probabilities of its tokens; None where the server does not tell."""
        from math import exp

        return exp(self.logprob / self.weighed) if self.weighed else None

    @property
    def cut(self) -> bool:
        """It ended before it had said all."""
        return self.done_reason in ("length", REPEATED)

    @property
    def empty(self) -> bool:
        return not (self.text.strip() or self.calls)


class Expectation(msgspec.Struct, frozen=True):
    """What is known before the first chunk, for the words on the screen."""

    tokens: int
    loaded: bool
    reading_ns: int = 0
    """How long reading the prompt should take; 0 where unknown."""
    loading_ns: int = 0
    """The same of loading the model."""


class Attempt:
    """Streams one request into events; calls go to `on_call` as they become complete."""

    def __init__(
        self,
        session: Session,
        model: ChatModel,
        options: ModelOptions,
        redactor: Redactor,
        on_call: Callable[[Call, str], None],
        offer: Offer,
        on_coming: Callable[[Coming], None] | None = None,
    ) -> None:
        """`on_call` also gets in which form a call stood in the text; `offer` says whether one is a call at all."""
        self._session = session
        self._model = model
        self._options = options
        self._redactor = redactor
        self._on_call = on_call
        self._offer = offer
        self._on_coming = on_coming
        self._text = StreamRedactor(redactor)
        self._thinking = StreamRedactor(redactor)
        self._repetition = (Repetition(), Repetition())
        self.begun = False
        """True once anything of the answer has come."""

    async def run(self, body: Body, number: int, expected: Expectation) -> Answer:
        """Stream to the end. A failure or a cancellation is in the answer, with what came before it."""
        session = self._session
        session.emit(
            RequestSent(
                attempt=number,
                head=body.head_sha,
                count=body.count,
                tail=body.tail,
                sha=body.sha,
                bytes=len(body.data),
                estimate=expected.tokens,
            )
        )
        answer = Answer(sent=session.now(), ended=session.now())
        voice = asyncio.get_running_loop().call_later(SPEAK_AFTER_S, self._say, answer, expected)
        try:
            await self._stream(body, answer, expected)
        except StorageError:
            raise
        except CallGarbled as error:
            if not self._read_again(error, answer):
                answer.error = error
        except Runaway as error:
            session.emit(Notice(level="warning", text=error.message, hint=error.hint))
        except JetboxError as error:
            answer.error = error
        except asyncio.CancelledError:
            answer.cancelled = True
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
        finally:
            voice.cancel()
        self._flush(answer)
        if answer.complete and not answer.calls:
            self._recover(answer)
        if not answer.complete:
            answer.ended = session.now()
        session.emit(
            ModelAnswered(
                attempt=number,
                done_reason=answer.done_reason,
                complete=answer.complete,
                ttft_ns=answer.first - answer.sent if answer.first >= 0 else -1,
                wall_ns=answer.ended - answer.sent,
                chunks=answer.chunks,
                metrics=answer.metrics,
                error="interrupted" if answer.cancelled else answer.error.message if answer.error else "",
                garbled=isinstance(answer.error, CallGarbled),
            )
        )
        return answer

    def _say(self, answer: Answer, expected: Expectation) -> None:
        if answer.first >= 0:
            return
        if expected.loaded:
            self._wait(Waiting(what="reading", detail=f"{expected.tokens:,} tokens", expected_ns=expected.reading_ns))
        else:
            both = expected.loading_ns + expected.reading_ns if expected.loading_ns else 0
            self._wait(Waiting(what="loading", detail="or queued, or reading the prompt", expected_ns=both))

    def _wait(self, waiting: Waiting) -> None:
        # A timer has nobody to tell of a failure of the disk: the next event raises it again.
        with suppress(StorageError):
            self._session.emit(waiting)

    async def _stream(self, body: Body, answer: Answer, expected: Expectation) -> None:
        # A prompt that is known to take long is given the time for that, and to spare.
        first_s = self._options.first_chunk_s + PATIENCE * expected.reading_ns / 1e9
        gap_s = self._options.chunk_s
        silence: _Silence | None = None
        try:
            async with asyncio.timeout(first_s) as watchdog, self._model.chat(body.data) as chunks:
                async for chunk in chunks:
                    if silence is None:
                        silence = _Silence(watchdog, gap_s, self._silent)
                    self._take(chunk, answer)
                    if chunk.done:
                        answer.complete = True
                        answer.ended = self._session.now()
                        silence.end(CLOSING_S)
                    else:
                        silence.broken()
                    if chunk.calls:
                        await asyncio.sleep(0)  # a call begins now, not when the next silence comes
        except TimeoutError as error:
            if answer.complete:
                return
            limit = first_s if answer.first < 0 else gap_s
            what = "nothing came" if answer.first < 0 else "the answer stopped"
            raise Stalled(
                f"{what} for {limit:.3g} s; the request was cancelled",
                "raise model.first_chunk_s or model.chunk_s, or see what the server does",
            ) from error
        finally:
            if silence is not None:
                silence.end(0)

    def _silent(self) -> None:
        self._wait(Waiting(what="silent", detail=f"for {SILENT_AFTER_S:g} s; a tool call may be on its way"))

    def _take(self, chunk: Chunk, answer: Answer) -> None:
        self.begun = True
        if chunk.coming is not None:
            if self._on_coming is not None:
                self._on_coming(chunk.coming)
            return
        answer.chunks += 1
        if answer.first < 0 and (chunk.text or chunk.thinking or chunk.calls):
            answer.first = self._session.now()
        self._watch(chunk, answer)
        if chunk.thinking:
            answer.thinking += self._emit_thinking(self._thinking.feed(chunk.thinking))
        if answer.spoke < 0 and (chunk.text or chunk.calls):
            answer.spoke = self._session.now()
        if chunk.text:
            answer.text += self._emit_text(self._text.feed(chunk.text))
        for call in chunk.calls:
            safe = self._safe(call)
            answer.calls.append(safe)
            self._on_call(safe, "")
        if chunk.logprobs:
            answer.logprob += sum(chunk.logprobs)
            answer.weighed += len(chunk.logprobs)
        if chunk.done:
            answer.done_reason = chunk.done_reason
            answer.metrics = chunk.metrics

    def _watch(self, chunk: Chunk, answer: Answer) -> None:
        """Raises Runaway where the answer does nothing but repeat itself."""
        for watch, text in zip(self._repetition, (chunk.text, chunk.thinking), strict=True):
            if text and watch.feed(text):
                answer.done_reason = REPEATED
                raise Runaway(
                    "the answer repeated itself over and over and was stopped",
                    "another model, or a higher temperature, may help",
                )

    def _flush(self, answer: Answer) -> None:
        answer.thinking += self._emit_thinking(self._thinking.flush())
        answer.text += self._emit_text(self._text.flush())

    def _recover(self, answer: Answer) -> None:
        """Take the calls that the server left in the text; what stands before them is the answer's text."""
        if not any(mark in text for text in (answer.text, answer.thinking) for mark in "{(<"):
            return
        from jetbox.engine.models.repair import looks_like_a_call, recover

        found = recover(answer.text, answer.thinking, self._offer.fits)
        if found is not None:
            answer.text = found.text
            self._submit(found, answer)
        else:
            answer.suspect = looks_like_a_call(answer.text, self._offer)

    def _read_again(self, error: CallGarbled, answer: Answer) -> bool:
        """Read a call that the server could not read; False where that cannot be done safely."""
        from jetbox.engine.models.repair import recover_raw

        found = recover_raw(error.raw, self._offer) if error.raw else None
        if found is None or answer.calls:
            return False
        answer.complete, answer.done_reason = True, "stop"
        answer.ended = self._session.now()
        self._submit(found, answer)
        return True

    def _submit(self, found: Recovered, answer: Answer) -> None:
        for call in found.calls:
            safe = self._safe(call)
            answer.calls.append(safe)
            self._on_call(safe, found.form)

    def _emit_text(self, text: str) -> str:
        if text:
            self._session.emit(TextDelta(text=text))
        return text

    def _emit_thinking(self, text: str) -> str:
        if text:
            self._session.emit(ThinkingDelta(text=text))
        return text

    def _safe(self, call: Call) -> Call:
        raw = bytes(call.function.arguments).decode()
        safe = self._redactor.redact(raw)
        if safe == raw:
            return call
        function = msgspec.structs.replace(call.function, arguments=msgspec.Raw(safe.encode()))
        return msgspec.structs.replace(call, function=function)


class _Silence:
    """Looks now and then how long nothing has come: a chunk costs a look at the clock, and no timer."""

    def __init__(self, watchdog: asyncio.Timeout, gap_s: float, tell: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._watchdog = watchdog
        self._gap = gap_s
        self._tell = tell
        self._told = False
        self._last = self._loop.time()
        self._watchdog.reschedule(self._last + gap_s)
        self._timer = self._loop.call_later(min(SILENT_AFTER_S, gap_s / 4), self._look)

    def broken(self) -> None:
        """Something came."""
        self._last = self._loop.time()
        self._told = False

    def _look(self) -> None:
        self._watchdog.reschedule(self._last + self._gap)
        silent = self._loop.time() - self._last
        if silent >= SILENT_AFTER_S and not self._told:
            self._told = True
            self._tell()
        left = SILENT_AFTER_S - silent if silent < SILENT_AFTER_S else SILENT_AFTER_S
        self._timer = self._loop.call_later(max(0.01, min(left, self._gap / 4)), self._look)

    def end(self, closing_s: float) -> None:
        """Look no more; the body may take so many seconds more to its end, where that is not 0."""
        self._timer.cancel()
        if closing_s:
            self._watchdog.reschedule(self._loop.time() + closing_s)


def model_spans(answer: Answer) -> list[Span]:
    """The model's part of a round as spans.

    Before the first chunk the client only knows how long it waited; the server's own
    durations split that wait from its end backwards: prompt eval, then load and queue.
    Where a call arrives whole on the last chunk, decoding lies before it too.
    """
    start, end = answer.sent, answer.ended
    first = answer.first if answer.first >= 0 else end
    load_end = first
    spans = []
    streamed = end - first
    decode = min(max(0, answer.metrics.get("eval_duration", 0) - streamed), first - start)
    if decode:
        spans.append(Span("decode", first - decode, first))
        load_end = first - decode
    prompt = min(answer.metrics.get("prompt_eval_duration", 0), load_end - start)
    if prompt > 0:
        spans.append(Span("prompt eval", load_end - prompt, load_end))
        load_end -= prompt
    spans.append(Span("queue and load", start, load_end))
    if answer.thinking and answer.first >= 0:
        until = answer.spoke if answer.spoke >= 0 else end
        spans.append(Span("thinking", first, until))
        first = until
    spans.append(Span("decode", first, end))
    return [s for s in spans if s.end > s.start]
