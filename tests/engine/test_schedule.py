from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetbox.engine.tools.base import Access
from jetbox.engine.tools.schedule import Schedule, conflict

PATHS = ("a", "a/b", "a/b/c", "d", "d/e")
some = st.frozensets(st.sampled_from(PATHS), max_size=2)
accesses = st.builds(
    Access, reads=some, writes=some, below=st.frozensets(st.sampled_from((*PATHS, ".")), max_size=1),
    barrier=st.sampled_from([False] * 9 + [True]),
)  # fmt: skip


def call(run: Callable[[int], Awaitable[int]], n: int) -> Callable[[list[int]], Awaitable[int]]:
    return lambda earlier: run(n)


def read(*paths: str) -> Access:
    return Access(reads=frozenset(paths))


def write(*paths: str) -> Access:
    return Access(writes=frozenset(paths))


@pytest.mark.parametrize(
    ("a", "b", "waits"),
    [
        (read("x"), read("x"), False),
        (read("x"), write("x"), True),
        (write("x"), read("x"), True),
        (write("x"), write("x"), True),
        (write("x"), write("y"), False),
        (write("src/x"), Access(below=frozenset({"src"})), True),
        (write("src/x"), Access(below=frozenset({"."})), True),
        (write("srcx"), Access(below=frozenset({"src"})), False),
        (Access(below=frozenset({"src"})), write("src/x"), True),
        (Access(barrier=True), read("x"), True),
        (read("x"), Access(barrier=True), True),
    ],
)
def test_what_waits_for_what(a: Access, b: Access, waits: bool) -> None:
    assert conflict(a, b) is waits


@given(st.lists(accesses, max_size=7), st.randoms(use_true_random=False))
def test_conflicting_calls_never_overlap_and_keep_their_order(calls: list[Access], random: object) -> None:
    running: set[int] = set()
    ended: list[int] = []

    async def story() -> None:
        schedule: Schedule[int] = Schedule()

        async def run(n: int) -> int:
            assert not any(conflict(calls[n], calls[m]) for m in running)
            assert all(m in ended for m in range(n) if conflict(calls[m], calls[n]))
            running.add(n)
            for _ in range(random.randint(0, 4)):  # type: ignore[attr-defined]
                await asyncio.sleep(0)
            running.discard(n)
            ended.append(n)
            return n

        for n, access in enumerate(calls):
            schedule.add(access, call(run, n))
        await schedule.join()
        assert [slot.task.result() for slot in schedule.slots] == list(range(len(calls)))

    asyncio.run(story())


async def test_independent_calls_run_at_the_same_time() -> None:
    schedule: Schedule[None] = Schedule()
    both = asyncio.Barrier(2)

    async def run(earlier: list[None]) -> None:
        await both.wait()

    schedule.add(read("a"), run)
    schedule.add(read("b"), run)
    await asyncio.wait_for(schedule.join(), 120)


async def test_without_parallel_calls_run_one_after_the_other() -> None:
    schedule: Schedule[int] = Schedule(parallel=False)
    seen: list[int] = []

    async def run(n: int) -> int:
        await asyncio.sleep(0)
        seen.append(n)
        return n

    for n in range(4):
        schedule.add(read(str(n)), call(run, n))
    await schedule.join()
    assert seen == [0, 1, 2, 3]


async def test_a_later_call_sees_the_results_it_waited_for() -> None:
    schedule: Schedule[str] = Schedule()
    got: list[list[str]] = []

    async def run(earlier: list[str]) -> str:
        got.append(earlier)
        return "first"

    schedule.add(write("x"), run)
    schedule.add(read("x"), run)
    await schedule.join()
    assert got == [[], ["first"]]


async def test_cancel_ends_what_runs_and_what_waits() -> None:
    schedule: Schedule[None] = Schedule()

    async def run(earlier: list[None]) -> None:
        await asyncio.Event().wait()

    schedule.add(write("x"), run)
    schedule.add(read("x"), run)
    await asyncio.sleep(0)
    await schedule.cancel()
    assert all(slot.task.cancelled() for slot in schedule.slots)
