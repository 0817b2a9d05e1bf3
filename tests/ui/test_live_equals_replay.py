"""The screen cannot tell a recording from a live session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from jetbox.cli.live import Live, Start
from jetbox.engine.commands import AnyCommand
from jetbox.engine.events import Stamped
from jetbox.engine.options import EngineOptions, LoopOptions, ModelOptions, PermissionOptions, SessionOptions
from jetbox.engine.session import Batch
from jetbox.record.playback import Playback, read_journal
from jetbox.record.recording import Recording
from jetbox.ui.slices import Waiting
from ui.conftest import painted, settle, until

BELOW_LIVE, BELOW_REPLAY = 1, 2
"""Rows under the transcript: the footer; the transport bar and the footer."""


LOOKS, PIECES = 10, 5
"""How often the screens are compared; in how many pieces the events between two looks come to who looks on."""


class LiveUntil:
    """A live session that publishes its events up to a given one: each once, as they happen."""

    def __init__(self, events: list[Stamped]) -> None:
        self._events = events
        self._at = 0
        self._told = 0
        self._new = asyncio.Event()

    def go(self, seq: int) -> None:
        self._at = seq
        self._new.set()

    def now(self) -> int:
        return self._events[self._at].t

    def drain(self) -> Batch:
        self._new.clear()
        begun, self._told = self._told, self._at + 1
        return Batch(tuple(self._events[begun : self._told]), reset=not begun)

    async def ready(self) -> bool:
        await self._new.wait()
        return True

    def submit(self, command: AnyCommand) -> None:
        raise AssertionError(f"a screen that looks on asked for {command}")


Moves = Callable[[Stamped], Sequence[AnyCommand]]
"""What the user does when something has happened."""


async def run_live(
    goal: str, url: str, root: Path, data: Path, *, moves: Moves = lambda _: (), plan: bool = False
) -> tuple[list[Stamped], Path]:
    """Run a goal and keep every event as its readers got it."""
    options = EngineOptions(
        model=ModelOptions(name="gpt-oss:20b", host=url),
        permissions=PermissionOptions(mode="auto", pass_env=("PYTEST_DISABLE_PLUGIN_AUTOLOAD",)),
        session=SessionOptions(folder=str(data)),
        loop=LoopOptions(plan=plan),
    )
    live = Live(Start(root=root, options=options, goal=goal))
    driving = asyncio.create_task(live.drive())
    seen: list[Stamped] = []
    while await live.feed.ready():
        new = live.feed.drain().events
        seen += new
        for stamped in new:
            for command in moves(stamped):
                live.feed.submit(command)
    await driving
    seen += live.feed.drain().events
    return seen, next(data.iterdir())


async def test_equal_screens_at_equal_sequence_numbers(
    tmp_path: Path, sim_server: Callable[..., Any], on_source: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The plugins of this suite have no say in the runs of the session.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    root = tmp_path / "project"
    root.mkdir()
    url = sim_server(scripts=["mathx"]).url
    goal = "Create mathx package with add(a,b) and multiply(a,b), add tests, run ruff and pytest."
    events, session = await run_live(goal, url, root, tmp_path / "sessions")
    recording = read_journal(session)
    assert list(recording.events) == events, "the file expands to what was published"

    for size in ((120, 40), (80, 24)):
        await same_screens(events, recording, size, on_source)


async def rest(pilot: Pilot[int]) -> None:
    """Wait until what goes on in slices has come to its end: a scroll bar marks what is found out so."""
    await settle(pilot)
    while Waiting.of(asyncio.get_running_loop()):
        await settle(pilot)


async def same_screens(
    events: list[Stamped],
    recording: Recording,
    size: tuple[int, int],
    on_source: Callable[..., Any],
    *,
    looks: int = LOOKS,
) -> None:
    """What looks on a session and what plays its recording show the same after the same events, colours included."""
    width, height = size
    live, replay = LiveUntil(events), Playback(recording)
    look_on = on_source(live, size=(width, height - BELOW_REPLAY + BELOW_LIVE))
    seqs = sorted({*range(0, len(events), max(1, len(events) // looks)), len(events) - 1})
    steps = sorted({*range(0, len(events), max(1, len(events) // (looks * PIECES))), *seqs})
    shown: dict[int, list[list[tuple[str, str]]]] = {}
    async with look_on as (app, pilot):
        for seq in steps:
            live.go(seq)
            await app.workbench.reached(seq)
            if seq in seqs:
                app.workbench._tick()  # what moves with time is as at this event, however long the next tick takes
                await rest(pilot)
                shown[seq] = painted(app)
    async with on_source(replay, size=size) as (app, pilot):
        for seq in reversed(seqs):  # a step back tells everything anew, in one piece
            replay.seek_seq(seq)
            await until(pilot, lambda seq=seq: app.workbench.view.seq == seq)  # type: ignore[misc]
            app.workbench._tick()
            await rest(pilot)
            above = painted(app)[: height - BELOW_REPLAY]
            assert above == shown[seq][: len(above)], f"at event {seq}, {events[seq].event}"
