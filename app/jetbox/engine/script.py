"""A Python script in a process of its own, so that what it does holds no key up, and no stream."""

from __future__ import annotations

import asyncio
import os
import sys
from contextvars import Context
from importlib import import_module
from typing import Any

import msgspec

from jetbox.engine.safety.starting import end, spawn

LONGEST = 1 << 26
"""Of one answer, bytes."""


class _Numbered(msgspec.Struct):
    id: int


class Script:
    """Reads questions and writes answers, one after another, each a line of JSON with the question's `id`.

    Its process begins with the first question, and anew with the next one after it ended.
    """

    def __init__(self, module: str, **begin: Any) -> None:
        """`begin` is said to the script in its first line, beside the `path` to import from."""
        self._module = module
        self._begin = begin
        self._process: asyncio.subprocess.Process | None = None
        self._number = 0
        self._turn = asyncio.Lock()

    async def answer(self, **question: Any) -> bytes:
        """The line that answers a question.

        Raises:
            OSError: the process cannot be started, or it ended.
        """
        async with self._turn:
            if self._process is None or self._process.returncode is not None:
                # In a context of its own: it would keep the screen alive that asked first.
                self._process = await asyncio.create_task(self._start(), context=Context())
            stdin, stdout = self._process.stdin, self._process.stdout
            assert stdin is not None
            assert stdout is not None
            self._number += 1
            stdin.write(msgspec.json.encode({"id": self._number, **question}) + b"\n")
            while (line := await stdout.readline()).endswith(b"\n"):
                # Whoever asked for another one may not wait for it any more.
                if msgspec.json.decode(line, type=_Numbered).id == self._number:
                    return line
            await self._process.wait()
        raise OSError("its process has ended")

    async def close(self) -> None:
        """End the process."""
        if self._process is not None:
            await end(self._process)

    async def _start(self) -> asyncio.subprocess.Process:
        script = import_module(self._module).__file__
        assert script is not None
        process = await spawn(
            sys.executable, "-I", script, limit=LONGEST,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdin is not None
        paths = [os.path.abspath(each) for each in sys.path if each]
        process.stdin.write(msgspec.json.encode({"path": paths, **self._begin}) + b"\n")
        return process
