"""One attempt of a round: send the request, take the answer as it comes, watch the silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from jetbox.engine.clock import Span
from jetbox.engine.clock import model_spans as spans_of_model
from jetbox.engine.context.history import Body
from jetbox.engine.errors import CallGarbled, JetboxError, Overlong, Runaway, StorageError
from jetbox.engine.events import ModelAnswered, Notice, RequestSent, TextDelta, ThinkingDelta, Waiting
from jetbox.engine.listening import Listener
from jetbox.engine.models.base import Call, ChatModel, Chunk, Coming, Exchange
from jetbox.engine.models.holding import HeldBack
from jetbox.engine.models.nested import too_deep, unreadable
from jetbox.engine.models.thoughts import Thoughts
from jetbox.engine.options import ModelOptions
from jetbox.engine.safety.secrets import Redactor, StreamRedactor
from jetbox.engine.session import Session
from jetbox.engine.waiting import Expectation
from jetbox.engine.watchdog import Pace

if TYPE_CHECKING:
    from jetbox.engine.models.repair import Offer, Recovered

REPEATED = "repeated"
"""Why an answer ended that was stopped for saying the same again and again."""
OVERLONG = "overlong"
"""The same of one that went on beyond what was asked for."""
ENDS = 2_000
"""Characters that stay of its beginning and of its end."""
FILTERED = "content_filter"
"""Why an answer ended that the server did not want to be said to its end."""
TOLD_FILTERED = "a filter of the server's cut the answer"
REWORD = "put the goal in other words, or see how the server filters (content_filter)"
THINKS_AFTER_NS = 2_000_000_000
"""Thinking that takes longer is put in words."""


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
    reading: int = -1
    """When the server began to read the prompt, as it told, or was seen to; -1 where neither."""
    error: JetboxError | None = None
    cancelled: bool = False
    queued: bool = False
    """Its request was seen to wait for another client's turn."""
    suspect: bool = False
    """Its text holds what looks like a call that nobody could take from it."""
    begun: bool = False
    """And that is not whole."""
    of_half: bool = False
    """The server cut its prompt in silence, and from here on no more is sent than is read."""

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
        return self.done_reason == "length" or self.runaway

    @property
    def runaway(self) -> bool:
        """It was stopped since it would not have ended by itself."""
        return self.done_reason in (REPEATED, OVERLONG)

    @property
    def empty(self) -> bool:
        return not (self.text.strip() or self.calls)


class Attempt:
    """Streams one request into events; calls go to `on_call` as they become complete."""

    def __init__(
        self,
        session: Session,
        model: ChatModel,
        options: ModelOptions,
        redactor: Redactor,
        on_call: Callable[[Call, str], object],
        offer: Offer,
        on_coming: Callable[[Coming], None] | None = None,
        *,
        pace: Pace | None = None,
        attended: bool = False,
    ) -> None:
        """`on_call` also gets in which form a call stood in the text; `offer` says whether one is a call at all.

        `pace` is the model's, and learns; with `attended`, somebody is asked before a silence ends the request.
        """
        self._session = session
        self._model = model
        self._options = options
        self._redactor = redactor
        self._on_call = on_call
        self._offer = offer
        self._on_coming = on_coming
        self._text = StreamRedactor(redactor)
        self._thinking = StreamRedactor(redactor)
        self._held = HeldBack(offer)
        self._parted = Thoughts()
        self._pace = pace or Pace()
        self._attended = attended
        self._listener: Listener | None = None
        self._thinks = False
        self._calling = False
        """A call comes in pieces, and is not whole."""
        self.begun = False
        """True once anything of the answer has come."""
        self.taken_back = False
        """True where it is ended for a verdict, and not by the user."""
        self._exchange: Exchange | None = None
        self.complete = False
        """True once the server said that this is all."""

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

        def take(chunk: Chunk) -> None:
            self._take(chunk, answer)

        self._listener = Listener(session, self._model, self._options, take, pace=self._pace, attended=self._attended)
        try:
            await self._hear(self._listener, body.data, expected, answer)
        finally:
            answer.queued = self._listener.queued
            if not answer.complete and answer.reading < 0:  # one that is whole has the server's own durations
                answer.reading = self._listener.reading
            self._listener = None
        self._flush(answer)
        if answer.complete and not answer.calls:
            self._recover(answer)
        self._show(self._held.rest())
        if not answer.complete:
            answer.ended = session.now()
        # A second request may be under way by now, with an exchange of its own.
        exchange = self._exchange or self._model.exchange
        stopped = "taken back" if self.taken_back else "interrupted"
        session.emit(
            ModelAnswered(
                attempt=number,
                done_reason=answer.done_reason,
                complete=answer.complete,
                ttft_ns=answer.first - answer.sent if answer.first >= 0 else -1,
                wall_ns=answer.ended - answer.sent,
                chunks=answer.chunks,
                metrics=answer.metrics,
                error=stopped if answer.cancelled else answer.error.message if answer.error else "",
                garbled=isinstance(answer.error, CallGarbled),
                received=exchange.received,
                connection=exchange.connection,
            )
        )
        return answer

    async def _hear(self, listener: Listener, body: bytes, expected: Expectation, answer: Answer) -> None:
        """Listen to the end of the stream; why it ended before is in the answer.

        Raises:
            StorageError
        """
        try:
            await listener.run(body, expected)
        except StorageError:
            raise
        except CallGarbled as error:
            if not self._read_again(error, answer):
                answer.error = error
        except Runaway as error:
            answer.done_reason = REPEATED
            if isinstance(error, Overlong):
                answer.done_reason = OVERLONG
                answer.text, answer.thinking = _ends(answer.text), _ends(answer.thinking)
            self._session.emit(Notice(level="warning", text=error.message, hint=error.hint))
        except JetboxError as error:
            answer.error = error
        except asyncio.CancelledError:
            answer.cancelled = True
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()

    def again(self) -> None:
        """Take the request back, so that it is sent again: the user asks for that."""
        if self._listener is not None:
            self._listener.again()

    def _take(self, chunk: Chunk, answer: Answer) -> None:
        if chunk.reading is not None:
            if answer.reading < 0:
                answer.reading = max(answer.sent, self._session.now() - chunk.reading.spent_ns)
            return
        self.begun = True
        self._exchange = self._exchange or self._model.exchange
        answer.chunks += 1
        if answer.first < 0 and (chunk.text or chunk.thinking or chunk.calls or chunk.piece):
            answer.first = self._session.now()
        if chunk.piece:
            answer.spoke = answer.spoke if answer.spoke >= 0 else self._session.now()
            if not self._calling:
                self._calling = True
                self._session.emit(Waiting(what="writing", detail="a call"))
            if chunk.coming is not None and self._on_coming is not None:
                self._on_coming(chunk.coming)
            return
        if chunk.text:
            thought, said = self._parted.feed(chunk.text)
            if thought or said != chunk.text:
                chunk = msgspec.structs.replace(chunk, thinking=chunk.thinking + thought, text=said)
        if chunk.thinking:
            answer.thinking += self._emit_thinking(self._thinking.feed(chunk.thinking))
            if not self._thinks and self._session.now() - answer.first > THINKS_AFTER_NS:
                self._thinks = True
                self._session.emit(Waiting(what="thinking"))
        if answer.spoke < 0 and (chunk.text or chunk.calls):
            answer.spoke = self._session.now()
        if chunk.text:
            answer.text += self._emit_text(self._text.feed(chunk.text))
        if chunk.text or chunk.thinking or chunk.calls:
            self._calling = False
        if chunk.calls:  # where the server reads calls, none is looked for in the text
            self._show(self._held.rest())
        for call in chunk.calls:
            safe = self._safe(call)
            answer.calls.append(safe)
            self._on_call(safe, "")
        if chunk.logprobs:
            answer.logprob += sum(chunk.logprobs)
            answer.weighed += len(chunk.logprobs)
        if chunk.done:
            answer.done_reason = self._redactor.redact(chunk.done_reason)
            if chunk.done_reason == FILTERED:
                self._session.emit(Notice(level="warning", text=TOLD_FILTERED, hint=REWORD))
            answer.metrics = chunk.metrics
            answer.complete = self.complete = True
            answer.ended = self._session.now()

    def _flush(self, answer: Answer) -> None:
        thought, said = self._parted.rest()
        answer.thinking += self._emit_thinking(self._thinking.feed(thought) + self._thinking.flush())
        answer.text += self._emit_text(self._text.feed(said) + self._text.flush())

    def _recover(self, answer: Answer) -> None:
        """Take the calls that the server left in the text; what stands before them is the answer's text."""
        if not any(mark in text for text in (answer.text, answer.thinking) for mark in "{(<[="):
            return
        from jetbox.engine.models.repair import lacks_its_end, looks_like_a_call, recover

        offer = self._offer
        cut = answer.cut or answer.done_reason == FILTERED
        found = recover(answer.text, answer.thinking, offer.fits, offered=offer.offered, exact=offer.exact, cut=cut)
        if found is not None and found.doubted:
            answer.suspect = True
        elif found is not None:
            answer.text = found.text
            self._show(self._held.before_call(found.text))
            self._submit(found, answer)
        else:
            answer.suspect = looks_like_a_call(answer.text, offer)
            answer.begun = answer.suspect and not cut and lacks_its_end(answer.text, offer)

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
        self._show(self._held.feed(text) if text else "")
        return text

    def _show(self, text: str) -> None:
        if text:
            self._session.emit(TextDelta(text=text))

    def _emit_thinking(self, text: str) -> str:
        if text:
            self._session.emit(ThinkingDelta(text=text))
        return text

    def _safe(self, call: Call) -> Call:
        """The call without secrets.

        Raises:
            CallGarbled: its arguments are nested too deep for whoever reads them later.
        """
        raw = bytes(call.function.arguments).decode()
        if too_deep(raw):
            raise unreadable()
        said = (raw, call.function.name, call.id)
        safe, name, reference = map(self._redactor.redact, said)  # a gateway may make its ids of the key
        if (safe, name, reference) == said:
            return call
        function = msgspec.structs.replace(call.function, name=name, arguments=msgspec.Raw(safe.encode()))
        return msgspec.structs.replace(call, function=function, id=reference)


def _ends(text: str) -> str:
    left = len(text) - 2 * ENDS
    return text if left <= 0 else f"{text[:ENDS]}\n[... {left:,} characters left out ...]\n{text[-ENDS:]}"


def model_spans(answer: Answer) -> list[Span]:
    """The model's part of a round as spans."""
    return spans_of_model(
        answer.sent,
        answer.first,
        answer.spoke,
        answer.ended,
        answer.metrics,
        thought=bool(answer.thinking),
        reading=answer.reading,
    )
