"""Work on recordings beside the screen: hands it to a process that holds no key up."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from jetbox.engine.errors import JetboxError

if TYPE_CHECKING:
    from jetbox.record.library import Glimpse, Summary

T = TypeVar("T")
ENDED = "its process has ended"


class Aside:
    """One process for as long as the screen is there, begun with the first work; one piece of work after another.

    Each raises `JetboxError` where the work failed, and `OSError` where the process cannot be started, or ended.
    """

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._number = 0
        self._lock = asyncio.Lock()

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
        """Write a session as a document, as `ui.export` does."""
        return Path(await self._have("export", [session, str(folder), name], str))

    async def option_texts(self) -> dict[str, str]:
        """What each option is for, by its name."""
        return await self._have("options", [], dict[str, str])

    async def close(self) -> None:
        """End the process."""
        process = self._process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _have(self, do: str, of: list[str], kind: type[T]) -> T:
        self._number += 1
        number = self._number
        async with self._lock:
            if self._process is None or self._process.returncode is not None:
                self._process = await self._start()
            stdin, stdout = self._process.stdin, self._process.stdout
            assert stdin is not None
            assert stdout is not None
            stdin.write(msgspec.json.encode({"id": number, "do": do, "of": of}) + b"\n")
            while head := await stdout.readline():
                answered, size = map(int, head.split())
                # Whoever asked for another one may not wait for it any more.
                body = await stdout.readexactly(size)
                if answered == number:
                    return _value(body, kind)
            await self._process.wait()
        raise OSError(ENDED)

    async def _start(self) -> asyncio.subprocess.Process:
        from jetbox.ui import worker

        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", worker.__file__,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdin is not None
        paths = [os.path.abspath(each) for each in sys.path if each]
        process.stdin.write(msgspec.json.encode({"path": paths}) + b"\n")
        return process


def _value(body: bytes, kind: type[T]) -> T:
    answer: dict[str, Any] = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    if "error" in answer:
        raise JetboxError(msgspec.json.decode(answer["error"]), msgspec.json.decode(answer["hint"]))
    return msgspec.json.decode(answer["value"], type=kind, dec_hook=lambda wanted, value: wanted(value))
