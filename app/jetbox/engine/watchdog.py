"""How long an answer may be silent, before its first chunk and between two, by what was measured of the model here.

| silence | limit |
|---|---|
| before the first chunk, model loaded | three times the expected reading, and 120 s for others that may come first |
| the same, not loaded | three times the expected load, at least 300 s, as well |
| between chunks, where calls are streamed in pieces | 50 times the usual gap, at least 20 s |
| between chunks, where a call is silent until it is whole | what the rest of the answer may take, at least 60 s |

Lines that say nothing of the answer do not end a silence: empty ones, comments, empty pieces.

Somebody who can be asked is asked at the limit, and the request goes on meanwhile; without anybody it
is cancelled there. What the options name holds as it is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from jetbox.engine.models.figures import median
from jetbox.engine.options import ModelOptions
from jetbox.engine.waiting import PATIENCE, Expectation

TURN_S = 120.0
"""For other requests that come before ours, whose length nobody knows."""
LOAD_S = 300.0
"""As long a server waits for a load that does not get on."""
UNKNOWN_S = 600.0
"""Before the first chunk, where nothing was measured."""
GAP_S = 120.0
"""Between chunks, where nothing was measured."""
LEAST_GAP_S = 20.0
GAPS = 50
"""So many times the usual gap."""
LEAST_CALL_S = 60.0
"""A call that is written in silence is given so long at least."""
ASKED = 3
"""Where the user was asked, so many times the limit is waited for in all."""
SILENT_AFTER_S = 5.0
"""A silence between chunks that is put in words."""
KEPT = 64
FEWEST = 8
"""Gaps from which the usual one can be told."""


class Pace:
    """The gaps between the chunks of a model, newest last, in seconds."""

    def __init__(self, rate: float = 0.0) -> None:
        """`rate`: tokens a second that it wrote before; 0 where unknown."""
        self._gaps: deque[float] = deque(maxlen=KEPT)
        self._before = 1 / rate if rate else 0.0

    def add(self, gap: float) -> None:
        self._gaps.append(gap)

    @property
    def usual(self) -> float:
        """Seconds between two chunks; 0 where that is not known yet."""
        return median(self._gaps) if len(self._gaps) >= FEWEST else self._before


def first_limit(options: ModelOptions, expected: Expectation) -> float:
    """Seconds of silence before the first chunk."""
    reading = PATIENCE * expected.reading_ns / 1e9
    if options.first_chunk_s:
        # A prompt that is known to take long is given the time for that, and to spare.
        return options.first_chunk_s + reading
    if not expected.reading_ns:
        return UNKNOWN_S
    loading = 0.0 if expected.loaded else max(LOAD_S, PATIENCE * expected.loading_ns / 1e9)
    return TURN_S + reading + loading


def gap_limit(options: ModelOptions, usual: float, left: int, *, silent_calls: bool) -> float:
    """Seconds of silence between two chunks that are usually `usual` seconds apart; `left` tokens may still come."""
    if options.chunk_s:
        return options.chunk_s
    if not usual:
        return GAP_S
    return max(LEAST_CALL_S, left * usual) if silent_calls else max(LEAST_GAP_S, GAPS * usual)


class Watchdog:
    """Watches one stream: a chunk costs a look at the clock, and no timer."""

    def __init__(
        self,
        deadline: asyncio.Timeout,
        first_s: float,
        gap: Callable[[], float],
        tell: Callable[[float], None],
        ask: Callable[[float], None],
        asks: tuple[bool, bool],
    ) -> None:
        """`tell` hears of each silence between chunks, `ask` of one that has reached its limit.

        `asks`: somebody is asked there, before the first chunk and after it.
        """
        self._loop = asyncio.get_running_loop()
        self._deadline = deadline
        self._gap = gap
        self._tell = tell
        self._ask = ask
        self._asks = asks
        self._told = self._asked = False
        self._begun = False
        self._last = self._loop.time()
        self.limit = first_s
        """Of the present phase, in seconds; more where somebody was asked."""
        self._soft = first_s
        self._set(first_s)
        self._timer = self._loop.call_later(first_s, self._look) if asks[0] else None

    def heard(self) -> float:
        """A chunk came; seconds since the one before, -1 where it is the first."""
        now = self._loop.time()
        gap = now - self._last if self._begun else -1.0
        self._last = now
        self._told = self._asked = False
        if not self._begun:
            self._begun = True
            self._stop()
            self._set(self._gap())
            self._later()
        return gap

    def reads(self) -> None:
        """The server says that it reads the prompt: its silence begins anew, and the answer is still to come."""
        if not self._begun:
            self._last = self._loop.time()
            self._told = self._asked = False
            self._set(self._soft)
            if self._asks[False]:
                self._stop()
                self._timer = self._loop.call_later(self._soft, self._look)

    def end(self, closing_s: float = 0.0) -> None:
        """Look no more; the body may take so many seconds more to its end, where that is not 0."""
        self._stop()
        if closing_s:
            self._end_at(self._loop.time() + closing_s)

    def strike(self) -> None:
        """End the stream now."""
        self._stop()
        self._end_at(self._loop.time())

    def _set(self, soft: float) -> None:
        self._soft = soft
        self.limit = soft * ASKED if self._asks[self._begun] else soft
        self._end_at(self._last + self.limit)

    def _end_at(self, when: float) -> None:
        if not self._deadline.expired():
            self._deadline.reschedule(when)

    def _look(self) -> None:
        if self._begun:
            self._set(self._gap())
        silent = self._loop.time() - self._last
        if self._begun and silent >= SILENT_AFTER_S and not self._told:
            self._told = True
            self._tell(silent)
        if self._asks[self._begun] and silent >= self._soft and not self._asked:
            self._asked = True
            self._ask(silent)
        if self._begun or not self._asked:
            self._later()

    def _later(self) -> None:
        silent = self._loop.time() - self._last
        left = SILENT_AFTER_S - silent if silent < SILENT_AFTER_S else SILENT_AFTER_S
        self._timer = self._loop.call_later(max(0.01, min(left, self._soft / 4)), self._look)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
