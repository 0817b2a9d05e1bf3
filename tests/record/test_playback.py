"""A recording played by a clock that the test moves."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jetbox.engine import commands
from jetbox.engine import events as e
from jetbox.engine.errors import RecordingError
from jetbox.engine.events import Stamped
from jetbox.engine.session import SessionSource
from jetbox.record.playback import Playback, RoundMark
from jetbox.record.recording import read_journal

SECOND = 1_000_000_000
Write = Callable[..., Path]


class ManualClock:
    def __init__(self) -> None:
        self.ns = 77

    def __call__(self) -> int:
        return self.ns

    def move(self, seconds: float) -> None:
        self.ns += round(seconds * SECOND)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def playback(story: list[Stamped], write: Write, clock: ManualClock) -> Playback:
    return Playback(read_journal(write(story)), clock=clock)


def test_it_is_a_session_source(playback: Playback) -> None:
    source: SessionSource = playback
    source.submit(commands.Goal("x"))
    assert source.now() == 0


def test_it_waits_at_the_beginning_with_the_header(
    playback: Playback, story: list[Stamped], clock: ManualClock
) -> None:
    clock.move(100)
    batch = playback.drain()
    assert (batch.events, batch.reset) == ((story[0],), True)
    assert (playback.drain().events, playback.drain().reset) == ((), False)
    assert not playback.playing
    assert not playback.at_end
    assert playback.duration == story[-1].t


def test_events_come_at_their_time_and_once(playback: Playback, story: list[Stamped], clock: ManualClock) -> None:
    playback.play()
    seen = list(playback.drain().events)
    while not playback.at_end:
        clock.move(0.05)
        assert playback.now() == min(clock.ns - 77, playback.duration)
        batch = playback.drain()
        assert not batch.reset
        assert all(stamped.t <= playback.position for stamped in batch.events)
        seen += batch.events
        assert seen == [stamped for stamped in story if stamped.t <= playback.position]
    assert seen == story
    assert not playback.playing
    assert playback.position == playback.duration


def test_speed_changes_from_here_on(playback: Playback, clock: ManualClock) -> None:
    playback.play()
    clock.move(1)
    playback.set_speed(0.5)
    assert playback.position == SECOND
    clock.move(1)
    assert playback.position == 1.5 * SECOND
    playback.set_speed(2)
    clock.move(0.5)
    assert playback.position == 2.5 * SECOND
    playback.pause()
    clock.move(9)
    assert playback.position == 2.5 * SECOND
    assert playback.speed == 2
    for wrong in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="speed"):
            playback.set_speed(wrong)


def test_play_at_the_end_begins_anew(playback: Playback, story: list[Stamped], clock: ManualClock) -> None:
    playback.seek_time(playback.duration)
    playback.drain()
    assert playback.at_end
    playback.play()
    assert playback.playing
    batch = playback.drain()
    assert (batch.events, batch.reset) == ((story[0],), True)


def test_steps_go_by_events_also_where_they_share_a_time(playback: Playback, story: list[Stamped]) -> None:
    for n in range(1, len(story)):
        playback.step()
        assert playback.seq == story[n].seq
        assert playback.position == story[n].t
    playback.step(5)
    assert playback.at_end
    assert playback.drain().events == tuple(story)
    playback.step(-1)
    batch = playback.drain()
    assert (batch.events, batch.reset) == (tuple(story[:-1]), True)
    playback.step(1)
    batch = playback.drain()
    assert (batch.events, batch.reset) == ((story[-1],), False)
    playback.step(-1000)
    assert playback.drain().events == (story[0],)


def test_a_step_pauses(playback: Playback, clock: ManualClock) -> None:
    playback.play()
    clock.move(1.05)
    playback.step()
    assert not playback.playing
    at = playback.position
    clock.move(3)
    assert playback.position == at


def test_seeking_forward_adds_and_backward_replaces(
    playback: Playback, story: list[Stamped], clock: ManualClock
) -> None:
    playback.drain()
    playback.seek_time(2 * SECOND + 1)
    batch = playback.drain()
    assert not batch.reset
    assert batch.events == tuple(s for s in story[1:] if s.t <= 2 * SECOND + 1)
    playback.seek_time(SECOND - 1)
    playback.seek_time(SECOND)
    batch = playback.drain()
    assert (batch.events, batch.reset) == (tuple(s for s in story if s.t <= SECOND), True)
    playback.seek_time(-5)
    assert playback.position == 0
    playback.seek_time(10**18)
    assert playback.position == playback.duration
    playback.play()
    playback.seek_time(3 * SECOND)
    assert playback.playing
    clock.move(0.25)
    assert playback.position == 3.25 * SECOND


def test_rounds_are_marked_and_found(playback: Playback, story: list[Stamped]) -> None:
    assert playback.rounds == tuple(
        RoundMark(s.round, s.seq, s.t, 1) for s in story if isinstance(s.event, e.RoundStarted)
    )
    playback.seek_round(3)
    assert playback.round == 3
    assert isinstance(playback.drain().events[-1].event, e.RoundStarted)
    playback.seek_round(2)
    assert isinstance(playback.drain().events[-1].event, e.RoundStarted)
    assert playback.position == 2 * SECOND
    with pytest.raises(RecordingError, match=r"no round 4 .* rounds 1 to 3"):
        playback.seek_round(4)
    playback.seek_seq(story[7].seq)
    assert playback.drain().events == tuple(story[:8])


def test_long_gaps_can_be_shortened_and_times_stay_true(story: list[Stamped], write: Write, clock: ManualClock) -> None:
    late = [*story, Stamped(len(story), story[-1].t + 100 * SECOND, 3, e.ToolStarted(call="late"))]
    playback = Playback(read_journal(write(late)), clock=clock, max_gap_ns=SECOND // 10)
    assert playback.duration == late[-1].t
    playback.play()
    times = []
    while not playback.at_end:
        clock.move(0.01)
        times.append(playback.position)
        assert playback.seq == max(s.seq for s in late if s.t <= playback.position)
    assert times == sorted(times)
    assert (clock.ns - 77) / SECOND < 2
    playback.seek_time(story[-1].t + 50 * SECOND)
    playback.play()
    clock.move(0.025)
    assert playback.position == pytest.approx(story[-1].t + 75 * SECOND, abs=SECOND / 100)


async def test_ready_sleeps_until_the_next_event(story: list[Stamped], write: Write) -> None:
    playback = Playback(read_journal(write(story)), speed=20)
    assert await playback.ready()
    seen = list(playback.drain().events)
    started = time.monotonic()
    playback.play()
    turns = 0
    while not playback.at_end:
        assert await playback.ready()
        turns += 1
        seen += playback.drain().events
    assert seen == story
    assert turns <= len(story)
    assert time.monotonic() - started >= playback.duration / 20 / 1e9


async def test_ready_hears_of_seeks_and_ends_when_closed(playback: Playback, story: list[Stamped]) -> None:
    playback.drain()
    waiting = asyncio.create_task(playback.ready())
    await asyncio.sleep(0)
    assert not waiting.done()
    playback.seek_round(2)
    assert await waiting
    playback.drain()
    playback.seek_time(playback.duration)
    playback.drain()
    waiting = asyncio.create_task(playback.ready())
    await asyncio.sleep(0)
    playback.close()
    assert not await waiting


def test_any_of_twenty_thousand_events_is_sought(write: Write, story: list[Stamped], clock: ManualClock) -> None:
    many = story[:1] + [Stamped(n, n * 1000, 1, e.TextDelta(text="token ")) for n in range(1, 20_000)]
    recording = read_journal(write(many))
    before = sys.getallocatedblocks()
    playback = Playback(recording, clock=clock)
    playback.seek_seq(19_999)
    assert sum(stamped.seq for stamped in playback.drain().events) == sum(range(20_000))
    assert sys.getallocatedblocks() - before < 20_000, "none of them is held"
    for n in (10, 14_000, 19_999, 500, 19_000):
        playback.seek_seq(n)
        assert playback.drain().events[-1] == many[n]


def test_a_header_alone_plays(write: Write, story: list[Stamped], clock: ManualClock) -> None:
    playback = Playback(read_journal(write(story[:1])), clock=clock)
    assert playback.at_end
    playback.play()
    assert not playback.playing
    assert playback.drain().events == (story[0],)
