"""Plays a recording as if it were happening: a `SessionSource` with a transport.

Where it stands is two things: a time, which moves while it plays, and how many events
are due. A step moves the count by one and takes the time from it, since several events
can share one time.
"""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Literal

import msgspec

from jetbox.engine.clock import Clock, monotonic
from jetbox.engine.commands import AnyCommand
from jetbox.engine.errors import RecordingError
from jetbox.engine.events import (
    Alarm,
    GoalStarted,
    GuardTripped,
    ModelSwitched,
    RoundStarted,
    SessionLabelled,
    Stamped,
    alarm_of,
)
from jetbox.engine.sequences import Lazy
from jetbox.engine.session import Batch
from jetbox.record.recording import Recording, read_journal

__all__ = ["Playback", "Recording", "RoundMark", "read_journal"]

_SHORTEST_S = 0.001
AT_ONCE = 1024
"""Events that are taken out of the recording together; of more, each when its turn has come."""


class RoundMark(msgspec.Struct, frozen=True):
    """Where a round begins."""

    number: int
    seq: int
    t: int
    """ns since the session began."""
    goal: int
    """The goal it works on, from 1; 0 where none was recorded."""


class EventMark(msgspec.Struct, frozen=True):
    """An event that one wants to go to."""

    kind: Alarm | Literal["mark"]
    """Something failed, a verdict is red, or the session went another way: a switch, a guard, a label."""
    seq: int
    t: int
    """ns since the session began."""


class Stretch(Lazy[Stamped]):
    """Events from one place to another, none of them held."""

    def __init__(self, events: Sequence[Stamped], start: int, end: int) -> None:
        self._events, self._start, self._end = events, start, end

    def __len__(self) -> int:
        return self._end - self._start

    def _item(self, at: int) -> Stamped:
        return self._events[self._start + at]


class Playback:
    """A recording that plays, seeks and steps.

    Starts paused at the beginning, where the header is due. Every event is resolved here once, so that what is
    missing is told before it plays; none is held: what is due is taken out of the recording again. What is gone
    by then is met by whoever takes it.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        clock: Clock = monotonic,
        speed: float = 1.0,
        max_gap_ns: int = 0,
    ) -> None:
        """With `max_gap_ns`, longer pauses between events pass in that time; `now` still tells the true time.

        Raises:
            RecordingError: a blob is missing or damaged.
        """
        self.recording = recording
        self.events = recording.events
        self._times, self._seqs, self._numbers = array("q"), array("q"), array("q")
        """Of each event: its time or, where that lies before an earlier one's, that; its number; its round's."""
        rounds, marks = list[RoundMark](), list[EventMark]()
        self._count(rounds, marks)
        self.rounds, self.marks = tuple(rounds), tuple(marks)
        self._paced = _shorten(self._times, max_gap_ns) if max_gap_ns > 0 else self._times
        self._clock = clock
        self._speed = speed
        self._playing = False
        self._began = 0
        """Clock when the present stretch began to play."""
        self._from = 0.0
        """Paced time at which it began."""
        self._position = 0
        self._due = 1
        self._drained = 0
        self._reset = True
        self._closed = False
        self._wake = asyncio.Event()

    def _count(self, rounds: list[RoundMark], marks: list[EventMark]) -> None:
        t = goal = 0
        time, seq, number = self._times.append, self._seqs.append, self._numbers.append
        for stamped in self.events:
            event, t = stamped.event, max(t, stamped.t)
            time(t)
            seq(stamped.seq)
            number(stamped.round)
            if isinstance(event, GoalStarted):
                goal = event.goal
            elif isinstance(event, RoundStarted):
                rounds.append(RoundMark(stamped.round, stamped.seq, stamped.t, goal))
            alarm = alarm_of(event)
            if alarm is not None:
                marks.append(EventMark(alarm, stamped.seq, stamped.t))
            elif isinstance(event, ModelSwitched | GuardTripped | SessionLabelled):
                marks.append(EventMark("mark", stamped.seq, stamped.t))

    @property
    def path(self) -> Path:
        """The journal's file."""
        return self.recording.path

    @property
    def problems(self) -> Sequence[str]:
        """What of the journal was left out or passed over when it was read."""
        return self.recording.problems

    @property
    def duration(self) -> int:
        """Time of the last event, ns."""
        return self._times[-1]

    @property
    def position(self) -> int:
        """The session's time that is shown, ns."""
        self._advance()
        return self._position

    @property
    def playing(self) -> bool:
        self._advance()
        return self._playing

    @property
    def speed(self) -> float:
        return self._speed

    @property
    def at_end(self) -> bool:
        """Whether every event is due."""
        self._advance()
        return self._due == len(self._times)

    @property
    def seq(self) -> int:
        """Number of the newest event that is due."""
        self._advance()
        return self._seqs[self._due - 1]

    @property
    def round(self) -> int:
        """Number of the round that is shown; 0 before the first."""
        self._advance()
        return self._numbers[self._due - 1]

    def now(self) -> int:
        """The session's time, ns."""
        return self.position

    def drain(self) -> Batch:
        """Every event that became due; after a step back, all of them anew."""
        self._advance()
        start = 0 if self._reset else self._drained
        few = self._due - start <= AT_ONCE
        due: Sequence[Stamped] = Stretch(self.events, start, self._due)
        if few:
            with suppress(RecordingError):  # whoever takes them one by one meets it where it is
                due = tuple(due)
        batch = Batch(due, self._reset)
        self._reset = False
        self._drained = self._due
        return batch

    async def ready(self) -> bool:
        """Wait until `drain` has something; at the end that is a seek. False once closed."""
        while not self._closed:
            self._advance()
            if self._reset or self._drained < self._due:
                return True
            self._wake.clear()
            try:
                async with asyncio.timeout(self._until_next_s()):
                    await self._wake.wait()
            except TimeoutError:
                continue
        return False

    def submit(self, command: AnyCommand) -> None:
        """A recording takes no commands."""

    def close(self) -> None:
        """Let `ready` end."""
        self._closed = True
        self._wake.set()

    def play(self) -> None:
        """Go on from here; from the beginning when it stands at the end."""
        if self.playing:
            return
        if self.at_end:
            self.seek_time(0)
        self._playing = True
        self._rebase()

    def pause(self) -> None:
        """Stand still."""
        self._advance()
        self._playing = False
        self._wake.set()

    def set_speed(self, speed: float) -> None:
        """Play `speed` times as fast as it happened.

        Raises:
            ValueError: it is not above 0.
        """
        if not 0 < speed < float("inf"):
            raise ValueError(f"speed must be above 0, not {speed}")
        self._advance()
        self._speed = speed
        self._rebase()

    def step(self, count: int = 1) -> None:
        """Pause, and go `count` events on, or back where it is negative."""
        self.pause()
        self._go(self._due + count)

    def seek_time(self, t: int) -> None:
        """Go to a time of the session, ns; plays on if it was playing."""
        self._advance()
        t = min(max(t, 0), self.duration)
        self._go(bisect_right(self._times, t), t)

    def seek_round(self, number: int) -> None:
        """Go to the beginning of a round.

        Raises:
            RecordingError: there is no such round.
        """
        for mark in self.rounds:
            if mark.number == number:
                self.seek_seq(mark.seq)
                return
        there = f"it has rounds {self.rounds[0].number} to {self.rounds[-1].number}" if self.rounds else "it has none"
        raise RecordingError(f"there is no round {number} in this recording: {there}")

    def cut(self, seq: int) -> None:
        """Nothing behind this event can be read any more: it is the last one, and it plays up to there."""
        count = bisect_right(self._seqs, seq)
        for each in {id(each): each for each in (self._times, self._seqs, self._numbers, self._paced)}.values():
            del each[count:]
        self.rounds = tuple(mark for mark in self.rounds if mark.seq <= seq)
        self.marks = tuple(mark for mark in self.marks if mark.seq <= seq)
        self._playing, self._reset = False, False
        self._drained = count
        self._go(count)

    def seek_seq(self, seq: int) -> None:
        """Go to where the event with this number has just happened."""
        self._advance()
        self._go(bisect_right(self._seqs, seq))

    def _go(self, due: int, position: int | None = None) -> None:
        self._due = min(max(due, 1), len(self._times))
        self._position = self._times[self._due - 1] if position is None else position
        if self._due < self._drained:
            self._reset = True
        self._rebase()

    def _rebase(self) -> None:
        """Let time run from the present position."""
        self._began = self._clock()
        self._from = self._pace(self._position)
        self._wake.set()

    def _advance(self) -> None:
        if not self._playing:
            return
        paced = self._from + (self._clock() - self._began) * self._speed
        if paced >= self._paced[-1]:
            self._position = self.duration
            self._playing = False
        else:
            self._position = max(self._position, self._true(paced))
        self._due = max(self._due, bisect_right(self._times, self._position))

    def _until_next_s(self) -> float | None:
        """Seconds until the next event is due; None where nothing moves."""
        if not self._playing or self._due >= len(self._times):
            return None
        paced = self._from + (self._clock() - self._began) * self._speed
        return max((self._paced[self._due] - paced) / self._speed / 1e9, _SHORTEST_S)

    def _pace(self, t: int) -> float:
        """The paced time of a true one."""
        return _interpolate(self._times, self._paced, t)

    def _true(self, paced: float) -> int:
        return int(_interpolate(self._paced, self._times, paced))


def _interpolate(source: Sequence[int], target: Sequence[int], value: float) -> float:
    if source is target:
        return value
    n = bisect_left(source, value)
    if n == len(source):
        return target[-1]
    if source[n] == value:
        return target[n]
    low_source, low_target = (source[n - 1], target[n - 1]) if n else (0, 0)
    return low_target + (value - low_source) * (target[n] - low_target) / (source[n] - low_source)


def _shorten(times: Iterable[int], most: int) -> array[int]:
    gaps = (min(later - earlier, most) for earlier, later in pairwise([0, *times]))
    return array("q", accumulate(gaps))
