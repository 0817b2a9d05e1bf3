"""Finds out what test files make use of: runs of pytest that nobody waits for, and that no verdict comes from.

A run that is watched takes up to twice the time of one that is not, and a test can tell that it is
looked at. So verdicts are given first, and only the test files of which too little is known are run
again, watched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from jetbox.engine.probes.affected import Affected
from jetbox.engine.probes.sessions import Ended
from jetbox.engine.probes.snapshot import Snapshot

Watch = Callable[[tuple[str, ...]], Awaitable[Ended | None]]
"""Runs these test files, or all for none, watched; None where that cannot be done now."""


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
        """A watched run of the whole suite took more than its time, or broke off, and would do so again."""

    async def learn(self, lesson: Lesson) -> None:
        """Run what has to be looked at; it counts only where the files did not change meanwhile.

        Cancelled, it leaves things as they were, but for what is being written down already.
        """
        affected, files = self._affected, lesson.files
        tests = await affected.tests(files, lesson.collected, lesson.empty)
        unknown = await affected.unknown(files, tests, lesson.failed | lesson.empty)
        touched: Mapping[str, Sequence[str]] = {}
        if unknown is None or unknown:
            touched = await self._seen(tuple(sorted(unknown or ())))
            taken = any(touched)
        else:
            taken = await affected.passed_over(files, tests)
        if taken and await self._unchanged(files):
            learning = affected.learn(touched, files, tests, unknown)
            self._learning = asyncio.create_task(learning, name="learn what tests touch")
            await asyncio.shield(self._learning)

    async def _seen(self, tests: tuple[str, ...]) -> Mapping[str, Sequence[str]]:
        """What these test files, or all for none, were seen to touch; empty where that was not seen."""
        if not tests and self._endless:
            return {}
        ended = await self._watch(tests)
        if ended is None:
            return {}
        if not tests:
            self._endless = ended.state == "timeout" or bool(ended.broke)
        return ended.said.touched if ended.said is not None else {}

    async def close(self) -> None:
        """Let what is being written down come to its end."""
        if self._learning is not None and not self._learning.done():
            await asyncio.wait({self._learning})
