"""Files of the workspace by a few letters: asks a process that walks and compares beside the screen."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

SHOWN = 8


class _Answer(msgspec.Struct):
    id: int
    paths: list[str]
    files: int


class FileFinder:
    """One process for as long as the screen is there, begun with the first question."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._process: asyncio.subprocess.Process | None = None
        self._number = 0
        self._lock = asyncio.Lock()

    async def find(self, query: str, count: int = SHOWN) -> list[str] | None:
        """The likeliest paths; None where another question came meanwhile.

        Raises:
            OSError: the process cannot be started, or ended.
        """
        self._number += 1
        number = self._number
        async with self._lock:
            if number != self._number:
                return None
            if self._process is None or self._process.returncode is not None:
                self._process = await self._start()
            stdin, stdout = self._process.stdin, self._process.stdout
            assert stdin is not None
            assert stdout is not None
            stdin.write(msgspec.json.encode({"id": number, "query": query, "count": count}) + b"\n")
            while line := await stdout.readline():
                answer = msgspec.json.decode(line, type=_Answer)
                if answer.id == number:
                    return answer.paths if number == self._number else None
        raise OSError("the search for files has ended")

    async def _start(self) -> asyncio.subprocess.Process:
        from jetbox.engine.workspace import finder

        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", finder.__file__, cwd="/", limit=1 << 20,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode({"path": sys.path, "root": str(self.root)}) + b"\n")
        return process

    async def close(self) -> None:
        """End the process."""
        process = self._process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
