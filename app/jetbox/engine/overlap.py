"""A request that does not wait for the probes, and is taken back where they turn red before it is answered.

Taking back pays only where the server hears that the client has gone: some versions of Ollama
read the prompt to its end first. So that is tried on a request that nothing depends on, before it
is relied upon. Only a prompt that takes long to read tells: the same request again stands in line
behind one that was not ended, and finds its prompt read; behind one that was, it reads for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from jetbox.engine.events import Notice
from jetbox.engine.parts import Parts
from jetbox.engine.probes.base import Verdict
from jetbox.engine.stream import Answer, Attempt

TRIAL_S = 0.03
"""How long the request of the trial is left to itself."""
TRIALS = 3
"""How often that is done before it is left alone: prompts that are read at once tell nothing."""
HEARD_NS = 100_000_000
"""A request that waited longer for its turn than this stood behind the one that was taken back."""
WARM_NS = 120_000_000
"""A model that is loaded takes no longer to be found so; a server's queue stands in the same figure."""
WHAT = ("load", "prompt_eval", "eval", "total")


class Overlap:
    """The attempts of one round beside the probes of the round before."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._on = parts.probes is not None and parts.options.probes.wait == "overlap"
        self._trial = False

    async def run(self, work: Coroutine[Any, Any, Answer], attempt: Attempt) -> tuple[Answer, bool]:
        """Run an attempt; true where its request was taken back and is to be sent again."""
        parts = self._parts
        if not self._on or parts.probes is None:
            return await work, False
        if parts.cancel_heard is None and parts.cancel_trials < TRIALS and parts.loaded and not self._trial:
            return await self._try(work, attempt)
        if not parts.probes.pending:
            answer = await work
            self._learn(answer)
            return answer, False
        return await self._beside(work, attempt)

    async def _beside(self, work: Coroutine[Any, Any, Answer], attempt: Attempt) -> tuple[Answer, bool]:
        assert self._parts.probes is not None
        late = asyncio.ensure_future(self._parts.probes.coming())
        task = asyncio.ensure_future(work)
        taken_back = False
        try:
            if await _interrupted(task, late):
                return await _outcome(task), False
            if late.done():
                red = any(verdict.red for verdict in late.result())
                taken_back = red and not task.done() and not attempt.begun and self._parts.cancel_heard is True
            if taken_back:
                task.cancel()
            return await _outcome(task), taken_back
        finally:
            late.cancel()
            task.cancel()

    async def _try(self, work: Coroutine[Any, Any, Answer], attempt: Attempt) -> tuple[Answer, bool]:
        """Take a request back that nothing speaks against, and see how the next one fares."""
        self._trial = True
        self._parts.cancel_trials += 1
        task = asyncio.ensure_future(work)
        interrupted = await _interrupted(task, seconds=TRIAL_S)
        taken_back = not interrupted and not task.done() and not attempt.begun
        if taken_back:
            task.cancel()
        return await _outcome(task), taken_back

    def _learn(self, answer: Answer) -> None:
        """From the attempt after the trial: did it stand behind the one that was taken back?"""
        if not self._trial or self._parts.cancel_heard is not None or not answer.complete or answer.first < 0:
            return
        load, read, wrote, total = (answer.metrics.get(f"{name}_duration", 0) for name in WHAT)
        # A call can be held back until it is whole, so that the first chunk says little.
        waited = (total - wrote if total else answer.first - answer.sent) - min(load, WARM_NS) - read
        if waited < HEARD_NS and read < HEARD_NS:
            return
        heard = self._parts.cancel_heard = waited < HEARD_NS
        words = "does not hold up the next one" if heard else f"holds up the next one for {waited / 1e6:.0f} ms"
        self._parts.session.emit(
            Notice(
                level="info",
                text=f"a request that is taken back {words} on this server",
                hint="" if heard else "red verdicts come with the next message instead",
            )
        )


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


async def _outcome(task: asyncio.Task[Answer]) -> Answer:
    """What the attempt came to; the user's interruption goes to it, and it answers for itself."""
    while not task.done():
        await _interrupted(task)
    return task.result()


def not_ours() -> None:
    """A cancellation that interrupts what is waited for does not end who waits."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
