"""Hears one answer to its end: says what is waited for, watches the silences, stops what only repeats itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from jetbox.engine.clock import figure
from jetbox.engine.errors import BadAnswer, CallGarbled, Overlong, Runaway, Stalled, StorageError, TakenBack
from jetbox.engine.events import Notice, Waiting
from jetbox.engine.models.base import ChatModel, Chunk
from jetbox.engine.models.repetition import Repetition
from jetbox.engine.options import ModelOptions
from jetbox.engine.session import Session
from jetbox.engine.waiting import Expectation, Voice
from jetbox.engine.watchdog import SILENT_AFTER_S, Pace, Watchdog, first_limit, gap_limit

SAME = 20
"""Equal chunks at the end of an answer that broke off: the server's guard against repetition ended it."""
TOKEN_CHARS = 16
"""No model's tokens have more characters on average."""
LEAST_MOST = 65_536
"""Characters; an answer of fewer is never too long."""
CLOSING_S = 1.0
"""How long the end of the body is waited for once the answer is complete."""


class Listener:
    """One request and its answer; `take` gets each chunk that is part of it."""

    def __init__(
        self,
        session: Session,
        model: ChatModel,
        options: ModelOptions,
        take: Callable[[Chunk], object],
        *,
        pace: Pace,
        attended: bool,
        resumed: Waiting | None = None,
    ) -> None:
        """`pace` is the model's, and learns; with `attended`, somebody is asked before a silence ends the request.

        `resumed` is said instead of "reading", and again where a silence ends; None where the answer shows that.
        """
        self._session = session
        self._model = model
        self._options = options
        self._on_chunk = take
        self._pace = pace
        self._attended = attended
        self._resumed = resumed
        self._same = ("", 0)
        """The newest chunk's words, and how many came like it without a break."""
        self._repetition = (Repetition(), Repetition())
        self._watchdog: Watchdog | None = None
        self._again = False
        self._chunks = self._said = self._pieces = 0
        self._most = LEAST_MOST
        """Characters that an answer of as many tokens as were asked for cannot have."""
        self._begun = False
        self._complete = False
        self.queued = False
        """The request was seen to wait for another client's turn."""
        self.reading = -1
        """When its prompt began to be read, as was said while it was waited for; -1 where that was not said."""

    def again(self) -> None:
        """Take the request back, so that it is sent again: the user asks for that."""
        if self._watchdog is not None:
            self._again = True
            self._watchdog.strike()

    async def run(self, body: bytes, expected: Expectation) -> None:
        """Send the request, and listen until its answer is complete.

        Raises:
            ModelError: one of its kinds; Runaway where it only repeats itself or has no end, Stalled where it is silent
                for too long, TakenBack after `again`.
        """
        voice = Voice(self._session, self._model, expected, resumed=self._resumed)
        try:
            await self._listen(body, expected, voice)
        except (CallGarbled, Runaway):
            raise
        except BadAnswer as error:
            if self._complete or self._same[1] < SAME:
                raise
            raise self._repeated() from error
        finally:
            voice.end()
            self.queued, self.reading = voice.queued, voice.reading_since

    async def _listen(self, body: bytes, expected: Expectation, voice: Voice) -> None:
        options = self._options
        self._most = max(LEAST_MOST, TOKEN_CHARS * expected.most)

        def gap() -> float:
            left = max(0, expected.most - self._chunks)
            silent = self._model.manages and not expected.logprobs
            return gap_limit(options, self._pace.usual, left, silent_calls=silent)

        asks = (self._attended and not options.first_chunk_s, self._attended and not options.chunk_s)
        watchdog: Watchdog | None = None
        try:
            async with asyncio.timeout(None) as deadline:
                first_s = first_limit(options, expected)
                watchdog = self._watchdog = Watchdog(deadline, first_s, gap, self._silent, self._ask, asks)
                async with self._model.chat(body) as chunks:
                    async for chunk in chunks:
                        if chunk.reading is not None:
                            if voice.read(chunk.reading):
                                watchdog.reads()
                            self._on_chunk(chunk)
                            continue
                        if chunk.says:
                            self._heard(watchdog.heard(), voice)
                        self._take(chunk)
                        if chunk.done:
                            self._complete = True
                            watchdog.end(CLOSING_S)
                        if chunk.calls:
                            await asyncio.sleep(0)  # a call begins now, not when the next silence comes
        except TimeoutError as error:
            if not self._complete:
                raise self._stalled(watchdog) from error
        finally:
            self._watchdog = None
            if watchdog is not None:
                watchdog.end()

    def _heard(self, gap: float, voice: Voice) -> None:
        if gap < 0:
            voice.end()
            return
        self._pace.add(gap)
        if self._resumed is not None and gap >= SILENT_AFTER_S:
            self._session.emit(self._resumed)

    def _take(self, chunk: Chunk) -> None:
        """Raises Runaway where the answer does nothing but repeat itself, or is longer than it may be."""
        self._begun = self._begun or chunk.says
        self._said += len(chunk.text) + len(chunk.thinking) + chunk.piece
        self._pieces += chunk.piece
        if chunk.calls:  # what came in pieces was counted with them
            self._said += max(0, sum(len(bytes(call.function.arguments)) for call in chunk.calls) - self._pieces)
            self._pieces = 0
        if self._said > self._most:
            text = f"the answer had {self._said:,} characters, more than was asked for, and was stopped"
            raise Overlong(text, "the server does not heed the most tokens of an answer (model.num_predict)")
        self._chunks += 1
        if said := chunk.text or chunk.thinking:
            self._same = (said, self._same[1] + 1 if said == self._same[0] else 1)
        self._on_chunk(chunk)
        for watch, text in zip(self._repetition, (chunk.text, chunk.thinking), strict=True):
            if text and watch.feed(text):
                raise Runaway(
                    "the answer repeated itself over and over and was stopped",
                    "another model, or a higher temperature, may help",
                )

    def _repeated(self) -> BadAnswer:
        """Why the answer broke off: a server ends one that repeats one token, some without a word."""
        return BadAnswer(
            f"the answer repeated {self._same[0].strip()[:40]!r} over and over, and the server broke it off",
            "another model, or a higher temperature, may help",
        )

    def _stalled(self, watchdog: Watchdog | None) -> Stalled:
        if self._again:
            return TakenBack("the request was taken back, as you asked")
        limit = watchdog.limit if watchdog is not None else 0.0
        what = "the answer stopped" if self._begun else "nothing came"
        return Stalled(
            f"{what} for {figure(limit)} s; the request was cancelled",
            "raise model.first_chunk_s or model.chunk_s, or see what the server does",
        )

    def _wait(self, event: Waiting | Notice) -> None:
        # A timer has nobody to tell of a failure of the disk: the next event raises it again.
        with suppress(StorageError):
            self._session.emit(event)

    def _silent(self, seconds: float) -> None:
        self._wait(Waiting(what="silent", detail=f"for {seconds:.0f} s; a tool call may be on its way"))

    def _ask(self, seconds: float) -> None:
        self._wait(
            Notice(
                level="warning",
                text=f"nothing has come for {seconds:.0f} s, which is longer than this model should take",
                hint="it is waited for until you stop it; /again sends the request once more",
            )
        )
