"""What is done between two goals because the user asked for it."""

from __future__ import annotations

import asyncio

from jetbox.engine.commands import Compact, SetModel
from jetbox.engine.compacting import on_wish
from jetbox.engine.events import Notice
from jetbox.engine.interruptible import asking_aloud
from jetbox.engine.parts import Parts
from jetbox.engine.switching import switch_as_wished


async def between_goals(parts: Parts, command: Compact | SetModel) -> None:
    """Make the history shorter, or go over to another model."""
    if isinstance(command, Compact):
        await _compact(parts)
    else:
        await switch(parts)


async def switch(parts: Parts) -> None:
    """Go over to the model that the user wants, also where they chose it in a goal's last round."""
    control = parts.control
    if control.closing or control.wish is None:
        return
    work = asyncio.ensure_future(switch_as_wished(parts))
    voice = asking_aloud(parts.session)
    control.leave_off = work.cancel
    try:
        await asyncio.wait([work])
    finally:
        control.leave_off = None
        voice.cancel()
        work.cancel()
    if work.cancelled():
        control.wish, control.chosen = None, False
        if not control.closing:
            parts.session.emit(Notice(level="info", text=f"stopped: going on with {parts.model_name}"))
    elif work.result():
        if parts.warmup is not None:
            await parts.warmup.make_way()
        if parts.warm_up is not None:
            parts.warm_up()


async def _compact(parts: Parts) -> None:
    """Whatever else the user wants meanwhile comes first."""
    work = asyncio.ensure_future(on_wish(parts))
    other = asyncio.ensure_future(parts.session.waiting_command())
    parts.control.leave_off = work.cancel
    try:
        await asyncio.wait({work, other}, return_when=asyncio.FIRST_COMPLETED)
        if work.cancelled() and not parts.control.closing:
            parts.session.emit(Notice(level="info", text="stopped: the history is as it was"))
        elif work.done() and not work.cancelled():
            work.result()
    finally:
        parts.control.leave_off = None
        for task in (work, other):
            task.cancel()
        await asyncio.wait({work, other})
