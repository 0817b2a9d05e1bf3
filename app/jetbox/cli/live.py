"""Opens a live session: lock, journal, server, parts; the same for the screen and for headless runs."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

import jetbox
from jetbox.engine.commands import Close, Goal
from jetbox.engine.errors import ExitCode, JetboxError, SettingsError, StorageError
from jetbox.engine.events import (
    FORMAT,
    GoalEnded,
    GoalStarted,
    Notice,
    Outcome,
    PermissionAnswered,
    RequestSent,
    RoundEnded,
    SessionClosed,
    SessionOpened,
    SessionResumed,
    ToolEnded,
)
from jetbox.engine.options import EngineOptions
from jetbox.engine.session import Feed, Session
from jetbox.record.journal import JournalWriter

if TYPE_CHECKING:
    from jetbox.engine.models.base import ChatModel
    from jetbox.engine.parts import Parts
    from jetbox.record.lock import WorkspaceLock
    from jetbox.record.resume import Resumption

GO_ON = "Go on with the goal. The session was interrupted: what was under way may have changed files, so look first."

SNAPSHOT_AFTER_S = 0.3
WRITTEN_S = 0.02
"""After its event a request needs so long until its last byte is written."""


class Start(msgspec.Struct, frozen=True):
    """What a session is opened with."""

    root: Path
    options: EngineOptions
    goal: str = ""
    resume: str | None = None
    """Session to go on with: its id, or empty for the newest of this workspace; None for a new one."""
    attended: bool = False
    """True where somebody can answer questions."""
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
        self._lock: WorkspaceLock | None = None
        self._resumed: Resumption | None = None
        self._background: set[asyncio.Task[object]] = set()
        self._driving: asyncio.Task[Any] | None = None
        """Set while the session is being opened."""
        self.signal: ExitCode | None = None
        if not start.root.is_dir():
            raise StorageError(f"{start.root} is not a folder", "name one with --cwd")
        try:
            self.id, self._recorder = self._open_journal()
        except BaseException:
            if self._lock is not None:
                self._lock.close()
            raise
        resumed = self._resumed
        self.session = Session(
            self._recorder,
            seq=resumed.seq if resumed else 0,
            offset=resumed.offset if resumed else 0,
            round_number=resumed.round if resumed else 0,
            past=resumed.past if resumed else (),
        )
        self.feed: Feed = self.session.feed()

    @property
    def begins_at(self) -> int:
        """Number of the event that this process begins with; what comes before it was recorded earlier."""
        return self._resumed.seq if self._resumed else 0

    # -- opening

    def _open_journal(self) -> tuple[str, JournalWriter]:
        from jetbox.record.lock import WorkspaceLock
        from jetbox.record.places import new_session_id, sessions_folder

        start = self._start
        folder = sessions_folder(start.options.session.folder)
        if start.resume is not None:
            from jetbox.record.library import find, latest

            where = find(start.resume, folder) if start.resume else latest(start.root, folder)
            if where is None:
                raise SettingsError(f"no session was recorded in {start.root}", "start one with a goal")
            return self._resume(where)
        name = new_session_id()
        self._lock = WorkspaceLock(start.root)
        self._lock.acquire(name)
        if not start.options.session.record:
            return name, JournalWriter.memory(tee=start.tee)
        return name, JournalWriter.create(folder / name, tee=start.tee)

    def _resume(self, where: Path) -> tuple[str, JournalWriter]:
        from jetbox.record.library import samples
        from jetbox.record.lock import WorkspaceLock
        from jetbox.record.recording import read_journal
        from jetbox.record.resume import resumption

        if not where.is_dir() or where in samples().values():
            raise SettingsError(f"{where} cannot be continued: it is no session of yours", "play it with `replay`")
        root = self._start.root
        recorded = Path(read_journal(where).header.workspace)
        if recorded != root:
            raise SettingsError(
                f"session {where.name} was recorded in {recorded}, not here", f"go there, or pass --cwd {recorded}"
            )
        self._lock = WorkspaceLock(root)
        self._lock.acquire(where.name)
        recorder = JournalWriter.append(where, tee=self._start.tee)
        try:
            self._resumed = resumption(read_journal(where))
        except BaseException:
            recorder.release()
            raise
        return where.name, recorder

    # -- driving

    async def drive(self) -> int:
        """Run the session until its goal has ended (unattended) or it is closed; returns the exit code.

        Everything is closed when this returns, whatever happened.
        """
        code = ExitCode.INTERNAL
        reason = ""
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
            await self._close(self.signal or code, reason)
        return int(self.signal or code)

    async def _drive(self) -> int:
        from jetbox.engine.models.ollama import OllamaModel

        self._emit_header()
        for text in self._start.notices:
            self.session.emit(Notice(level="warning", text=text))
        model = OllamaModel(self._start.options.model.host)
        try:
            parts = await self._parts(model)
            try:
                return await self._serve(parts)
            finally:
                await self._end_background()
                if parts.probes is not None:
                    await parts.probes.close()
                await parts.context.processes.sandbox.close()
        finally:
            await model.close()

    def _emit_header(self) -> None:
        start, options = self._start, self._start.options
        created = datetime.now(UTC).isoformat(timespec="milliseconds")
        common = {
            "created": created,
            "app": jetbox.__version__,
            "model": options.model.name,
            "host": options.model.host,
            "mode": options.permissions.mode or "ask",
            "options": start.changed,
        }
        if self._resumed is None:
            opened = SessionOpened(format=FORMAT, id=self.id, workspace=str(start.root), **common)  # type: ignore[arg-type]
            self.session.emit(opened)
        else:
            self.session.emit(SessionResumed(**common))  # type: ignore[arg-type]

    async def _parts(self, model: ChatModel) -> Parts:
        from jetbox.engine.assemble import assemble, choose_model, choose_sandbox

        options, resumed = self._start.options, self._resumed
        try:
            info = await choose_model(model, options.model.name or (resumed.model if resumed else ""))
        except JetboxError as error:
            self._record_lost_goal("failed", error.message, error.exit_code, error.hint)
            raise
        except asyncio.CancelledError:
            self._record_lost_goal("interrupted", "interrupted before it began", self.signal or ExitCode.INTERRUPTED)
            raise
        parts = assemble(
            self.session,
            model,
            info,
            options,
            self._start.root,
            attended=self._start.attended,
            environ=os.environ,
            messages=resumed.messages if resumed else (),
            num_ctx=resumed.num_ctx if resumed else 0,
        )
        choosing = choose_sandbox(parts)
        self._spawn(self._after_the_request(choosing) if self._start.goal else choosing)
        return parts

    def _record_lost_goal(self, outcome: Outcome, reason: str, code: ExitCode, hint: str = "") -> None:
        """What the user asked for is kept, though nothing could be done about it."""
        if self._start.goal:
            number = (self._resumed.goals if self._resumed else 0) + 1
            self.session.emit(GoalStarted(goal=number, text=self._start.goal))
            self.session.emit(GoalEnded(goal=number, outcome=outcome, reason=reason, exit_code=int(code), hint=hint))

    async def _serve(self, parts: Parts) -> int:
        from jetbox.engine.assemble import look_around
        from jetbox.engine.loop import serve

        resumed = self._resumed
        goal = self._start.goal
        if not goal and resumed is not None and resumed.running:
            goal = GO_ON
        if resumed is not None and resumed.running:
            parts.control.requeue(resumed.queue)
        if goal:
            self.session.submit(Goal(goal))
        elif not self._start.attended:
            raise SettingsError("there is nothing to do: the session's last goal has ended", "give a goal")
        if not self._start.attended:
            self.session.submit(Close())
        self._driving = None
        self._spawn(self._after_the_request(look_around(parts)))
        if self._recorder.folder is not None:
            self._spawn(self._snapshot_rounds())
        if self._start.attended:
            self._spawn(self._keep_grants())
        return await serve(parts, resumed.goals if resumed else 0)

    # -- beside the loop

    def _spawn(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background_ended)

    def _background_ended(self, task: asyncio.Task[object]) -> None:
        self._background.discard(task)
        if not task.cancelled() and task.exception() is not None and not self.session.closed:
            # What runs beside the loop must not end it, and must not vanish either.
            with suppress(StorageError):
                self.session.emit(Notice(level="error", text=f"in the background: {task.exception()}"))

    async def _after_the_request(self, work: Coroutine[Any, Any, object]) -> None:
        """Begin only when the first request is on its way: it is what the user waits for."""
        reader = self.session.feed()
        try:
            while await reader.ready():
                if any(isinstance(s.event, RequestSent) for s in reader.drain().events):
                    break
            await asyncio.sleep(WRITTEN_S)
        except asyncio.CancelledError:
            work.close()
            raise
        finally:
            self.session.drop(reader)
        if not gc.isenabled():
            gc.freeze()
            gc.enable()
        await work

    async def _snapshot_rounds(self) -> None:
        """A commit of the workspace's files after each round that changed some; best effort.

        Rounds that follow each other faster than git would share one: it must not compete with the loop.
        """
        from jetbox.record.snapshots import Snapshots

        assert self._recorder.folder is not None
        snapshots = Snapshots(self._recorder.folder, self._start.root)
        reader = self.session.feed()
        changed, ended = False, 0
        try:
            while await reader.ready():
                for stamped in reader.drain().events:
                    if isinstance(stamped.event, ToolEnded) and stamped.event.changes:
                        changed = True
                    elif isinstance(stamped.event, RoundEnded) and changed:
                        changed, ended = False, stamped.round
                if ended:
                    await asyncio.sleep(SNAPSHOT_AFTER_S)
                    if not changed:
                        await snapshots.commit(ended)
                        ended = 0
        finally:
            self.session.drop(reader)

    async def _end_background(self) -> None:
        if not self._background:
            return
        for task in self._background:
            task.cancel()
        await asyncio.wait(self._background, timeout=1.0)

    async def _keep_grants(self) -> None:
        """What the user allows for good is kept for this workspace's later sessions."""
        from jetbox.settings.grants import grant

        reader = self.session.feed()
        try:
            while await reader.ready():
                for stamped in reader.drain().events:
                    if isinstance(stamped.event, PermissionAnswered) and stamped.event.grant:
                        await asyncio.to_thread(grant, self._start.root, stamped.event.grant)
        finally:
            self.session.drop(reader)

    # -- ending

    def stop(self, signal: ExitCode = ExitCode.INTERRUPTED) -> None:
        """End the session in good order, as a signal asks; the exit code will be the signal's."""
        self.signal = signal
        if self._driving is not None:  # nobody takes commands yet
            self._driving.cancel()
        else:
            self.session.submit(Close(int(signal)))

    async def _close(self, code: ExitCode, reason: str) -> None:
        try:
            with suppress(StorageError):
                self.session.emit(SessionClosed(exit_code=int(code), reason=reason))
            with suppress(StorageError):
                await self.session.close()
        finally:
            if self._lock is not None:
                self._lock.close()


async def drive_unattended(live: Live) -> int:
    """Drive with signals as commands: the first asks the session to end, a second one cancels it."""
    import signal

    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(live.drive())
    struck = False

    def strike(code: ExitCode) -> None:
        nonlocal struck
        if struck:
            task.cancel()
        struck = True
        live.stop(code)

    codes = {
        signal.SIGINT: ExitCode.INTERRUPTED,
        signal.SIGTERM: ExitCode.TERMINATED,
        signal.SIGHUP: ExitCode.HANGUP,
    }
    # One that was ignored at start, as by nohup, stays ignored.
    codes = {n: code for n, code in codes.items() if signal.getsignal(n) is not signal.SIG_IGN}
    for number, code in codes.items():
        loop.add_signal_handler(number, strike, code)
    try:
        await asyncio.wait([task])
    finally:
        for number in codes:
            loop.remove_signal_handler(number)
    return int(live.signal or ExitCode.INTERRUPTED) if task.cancelled() else task.result()
