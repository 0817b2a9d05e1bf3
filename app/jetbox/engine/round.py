"""One round: request, stream, tools as they arrive, probes, and the results into the history."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from jetbox.engine.clock import Span, phases, tier
from jetbox.engine.context.history import Body
from jetbox.engine.context.wire import Wanted
from jetbox.engine.errors import CallGarbled, ModelError
from jetbox.engine.events import Notice, RoundEnded, RoundStarted
from jetbox.engine.learning import learn
from jetbox.engine.models.base import EVALUATED
from jetbox.engine.overlap import Overlap, not_ours, superseded
from jetbox.engine.parts import Parts
from jetbox.engine.probes.base import Verdict
from jetbox.engine.probes.report import late_text, redacted, verdict_text
from jetbox.engine.probing import may_probe
from jetbox.engine.resend import Resend
from jetbox.engine.room import Room
from jetbox.engine.sampling import drawn
from jetbox.engine.stream import Answer, Attempt, model_spans
from jetbox.engine.tools.calls import Done
from jetbox.engine.waiting import Expectation

if TYPE_CHECKING:
    from jetbox.engine.planning import Planner

NO_TOOLS = ("sandbox", "journal")
"""What calls wait for before they run: spans beside theirs."""


class RoundResult(msgspec.Struct):
    """What a round came to."""

    answer: Answer
    done: list[Done] = []
    told: list[Done] | None = None
    """Those that are results on the wire, where they are not all of them."""
    verdicts: list[Verdict] = []
    late: list[Verdict] = []
    """On the files as they are, asked for in an earlier round."""
    pending: tuple[str, ...] = ()
    """Probes that still work on the present files."""
    interrupted: bool = False
    garbled: bool = False
    """The server could not read the model's call, and nobody else could."""

    @property
    def finished(self) -> bool:
        """The model called `finish`."""
        return any(d.finished for d in self.done)

    @property
    def changed(self) -> bool:
        """A call changed files, or may have."""
        return any(d.touched for d in self.done)

    @property
    def tokens(self) -> int:
        """Prompt and answer, as the server counted them; of the prompt what was evaluated, where it counts no more."""
        metrics = self.answer.metrics
        return metrics.get("prompt_eval_count", metrics.get(EVALUATED, 0)) + metrics.get("eval_count", 0)


class Round:
    """Runs one round. Cancelling its task interrupts it: what was streamed is kept."""

    def __init__(
        self,
        parts: Parts,
        *,
        limit: int,
        begun: int = -1,
        planner: Planner | None = None,
        most: int = 0,
        unread: int = 0,
    ) -> None:
        """`begun` is when the previous round ended, so that no time falls between two rounds.

        `planner` takes the calls where the goal may be planned. `most`: tokens of an answer, in place of what is
        configured for any goal; 0 where nothing takes its place. `unread`: answers in a row before it that nobody could
        read.
        """
        self._parts = parts
        self._planner = planner
        self._limit = limit
        self._most = most or parts.options.model.num_predict
        self._drawn = drawn(parts.options.model, parts.model_info, unread)
        self._spans: list[Span] = []
        self._overlap = Overlap(parts)
        self._start = begun if begun >= 0 else parts.session.now()
        self._logged = parts.session.recorder.spent_ns
        self._room = Room(parts)
        self._resend = Resend(parts, self._account)
        self._logprobs = False
        """The newest request asked for probabilities of tokens."""
        self._since = self._start
        """Up to here every instant is in a span."""

    async def run(self) -> RoundResult:
        """Run it up to its verdicts.

        Raises:
            ModelError: no attempt gave an answer and no call ran.
            StorageError: the journal cannot be written.
        """
        parts = self._parts
        parts.session.emit(RoundStarted(model=parts.model_name, limit=self._limit))
        parts.dispatcher.begin()
        try:
            return await self._run()
        except BaseException:
            # Whatever ends the round, no call of it goes on unseen.
            if self._planner is not None:
                await self._planner.cancel()
            await parts.dispatcher.abandon()
            raise

    async def _run(self) -> RoundResult:
        parts = self._parts
        try:
            answer = await self._answer()
        except ModelError:
            self.end(RoundResult(Answer()))
            raise
        result = RoundResult(answer, interrupted=answer.cancelled)
        try:
            if answer.cancelled:
                await self._cancel(result)
            else:
                await self._results(result)
                if result.done:
                    self._account("tools")
                await self._probe(result)
        except asyncio.CancelledError:
            not_ours()
            result.interrupted = True
            await self._cancel(result)
        if isinstance(answer.error, CallGarbled) and not result.done:
            result.garbled = True
            parts.session.emit(Notice(level="warning", text=answer.error.message, hint=answer.error.hint))
            return result
        if answer.error is not None and not result.done:
            self.remember(result, (), over=True)
            self.end(result)
            raise answer.error
        if answer.error is not None:
            parts.session.emit(
                Notice(level="warning", text=answer.error.message, hint="going on from what came; its calls have run")
            )
        return result

    async def _results(self, result: RoundResult) -> None:
        """Wait for what the answer's calls come to."""
        if self._planner is not None:
            await self._planner.settle()
        result.done = await self._parts.dispatcher.results()
        self._take_plan(result)

    async def _cancel(self, result: RoundResult) -> None:
        """End what runs; what had ended keeps its result."""
        if self._planner is not None:
            await self._planner.cancel()
        result.done = await self._parts.dispatcher.cancel()
        if result.done:
            self._account("tools")
        self._take_plan(result)

    def _take_plan(self, result: RoundResult) -> None:
        if self._planner is not None and self._planner.planned:
            result.done, result.told = self._planner.close(result.answer.calls, result.done)

    async def _answer(self) -> Answer:
        """The first attempt that holds; a request is sent again only while no call of it has run."""
        parts = self._parts
        number = 0
        if parts.warmup is not None:
            with parts.timed("warm-up"):
                await parts.warmup.make_way()
        while True:
            number += 1
            if parts.counter is not None:
                with parts.timed("weigh"):
                    await parts.counter.where_it_matters(self._most)
            with parts.timed("shorten"):
                await self._room.make()
            answer, again = await self._attempt(number)
            if again:
                try:
                    red = [redacted(verdict, parts.redactor) for verdict in await self._late() if verdict.red]
                except asyncio.CancelledError:
                    not_ours()
                    return answer
                if red:
                    parts.history.amend(late_text(red))
                continue
            if answer.error is None or parts.dispatcher.count or (self._planner is not None and self._planner.planned):
                return answer
            with parts.timed("shorten"):
                smaller = await self._room.after(answer.error)
            if smaller:
                continue
            try:
                answer.error = await self._resend.ready(answer.error, logprobs=self._logprobs)
            except asyncio.CancelledError:
                not_ours()
                answer.cancelled, answer.error = True, None
                return answer
            if answer.error is not None:
                return answer

    async def _attempt(self, number: int) -> tuple[Answer, bool]:
        """One request and its answer; True where a probe took it back."""
        parts = self._parts
        body, expected = self._body()
        self._logprobs = expected.logprobs
        attempt = Attempt(
            parts.session,
            parts.model,
            parts.options.model,
            parts.redactor,
            self._planner.take if self._planner is not None else parts.dispatcher.submit,
            parts.dispatcher,
            parts.dispatcher.expect,
            pace=parts.pace,
            attended=parts.control.attended,
        )
        parts.control.again = attempt.again
        if parts.counter is not None:
            parts.counter.begin()
        try:
            answer, again = await self._overlap.run(attempt.run(body, number, expected), attempt)
        finally:
            parts.control.again = None
        self._spans += [Span("context", self._since, answer.sent), *model_spans(answer)]
        self._since = answer.ended
        with parts.timed("count"):
            learn(parts, answer, len(body.data), expected.tokens)
        return answer, again

    def _body(self) -> tuple[Body, Expectation]:
        parts = self._parts
        model = parts.options.model
        with parts.timed("budget"):
            tokens = parts.budget.estimate(parts.history.size)
            most = parts.budget.num_predict(tokens, self._most, parts.budget.unsure(parts.history.size))
        logprobs = (parts.options.routing.mode == "cascade" or model.heartbeats) and not parts.no_logprobs
        with parts.timed("render"):
            body = parts.history.body(Wanted(parts.budget.num_ctx, most, *self._drawn, logprobs))
        with parts.timed("compare"):
            parts.prefix.sent(parts.model_name, *parts.history.parts, body.tail)
        expected = parts.expected(tokens, most)
        kept = parts.prefix.kept if parts.loaded else 0
        fresh = int(expected.reading_ns * (1 - kept))
        return body, msgspec.structs.replace(expected, fresh_ns=fresh, logprobs=logprobs, given_up=parts.given_up)

    async def _probe(self, result: RoundResult) -> None:
        """Verdicts at the end of a round that changed something, or that ends in `finish`."""
        if result.changed or result.finished:
            await self._verdicts(result, final=result.finished)
        if self._parts.probes is not None:
            with self._parts.timed("late verdicts"):
                late = superseded(await self._late(), result.verdicts)
            result.late = [redacted(verdict, self._parts.redactor) for verdict in late]
            result.pending = self._parts.probes.pending

    async def _late(self) -> list[Verdict]:
        """Verdicts that came since they were asked for and hold now."""
        return await self._parts.probes.late() if self._parts.probes is not None else []

    async def gate(self, result: RoundResult) -> None:
        """The verdicts of the whole workspace, for an answer in plain text that says it is done."""
        self._account("context")
        await self._verdicts(result, final=True)

    async def _verdicts(self, result: RoundResult, *, final: bool) -> None:
        parts = self._parts
        start, before = parts.session.now(), parts.control.waited_ns
        try:
            allowed = await may_probe(parts)
        finally:
            if parts.control.waited_ns > before:
                self._spans.append(Span("waiting for you", start, parts.session.now()))
        if not allowed or parts.probes is None:
            return
        try:
            verdicts = await parts.probes.verdicts(final=final)
            result.verdicts = [redacted(verdict, parts.redactor) for verdict in verdicts]
        finally:
            self._account("probe")

    def _account(self, phase: str, name: str = "") -> None:
        """Give the time since the last account to a phase, so that none is left over."""
        now = self._parts.session.now()
        self._spans.append(Span(phase, self._since, now, name))
        self._since = now

    def remember(self, result: RoundResult, tail: Sequence[str], *, over: bool = False) -> None:
        """Put answer and results into the history; what is volatile stands at the very end.

        When the goal is `over`, an answer without calls stands as the last word.
        """
        with self._parts.timed("assemble"):
            self._remember(result, tail, over=over)

    def _remember(self, result: RoundResult, tail: Sequence[str], *, over: bool) -> None:
        parts = self._parts
        answer, done = result.answer, result.done if result.told is None else result.told
        closing = [words for words in (late_text(result.late), verdict_text(result.verdicts, result.pending)) if words]
        closing += tail
        if not (answer.text or answer.calls or answer.thinking or result.garbled):
            if answer.complete and tail and not over:
                # The same request would be answered in the same way.
                parts.history.amend("\n".join(closing))
            return
        parts.history.assistant(answer.text, answer.thinking, answer.calls)
        for n, call in enumerate(done):
            last = n == len(done) - 1
            text = "\n".join([call.text, *closing]) if last and closing else call.text
            parts.history.tool(call.name, call.wire_id, text)
        if not done and closing and not over:
            parts.history.user("\n".join(closing))

    def end(self, result: RoundResult) -> int:
        """Close the round; returns when, so that the next one begins there."""
        parts = self._parts
        self._account("context")
        now = self._since
        doings = [span for span in parts.doings if span.start >= self._start]
        parts.doings.clear()
        spans = sorted([*self._spans, *parts.dispatcher.spans, *doings], key=lambda s: s.start)
        split = phases(spans, self._start, now)
        tools = [s for s in parts.dispatcher.spans if s.phase == "tools" and s.name not in NO_TOOLS]
        parts.session.emit(
            RoundEnded(
                wall_ns=now - self._start,
                phases=split,
                spans=tuple(spans),
                tier=tier(now - self._start - split.get("waiting for you", 0)),
                log_ns=parts.session.recorder.spent_ns - self._logged,
                tools=len(result.done),
                parallel=len({a.ref for a in tools if any(beside(a, b) for b in tools)}),
            )
        )
        return now


def beside(one: Span, other: Span) -> bool:
    """Whether two calls ran at the same time."""
    return one.ref != other.ref and one.start < other.end and other.start < one.end
