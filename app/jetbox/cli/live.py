"""Opens a live session: lock, journal, server, parts; the same for the screen and for headless runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

import jetbox
from jetbox.cli.ahead import import_parts
from jetbox.cli.beside import Beside
from jetbox.cli.taken import Taken
from jetbox.engine.commands import Close, Goal
from jetbox.engine.errors import ExitCode, JetboxError, SettingsError, StorageError
from jetbox.engine.events import (
    FORMAT,
    GoalEnded,
    GoalStarted,
    Notice,
    Outcome,
    ProbeEnded,
    SessionClosed,
    SessionOpened,
    SessionResumed,
    ShellEnded,
    ToolEnded,
)
from jetbox.engine.models.address import bare, secrets_in
from jetbox.engine.options import EngineOptions
from jetbox.engine.safety.secrets import Redactor
from jetbox.engine.session import Feed, Session
from jetbox.engine.tasks import end_tasks

if TYPE_CHECKING:
    from jetbox.engine.models.base import ChatModel, ModelInfo
    from jetbox.engine.models.figures import Figures
    from jetbox.engine.parts import Parts
    from jetbox.engine.undoing import UndoDesk

KILLED = "the session was killed while this ran"
GO_ON = "Go on with the goal. The session was interrupted: what was under way may have changed files, so look first."

BEFORE = "interrupted before it began"
WORKED = (ExitCode.DONE, ExitCode.PROBES_RED, ExitCode.LIMIT)
"""A goal that ended so was worked on by a model."""


class Start(msgspec.Struct, frozen=True):
    """What a session is opened with."""

    root: Path
    options: EngineOptions
    goal: str = ""
    resume: str | None = None
    """Session to go on with: its id, or empty for the newest of this workspace; None for a new one."""
    attended: bool = False
    """True where somebody can answer questions."""
    asks: bool = False
    """The model may ask some of its own."""
    changed: dict[str, str] = {}
    """Options that differ from their defaults, for the header."""
    notices: tuple[str, ...] = ()
    tee: Callable[[bytes], None] | None = None
    """Takes every line of the journal as it is written."""


class Live:
    """A session that runs in this process."""

    def __init__(self, start: Start) -> None:
        """Take the lock and open the journal.

        Raises:
            StorageError, WorkspaceBusy, RecordingError, SettingsError
        """
        self._start = start
        self._driving: asyncio.Task[Any] | None = None
        self._begun = self._abandoned = False
        self.signal: ExitCode | None = None
        self._taken = Taken(
            start.root,
            start.options.session.folder,
            resume=start.resume,
            record=start.options.session.record,
            tee=start.tee,
        )
        self.id, self._recorder = self._taken.id, self._taken.recorder
        self._resumed = resumed = self._taken.resumed
        self.session = Session(
            self._recorder,
            seq=resumed.seq if resumed else 0,
            offset=resumed.offset if resumed else 0,
            round_number=resumed.round if resumed else 0,
            past=resumed.past if resumed else (),
        )
        self.feed: Feed = self.session.feed()
        self._beside = Beside(self.session)

    @property
    def begins_at(self) -> int:
        """Number of the event that this process begins with; what comes before it was recorded earlier."""
        return self._resumed.seq if self._resumed else 0

    async def drive(self) -> int:
        """Run the session until its goal has ended (unattended) or it is closed; returns the exit code.

        Everything is closed when this returns, whatever happened.
        """
        code = ExitCode.INTERNAL
        reason = ""
        self._begun = True
        self._driving = asyncio.current_task()
        try:
            code = ExitCode(await self._drive())
        except JetboxError as error:
            code, reason = error.exit_code, error.message
            raise
        except asyncio.CancelledError:
            code, reason = ExitCode.INTERRUPTED, "cancelled"
            if self.signal is None:
                raise
        finally:
            self._driving = None
            failure = await self._close(self.signal or code, reason)
        if failure is not None and code is ExitCode.DONE:
            raise failure
        return int(self.signal or code)

    async def abandon(self) -> None:
        """Close it where it was never driven, and keep what was asked for."""
        if not self._begun:
            self._abandoned = True
            await self.drive()

    async def _drive(self) -> int:
        self._emit_header()
        if self._abandoned:
            self._record_lost_goal("interrupted", BEFORE, self.signal or ExitCode.INTERRUPTED)
            return ExitCode.DONE
        async with AsyncExitStack() as ends:
            try:
                parts = await self._begin(ends)
            except JetboxError as error:
                self._record_lost_goal("failed", error.message, error.exit_code, error.hint)
                raise
            except asyncio.CancelledError:
                self._record_lost_goal("interrupted", BEFORE, self.signal or ExitCode.INTERRUPTED)
                raise
            if self._start.goal and self.session.asked_to_close:
                # Left while it was made ready: the goal would come after that, and nobody would hear of it.
                code = self.signal or ExitCode.INTERRUPTED
                self._record_lost_goal("interrupted", BEFORE, code)
                return code
            return await self._serve(parts)

    async def _begin(self, ends: AsyncExitStack) -> Parts:
        """All that the first goal needs; `ends` closes it."""
        if self._start.attended:  # in the loop it would hold up the keys of who types already
            await asyncio.to_thread(import_parts)
        from jetbox.engine.models.connect import connected

        for text in filter(None, (*self._start.notices, self._taken.lock.notice)):
            self.session.emit(Notice(level="warning", text=text))
        wanted = self._start.options.model
        if wanted.api_key:  # it may have to be unlocked
            self.session.emit(Notice(level="info", text="asking the keyring for the server's key"))
        model = await connected(wanted, os.environ, prompts=not self._start.attended)
        ends.push_async_callback(model.close)
        parts = await self._parts(model)
        ends.push_async_callback(self._end, parts)
        await self._recall(parts)
        return parts

    async def _end(self, parts: Parts) -> None:
        await self._beside.end()
        await end_tasks(*parts.looking)
        if parts.probes is not None:
            await parts.probes.close()
        if parts.counter is not None:
            await parts.counter.close()
        await parts.context.processes.sandbox.close()

    def _emit_header(self) -> None:
        start, options = self._start, self._start.options
        created = datetime.now(UTC).isoformat(timespec="milliseconds")
        common: dict[str, Any] = {
            "created": created,
            "app": jetbox.__version__,
            "model": options.model.name,
            "host": bare(options.model.host),
            "mode": options.permissions.mode or "ask",
            "options": start.changed,
        }
        if self._resumed is None:
            opened = SessionOpened(format=FORMAT, id=self.id, workspace=str(start.root), **common)
            self.session.emit(opened)
        else:
            self.session.emit(SessionResumed(**common))
            for call in self._resumed.open_calls:
                self.session.emit(ToolEnded(call=call, state="cancelled", text=KILLED))
            for call in self._resumed.open_shells:
                self.session.emit(ShellEnded(call=call, state="cancelled", text=KILLED))

    async def _parts(self, model: ChatModel) -> Parts:
        from jetbox.engine.assemble import assemble
        from jetbox.engine.models.connect import key_of, speaks_openai
        from jetbox.engine.models.missing import with_usable_rule
        from jetbox.engine.models.names import first_name
        from jetbox.engine.models.window import Window, choose_window, within
        from jetbox.record.places import probes_folder

        options, resumed = self._start.options, self._resumed
        first = first_name(options, resumed.model if resumed else "")
        info = await self._usable(model, first)
        options = await with_usable_rule(self.session, model, options, info.name, self._usable, first)
        had = resumed.num_ctx if resumed is not None and info.name == model.full_name(resumed.model) else 0
        if had and model.manages and not options.context.num_ctx:  # another server was started with what it has
            window = within(Window(had, "as the session began with"), info.max_ctx)
        else:
            window = await choose_window(model, info, options.context, os.environ)
        if not model.manages and not speaks_openai(options.model):
            hint = "a host that ends with /v1 says so at once"
            self.session.emit(Notice(level="info", text="the server speaks OpenAI's protocol", hint=hint))
        return assemble(
            self.session,
            model,
            info,
            options,
            self._start.root,
            attended=self._start.attended,
            asks=self._start.asks,
            environ=os.environ,
            messages=resumed.messages if resumed else (),
            window=window,
            cut_off=resumed.cut_off if resumed else None,
            store=probes_folder(self._start.root),
            key=key_of(model),
        )

    async def _usable(self, model: ChatModel, name: str) -> ModelInfo:
        """What the server says of a model that can be used; where somebody sits there, they are asked until it can."""
        if self._start.attended:
            from jetbox.engine.models.missing import choose_or_ask

            return await choose_or_ask(self.session, model, name, waits=self._start.asks)
        from jetbox.engine.models.away import choose_when_loaded

        return await choose_when_loaded(self.session, model, name, retries=self._start.options.model.retries)

    async def _recall(self, parts: Parts) -> None:
        """What is known from before: of the session, and of the model."""
        from jetbox.engine.assemble import choose_sandbox

        model, resumed = parts.model, self._resumed
        parts.named = bool(self._start.options.model.name)
        for told in resumed.beside if resumed is not None else ():
            parts.history.beside(told)
        parts.known = partial(self._known_figures, model)
        parts.recall(await asyncio.to_thread(parts.known, parts.model_name, ""))
        before = model.full_name(resumed.model) if resumed is not None and resumed.model else ""
        if resumed is not None and resumed.head is not None and resumed.request is not None:
            sent = resumed.messages[: resumed.request.count]
            parts.prefix.go_on(before, resumed.head.json, sent, resumed.request.tail)
        if before and resumed is not None and resumed.messages and before != parts.model_name:
            from jetbox.engine.switching import go_on_with_another

            await go_on_with_another(parts, before)
        choosing = choose_sandbox(parts)
        self._beside.spawn(self._beside.after_the_request(choosing) if self._start.goal else choosing)

    @staticmethod
    def _known_figures(model: ChatModel, name: str, digest: str) -> Figures:
        """What was measured of a model of this server, by this session and those before it."""
        from jetbox.record.figures import FiguresStore

        return FiguresStore().read(model.host, name, digest, digests=model.manages)

    def _record_lost_goal(self, outcome: Outcome, reason: str, code: ExitCode, hint: str = "") -> None:
        """What the user asked for is kept, though nothing could be done about it."""
        if self._start.goal:
            number = (self._resumed.goals if self._resumed else 0) + 1
            secrets = [("MODEL_PASSWORD", each) for each in secrets_in(self._start.options.model.host)]
            text = Redactor.from_environment(os.environ, secrets).redact(self._start.goal)
            self.session.emit(GoalStarted(goal=number, text=text))
            self.session.emit(GoalEnded(goal=number, outcome=outcome, reason=reason, exit_code=int(code), hint=hint))

    async def _serve(self, parts: Parts) -> int:
        from jetbox.engine.loop import serve
        from jetbox.engine.surroundings import look_around, observe

        resumed = self._resumed
        goal = self._start.goal
        if not goal and resumed is not None and resumed.running:
            goal = GO_ON
        if resumed is not None:
            parts.control.requeue(resumed.queue)
        if goal:
            self.session.submit(Goal(goal))
        elif not self._start.attended:
            raise SettingsError("there is nothing to do: the session's last goal has ended", "give a goal")
        if not self._start.attended:
            self.session.submit(Close())
        self._driving = None
        self._beside.spawn(self._beside.after_the_request(look_around(parts)))
        # Where verdicts are asked for before any goal, somebody has to see what they become outdated by.
        self._beside.spawn(self._beside.after_the_request(observe(parts), ProbeEnded))
        if self._recorder.folder is not None:
            self._beside.spawn(self._beside.snapshot_rounds(self._recorder.folder, self._start.root))
            self._beside.spawn(self._beside.keep_figures(parts.model))
            if self._start.attended:
                self._beside.spawn(self._beside.keep_label(self._recorder.folder))
        undo: UndoDesk | None = None
        if self._start.attended:
            from jetbox.engine.models.desk import ModelsDesk
            from jetbox.engine.shelling import ShellDesk
            from jetbox.engine.tuning import TuningDesk
            from jetbox.engine.undoing import UndoDesk

            undo = UndoDesk(parts)
            self._beside.spawn(undo.run())
            self._beside.spawn(TuningDesk(parts).run())
            self._beside.spawn(ShellDesk(parts).listen().run())
            self._beside.spawn(ModelsDesk(parts).run())
            self._warm(parts, goal)
            self._beside.spawn(self._beside.keep_grants(self._start.root))
            await asyncio.sleep(0)  # they listen from now on: what was typed before is for them too
        unfinished = resumed is not None and resumed.running is not None
        code = await serve(parts, resumed.goals if resumed else 0, unfinished=unfinished, undo=undo)
        if parts.model.manages and not self._start.attended and code in WORKED:
            from jetbox.engine.held import tell_spilled

            await tell_spilled(parts)
        return code

    def _warm(self, parts: Parts, goal: str) -> None:
        """Have the model ready before the first goal is typed, and follow how long the server keeps it."""
        from jetbox.engine.held import watch_held
        from jetbox.engine.warmup import WarmUp

        if not parts.model.manages:
            return
        self._beside.spawn(watch_held(parts))
        if parts.options.model.warmup:

            def warm_up() -> None:
                parts.warmup = WarmUp(parts)
                self._beside.spawn(parts.warmup.run())

            parts.warm_up = warm_up
            if not goal:
                warm_up()

    def stop(self, signal: ExitCode = ExitCode.INTERRUPTED) -> None:
        """End the session in good order, as a signal asks; the exit code will be the signal's."""
        self.signal = signal
        if self._driving is not None:  # nobody takes commands yet
            self._driving.cancel()
        else:
            self.session.submit(Close(int(signal)))

    async def _close(self, code: ExitCode, reason: str) -> StorageError | None:
        """Close the journal and release the lock; what the disk said at the very end."""
        failure: StorageError | None = None
        try:
            self.session.emit(SessionClosed(exit_code=int(code), reason=reason, log_ns=self.session.recorder.spent_ns))
        except StorageError as error:
            failure = error
        try:
            await self.session.close()
        except StorageError as error:
            failure = failure or error
        finally:
            self._taken.lock.close()
        return failure
