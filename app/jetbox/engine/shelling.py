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
from jetbox.engine.tools.base import Plan
from jetbox.engine.tools.shell import RunCmd

STOPPED = "stopped by the user"


class ShellDesk:
    """Takes the commands, and tells of what comes of them; one runs at a time, beside the loop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._task: asyncio.Task[None] | None = None
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
            if self._task is not None and not self._task.done():
                self._task.cancel()
                await asyncio.wait({self._task})

    def take(self, command: AnyCommand) -> bool:
        """Begin with a command, or end it; False for what is for somebody else."""
        running = self._task is not None and not self._task.done()
        if isinstance(command, StopShell):
            if running and self._task is not None:
                self._task.cancel()
            return True
        if not isinstance(command, RunShell):
            return False
        if running:
            self._parts.session.emit(
                Notice(level="warning", text="a command of yours runs already", hint="esc stops it")
            )
        else:
            self._task = asyncio.create_task(self._run(command.command), name="the user's command")
        return True

    async def _run(self, command: str) -> None:
        try:
            await _Shell(self._parts, command).run()
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
        except asyncio.CancelledError:
            self._tell(self._live.flush())
            self._end("cancelled", "\n".join(part for part in (STOPPED, self._printed.rstrip("\n")) if part))
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
        session.emit(ShellEnded(call=self._call, state=state, text=text, duration_ns=took, told=ran))
