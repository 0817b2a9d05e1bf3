from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from jetbox.cli import replay
from jetbox.cli.workbench import go_on
from jetbox.ui.app import JetboxApp
from jetbox.ui.collecting import THRESHOLDS, Collecting
from jetbox.ui.glyphs import UNICODE
from jetbox.ui.wanted import Wanted
from ui.conftest import SHIPPED, Showing, first_frame
from ui.test_replay import playback


@pytest.fixture
def thawed() -> Iterator[None]:
    before, enabled = gc.get_threshold(), gc.isenabled()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()
    if not enabled:
        gc.disable()


@pytest.mark.usefixtures("thawed")
def test_what_stayed_alive_is_not_looked_at_again() -> None:
    collecting = Collecting(lambda: True)
    collecting.begin()
    try:
        assert gc.isenabled()
        assert gc.get_threshold() == THRESHOLDS
        kept = [[n] for n in range(5000)]
        gc.collect()
        assert len(gc.get_objects()) < len(kept)
    finally:
        collecting.end()
    fresh = [[n] for n in range(5000)]
    gc.collect()
    assert len(gc.get_objects()) > len(fresh)
    assert gc.get_threshold() != THRESHOLDS


@pytest.mark.usefixtures("thawed")
def test_what_does_not_stay_is_collected_when_it_is_gone() -> None:
    lying_over = True
    collecting = Collecting(lambda: not lying_over)
    collecting.begin()
    try:
        parts: list[list[object]] = [[] for _ in range(5000)]
        for each in parts:
            each.append(each)  # holds itself, as the parts of a screen do
        gc.collect()
        del parts, each
        lying_over = False
        assert gc.collect() >= 5000
    finally:
        collecting.end()


@pytest.mark.usefixtures("thawed")
async def test_a_screen_that_closes_while_all_is_collected_is_let_go_of(show: Showing) -> None:
    async with show() as s:
        s.app._collecting.begin()
        try:
            await s.press("f1")
            closing = weakref.ref(s.app.screen)
            closed = s.app.pop_screen()
            gc.collect()
            assert closing() is not None
            await closed
            del closed
            for _ in range(20):
                await s.pilot.pause()
                gc.collect()
            assert closing() is None
            kept = [[n] for n in range(5000)]
            gc.collect()
            assert len(gc.get_objects()) < len(kept), "what stays is set aside again"
        finally:
            s.app._collecting.end()


@pytest.mark.usefixtures("thawed")
def test_a_screen_that_was_left_for_another_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[weakref.ref[JetboxApp]] = []
    alive: list[bool] = []

    async def show() -> int:
        app = JetboxApp(playback(), glyphs=UNICODE, theme_folders=(SHIPPED,))
        left.append(weakref.ref(app))

        async def look(pilot: Pilot[int]) -> None:
            await first_frame(app, pilot)
            app._collecting.begin()  # what only a terminal would see otherwise
            gc.collect()
            app.leave()

        return await app.run_async(headless=True, auto_pilot=look) or 0

    def show_recording(where: Path, asked: object) -> tuple[int, Wanted | None]:
        alive.extend(each() is not None for each in left)
        return asyncio.run(show()), Wanted("replay", where) if len(left) < 3 else None

    monkeypatch.setattr(replay, "show_recording", show_recording)
    asked: Any = None  # a recording asks nothing of it here
    assert go_on(Wanted("replay", Path("journal")), asked) == 0
    assert alive == [False] * 3
    gc.unfreeze()
    gc.collect()
    assert left[-1]() is None
