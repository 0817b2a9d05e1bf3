from __future__ import annotations

import asyncio
import time

from jetbox.engine import events as e
from jetbox.ui.lag import Held, LagLog, LagWatch
from ui.conftest import Showing
from ui.played import first_round, opened


def compute_for_long(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


async def test_what_holds_the_loop_is_named() -> None:
    told: asyncio.Queue[Held] = asyncio.Queue()
    watch = LagWatch(told.put_nowait)
    watch.begin()
    try:
        async with asyncio.timeout(60):
            while True:
                compute_for_long(0.1)
                held = await told.get()
                if "compute_for_long" in held.stack[0]:
                    break
    finally:
        watch.end()
    assert held.wall_ns >= 5_000_000
    assert held.cpu_ns <= held.wall_ns + 5_000_000


def test_each_culprit_is_told_once_until_it_is_much_worse() -> None:
    said: list[str] = []
    log = LagLog(lambda level, text, hint: said.append(f"{text} | {hint}"))
    stack = ("json/decoder.py:3 decode", "jetbox/ui/model.py:7 apply")
    for ms in (10, 12, 30):
        log.take(Held(ms * 1_000_000, 4_000_000, stack))
    assert said == [
        f"the screen was held up for {ms} ms (4 ms computing) by jetbox/ui/model.py:7 apply"
        " | json/decoder.py:3 decode < jetbox/ui/model.py:7 apply"
        for ms in (10, 30)
    ]


async def test_a_loud_stream_leaves_the_loop_free(show: Showing) -> None:
    held: list[Held] = []
    async with show() as s:
        await s.play(*opened(), *first_round()[:3])
        await s.play(*[e.TextDelta(text="warm up **the** renderer\n")] * 5)
        watch = LagWatch(held.append)
        watch.begin()
        for n in range(2):
            await s.play(*[e.TextDelta(text=f"word {n} and `code` of a long answer, ")] * 300)
        watch.end()
    computing = sorted(one.cpu_ns / 1e6 for one in held)
    assert not computing or computing[-1] < 500, max(held, key=lambda one: one.cpu_ns).stack
