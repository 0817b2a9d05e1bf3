"""Runs calls as they come, side by side where they touch nothing in common.

A read waits for earlier writes of its path, a write for earlier reads and writes of it, a
search for earlier writes below it and a write for earlier searches above it; a barrier
waits for everything, and everything after it waits for the barrier.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import msgspec

from jetbox.engine.tools.base import Access

T = TypeVar("T")


def conflict(a: Access, b: Access) -> bool:
    """True where the order of the two matters."""
    if a.barrier or b.barrier:
        return True
    if a.writes & (b.reads | b.writes) or b.writes & a.reads:
        return True
    return _below(a.writes, b.below) or _below(b.writes, a.below)


def _below(paths: frozenset[str], folders: frozenset[str]) -> bool:
    return any(folder == "." or path == folder or path.startswith(folder + "/") for folder in folders for path in paths)


class Slot(msgspec.Struct, Generic[T], eq=False):
    """One call in the schedule."""

    access: Access
    task: asyncio.Task[T]


class Schedule(Generic[T]):
    """The calls of one round, in the order in which the model made them."""

    def __init__(self, *, parallel: bool = True) -> None:
        self._parallel = parallel
        self._running = 0
        self._joined: asyncio.Future[None] | None = None
        self.slots: list[Slot[T]] = []

    def add(self, access: Access, run: Callable[[list[T]], Awaitable[T]]) -> Slot[T]:
        """Start `run` when all earlier calls that it conflicts with are done; it gets their results."""
        waits_for = [s for s in self.slots if not self._parallel or conflict(s.access, access)]
        slot = Slot(access, asyncio.create_task(self._run(waits_for, run)))
        self.slots.append(slot)
        return slot

    async def _run(self, waits_for: list[Slot[T]], run: Callable[[list[T]], Awaitable[T]]) -> T:
        self._running += 1
        try:
            if waits_for:
                await asyncio.wait([s.task for s in waits_for])
            earlier = [s.task.result() for s in waits_for if not s.task.cancelled() and s.task.exception() is None]
            return await run(earlier)
        finally:
            self._running -= 1
            if not self._running and self._joined is not None and not self._joined.done():
                self._joined.set_result(None)  # whoever joins wakes with the end of this step, not two steps later

    async def join(self) -> None:
        """Wait until every call has ended, in whatever way."""
        if self._running:
            self._joined = asyncio.get_running_loop().create_future()
            await self._joined
        unfinished = [s.task for s in self.slots if not s.task.done()]
        if unfinished:  # not begun, or cancelled before they could
            await asyncio.wait(unfinished)
        for slot in self.slots:
            if not slot.task.cancelled():
                slot.task.exception()  # it is seen now; whoever wants the results decides what becomes of it

    async def cancel(self) -> None:
        """Cancel what runs or waits, and wait until it is gone."""
        for slot in self.slots:
            slot.task.cancel()
        await self.join()
