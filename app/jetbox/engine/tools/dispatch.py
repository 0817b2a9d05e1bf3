"""The one dispatcher: every call of the model goes through here, and every call has a result."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from jetbox.engine.clock import Span, Timed
from jetbox.engine.errors import DiskFailed, FileMoved, NotAsRead, StorageError, ToolError, in_full
from jetbox.engine.events import CallState, ToolCalled, ToolEnded, ToolOutput, ToolStarted
from jetbox.engine.models.base import Call, Coming
from jetbox.engine.safety.secrets import StreamRedactor
from jetbox.engine.safety.terminal import visible
from jetbox.engine.tools.arguments import IGNORED, decode_arguments
from jetbox.engine.tools.base import Access, CutShort, Plan, Tool, ToolContext, ToolResult
from jetbox.engine.tools.calls import ALLOWED, Allowed, Denied, Done, Pending, Watch, title
from jetbox.engine.tools.registry import find
from jetbox.engine.tools.schedule import Schedule

if TYPE_CHECKING:
    from jetbox.engine.control import Control
    from jetbox.engine.safety.permissions import Decision, Permissions
    from jetbox.engine.safety.secrets import Redactor
    from jetbox.engine.session import Session

MOVED = 3
"""How often a plan is made again because a file changed under it."""
INTERRUPTED = "interrupted by the user before it ended"
FULL = "make room in the workspace, or make it writable; then go on with --continue"


class Dispatcher:
    """Runs the calls of a session; `begin` opens a round. Nothing runs before `ready` is set."""

    def __init__(
        self,
        session: Session,
        tools: dict[str, Tool],
        context: ToolContext,
        permissions: Permissions,
        control: Control,
        redactor: Redactor,
        *,
        ready: asyncio.Event,
        parallel: bool = True,
        wrote: Callable[[tuple[str, ...], str], None],
    ) -> None:
        self._session = session
        self._tools = tools
        self._context = context
        self._permissions = permissions
        self._control = control
        self._redactor = redactor
        self._ready = ready
        self._parallel = parallel
        self._wrote = wrote
        self._running = asyncio.Semaphore(context.options.concurrency)
        self._seen: set[str] = set()
        self.begin()

    def begin(self) -> None:
        """Open a round."""
        self._schedule: Schedule[Done] = Schedule(parallel=self._parallel)
        self._pending: list[Pending] = []
        self._done: dict[str, Done] = {}
        self._acted: set[str] = set()
        """Calls whose effects have begun."""
        self.spans: list[Span] = []

    def fits(self, name: str, raw: str) -> bool:
        """True where there is such a tool and it takes these arguments."""
        return self._notes(name, raw) is not None

    def exact(self, name: str, raw: str) -> bool:
        """True where it also knows every one of them."""
        notes = self._notes(name, raw)
        return notes is not None and not any(note.startswith(IGNORED) for note in notes)

    def _notes(self, name: str, raw: str) -> list[str] | None:
        tool = self._tools.get(name.rpartition(".")[2])
        try:
            return decode_arguments(tool, raw)[1] if tool is not None else None
        except ToolError:
            return None

    def offered(self, name: str) -> bool:
        """Whether there is a tool of this name."""
        return name in self._tools

    def begins(self, word: str) -> bool:
        """Whether the name of a tool begins like this."""
        return any(name.startswith(word) for name in self._tools)

    def takers(self, keys: frozenset[str]) -> list[str]:
        """The tools that know every one of these arguments and need no other."""
        return [
            name
            for name, tool in self._tools.items()
            if keys <= set(tool.parameters["properties"]) and keys >= set(tool.parameters.get("required", ()))
        ]

    def expect(self, coming: Coming) -> None:
        """Begin with what a call will need that is still on its way; nothing of it has an effect."""
        tool, path = self._tools.get(coming.name), coming.arguments.get("path")
        if self._context.expect is None or tool is None or path is None:
            return
        try:
            writes = tool.access(dict(coming.arguments), self._context).writes
        except Exception:  # what is wrong with it is said when it is whole
            return
        for each in writes:
            self._context.expect(each, coming.arguments.get("content"))

    def look_up(self, name: str) -> Tool:
        """The tool that is meant by a name.

        Raises:
            ToolError: there is none.
        """
        return find(self._tools, name)

    def touches(self, tool: Tool, arguments: dict[str, Any]) -> Access:
        """What a call would touch.

        Raises:
            ToolError: the guard of paths refuses it.
        """
        return tool.access(arguments, self._context)

    def decide(self, plan: Plan, tool: str) -> Decision:
        """Whether a plan that is no call of the model's needs an answer, by the same rules."""
        return self._permissions.decide(plan, tool)

    def submit(self, call: Call, recovered: str = "") -> asyncio.Task[Done]:
        """Take a call as soon as it is complete in the stream; `recovered`: how it stood in the text."""
        raw = bytes(call.function.arguments).decode(errors="replace")
        pending = Pending(self.unique(call.id), call.id, call.function.name, raw)
        self._pending.append(pending)
        arguments: dict[str, Any] = {}
        notes: list[str] = []
        refusal = ""
        tool: Tool | None = None
        access = Access()
        try:
            tool = find(self._tools, pending.name)
            arguments, notes = decode_arguments(tool, raw)
            access = tool.access(arguments, self._context)
        except ToolError as error:
            refusal = str(error)
        except Exception as error:  # a fault of ours must not lose the round
            refusal = f"the tool broke: {in_full(error)}"
        self._session.emit(
            ToolCalled(
                call=pending.call,
                name=pending.name,
                arguments=raw,
                title=title(pending.name, arguments),
                recovered=recovered,
            )
        )

        # What is about to happen must be on the disk before it happens: the disk works meanwhile.
        effects = not refusal and (access.barrier or bool(access.writes))
        synced = self._session.begin_sync() if effects else self._session.sync

        async def run(earlier: list[Done]) -> Done:
            if tool is None or refusal:
                return self._end(pending, "failed", refusal)
            blocker = next((d for d in earlier if d.state == "denied"), None)
            if blocker is not None:
                return self._end(pending, "denied", f"not run: it depends on {blocker.name}, which was not allowed")
            return await self._execute(pending, tool, arguments, notes, synced)

        return self._schedule.add(access, run).task

    def unique(self, wire_id: str) -> str:
        """An identifier for a call that no other call of the session has."""
        call = wire_id or f"call_{len(self._seen) + 1}"
        while call in self._seen:
            call += "+"
        self._seen.add(call)
        return call

    async def _execute(
        self,
        pending: Pending,
        tool: Tool,
        arguments: dict[str, Any],
        notes: list[str],
        synced: Callable[[], Awaitable[None]],
    ) -> Done:
        session = self._session
        if not self._ready.is_set():
            start = session.now()
            await self._ready.wait()
            self.spans.append(Span("tools", start, session.now(), "sandbox", pending.call))
        session.emit(ToolStarted(call=pending.call))
        watch = Watch(session.now())
        state: CallState = "failed"
        live = StreamRedactor(self._redactor)
        try:
            made = partial(tool.plan, arguments, self._context, lambda text: self._output(pending, live.feed(text)))
            result = await self._carry_out(made, pending, tool, synced, watch)
        except CutShort as cut:
            self._span("tools", watch.since, session.now(), tool, pending)
            text = "\n".join(filter(None, (INTERRUPTED, cut.result.text)))
            self._end(pending, "cancelled", text, notes, cut.result, duration=watch.ran(session.now()))
            raise
        except Denied as denied:
            return self._end(pending, "denied", str(denied), duration=watch.ran(session.now()))
        except ToolError as error:
            result = ToolResult(str(error), ok=False, ruled=isinstance(error, NotAsRead))
            if isinstance(error, DiskFailed):
                self._control.failure = StorageError(str(error), FULL)
        except StorageError as error:
            # The disk or the folder failed us: the model is told, and the goal ends with it.
            self._control.failure = error
            result = ToolResult(f"{error.message}; {error.hint}", ok=False)
        else:
            state = "ok" if result.ok else "failed"
        self._output(pending, live.flush())
        now = session.now()
        self._span("tools", watch.since, now, tool, pending)
        return self._end(pending, state, result.text, notes, result, duration=watch.ran(now))

    async def _carry_out(
        self,
        made: Callable[[], Awaitable[Plan]],
        pending: Pending,
        tool: Tool,
        synced: Callable[[], Awaitable[None]],
        watch: Watch,
    ) -> ToolResult:
        """Plan, ask where that has to be, perform; anew where a file changed in between.

        Raises:
            Denied, ToolError, StorageError
        """
        for _ in range(MOVED):
            plan = await made()
            before = self._session.now()
            denied: str | Allowed = ""
            try:
                denied = await self._denied(plan, tool, pending)
                if plan.question is not None:
                    plan.question.answer = await self._control.inquire(plan.question, pending.call)
            finally:  # interrupted or not, it was the user who was waited for
                now = self._session.now()
                if now > before and (plan.question is not None or denied is not ALLOWED):
                    self._span("tools", watch.since, before, tool, pending)
                    self._span("waiting for you", before, now, tool, pending)
                    watch.wait(before, now)
            if denied is not ALLOWED:
                synced = self._session.sync  # the answer too must be on the disk
            if denied:
                raise Denied(denied)
            try:
                return await self._perform(plan, pending, synced)
            except FileMoved:
                continue
        raise ToolError("the file keeps changing; read it again")

    def _span(self, phase: str, start: int, end: int, tool: Tool, pending: Pending) -> None:
        self.spans.append(Span(phase, start, end, tool.name, pending.call))

    async def _denied(self, plan: Plan, tool: Tool, pending: Pending) -> str | Allowed:
        """Why the plan may not be carried out; falsy where it may."""
        decision = self._permissions.decide(plan, tool.name)
        if decision.answer == "allow":
            return ALLOWED
        if decision.answer == "deny":
            return f"not allowed: {decision.why}"
        asked = await self._control.ask(plan, tool.name, pending.call, decision.why)
        if asked.allowed:
            return ""
        return "the user said no" + (f": {asked.reason}" if asked.reason else "; do something else or ask")

    async def _perform(self, plan: Plan, pending: Pending, synced: Callable[[], Awaitable[None]]) -> ToolResult:
        async with self._running:
            if plan.kind in ("write", "command"):
                self._acted.add(pending.call)
                with Timed(self.spans, self._session.now, "journal", "tools", pending.call):
                    await synced()
            return await plan.perform()

    def _output(self, pending: Pending, text: str) -> None:
        if text:
            self._session.emit(ToolOutput(call=pending.call, text=text))

    def _end(
        self,
        pending: Pending,
        state: CallState,
        text: str,
        notes: list[str] | None = None,
        result: ToolResult | None = None,
        duration: int = 0,
    ) -> Done:
        text = said = self._redactor.redact(text)
        if result is not None and result.said is not None:
            said = self._redactor.redact(result.said)
        if notes:
            text = f"{text}\n[arguments: {'; '.join(notes)}]"
        changes = result.changes if result else ()
        self._session.emit(
            ToolEnded(
                call=pending.call,
                state=state,
                text=text,
                duration_ns=duration,
                changes=changes,
                diff=visible(self._redactor.redact(result.diff)) if result else "",
                notes=tuple(notes or ()),
                ruled=result is not None and result.ruled,
            )
        )
        if result is not None and changes:
            self._wrote(tuple(c.path for c in changes), result.by)
        whole = result is not None and not result.unsure
        done = Done(
            pending.call,
            pending.wire_id,
            pending.name,
            pending.arguments,
            state,
            text,
            changes,
            finished=bool(result and result.finished),
            touched=bool(changes) or (pending.call in self._acted and not whole),
            said=said,
        )
        self._done[pending.call] = done
        return done

    @property
    def count(self) -> int:
        """Calls of this round so far."""
        return len(self._pending)

    @property
    def newest(self) -> str:
        """Identifier of the call that was taken last."""
        return self._pending[-1].call

    async def results(self) -> list[Done]:
        """The results in the order of the calls, when all calls have ended.

        Raises:
            StorageError: the journal cannot be written.
        """
        await self._schedule.join()
        return [self._result(p, s.task) for p, s in zip(self._pending, self._schedule.slots, strict=True)]

    def _result(self, pending: Pending, task: asyncio.Task[Done]) -> Done:
        if pending.call in self._done:  # told already
            return self._done[pending.call]
        if task.cancelled():
            return self._end(pending, "cancelled", INTERRUPTED)
        error = task.exception()
        if isinstance(error, StorageError):
            raise error
        if error is not None:
            # A fault of ours must not lose the round: the model gets a result, the user the words.
            return self._end(pending, "failed", f"the tool broke: {in_full(error)}")
        return task.result()

    async def abandon(self) -> None:
        """End what runs, without results: the session itself has failed."""
        await self._schedule.cancel()

    async def cancel(self) -> list[Done]:
        """End what runs; calls that had not ended are cancelled."""
        await self._schedule.cancel()
        return await self.results()
