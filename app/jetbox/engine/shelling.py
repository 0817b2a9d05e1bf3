"""Runs the user's own commands, as `!command`: in the sandbox, asked about like any other, told to the model later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from jetbox.engine.commands import AnyCommand, RunShell, StopShell
from jetbox.engine.context.history import shell_words
from jetbox.engine.errors import StorageError, ToolError
from jetbox.engine.events import CallState, Notice, ShellEnded, ShellStarted, ToolOutput
from jetbox.engine.parts import Parts
from jetbox.engine.safety.secrets import StreamRedactor
from jetbox.engine.safety.terminal import visible
from jetbox.engine.tasks import end_tasks
from jetbox.engine.tools.base import CutShort, Plan
from jetbox.engine.tools.shell import RunCmd

STOPPED = "stopped by the user"


class ShellDesk:
    """Takes the commands, and tells of what comes of them; one runs at a time, beside the loop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._shell: _Shell | None = None
        """The command that began last."""
        self._tasks: dict[_Shell, asyncio.Task[None]] = {}
        """Those that run, or have told of their end and wait for the disk."""
        self._remove: Callable[[], None] | None = None

    def listen(self) -> ShellDesk:
        """From now on, and to what was typed before anybody listened."""
        self._remove = self._parts.session.listen(self.take)
        self._parts.session.offer_again()
        return self

    async def run(self) -> None:
        """Listen until cancelled; what runs is ended then."""
        if self._remove is None:
            self.listen()
        try:
            await asyncio.Event().wait()
        finally:
            if self._remove is not None:
                self._remove()
            await end_tasks(*self._tasks.values())

    def take(self, command: AnyCommand) -> bool:
        """Begin with a command, or end it; False for what is for somebody else."""
        running = self._shell if self._shell is not None and not self._shell.over else None
        if isinstance(command, StopShell):
            if running is not None and running in self._tasks:
                self._tasks[running].cancel()
            return True
        if not isinstance(command, RunShell):
            return False
        if running is not None:
            self._parts.session.emit(
                Notice(level="warning", text="a command of yours runs already: stop it before another")
            )
        else:
            shell = self._shell = _Shell(self._parts, command.command)
            task = self._tasks[shell] = asyncio.create_task(self._run(shell), name="the user's command")
            task.add_done_callback(lambda _: self._done(shell))
        return True

    def _done(self, shell: _Shell) -> None:
        shell.over = True
        del self._tasks[shell]

    async def _run(self, shell: _Shell) -> None:
        try:
            await shell.run()
        except StorageError as error:
            # The journal is gone: whoever drives the session meets that too, and ends it.
            self._parts.control.failure = error


class _Shell:
    """One command, from its question to its end."""

    def __init__(self, parts: Parts, command: str) -> None:
        self._parts = parts
        self._call = f"shell.{parts.session.now()}"
        self._command = command
        self._shown = visible(parts.redactor.redact(command))
        self._live = StreamRedactor(parts.redactor)
        self._printed = ""
        self._begun = -1
        """Session time in ns; negative before it runs."""
        self.over = False
        """Whether its end was told: the next one may begin."""

    async def run(self) -> None:
        """Ask where that has to be, run it, and tell how it ended.

        Raises:
            StorageError: the journal cannot be written.
        """
        parts = self._parts
        parts.session.emit(ShellStarted(call=self._call, command=self._shown))
        try:
            await parts.ready.wait()
            plan = await RunCmd().plan({"command": self._command}, parts.context, self._output)
            denied = await self._denied(plan)
            if denied:
                self._end("denied", denied)
                return
            await parts.session.sync()  # what is about to happen is on the disk before it does
            self._begun = parts.session.now()
            result = await plan.perform()
        except asyncio.CancelledError as stopped:
            self._tell(self._live.flush())
            changed = stopped.result.text if isinstance(stopped, CutShort) else ""
            self._end("cancelled", "\n".join(filter(None, (STOPPED, self._printed.rstrip("\n"), changed))))
        except ToolError as error:
            self._end("failed", str(error).removeprefix("run_cmd: "))
        else:
            self._tell(self._live.flush())
            self._end("ok" if result.ok else "failed", result.text)
        await parts.session.sync()

    async def _denied(self, plan: Plan) -> str:
        """Why it may not run; empty where it may."""
        decision = self._parts.dispatcher.decide(plan, RunCmd.name)
        if decision.answer == "allow":
            return ""
        if decision.answer == "deny":
            return f"not allowed: {decision.why}"
        asked = await self._parts.control.ask(plan, RunCmd.name, self._call, decision.why)
        return "" if asked.allowed else asked.reason or "not run"

    def _output(self, text: str) -> None:
        self._tell(self._live.feed(text))

    def _tell(self, text: str) -> None:
        if text:
            most = self._parts.options.tools.output_bytes
            self._printed = (self._printed + text)[-most:]
            self._parts.session.emit(ToolOutput(call=self._call, text=text))

    def _end(self, state: CallState, text: str) -> None:
        session = self._parts.session
        text = self._parts.redactor.redact(text)
        ran = self._begun >= 0
        if ran:
            self._parts.history.beside(shell_words(self._shown, text))
        took = session.now() - self._begun if ran else 0
        self.over = True
        session.emit(ShellEnded(call=self._call, state=state, text=text, duration_ns=took, told=ran))
