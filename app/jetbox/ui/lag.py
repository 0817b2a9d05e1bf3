"""Names what holds up the screen: a thread asks the loop for a sign of life, and looks where it is when none comes."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

import msgspec

LIMIT_S = 0.005
"""Nothing may hold the loop for longer."""
DEEPEST = 6
"""Calls that are named, the innermost first."""


class Held(msgspec.Struct, frozen=True):
    """Once that the loop was held up."""

    wall_ns: int
    cpu_ns: int
    """What the loop's thread computed meanwhile; the rest it waited, for the system or for another thread."""
    stack: tuple[str, ...]
    """Where it was when the limit was met: `file:line function`, the innermost first."""

    @property
    def culprit(self) -> str:
        """The innermost place of this program, else the innermost of all."""
        return next((place for place in self.stack if place.startswith("jetbox/")), self.stack[0] if self.stack else "")


class LagWatch:
    """Watches the running loop from `begin` to `end`."""

    def __init__(self, tell: Callable[[Held], None], limit_s: float = LIMIT_S) -> None:
        """`tell` is called in the loop."""
        self._tell = tell
        self._limit = limit_s
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Watch the loop of the thread that calls this."""
        where = threading.get_ident()
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._watch, args=(loop, where), name="lag watch", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Watch no more."""
        self._over.set()

    def _watch(self, loop: asyncio.AbstractEventLoop, where: int) -> None:
        clock = time.pthread_getcpuclockid(where)
        while not self._over.wait(self._limit / 2):
            alive = threading.Event()
            began, computed = time.monotonic_ns(), time.clock_gettime_ns(clock)
            try:
                loop.call_soon_threadsafe(alive.set)
            except RuntimeError:  # the loop is closed
                return
            if alive.wait(self._limit):
                continue
            stack = _stack(sys._current_frames().get(where))
            while not alive.wait(0.05):
                if self._over.is_set():
                    return
            held = Held(time.monotonic_ns() - began, time.clock_gettime_ns(clock) - computed, stack)
            loop.call_soon_threadsafe(self._tell, held)


def _stack(frame: FrameType | None) -> tuple[str, ...]:
    places = []
    while frame is not None:
        code = frame.f_code
        short = code.co_filename
        for part in ("/jetbox/", "/site-packages/"):
            _, found, tail = short.rpartition(part)
            if found:
                short = part.strip("/") + "/" + tail if part == "/jetbox/" else tail
                break
        places.append(f"{short}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    ours = [place for place in places[DEEPEST:] if place.startswith("jetbox/")]
    return (*places[:DEEPEST], *ours[:2])


class LagLog:
    """Tells of each culprit once, and again when it held the loop for twice as long."""

    def __init__(self, say: Callable[[str, str, str], None]) -> None:
        """`say` takes a level, a text and a hint."""
        self._say = say
        self.worst: dict[str, Held] = {}

    def take(self, held: Held) -> None:
        """One more."""
        known = self.worst.get(held.culprit)
        if known is None or held.wall_ns > 2 * known.wall_ns:
            self.worst[held.culprit] = held
            text = f"the screen was held up for {held.wall_ns / 1e6:.0f} ms ({held.cpu_ns / 1e6:.0f} ms computing)"
            self._say("warning", f"{text} by {held.culprit}", " < ".join(held.stack))
