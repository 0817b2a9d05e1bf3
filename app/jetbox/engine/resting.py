"""What is done between two goals because the user asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from jetbox.engine.compacting import on_wish
from jetbox.engine.events import Notice
from jetbox.engine.interruptible import asking_aloud
from jetbox.engine.parts import Parts
from jetbox.engine.switching import switch_as_wished

T = TypeVar("T")


async def switch(parts: Parts) -> None:
    """Go over to the model that the user wants, also where they chose it in a goal's last round.

    Whatever else they want meanwhile comes first: a goal begins at once, and waits for the model itself.
    """
    control = parts.control
    if control.closing or control.wish is None or parts.session.commanded:
        return
    voice = asking_aloud(parts.session)
    try:
        work = await _unless_commanded(parts, switch_as_wished(parts))
    finally:
        voice.cancel()
    if work is None:
        return  # the wish stands
    if work.cancelled():
        control.wish, control.chosen = None, control.settled
        if not control.closing:
            parts.session.emit(Notice(level="info", text=f"stopped: going on with {parts.model_name}"))
    elif work.result():
        if parts.warmup is not None:
            await parts.warmup.make_way()
        if parts.warm_up is not None:
            parts.warm_up()


async def compact(parts: Parts) -> None:
    """Make the history shorter; whatever else the user wants meanwhile comes first."""
    work = await _unless_commanded(parts, on_wish(parts))
    if work is None:
        return
    if not work.cancelled():
        work.result()
    elif not parts.control.closing:
        parts.session.emit(Notice(level="info", text="stopped: the history is as it was"))


async def _unless_commanded(parts: Parts, doing: Coroutine[Any, Any, T]) -> asyncio.Task[T] | None:
    """Do it until it is done, the user stops it, or wants something else: None then, and it is left off."""
    work = asyncio.ensure_future(doing)
    other = asyncio.ensure_future(parts.session.waiting_command())
    parts.control.leave_off = work.cancel
    try:
        await asyncio.wait({work, other}, return_when=asyncio.FIRST_COMPLETED)
        left_off = not work.done()
    finally:
        parts.control.leave_off = None
        for task in (work, other):
            task.cancel()
        await asyncio.wait({work, other})
    return None if left_off and work.cancelled() else work
