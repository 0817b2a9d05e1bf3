"""What was typed in a workspace, kept from session to session."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from jetbox.folders import state_folder
from jetbox.ui.telling import telling

if TYPE_CHECKING:
    from collections.abc import Callable

    from jetbox.engine.safety.secrets import Redactor
    from jetbox.ui.widgets.prompt import Prompt

KEPT = 200
LONGEST = 20_000
"""Longer texts are not kept: nobody calls them back to change a word."""


class History:
    """A file of JSON lines, oldest first; several sessions may add to it."""

    def __init__(self, workspace: str, folder: Path | None = None) -> None:
        import hashlib

        name = hashlib.sha256(os.fsencode(os.path.realpath(workspace))).hexdigest()[:16]
        self.path = (folder or Path(state_folder()) / "history") / f"{os.path.basename(workspace)}-{name}.jsonl"

    def read(self) -> list[str]:
        """What was typed, oldest first; nothing where it cannot be read."""
        try:
            lines = self.path.read_bytes().splitlines()
        except OSError:
            return []
        texts: list[str] = []
        for line in lines:
            with suppress(msgspec.DecodeError):  # torn
                text = msgspec.json.decode(line, type=str)
                if not texts or texts[-1] != text:
                    texts.append(text)
        if len(lines) > 4 * KEPT:
            self._shorten(texts[-KEPT:])
        return texts[-KEPT:]

    def add(self, text: str) -> None:
        """Keep one more.

        Raises:
            OSError: it cannot be written.
        """
        if not text or len(text) > LONGEST:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, msgspec.json.encode(text) + b"\n")
        finally:
            os.close(file)

    def _shorten(self, texts: list[str]) -> None:
        beside = self.path.with_suffix(f".{os.getpid()}")
        try:
            beside.write_bytes(b"".join(msgspec.json.encode(text) + b"\n" for text in texts))
            beside.chmod(0o600)
            beside.replace(self.path)
        except OSError:
            beside.unlink(missing_ok=True)


class Memory:
    """Brings what was typed earlier back to the prompt, and keeps what is typed now; the disk beside the screen."""

    def __init__(self, prompt: Prompt, say: Callable[[str], None]) -> None:
        """`say` tells what went wrong."""
        self._prompt = prompt
        self._say = say
        self._history: History | None = None
        self._redactor: Redactor | None = None
        self._writing: asyncio.Task[None] | None = None

    async def open(self, workspace: str) -> None:
        """What was typed in this workspace, once."""
        if self._history is None:
            with telling(self._say, "what was typed here earlier cannot be had back"):
                self._history = History(workspace)
                self._prompt.recall(await asyncio.to_thread(self._history.read))

    def keep(self, text: str) -> None:
        """Keep one more, secrets replaced as in the journal."""
        if self._history is not None and len(text) <= LONGEST:
            self._writing = asyncio.create_task(self._add(self._history, text, self._writing), name="history")

    async def _add(self, history: History, text: str, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before
        with telling(self._say, "what was typed is not kept"):
            if self._redactor is None:
                from jetbox.engine.safety.secrets import Redactor

                self._redactor = Redactor.from_environment(os.environ)
            await asyncio.to_thread(history.add, self._redactor.redact(text))

    async def close(self) -> None:
        """Everything is on the disk."""
        if self._writing is not None:
            await self._writing
