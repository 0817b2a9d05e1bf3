from __future__ import annotations

import asyncio
import sys
import threading
import time

import pytest
from textual.pilot import Pilot

from jetbox.engine import events as e
from jetbox.settings.load import load
from jetbox.ui.app import JetboxApp
from jetbox.ui.glyphs import UNICODE
from jetbox.ui.lag import LIMIT_S, Held, LagLog, LagWatch
from ui.conftest import SHIPPED, Showing, first_frame
from ui.played import first_round, opened
from ui.test_replay import playback
from ui.turns import long_diff


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


@pytest.mark.parametrize("debug", [True, False])
async def test_what_holds_the_screen_is_told_on_it_where_it_is_debugged(show: Showing, debug: bool) -> None:
    loaded = load(None, environment={"JETBOX_DEBUG": "1"} if debug else {}, flags=[])
    assert loaded.settings.ui.debug == debug
    async with show(size=(200, 60), loaded=loaded) as s:
        await s.play(*opened())
        assert (s.app._lag is not None) == debug
        async with asyncio.timeout(120):
            while debug and "compute_for_long" not in s.text:
                compute_for_long(0.1)
                await s.pilot.pause()
        assert ("the screen was held up for" in s.text) == debug
    watches = [thread for thread in threading.enumerate() if thread.name == "lag watch"]
    for thread in watches:
        thread.join(120)
    assert not any(thread.is_alive() for thread in watches)


async def test_a_thread_that_computes_gives_way_to_the_screen() -> None:
    before, within = sys.getswitchinterval(), list[float]()
    app = JetboxApp(playback(), glyphs=UNICODE, theme_folders=(SHIPPED,))

    async def look(pilot: Pilot[int]) -> None:
        await first_frame(app, pilot)
        within.append(sys.getswitchinterval())
        app.leave()

    await app.run_async(headless=True, auto_pilot=look)
    assert max(within) < LIMIT_S / 5
    assert sys.getswitchinterval() == before


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


def edited(diff: str) -> list[e.AnyEvent]:
    called = e.ToolCalled(call="c9", name="edit_file", arguments='{"path": "x.py"}', title="edit_file x.py")
    return [called, e.ToolStarted(call="c9"), e.ToolEnded(call="c9", state="ok", text="done", diff=diff)]


async def test_a_long_diff_is_unfolded_bit_by_bit_and_whole(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3], *edited(long_diff(900)))
        transcript = s.bench.transcript
        s.bench.toggle_expanded()
        await s.until(lambda: not transcript._unfinished)
        index = next(n for n, block in enumerate(transcript.story.blocks) if "old line 7 " in block.source())
        rows = transcript.story.blocks[index].layout(transcript._columns, transcript._look())
        assert [strip.text.rstrip() for strip in transcript._block(index)] == [row.text.rstrip() for row in rows]
        assert transcript._heights[index] == len(rows) > 600
