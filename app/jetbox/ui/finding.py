"""Files of the workspace by a few letters: asks a process that walks and compares beside the screen."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from jetbox.engine.script import Script

SHOWN = 8


class _Answer(msgspec.Struct):
    paths: list[str]


class FileFinder:
    """One process for as long as the screen is there, begun with the first question."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._script = Script("jetbox.engine.workspace.finder", root=str(root))
        self._newest = ""
        self._one = asyncio.Lock()

    async def find(self, query: str, count: int = SHOWN) -> list[str] | None:
        """The likeliest paths; None where another question came meanwhile.

        Raises:
            OSError: the process cannot be started, or ended.
        """
        self._newest = query
        async with self._one:
            if query != self._newest:
                return None
            line = await self._script.answer(query=query, count=count)
        return msgspec.json.decode(line, type=_Answer).paths if query == self._newest else None

    async def close(self) -> None:
        """End the process."""
        await self._script.close()
