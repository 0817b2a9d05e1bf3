"""What each turn of the loop computes: exactly, by the processor time of the loop's thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from jetbox.ui.slices import Waiting


class Turn(msgspec.Struct, frozen=True):
    """All that ran between two looks at what came from outside: a key waits for that long at most."""

    cpu_ns: int
    name: str
    """What of it ran longest."""


def unit() -> int:
    """Processor time of a fixed piece of work, ns: about 5 ms on the machine that the goals are for."""

    def once() -> int:
        began, total = time.thread_time_ns(), 0
        for n in range(230_000):
            total += n
        return time.thread_time_ns() - began

    return min(once() for _ in range(3))


def long_diff(lines: int) -> str:
    body = "".join(
        f"-old line {n} with some words\n+new line {n} with some words\n same {n}\n" for n in range(lines // 3)
    )
    return f"--- a/x.py\n+++ b/x.py\n@@ -1,{lines} +1,{lines} @@\n{body}"


class _Counter:
    def __init__(self, without: asyncio.Task[Any] | None) -> None:
        self._without = without
        self._parts: list[tuple[int, Any]] = []
        self.worst = Turn(0, "")

    def part(self, handle: asyncio.Handle, run: Any) -> None:
        callback: Any = handle._callback  # type: ignore[attr-defined]
        if self._without is not None and getattr(callback, "__self__", None) is self._without:
            run(handle)
            return
        owner = getattr(callback, "__self__", None)
        if isinstance(owner, Waiting):
            callback = getattr(owner.next, "func", owner.next)
        began = time.thread_time_ns()
        run(handle)
        self._parts.append((time.thread_time_ns() - began, callback))

    def turn(self) -> None:
        total = sum(cpu for cpu, _ in self._parts)
        if total > self.worst.cpu_ns:
            _, longest = max(self._parts, key=lambda part: part[0])
            self.worst = Turn(total, _name(longest))
        self._parts.clear()


def _name(callback: Any) -> str:
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return f"{owner.get_name()} {getattr(owner.get_coro(), '__qualname__', '')}"
    return str(getattr(callback, "__qualname__", callback))


@contextmanager
def counted(*, without: asyncio.Task[Any] | None = None) -> Iterator[_Counter]:
    """Count the turns of this loop, but not what one task computes: the test itself."""
    counter = _Counter(without)
    loop: Any = asyncio.get_running_loop()
    run, turn = asyncio.Handle._run, loop._run_once

    def whole() -> None:
        turn()
        counter.turn()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.Handle, "_run", lambda handle: counter.part(handle, run))
        patch.setattr(loop, "_run_once", whole)
        yield counter
