"""Runs the pieces of a goal so that the user, or the clock, can cancel each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from jetbox.engine.errors import StorageError
from jetbox.engine.events import Waiting
from jetbox.engine.limits import Limits
from jetbox.engine.parts import Parts
from jetbox.engine.session import Session
from jetbox.engine.waiting import SPEAK_AFTER_S

T = TypeVar("T")


class Interrupted(Exception):
    """A piece of work was cancelled by the user or the clock."""


class Interruptible:
    """One for each goal; it runs one piece of it at a time."""

    def __init__(self, parts: Parts, limits: Limits) -> None:
        self._parts = parts
        self._limits = limits
        self.out_of_time = False
        """The clock has struck."""

    async def run(self, work: Coroutine[Any, Any, T], *, by_words: bool = True) -> T:
        """Run a piece; without `by_words`, only what ends the goal cancels it.

        Raises:
            Interrupted: it was cancelled and had nothing to give.
        """
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        control = self._parts.control

        async def worked() -> T:
            try:
                return await work
            finally:
                wake()  # with the end of this step, not two steps later

        def wake(_: object = None) -> None:
            if not ended.done():
                ended.set_result(None)

        task = asyncio.ensure_future(worked())
        task.add_done_callback(wake)
        struck = False

        def strike() -> None:
            nonlocal struck
            if not struck:  # what is being ended must be left to end
                struck = True
                task.cancel()

        def asked_to() -> None:
            if by_words or control.cancelled:
                strike()

        control.interrupt = asked_to
        stop_watching = self._watch_time(strike)
        try:
            # Not `await task`: a cancellation of ours must not pass for the user's.
            await ended
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([task])
            raise
        finally:
            work.close()  # where it was cancelled before its first step
            stop_watching()
            control.interrupt = nothing_to_interrupt
        if task.cancelled():
            raise Interrupted
        return task.result()

    async def ask(self, question: Coroutine[Any, Any, T]) -> T:
        """Ask the server about its models between two pieces; where it is slow, that is what is waited for.

        Raises:
            Interrupted: the goal was ended meanwhile.
        """
        if self._parts.control.cancelled:
            question.close()
            raise Interrupted
        voice = asking_aloud(self._parts.session)
        try:
            return await self.run(question, by_words=False)
        finally:
            voice.cancel()

    def _watch_time(self, interrupt: Callable[[], None]) -> Callable[[], None]:
        """Interrupt when the goal's time is up, not counting waits for the user; returns how to stop."""
        if not self._limits.timed:
            return lambda: None
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle

        def strike() -> None:
            nonlocal timer
            left = self._limits.seconds_left
            if left > 0:
                timer = loop.call_later(left + 0.01, strike)
            else:
                self.out_of_time = True
                interrupt()

        timer = loop.call_later(max(0.0, self._limits.seconds_left), strike)

        def stop() -> None:
            timer.cancel()

        return stop


def asking_aloud(session: Session) -> asyncio.TimerHandle:
    """Say after a while that the server is asked about its models; to be cancelled when it has answered."""

    def say() -> None:
        with suppress(StorageError):  # a timer has nobody to tell: the next event raises it again
            session.emit(Waiting(what="asking", detail="the server about its models"))

    return asyncio.get_running_loop().call_later(SPEAK_AFTER_S, say)


def nothing_to_interrupt() -> None:
    """Between two pieces of work; `cancelled` is looked at before the next one."""
