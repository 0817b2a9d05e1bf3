"""A request that does not wait for the probes, and is taken back where they turn red before it is answered.

Taking back pays only where the server hears that the client has gone, which is tried first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from jetbox.engine.cancelling import Second, learn, may_pair, may_try
from jetbox.engine.parts import Parts
from jetbox.engine.probes.base import Verdict
from jetbox.engine.stream import Answer, Attempt

TRIAL_S = 0.03
"""How long the request of the trial is left to itself."""
LOOK_S = 0.05
"""How often the beginning of an answer is looked for beside which a second one is waited for."""


class Overlap:
    """The attempts of one round beside the probes of the round before."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._on = parts.probes is not None and parts.options.probes.wait == "overlap"
        self._tried = self._took = False

    async def run(self, work: Coroutine[Any, Any, Answer], attempt: Attempt) -> tuple[Answer, bool]:
        """Run an attempt; true where its request was taken back and is to be sent again."""
        parts = self._parts
        if not self._on or parts.probes is None:
            return await work, False
        if may_pair(parts):
            return await self._pair(work, attempt), False
        if may_try(parts) and not self._tried:
            return await self._try(work, attempt)
        again, behind, self._took = False, self._took, False
        if parts.probes.pending:
            answer, again = await self._beside(work, attempt)
        else:
            answer = await work
        if behind and not again:
            # Also of one that was relied upon: a server may turn deaf.
            learn(parts, answer)
        return answer, again

    async def _beside(self, work: Coroutine[Any, Any, Answer], attempt: Attempt) -> tuple[Answer, bool]:
        assert self._parts.probes is not None
        late = asyncio.ensure_future(self._parts.probes.coming())
        task = asyncio.ensure_future(work)
        taken_back = False
        try:
            interrupted = await _interrupted(task, late)
            if not interrupted and late.done():
                red = any(verdict.red for verdict in late.result())
                taken_back = red and not task.done() and not attempt.begun and self._parts.cancels.heard is True
            if not taken_back:
                return (await _outcome(task))[0], False
            return await self._take_back(task, attempt)
        finally:
            late.cancel()
            task.cancel()

    async def _try(self, work: Coroutine[Any, Any, Answer], attempt: Attempt) -> tuple[Answer, bool]:
        """Take a request back that nothing speaks against, and see how the next one fares."""
        self._tried = True
        self._parts.cancels.trials += 1
        task = asyncio.ensure_future(work)
        if await _interrupted(task, seconds=TRIAL_S) or task.done() or attempt.begun:
            return (await _outcome(task))[0], False
        return await self._take_back(task, attempt)

    async def _take_back(self, task: asyncio.Task[Answer], attempt: Attempt) -> tuple[Answer, bool]:
        """End a request; False where it ended by itself meanwhile, or the user ends the round."""
        attempt.taken_back = True
        task.cancel()
        answer, interrupted = await _outcome(task)
        self._took = answer.cancelled and not interrupted
        return answer, self._took

    async def _pair(self, work: Coroutine[Any, Any, Answer], attempt: Attempt) -> Answer:
        """Send a second request beside an answer that has begun, and see whether the server answers both at once."""
        task = asyncio.ensure_future(work)
        second: Second | None = None
        try:
            while not (task.done() or attempt.complete):
                if second is None and attempt.begun:
                    second = Second(self._parts)
                if await _interrupted(task, seconds=LOOK_S):
                    break
                if second is not None and second.look(ended=task.done() or attempt.complete):
                    break
        finally:
            if second is not None:
                second.end()
        return (await _outcome(task))[0]


def superseded(late: Sequence[Verdict], present: Sequence[Verdict]) -> list[Verdict]:
    """The late verdicts that no present one of the same probe stands for."""
    names = {verdict.name for verdict in present}
    return [verdict for verdict in late if verdict.name not in names]


async def _interrupted(
    task: asyncio.Task[Answer], other: asyncio.Task[Any] | None = None, *, seconds: float | None = None
) -> bool:
    """Wait for either, for so long; true where the user interrupted, which goes to the attempt."""
    try:
        both = {task} if other is None else {task, other}
        await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        task.cancel()
        not_ours()
        return True
    return False


async def _outcome(task: asyncio.Task[Answer]) -> tuple[Answer, bool]:
    """What the attempt came to, which the user's interruption goes to; True where there was one by now."""
    interrupted = False
    while not task.done():
        interrupted = await _interrupted(task) or interrupted
    return task.result(), interrupted


def not_ours() -> None:
    """A cancellation that interrupts what is waited for does not end who waits."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
