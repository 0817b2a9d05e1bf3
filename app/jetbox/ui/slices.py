"""What would hold the loop is done in slices: keys are looked at between them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextvars import Context, copy_context
from functools import partial
from typing import ClassVar, TypeVar, TypeVarTuple
from weakref import WeakKeyDictionary

Args = TypeVarTuple("Args")
Item = TypeVar("Item")

AT_ONCE_S = 0.002
"""How long a slice takes."""


class Slice:
    """One of them, which begins now."""

    def __init__(self) -> None:
        self._until = time.monotonic() + AT_ONCE_S

    @property
    def over(self) -> bool:
        """Whether it is time for what waits."""
        return time.monotonic() > self._until


class Waiting:
    """What is to go on in one loop: of all of it one slice in each turn, in the order in which it was asked for."""

    _of: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, Waiting]] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._works: deque[tuple[Context, Callable[[], object]]] = deque()

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> Waiting:
        """That of this loop."""
        return cls._of.setdefault(loop, cls())

    def put(self, loop: asyncio.AbstractEventLoop, work: Callable[[], object]) -> None:
        """One more."""
        self._works.append((copy_context(), work))
        if len(self._works) == 1:
            loop.call_soon(self.take, loop)

    def take(self, loop: asyncio.AbstractEventLoop) -> None:
        """The next of them."""
        context, work = self._works.popleft()
        if self._works:
            loop.call_soon(self.take, loop)
        context.run(work)

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._works)

    @property
    def next(self) -> Callable[[], object]:
        """What will be taken next."""
        return self._works[0][1]


def go_on_later(work: Callable[[*Args], object], *of: *Args) -> None:
    """Do more when keys were looked at; Textual would take its messages one after another without a look at them."""
    loop = asyncio.get_running_loop()
    Waiting.of(loop).put(loop, partial(work, *of))


async def by_slices(items: Iterable[Item]) -> AsyncIterator[Item]:
    """These items; between them, when it is time, what waits."""
    now = Slice()
    for item in items:
        yield item
        if now.over:
            await asyncio.sleep(0)
            now = Slice()


def in_slices(steps: Iterator[None]) -> None:
    """Take these steps, as many at a time as there is time for."""
    now = Slice()
    for _ in steps:
        if now.over:
            go_on_later(in_slices, steps)
            return
