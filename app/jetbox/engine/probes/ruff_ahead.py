"""What ruff says of texts that are still on their way to the tool that writes them."""

from __future__ import annotations

import asyncio

from jetbox.engine.probes.ruff_server import Finding, RuffServer
from jetbox.engine.probes.ruff_settings import Look

MOST = 8
"""Texts that are judged ahead at a time."""

Judged = tuple[list[Finding] | None, Look | None]


class Ahead:
    """Asks the server for a text as soon as that is known, and once again where something changed since."""

    def __init__(self, server: RuffServer) -> None:
        self._server = server
        self._asked: dict[tuple[str, str], asyncio.Task[Judged]] = {}

    def begin(self, path: str, text: str) -> None:
        """Ask for what `check` will want to know."""
        if (path, text) in self._asked:
            return
        while len(self._asked) >= MOST:
            self._asked.pop(next(iter(self._asked))).cancel()
        self._asked[path, text] = asyncio.create_task(self._judge(path, text), name="ruff: ahead")

    async def _judge(self, path: str, text: str) -> Judged:
        found = await self._server.check(path, text)
        return found, self._server.look

    async def check(self, path: str, text: str) -> list[Finding] | None:
        """What ruff says of this text under the settings of now; None where the server cannot tell."""
        task = self._asked.pop((path, text), None)
        if task is not None:
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                task.cancel()
                raise
            found, look = (None, None) if task.cancelled() else task.result()
            if found is not None and self._server.still(look, path):
                return found
        return await self._server.check(path, text)

    def forget(self) -> None:
        """Files changed, and with them perhaps what is to be said."""
        for task in self._asked.values():
            task.cancel()
        self._asked.clear()

    async def close(self) -> None:
        """End what runs."""
        left = set(self._asked.values())
        self.forget()
        if left:
            await asyncio.wait(left)
