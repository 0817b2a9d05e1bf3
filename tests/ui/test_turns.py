"""Nothing holds the loop for long: what is loud, under the watchdog. `benchmarks/turns.py` judges each millisecond.

In units of a fixed piece of work, by the processor time of the loop's own thread, which other work on the machine
lengthens too: only what is grossly too long is red here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.css.stylesheet import Stylesheet

from jetbox.ui.lag import Held, LagWatch
from jetbox.ui.letting_go import let_go
from jetbox.ui.sheets import overlays_ahead, style_overlays
from jetbox.ui.slices import by_slices, go_on_later
from ui import loud
from ui.conftest import Showing
from ui.turns import Turn, unit

pytestmark = pytest.mark.xdist_group("turns")
"""The longest test of all: groups come first, and nobody waits for it at the end."""
ROUNDS = 300
TRIES = 5
MOST = 5.0
"""Units of about 5 ms."""


def short(turn: Turn) -> bool:
    return turn.cpu_ns <= MOST * unit()


async def watched(rows: Callable[[], Awaitable[list[loud.Row]]]) -> list[loud.Row]:
    """The rows; where one of them is too long, what the watchdog of `--debug` named is said."""
    told: list[Held] = []
    # More often, and Textual's pilot would never find the process idle.
    watch = LagWatch(told.append, limit_s=0.05)
    watch.begin()
    try:
        found = await rows()
    finally:
        watch.end()
    loudest = {
        row.what: f"{row.least.cpu_ns / 1e6:.1f} ms in {row.least.name}" for row in found if not short(row.least)
    }
    assert not loudest, [held.culprit for held in sorted(told, key=lambda held: -held.cpu_ns)[:5]]
    return found


async def test_nothing_that_is_loud_or_long_holds_the_loop(tmp_path: Path) -> None:
    rows = await watched(lambda: loud.live(tmp_path, ROUNDS, TRIES, short))
    assert len(rows) == 1 + len(loud.SCENARIOS)
    assert all(row.first.cpu_ns > 0 and row.first.name for row in rows)


async def test_seeking_does_not_hold_the_loop() -> None:
    rows = await watched(lambda: loud.sought(ROUNDS, TRIES, short))
    assert [row.what for row in rows] == [f"seek by {key}" for key in ("end", "shift+left", "5")]


async def test_of_all_that_goes_on_later_one_slice_is_done_in_a_turn() -> None:
    turns, done = 0, list[int]()

    def turn() -> None:
        nonlocal turns
        turns += 1
        if len(done) < 4:
            asyncio.get_running_loop().call_soon(turn)

    turn()
    go_on_later(lambda: go_on_later(lambda: done.append(turns)))
    for _ in range(3):
        go_on_later(lambda: done.append(turns))
    while len(done) < 4:
        await asyncio.sleep(0)
    assert len({*done}) == 4


async def test_what_is_read_of_a_long_session_lets_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jetbox.ui.slices.AT_ONCE_S", -1.0)
    seen = list[int]()
    asyncio.get_running_loop().call_soon(seen.append, -1)
    async for item in by_slices(range(3)):
        seen.append(item)
    assert seen == [0, -1, 1, 2]


async def test_what_is_let_go_of_gets_less_in_each_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jetbox.ui.slices.AT_ONCE_S", -1.0)
    rows: list[object] = [None] * 1200
    let_go(rows)
    left = [len(rows)]
    while rows:
        await asyncio.sleep(0)
        left.append(len(rows))
        assert left[-1] < left[-2]
    assert len(left) == 3


async def test_styles_that_are_read_a_rule_at_a_time_are_those_read_at_once(show: Showing) -> None:
    async with show() as s:
        variables = s.app.get_css_variables()
    slowly, at_once = Stylesheet(variables=variables), Stylesheet(variables=variables)
    assert len([*overlays_ahead(slowly)]) > 20
    style_overlays(at_once)
    assert slowly.css == at_once.css
