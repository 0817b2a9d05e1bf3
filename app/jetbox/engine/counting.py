"""Counts what is new of the history with the model's own tokenizer, where one is configured: a batch a round.

While a request is under way, what it sent is counted, so that the server's figure can be shared by tokens instead of
by bytes. Before one is sent, what nobody has counted is, and only where that could change what is sent: where
the prompt may be too long, or the answer has to be shorter for it. The library is in a process of its own: it holds the
interpreter while it reads its file, and while it counts one long text, so that a thread would keep nobody free.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from jetbox.engine.errors import SettingsError, StorageError
from jetbox.engine.events import Notice
from jetbox.engine.script import Script

if TYPE_CHECKING:
    from jetbox.engine.parts import Parts

WAIT_S = 2.0
"""So long a request waits for a count at most; then it is sent with what is estimated."""
MISSING = (
    "the library for it is not installed",
    "pip install 'jetbox-tui[tokenizers]', or leave model.tokenizers empty",
)
HINT = "name the tokenizer.json of the model's own repository in model.tokenizers"


class _Answer(msgspec.Struct):
    counts: list[int] = []
    error: str = ""


async def _asked(script: Script, file: str, messages: Sequence[bytes]) -> list[int]:
    """Raises SettingsError where the file does not do, or the library for it."""
    try:
        raw = [msgspec.Raw(data) for data in messages]
        answer = msgspec.json.decode(await script.answer(file=file, messages=raw), type=_Answer)
    except OSError as error:
        answer = _Answer(error=f"cannot be used: {error}")
    if answer.error:
        raise SettingsError(*(MISSING if answer.error == "missing" else (f"{file} {answer.error}", HINT)))
    return answer.counts


async def try_out(file: str) -> None:
    """See whether tokens can be counted with this file.

    Raises:
        SettingsError
    """
    script = Script("jetbox.engine.context.token_worker")
    try:
        await _asked(script, file, ())
    finally:
        await script.close()


class Counter:
    """One for a process, for all models; it begins with the first message that is to be counted."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._script = Script("jetbox.engine.context.token_worker")
        self._broken: set[str] = set()
        """Files that are not asked again."""
        self._work: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Count what there is, while something else is waited for."""
        if self._file() and (self._work is None or self._work.done()):
            self._work = asyncio.create_task(self._weigh(), name="counting")

    async def where_it_matters(self, most: int) -> None:
        """Count what is new where that may change the next request, whose answer may have `most` tokens."""
        from jetbox.engine.room import roof

        parts = self._parts
        if not self._file() or not parts.budget.tight(parts.history.size, roof(parts), most):
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                if self._work is not None:  # it may have begun before what is newest was there
                    await asyncio.wait({self._work})
                self.begin()
                if self._work is not None:
                    await asyncio.wait({self._work})
        history, (messages, tokens) = parts.history, parts.budget.known
        if (new := history.weight(messages)) is not None:
            size = history.size if messages else history.bytes
            parts.budget.weighed(size, tokens + new, len(history))

    async def count_batch(self, file: str, messages: Sequence[bytes]) -> list[int]:
        """Tokens of each message's texts, without what a template puts around them; none where it cannot."""
        try:
            return await _asked(self._script, file, messages)
        except SettingsError as error:
            self._broken.add(file)
            text = f"tokens are estimated: {error.message}"
            self._parts.session.emit(Notice(level="warning", text=text, hint=error.hint))
            return []

    async def close(self) -> None:
        """End the process."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait({self._work})
        await self._script.close()

    async def _weigh(self) -> None:
        history, file = self._parts.history, self._file()
        if messages := history.unweighed():
            with suppress(StorageError):  # nobody waits for this: the next event raises it again
                counts = await self.count_batch(file, messages)
                if self._file() == file:  # no other model was gone over to
                    history.weigh(messages, counts)

    def _file(self) -> str:
        """The tokenizer of the model in use; empty where there is none."""
        parts = self._parts
        for name, file in parts.options.model.tokenizers.items():
            if parts.model.full_name(name) == parts.model_name:
                return "" if file in self._broken else file
        return ""
