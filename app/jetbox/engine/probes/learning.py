"""Finds out what test files make use of: runs of pytest that nobody waits for, and that no verdict comes from.

A run that is watched takes up to twice the time of one that is not, and a test can tell that it is
looked at. So verdicts are given first, and only the test files of which too little is known are run
again, watched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set

import msgspec

from jetbox.engine.probes.affected import Affected
from jetbox.engine.probes.snapshot import Snapshot
from jetbox.engine.probes.zygote import Said

Watch = Callable[[tuple[str, ...]], Awaitable[Said | None]]
"""Runs these test files, or all for none, and tells what was said; None for no end that tells anything."""


class Lesson(msgspec.Struct, frozen=True):
    """What one whole run leaves to be found out."""

    files: Snapshot
    collected: frozenset[str]
    """Test files that it ran."""
    empty: frozenset[str]
    """Files that it found no tests in."""
    failed: frozenset[str]
    """Those that failed: they end before they come to all that they use."""


class Learner:
    """Keeps a map up to date, one lesson at a time."""

    def __init__(self, affected: Affected, watch: Watch, unchanged: Callable[[Snapshot], Awaitable[bool]]) -> None:
        """`unchanged` looks whether the files are still these."""
        self._affected = affected
        self._watch = watch
        self._unchanged = unchanged
        self._learning: asyncio.Task[None] | None = None
        self._endless = False
        """A watched run of the whole suite did not come to its end."""

    async def learn(self, lesson: Lesson) -> None:
        """Run what has to be looked at; it counts only where the files did not change meanwhile.

        Cancelled, it leaves things as they were, but for what is being written down already.
        """
        affected, files = self._affected, lesson.files
        tests = await affected.tests(files, lesson.collected, lesson.empty)
        unknown = await affected.unknown(files, tests, lesson.failed | lesson.empty)
        if unknown is None and not self._endless:
            said = await self._watch(())
            self._endless = said is None
            if said is not None and any(said.touched):
                await self._take(said.touched, lesson, tests)
        elif unknown:
            said = await self._watch(tuple(sorted(unknown)))
            if said is not None and any(said.touched):
                await self._take(said.touched, lesson, tests, unknown)
        elif unknown is not None and await affected.passed_over(files, tests):
            await self._take({}, lesson, tests, unknown)

    async def _take(
        self,
        touched: Mapping[str, Sequence[str]],
        lesson: Lesson,
        tests: Set[str],
        ran: Set[str] | None = None,
    ) -> None:
        if await self._unchanged(lesson.files):
            taken = self._affected.learn(touched, lesson.files, tests, ran)
            self._learning = asyncio.create_task(taken, name="learn what tests touch")
            await asyncio.shield(self._learning)

    async def close(self) -> None:
        """Let what is being written down come to its end."""
        if self._learning is not None and not self._learning.done():
            await asyncio.wait({self._learning})
