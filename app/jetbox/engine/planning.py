"""Plan, then act: the model's plan of a goal is carried out, independent steps together, and one more call joins.

The plan is one call on the wire and has one result; each of its steps goes through the ordinary
dispatcher, with all that belongs to a call. What cannot be planned, or breaks off, goes on call by call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from jetbox.engine.errors import StorageError, ToolError, in_full
from jetbox.engine.events import (
    CallState,
    PlanEnded,
    PlanJoined,
    PlanMade,
    PlannedStep,
    StepBegun,
    StepEnded,
    StepState,
)
from jetbox.engine.models.base import Call, CallFunction
from jetbox.engine.plan import PlanRefused, Step, accessed, direct, read_plan, resolved, waits
from jetbox.engine.tools.base import Access
from jetbox.engine.tools.calls import Done, title
from jetbox.engine.tools.dispatch import Dispatcher
from jetbox.engine.tools.plan import PLAN

if TYPE_CHECKING:
    from jetbox.engine.session import Session

JOIN = "[the plan has run: call finish if the goal is reached; else go on, call by call]"
BROKEN = "[the plan broke off: {why}; what needed it was not run. Go on from here, call by call]"
ALL_RAN = "[the plan has run, but {why}. Go on from here, call by call]"
STATES: dict[str, CallState] = {"done": "ok", "broken": "failed", "refused": "failed", "cancelled": "cancelled"}
REFUSED = "the plan was not run: {why}. Go on without a plan, call by call"


class _Ran(msgspec.Struct):
    """What became of a step."""

    state: StepState = "cancelled"
    text: str = ""
    said: str = ""
    begun: int = -1
    ended: int = -1
    call: str = ""


class Planner:
    """Takes the calls of a goal's answers, and carries out the one that is its plan."""

    def __init__(self, session: Session, dispatcher: Dispatcher) -> None:
        self._session = session
        self._dispatcher = dispatcher
        self._call: Call | None = None
        self._plan = ""
        self._steps: list[Step] = []
        self._accesses: dict[str, Access] = {}
        self._waits: dict[str, tuple[str, ...]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ran: dict[str, _Ran] = {}
        self._refusal = ""
        self._start = 0
        self._open = False
        self._joins = self._new = False

    @property
    def planned(self) -> bool:
        """The answer held a plan: its request is not to be sent again."""
        return self._open

    def take(self, call: Call, recovered: str = "") -> None:
        """A call as soon as it is complete in the stream: the first plan of the goal, or one like all others."""
        if self._call is None and self._is_plan(call):
            self._call, self._open = call, True
            self._begin(call)
        else:
            self._dispatcher.submit(call, recovered)

    def _is_plan(self, call: Call) -> bool:
        try:
            return self._dispatcher.look_up(call.function.name).name == PLAN
        except ToolError:
            return False

    def _begin(self, call: Call) -> None:
        dispatcher = self._dispatcher
        self._plan = dispatcher.unique(call.id)
        self._start = self._session.now()
        raw = bytes(call.function.arguments).decode(errors="replace")
        try:
            self._steps, notes = read_plan(raw, dispatcher.look_up)
        except PlanRefused as error:
            self._refusal = str(error)
            return
        tools = {step.id: dispatcher.look_up(step.tool) for step in self._steps}
        self._accesses = {step.id: accessed(step, tools[step.id], dispatcher.touches) for step in self._steps}
        self._waits = waits(self._steps, list(self._accesses.values()))
        after = direct(self._waits)
        planned = tuple(PlannedStep(step.id, title(step.tool, step.arguments), after[step.id]) for step in self._steps)
        self._session.emit(PlanMade(plan=self._plan, steps=planned, notes=tuple(notes)))
        for step in self._steps:
            self._ran[step.id] = _Ran()
            self._tasks[step.id] = asyncio.create_task(self._run(step))

    async def _run(self, step: Step) -> None:
        ran = self._ran[step.id]
        earlier = [self._tasks[other] for other in self._waits[step.id]]
        if earlier:
            await asyncio.wait(earlier)
        blocker = next((other for other in self._waits[step.id] if self._blocks(other, step)), None)
        if blocker is not None:
            self._ended(step, ran, "skipped", f"not run: it needs step {blocker}, which {_became(self._ran[blocker])}")
            return
        try:
            arguments = resolved(step, {name: other.said for name, other in self._ran.items()})
        except PlanRefused as error:
            self._ended(step, ran, "failed", str(error))
            return
        made = CallFunction(step.tool, msgspec.Raw(msgspec.json.encode(arguments)))
        ran.begun = self._session.now()
        task = self._dispatcher.submit(Call(made, f"{self._plan}.{step.id}"))
        ran.call = self._dispatcher.newest
        self._session.emit(StepBegun(plan=self._plan, step=step.id, call=ran.call))
        await asyncio.wait([task])
        if not task.cancelled() and task.exception() is None:
            done = task.result()
            ran.said = done.said
            self._ended(step, ran, done.state, done.text)

    def _blocks(self, other: str, step: Step) -> bool:
        """Whether a step must not run after another: it builds upon it, or both were to change something."""
        state = self._ran[other].state
        if state in ("ok", "denied"):
            return state == "denied"
        return other in step.needs or (_acts(self._accesses[other]) and _acts(self._accesses[step.id]))

    def _ended(self, step: Step, ran: _Ran, state: StepState, text: str) -> None:
        ran.state, ran.text, ran.ended = state, text, self._session.now()
        took = ran.ended - ran.begun if ran.begun >= 0 else 0
        why = "" if state == "ok" else text.strip().partition("\n")[0][:300]
        self._session.emit(
            StepEnded(plan=self._plan, step=step.id, state=ran.state, why=why, duration_ns=took),
        )

    async def settle(self) -> None:
        """Wait until every step has ended.

        Raises:
            StorageError: the journal cannot be written.
        """
        if self._tasks:
            await asyncio.wait(self._tasks.values())
        for name, task in self._tasks.items():
            error = task.exception()
            if isinstance(error, StorageError):
                raise error
            if error is not None:  # a fault of ours must not lose the round
                self._ran[name].text = f"the step broke: {in_full(error)}"
                self._ran[name].state = "failed"

    async def cancel(self) -> None:
        """End what runs; steps that had not ended are cancelled."""
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values())
            for task in self._tasks.values():
                if not task.cancelled():
                    task.exception()  # it is seen now; the session has failed, and says so itself

    def close(self, calls: Sequence[Call], done: Sequence[Done]) -> tuple[list[Done], list[Done]]:
        """All that an answer's calls came to, and those of it that are results on the wire.

        There the plan stands for its steps.
        """
        if not self._open or self._call is None:
            return list(done), list(done)
        self._open, self._new = False, True
        of_calls = {each.call: each for each in done}
        for step in self._steps:
            ran = self._ran[step.id]
            if ran.ended < 0:
                result = of_calls.get(ran.call)
                state, text = (result.state, result.text) if result is not None else (ran.state, ran.text)
                self._ended(step, ran, state, text)
        text, ended = self._outcome()
        self._session.emit(ended)
        whole = Done(
            self._plan,
            self._call.id,
            self._call.function.name,
            bytes(self._call.function.arguments).decode(errors="replace"),
            STATES[ended.outcome],
            text,
        )
        of_steps = {ran.call for ran in self._ran.values()}
        told = [each for each in done if each.call not in of_steps]
        told.insert(next((n for n, call in enumerate(calls) if call is self._call), len(told)), whole)
        return [*done, whole], told

    def _outcome(self) -> tuple[str, PlanEnded]:
        self._joins = not self._refusal
        if self._refusal:
            ended = PlanEnded(plan=self._plan, outcome="refused", why=self._refusal)
            return REFUSED.format(why=self._refusal), ended
        ran = [self._ran[step.id] for step in self._steps]
        cut = any(each.state == "cancelled" for each in ran)
        first = next((step.id for step in self._steps if self._ran[step.id].state not in ("ok", "skipped")), "")
        why = f"step {first} {_became(self._ran[first])}" if first else ""
        timed = [each for each in ran if each.begun >= 0 and each.ended >= 0]
        ended = PlanEnded(
            plan=self._plan,
            outcome="cancelled" if cut else "broken" if first else "done",
            why=why,
            done=sum(each.state == "ok" for each in ran),
            wall_ns=self._session.now() - self._start,
            alone_ns=sum(each.ended - each.begun for each in timed),
            together=max((sum(a.begun <= b.begun < a.ended for a in timed) for b in timed), default=0),
        )
        parts = [_told(step, self._ran[step.id]) for step in self._steps]
        if not cut:
            skipped = any(each.state == "skipped" for each in ran)
            parts.append((BROKEN if skipped else ALL_RAN).format(why=why) if first else JOIN)
        return "\n".join(parts), ended

    def joined(self, *, over: bool, why: str) -> None:
        """A round is judged: where its answer was the one that joins, tell what it decided."""
        if self._new:
            self._new = False
        elif self._joins:
            self._joins = False
            self._session.emit(PlanJoined(plan=self._plan, done=over, why=why))


def _acts(access: Access) -> bool:
    return access.barrier or bool(access.writes)


def _told(step: Step, ran: _Ran) -> str:
    """A step's result in the result of the plan."""
    state = "" if ran.state in ("ok", "skipped") else f" {ran.state}"
    return f"[step {step.id}: {title(step.tool, step.arguments)}{state}]\n{ran.text}".rstrip()


def _became(ran: _Ran) -> str:
    match ran.state:
        case "denied":
            return "was not allowed"
        case "cancelled":
            return "was interrupted"
        case "skipped":
            return "was not run"
    first = next((line for line in ran.text.splitlines() if line.strip()), "")
    return f"failed: {first[:200]}" if first else "failed"
