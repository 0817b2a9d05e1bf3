"""Works on a goal: rounds, the gate before done, guards, limits, steering, interruption."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jetbox.engine.commands import Clear, Close, Compact, Goal, SetModel, Steer, Undo
from jetbox.engine.errors import ExitCode, JetboxError, StorageError
from jetbox.engine.events import GoalEnded, GoalStarted, GuardTripped, Notice, Outcome
from jetbox.engine.guards import THOUGHT, Guards
from jetbox.engine.interruptible import Interrupted, Interruptible, nothing_to_interrupt
from jetbox.engine.limits import Ending, Limits, without_continuing
from jetbox.engine.options import LoopOptions
from jetbox.engine.parts import Parts
from jetbox.engine.probing import AskedProbes
from jetbox.engine.round import Round, RoundResult
from jetbox.engine.stream import FILTERED, REPEATED, REWORD, TOLD_FILTERED
from jetbox.engine.usage import Usage

if TYPE_CHECKING:
    from jetbox.engine.planning import Planner
    from jetbox.engine.routing import Router
    from jetbox.engine.undoing import UndoDesk

NUDGE_EMPTY = "Your answer was empty. Go on with the goal: call a tool, answer, or call finish."
NUDGE_THOUGHT = "Your answer was nothing but thinking. Answer now: call a tool, say it in words, or call finish."
NUDGE_GARBLED = (
    "[your tool call could not be read and was not run: send it again with valid syntax, and in smaller pieces]"
)
NUDGE_SUSPECT = (
    "[your answer holds what looks like a tool call, but it was not made as one and was not run: "
    "call the tool, with no words before it, if that was meant, else repeat your answer without it]"
)
NUDGE_HALF = "[the server read a part alone of what it was sent, so that was no answer to all of it: answer again]"
REPEATED_MOST = 2
GARBLED_MOST = 2
TOLD_BEGUN = "the model's tool calls lack their ends, or cannot be read"
GARBLED_HINT = "choose another model with --model, or a smaller goal"
EXCUSED = (
    "[what is red was red before you began: mend it where the goal asks for that; else call finish again and say so]"
)
NUDGE_REPEATED = "[your answer repeated itself and was stopped: go on with the next step, in other words]"
TOLD_CUT = "the answer was cut at its length limit"
HINT_CUT = "it is asked to go on in smaller steps; model.num_predict and what is left of the window set the limit"
NUDGE_CUT = "Your answer was cut at its length limit. Go on in smaller steps."


INTERRUPTIONS = {
    ExitCode.INTERRUPTED: "interrupted by the user",
    ExitCode.TERMINATED: "terminated from outside",
    ExitCode.HANGUP: "interrupted: the terminal, or whoever read the output, is gone",
    ExitCode.STORAGE: "interrupted: the output cannot be written",
}


class Loop:
    """One goal. `run` ends with exactly one `GoalEnded`, whatever happens."""

    def __init__(self, parts: Parts, goal: int, *, changed: bool = False) -> None:
        """`changed`: an earlier process may have changed files for it already."""
        self._parts = parts
        self._number = goal
        self._options: LoopOptions = parts.options.loop
        self._router: Router | None = None
        self._planner: Planner | None = None
        self._guards = Guards()
        self._limits = Limits(self._options, self._seconds)
        self._work = Interruptible(parts, self._limits)
        self._red = 0
        self._excused = 0
        self._garbled = 0
        self._repeated = 0
        self._suspected = False
        self._half = False
        self._changed = changed
        self._start = parts.session.now()
        self._usage = Usage.now()
        self._waited = parts.control.waited_ns

    async def run(self, text: str) -> GoalEnded:
        """Work until done, stopped or failed.

        Raises:
            StorageError: the journal cannot be written; the session is over.
        """
        parts = self._parts
        text = parts.redactor.redact(text)
        parts.session.emit(GoalStarted(goal=self._number, text=text))
        parts.control.cancelled = False
        # From here on the goal runs: what comes before the first round must find somebody who listens.
        parts.control.interrupt = nothing_to_interrupt
        parts.history.user(text)
        self._take_words()  # that an earlier goal was stopped before
        parts.goal = text
        # A goal is on the disk before anything is done about it; which model does it is found out meanwhile.
        synced = parts.session.begin_sync()
        try:
            ending = await self._prepare(text)
            with parts.timed("journal"):
                await synced()
            ending = ending or await self._rounds_until_done()
        except StorageError:
            raise
        except asyncio.CancelledError:
            # Whoever will not wait for a good end gets its ending in the record all the same.
            self._ended(Ending("interrupted", "interrupted at once", ExitCode.INTERRUPTED))
            raise
        except JetboxError as error:
            ending = Ending("failed", error.message, error.exit_code, error.hint)
            if error.exit_code is ExitCode.LIMIT:
                ending = Ending("limit", error.message, error.exit_code, error.hint)
        finally:
            parts.control.over()
        ended = self._ended(ending)
        await parts.session.sync()
        return ended

    async def _prepare(self, goal: str) -> Ending | None:
        """Let a rule choose the model of each round, and the model plan its work, where that is asked for.

        An ending where the goal is stopped meanwhile.
        """
        options = self._parts.options.routing
        if self._number == 1:
            from jetbox.engine.surroundings import doubt_place

            doubt_place(self._parts, goal)
        if options.mode != "off":
            from jetbox.engine.routing import Router

            self._router = Router(self._parts, options)
            try:
                with self._parts.timed("routing"):
                    await self._work.ask(self._router.begin(goal))
            except Interrupted:
                return self._interrupted()
        if self._options.plan:
            from jetbox.engine.planning import Planner

            self._planner = Planner(self._parts.session, self._parts.dispatcher)
        return None

    def _ended(self, ending: Ending) -> GoalEnded:
        """Tell of the end."""
        usage = Usage.now()
        ended = GoalEnded(
            goal=self._number,
            outcome=ending.outcome,
            reason=ending.reason,
            exit_code=int(ending.code),
            rounds=self._limits.rounds,
            wall_ns=self._parts.session.now() - self._start,
            hint=ending.hint if self._parts.session.recorder.keeps else without_continuing(ending.hint),
            cpu_ns=usage.cpu_ns - self._usage.cpu_ns,
            others_ns=usage.others_ns - self._usage.others_ns,
            memory=usage.memory,
        )
        self._parts.session.emit(ended)
        return ended

    async def _rounds_until_done(self) -> Ending:
        parts = self._parts
        begun = self._start  # recording the goal belongs to what its beginning takes
        while True:
            if parts.control.cancelled or parts.control.closing:
                return self._cancelled()
            limit = self._limits.reached()
            if limit is not None:
                return limit
            if parts.control.wish is not None and (stopped := await self._switch()):
                return stopped
            self._limits.rounds += 1
            parts.session.round += 1
            round_ = Round(
                parts,
                limit=self._options.max_rounds,
                begun=begun,
                planner=self._planner,
                most=self._router.most if self._router is not None else 0,
                unread=self._garbled,
            )
            try:
                result = await self._work.run(round_.run())
            except Interrupted:  # before it had begun
                self._limits.rounds -= 1
                parts.session.round -= 1
                if self._work.out_of_time:
                    return self._limits.out_of_time()
                self._take_words()
                continue
            ending, tail = await self._judge(round_, result)
            if self._router is not None and not parts.control.cancelled:
                ending, tail = await self._weigh(self._router, result, ending, tail)
            if self._planner is not None:
                self._planner.joined(over=ending is not None, why=ending.reason if ending is not None else "")
            round_.remember(result, tail, over=ending is not None)
            begun = round_.end(result)
            if ending is not None:
                return ending
            self._take_words()

    async def _switch(self) -> Ending | None:
        """Go over to the model that is wanted; an ending where the goal is stopped meanwhile."""
        from jetbox.engine.switching import switch_as_wished

        try:
            with self._parts.timed("switch"):
                await self._work.ask(switch_as_wished(self._parts))
        except Interrupted:
            return self._interrupted() or self._cancelled()
        return None

    async def _weigh(
        self, router: Router, result: RoundResult, ending: Ending | None, tail: list[str]
    ) -> tuple[Ending | None, list[str]]:
        """What the rule makes of a round."""
        try:
            with self._parts.timed("routing"):
                return await self._work.ask(router.weigh(result, ending, tail))
        except Interrupted:
            return self._interrupted(), tail

    def _take_words(self) -> None:
        """What the user typed meanwhile goes into the next request."""
        for words in self._parts.control.words():
            self._parts.history.user(self._parts.redactor.redact(words))

    async def _judge(self, round_: Round, result: RoundResult) -> tuple[Ending | None, list[str]]:
        """What follows from a round: an ending, or words for the end of the newest message."""
        control = self._parts.control
        self._limits.tokens += result.tokens
        self._changed = self._changed or result.changed
        if control.failure is not None:
            failure, control.failure = control.failure, None
            outcome: Outcome = "denied" if failure.exit_code is ExitCode.PERMISSION else "failed"
            return Ending(outcome, failure.message, failure.exit_code, failure.hint), []
        root = self._parts.context.workspace.root
        if not root.is_dir():
            return Ending("failed", f"the workspace {root} is gone", ExitCode.STORAGE, "was it moved or deleted?"), []
        if result.interrupted:
            return self._interrupted(), ["[interrupted by the user]"]
        self._repeated += result.answer.runaway
        if self._repeated > REPEATED_MOST:
            return self._guard_ending(
                GuardTripped(guard="repeat", detail="its answers repeat themselves, or have no end", action="stop")
            ), []
        begun, error = result.answer.begun, result.answer.error
        self._garbled = self._garbled + 1 if result.garbled or begun else 0
        if self._garbled > GARBLED_MOST:
            return Ending("failed", error.message if error else TOLD_BEGUN, ExitCode.MODEL, GARBLED_HINT), []
        if result.garbled:
            return None, [NUDGE_GARBLED]
        if result.answer.suspect and not result.answer.cut and (begun or not self._suspected):
            self._suspected = True
            return None, [NUDGE_SUSPECT]
        self._suspected = False
        answer = result.answer
        if answer.of_half and not result.done and not self._half:
            self._half = True
            return None, [NUDGE_HALF]
        spoke, thought = bool(answer.text.strip()), bool(answer.thinking.strip())
        tripped = self._guards.observe(result.done, spoke=spoke, cut=answer.cut, thought=thought)
        if tripped is not None:
            self._parts.session.emit(tripped)
            if tripped.action == "stop":
                return self._guard_ending(tripped), []
        elif answer.cut and not answer.runaway:
            self._parts.session.emit(Notice(level="warning", text=TOLD_CUT, hint=HINT_CUT))
        ending = await self._done(round_, result)
        if ending is not None:
            return ending, []
        return None, self._tail(result, tripped)

    def _interrupted(self) -> Ending | None:
        if self._work.out_of_time:
            return self._limits.out_of_time()
        if self._parts.control.cancelled:
            return self._cancelled()
        return None  # words with /now: go on with them

    def _cancelled(self) -> Ending:
        code = ExitCode(self._parts.control.cancel_code)
        return Ending("interrupted", INTERRUPTIONS.get(code, INTERRUPTIONS[ExitCode.INTERRUPTED]), code)

    async def _done(self, round_: Round, result: RoundResult) -> Ending | None:
        """The gate: the model says it is done, and no probe is red."""
        says_done = result.finished or (not result.done and bool(result.answer.text.strip()))
        if not says_done or result.answer.cut:
            return None
        if any(d.state == "failed" for d in result.done):
            return None
        if result.answer.done_reason == FILTERED and not result.finished:
            return Ending("failed", TOLD_FILTERED, ExitCode.MODEL, REWORD)
        if not result.finished:
            if self._parts.control.words_waiting:
                return None
            if not self._changed and not self._red:
                return Ending("answered", "answered")
            try:
                await self._work.run(round_.gate(result))
            except Interrupted:
                return self._interrupted()
        red = [v for v in result.verdicts if v.red]
        if red:
            self._red += 1
            if all(v.excused for v in red):
                self._excused += 1
                if self._excused > 1:
                    failing = ", ".join(name for v in red for name in v.failing[:3])
                    return Ending("unverified", f"done, unverified (failing as before the session: {failing})")
            if self._red <= self._options.gate_attempts:
                return None
            names = ", ".join(f"{v.name}: {v.summary or v.state}" for v in red)
            return Ending("red", f"probes are still red ({names})", ExitCode.PROBES_RED)
        if self._parts.control.words_waiting:
            return None
        green = [v for v in result.verdicts if v.state == "passed"]
        if green and not any(v.hollow for v in result.verdicts):
            return Ending("done", "done, probes green: " + ", ".join(f"{v.name} {v.summary}".strip() for v in green))
        told = [v for v in result.verdicts if v.hollow] or result.verdicts
        why = ", ".join(f"{v.name} {v.state}: {v.summary}" for v in told) or "no probe applies"
        return Ending("unverified", f"done, unverified ({why})")

    def _tail(self, result: RoundResult, tripped: GuardTripped | None) -> list[str]:
        """Volatile words for the very end of the newest message."""
        tail = []
        red = [v for v in result.verdicts if v.red]
        says_done = result.finished or not result.done
        if says_done and red and all(v.excused for v in red):
            tail.append(EXCUSED)
        elif result.finished and red:
            tail.append("[not done: a probe is red; mend it, then call finish again]")
        elif not result.done and red:
            tail.append("[not done: a probe is red; mend it]")
        elif result.finished and any(d.state == "failed" for d in result.done):
            tail.append("[not done: a call failed; see to it, then call finish again]")
        if tripped is not None and tripped.detail != THOUGHT:
            tail.append(f"[warning: {tripped.detail}; do something else, or call finish and say what is in the way]")
        if result.answer.done_reason == REPEATED:
            tail.append(NUDGE_REPEATED)
        elif result.answer.cut:
            tail.append(NUDGE_CUT)
        elif result.answer.empty and not result.interrupted:
            tail.append(NUDGE_THOUGHT if result.answer.thinking.strip() else NUDGE_EMPTY)
        tail += self._limits.words()
        return tail

    def _seconds(self) -> float:
        waited = self._parts.control.waited_ns - self._waited
        return (self._parts.session.now() - self._start - waited) / 1e9

    def _guard_ending(self, tripped: GuardTripped) -> Ending:
        hint = "say it in other words, or try another model with --model"
        if tripped.detail == THOUGHT:
            hint = "set model.think to low or false, or try another model with --model"
        return Ending("guard", f"stopped by a guard: {tripped.detail}", ExitCode.LIMIT, hint)


async def serve(parts: Parts, goals: int = 0, *, unfinished: bool = False, undo: UndoDesk | None = None) -> int:
    """Work on goals as they come, until the session is closed; returns the last goal's exit code.

    `goals` were there before; `unfinished`: the last of them was cut off, and what comes goes on with it. What was
    asked for before anybody listened is seen to first.
    """
    code = int(ExitCode.DONE)
    asked = AskedProbes(parts)
    removes = [parts.session.listen(take) for take in (parts.control.take, asked.take)]
    try:
        parts.session.offer_again()
        while not parts.control.closing:
            command = await parts.session.next_command()
            match command:
                case Goal() | Steer():
                    goals += 1
                    code = (await Loop(parts, goals, changed=unfinished).run(command.text)).exit_code
                    unfinished = False
                case Undo() | Clear() if undo is not None:
                    await undo.act(command)
                case Close():
                    break
                case Compact():
                    from jetbox.engine.resting import compact

                    await compact(parts)
                case SetModel():
                    pass  # the wish that it left is seen to below
                case _:
                    continue
            if parts.control.wish is not None:  # since a goal's last round, or put off for something else
                from jetbox.engine.resting import switch

                await switch(parts)
    finally:
        for remove in removes:
            remove()
        await asked.close()
    return code
