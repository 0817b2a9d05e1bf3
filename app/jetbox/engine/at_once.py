"""Another model at once: the round is cut for it, but not before it is known that the model can be used."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from jetbox.engine.control import Wish
from jetbox.engine.errors import KeyWanted, ModelError, ServerUnreachable, StorageError
from jetbox.engine.parts import Parts
from jetbox.engine.switching import cannot, usable


def at_once(parts: Parts, wish: Wish) -> None:
    """Look whether the model can be used, beside the round, and cut that where it can."""
    task = asyncio.ensure_future(_look(parts, wish))
    parts.looking.add(task)
    task.add_done_callback(parts.looking.discard)


async def _look(parts: Parts, wish: Wish) -> None:
    control = parts.control
    if parts.model.full_name(wish.name) == parts.model_name:
        return  # it works already
    try:
        await usable(parts, wish.name)
    except ModelError as error:
        away = isinstance(error, ServerUnreachable) and not isinstance(error, KeyWanted)
        if control.wish is wish and not away:  # where nobody answers, the next round says so
            control.wish = None
            with suppress(StorageError):  # who works on the goal meets that too
                await cannot(parts, wish, error)
        return
    if control.wish is wish and control.interrupt is not None:
        control.interrupt()
