"""What is done between two goals because the user asked for it."""

from __future__ import annotations

import asyncio

from jetbox.engine.commands import Compact, SetModel
from jetbox.engine.compacting import on_wish
from jetbox.engine.events import Notice
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
    if parts.control.closing or parts.control.wish is None:
        return
    if await switch_as_wished(parts):
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
        if work.cancelled():
            parts.session.emit(Notice(level="info", text="stopped: the history is as it was"))
        elif work.done():
            work.result()
    finally:
        parts.control.leave_off = None
        for task in (work, other):
            task.cancel()
        await asyncio.wait({work, other})
