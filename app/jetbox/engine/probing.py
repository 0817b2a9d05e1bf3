"""When probes may run, and the run that the user asks for, beside a goal or between two."""

from __future__ import annotations

import asyncio

from jetbox.engine.commands import AnyCommand, RunProbes
from jetbox.engine.events import Notice
from jetbox.engine.parts import Parts
from jetbox.engine.tasks import end_tasks
from jetbox.engine.tools.base import Plan, ToolResult


async def may_probe(parts: Parts) -> bool:
    """Probes execute code of the workspace: without a sandbox the user is asked once."""
    await parts.ready.wait()
    if parts.probes is None:
        return False
    if not parts.may_probe and parts.bare_probes is None:
        plan = Plan("command", "run the probes (ruff, pytest) without a sandbox", _nothing, confined=False)
        asked = await parts.control.ask(plan, "probes", "", "no sandbox holds the probes")
        if parts.bare_probes is None:
            parts.bare_probes = asked.allowed
    return parts.may_probe


class AskedProbes:
    """Runs all probes, whole, when a command asks for it; what comes of it are the probes' own events."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._task: asyncio.Task[None] | None = None
        self._again = False
        """It was asked for once more while it ran: files may have changed since what was told."""

    def take(self, command: AnyCommand) -> bool:
        """Begin with the run; False for any other command."""
        if not isinstance(command, RunProbes):
            return False
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="probes: asked for")
        else:
            self._again = True
        return True

    async def _run(self) -> None:
        parts = self._parts
        if not await may_probe(parts) or parts.probes is None:
            off = parts.probes is None
            why = "no probe is switched on" if off else "the probes may not run without a sandbox"
            parts.session.emit(Notice(level="warning", text=why))
            return
        self._again = True
        while self._again:
            self._again = False
            await parts.probes.whole()

    async def close(self) -> None:
        """End the run."""
        await end_tasks(self._task)


async def _nothing() -> ToolResult:
    return ToolResult("")
