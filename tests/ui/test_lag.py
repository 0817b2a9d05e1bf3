from __future__ import annotations

import asyncio
import gc
import time

from textual import events

from jetbox.engine import events as e
from jetbox.ui.lag import Held, LagLog, LagWatch
from ui.conftest import Show, Showing
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
        async with asyncio.timeout(120):
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


def unit() -> float:
    """Processor time of a fixed piece of work, ms: about 5 on the machine that the goals are for."""

    def once() -> float:
        began, total = time.thread_time_ns(), 0
        for n in range(230_000):
            total += n
        return (time.thread_time_ns() - began) / 1e6

    return min(once() for _ in range(3))


def long_diff(lines: int) -> str:
    body = "".join(
        f"-old line {n} with some words\n+new line {n} with some words\n same {n}\n" for n in range(lines // 3)
    )
    return f"--- a/x.py\n+++ b/x.py\n@@ -1,{lines} +1,{lines} @@\n{body}"


def edited(diff: str) -> list[e.AnyEvent]:
    called = e.ToolCalled(call="c9", name="edit_file", arguments='{"path": "x.py"}', title="edit_file x.py")
    return [called, e.ToolStarted(call="c9"), e.ToolEnded(call="c9", state="ok", text="done", diff=diff)]


async def words(s: Show) -> None:
    await s.play(*[e.TextDelta(text="word and `code` of a long answer, ")] * 500)


async def a_table_and_code(s: Show) -> None:
    rows = [e.TextDelta(text=f"| {n} | cell | **bold** |\n") for n in range(60)]
    await s.play(e.TextDelta(text="\n\n| a | b | c |\n|---|---|---|\n"), *rows)
    await s.play(e.TextDelta(text="\n```python\n"), *[e.TextDelta(text="    return x + 1  # why\n")] * 200)


async def many_rounds(s: Show) -> None:
    ended = e.RoundEnded(wall_ns=700_000_000, phases={"decode": 700_000_000}, tier="fast")
    one = (e.RoundStarted(model="m"), e.TextDelta(text="It is **done**, all of it.\n" * 6), ended)
    await s.play(*one * 300)


async def a_long_diff_unfolded(s: Show) -> None:
    await s.play(e.RoundStarted(model="m"), *edited(long_diff(1950)))
    s.bench.toggle_expanded()
    await s.pilot.pause()


async def another_size(s: Show) -> None:
    await s.pilot.resize_terminal(140, 50)
    await s.pilot.pause()


async def a_large_paste(s: Show) -> None:
    s.bench.prompt.post_message(events.Paste("pasted text of some length\n" * 40_000))
    await s.pilot.pause()


LOUD = (words, a_table_and_code, many_rounds, a_long_diff_unfolded, another_size, a_large_paste)
MOST_UNITS = 6.0
"""Processor time in one go, in units: far from what a busy machine adds, near to what nobody would have noticed."""


async def test_nothing_loud_holds_the_loop(show: Showing) -> None:
    """By the loop's own processor time, so that a busy machine changes nothing; a failure names the culprit."""
    most = MOST_UNITS * unit()
    worst: list[tuple[float, str, Held]] = []
    async with show() as s:
        await s.play(*opened(), *first_round()[:3])
        gc.collect()
        gc.disable()
        try:
            for scenario in LOUD:
                held: list[Held] = []
                watch = LagWatch(held.append)
                watch.begin()
                await scenario(s)
                watch.end()
                worst += [(one.cpu_ns / 1e6, scenario.__name__, one) for one in held]
        finally:
            gc.enable()
    loud = [f"{ms:.0f} ms in {name}: {' < '.join(one.stack)}" for ms, name, one in worst if ms > most]
    assert not loud, f"more than {most:.0f} ms in one go: {loud}"


async def test_a_long_diff_is_unfolded_bit_by_bit_and_whole(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3], *edited(long_diff(900)))
        transcript = s.bench.transcript
        s.bench.toggle_expanded()
        async with asyncio.timeout(120):
            while transcript._unfinished:
                await s.pilot.pause()
        index = next(n for n, block in enumerate(transcript.story.blocks) if "old line 7 " in block.source())
        rows = transcript.story.blocks[index].layout(transcript._columns, transcript._look())
        assert [strip.text.rstrip() for strip in transcript._block(index)] == [row.text.rstrip() for row in rows]
        assert transcript._heights[index] == len(rows) > 600
