"""Work beside the screen that would hold its loop up: recordings, and what options are for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from jetbox.engine.errors import JetboxError
from jetbox.engine.script import Script

if TYPE_CHECKING:
    from jetbox.record.library import Glimpse, Summary

T = TypeVar("T")
WRITING_S = 10.0
"""How long the end waits for a document that is being written."""


class Aside:
    """One process for as long as the screen is there, begun with the first work; one piece of work after another.

    Each raises `JetboxError` where the work failed, and `OSError` where the process cannot be started, or ended.
    """

    def __init__(self) -> None:
        self._script = Script("jetbox.ui.worker")
        self._writing: asyncio.Task[str] | None = None

    async def newest(self, folder: Path) -> list[Path]:
        """The sessions of a folder, the newest first."""
        return [Path(each) for each in await self._have("newest", [str(folder)], list[str])]

    async def summaries(self, sessions: Sequence[Path]) -> list[Summary]:
        """Each of these in a line."""
        from jetbox.record.library import Summary

        return await self._have("summaries", [str(each) for each in sessions], list[Summary])

    async def glimpse(self, session: Path) -> Glimpse:
        """How a session ended."""
        from jetbox.record.library import Glimpse

        return await self._have("glimpse", [str(session)], Glimpse)

    async def export(self, session: str, folder: Path, name: str) -> Path:
        """Write a session as a document, as `ui.export` does; to its end, also where nobody waits for it any more."""
        self._writing = asyncio.create_task(self._have("export", [session, str(folder), name], str), name="export")
        return Path(await asyncio.shield(self._writing))

    async def option_texts(self) -> dict[str, str]:
        """What each option is for, by its name."""
        return await self._have("options", [], dict[str, str])

    async def close(self) -> None:
        """End the process, once what it writes is written."""
        if self._writing is not None:
            await asyncio.wait({self._writing}, timeout=WRITING_S)
        await self._script.close()

    async def _have(self, do: str, of: list[str], kind: type[T]) -> T:
        answer = msgspec.json.decode(await self._script.answer(do=do, of=of), type=dict[str, msgspec.Raw])
        if "error" in answer:
            raise JetboxError(msgspec.json.decode(answer["error"]), msgspec.json.decode(answer["hint"]))
        return msgspec.json.decode(answer["value"], type=kind, dec_hook=_made)


def _made(wanted: type[Any], value: Any) -> Any:
    return wanted(value)
