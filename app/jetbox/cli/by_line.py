"""The workbench by lines: the same session and events as on the screen, told in words, only ever added to."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from jetbox.cli.live import Live
from jetbox.cli.opening import opening
from jetbox.cli.output import LineOut
from jetbox.cli.run import stopper
from jetbox.cli.workbench import chosen
from jetbox.engine.endings import heard_endings
from jetbox.engine.errors import ExitCode
from jetbox.engine.events import PermissionAsked
from jetbox.engine.safety.terminal import safe_text
from jetbox.record.places import sessions_folder
from jetbox.ui import glyphs as signs
from jetbox.ui.by_line.desk import LineDesk
from jetbox.ui.by_line.told import Told
from jetbox.ui.slices import by_slices

if TYPE_CHECKING:
    from jetbox.cli.options import Invocation
    from jetbox.engine.session import Feed

AGAIN_S = 2.0
"""So soon a second Ctrl+C must follow one that found nothing to stop."""
ASKED, ANSWER = b"y, s, a or n > ", b"answer > "
"""Marks where the user is asked something."""


class Out:
    """Lines on standard output, and a mark where the user is waited for."""

    def __init__(self, lines: LineOut, *, marks: bool) -> None:
        """`marks`: somebody sits there, and is told when a line is waited for."""
        self._lines = lines
        self._marks = marks
        self._marked = False

    def put(self, text: str) -> None:
        """One more line."""
        begin = b"\n" if self._marked else b""
        self._marked = False
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        self._lines.put(begin + f"{safe_text(text)}\n".encode(encoding, errors="replace"))

    def mark(self, mark: bytes) -> None:
        """A line is waited for."""
        if self._marks and not self._marked:
            self._marked = True
            self._lines.put(mark)

    def typed(self) -> None:
        """The user ended the line that the mark began."""
        self._marked = False


class _Stream(Protocol):
    def readline(self) -> bytes: ...


def read_lines(stream: _Stream, take: Callable[[str | None], object]) -> None:
    """Hand on the lines as they are typed, in the event loop; None when no more will come."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        with suppress(RuntimeError, OSError, ValueError):  # the loop has ended, or the terminal is gone
            while line := stream.readline():
                loop.call_soon_threadsafe(take, line.decode("utf-8", "replace"))
            loop.call_soon_threadsafe(take, None)

    threading.Thread(target=read, name="input", daemon=True).start()


class ByLine:
    """One live session by lines."""

    def __init__(self, live: Live, out: Out, *, sessions: Path, typed: bool, goal: bool, ascii: bool = False) -> None:
        """`typed`: on a terminal, that shows what is typed; `goal`: the session begins with one."""
        self._live = live
        self._out = out
        self.told = Told(out.put, signs.choose(ascii=ascii), echo=not typed)
        self.desk = LineDesk(self.told, live.feed, sessions, grace=typed)
        self.desk.begun.goals = int(goal)
        self.desk.settled = self._go_on
        self._stopped_at = -AGAIN_S
        self._ended = False
        self._later: list[str] = []
        """Lines of a pipe: each is a goal of its own, and waits for the one before."""
        self._typed = typed
        self._ready = False
        """The session takes goals."""
        self._applying = False
        """Events are being applied: what the view says is asked may be answered long since."""
        self._meanwhile: list[str | None] = []
        """What was typed since."""

    def begin(self) -> None:
        """Say where one is."""
        self._out.put("jetbox, line by line; /help tells what can be typed")

    def take(self, line: str | None) -> None:
        """A line was typed; None: there will be none any more."""
        self._out.typed()
        if self._applying:
            self._meanwhile.append(line)
            return
        if line is None:
            self._ended = True
        elif not self._typed:
            self._later.append(line)
        else:
            self.desk.take(line)
        self._go_on()

    def _go_on(self) -> None:
        """What a pipe holds comes in its turn; at its end the session ends with its last goal."""
        if self._applying:
            return
        view = self.told.view
        resting = (self._ready and not self.desk.begun and not view.running) or self.desk.missing is not None
        asked = bool(view.asked)
        while self._later and (resting or asked):
            self.desk.take(self._later.pop(0))
            asked, resting = False, resting and not self.desk.begun
        if self._ended and not self._later and resting:
            self._ended = False
            self.desk.leave()
        elif self._ended and not self._later and view.asked:
            self.desk.give_up()
        elif resting or asked:
            wanted = next(iter(view.asked.values()), None)
            self._out.mark(b"> " if wanted is None else ASKED if isinstance(wanted, PermissionAsked) else ANSWER)

    async def show(self) -> None:
        """Tell everything as it comes, until the session is over."""
        from jetbox.engine.events import ModelReady

        feed: Feed = self._live.feed
        begins = self._live.begins_at
        while await feed.ready():
            self._applying = True
            async for stamped in by_slices(feed.drain().events):
                past = stamped.seq < begins
                if past:
                    self.told.view.apply(stamped)
                else:
                    self.told.apply(stamped)
                    self._ready = self._ready or isinstance(stamped.event, ModelReady)
                self.desk.note(stamped, past=past)
            self._applying = False
            meanwhile, self._meanwhile = self._meanwhile, []
            for line in meanwhile:
                self.take(line)
            self._go_on()

    def interrupt(self) -> None:
        """Ctrl+C: stop what runs; where nothing does, the second one leaves."""
        self._out.typed()
        if self.desk.interrupt():
            return
        now = time.monotonic()
        if now - self._stopped_at < AGAIN_S:
            self.desk.leave()
        self._stopped_at = now
        self._out.put("Ctrl+C again quits")


def by_line(asked: Invocation) -> int:
    """Work by lines until the session is closed; returns the exit code.

    Raises:
        JetboxError: the session cannot be opened, or failed.
    """
    asked = chosen(asked)
    lines = LineOut(sys.stdout.fileno())
    try:
        typed = sys.stdin is not None and sys.stdin.isatty()
        # What comes through a pipe was written before anything was asked.
        with opening(asked, attended=True, asks=typed) as start:

            async def work() -> int:
                live = Live(start)
                lines.on_failure = stopper(live)
                bench = ByLine(
                    live,
                    Out(lines, marks=typed),
                    sessions=sessions_folder(asked.settings.session.folder),
                    typed=typed,
                    goal=bool(start.goal),
                    ascii=asked.settings.ui.ascii,
                )
                bench.begin()
                return await _drive(live, bench)

            return asyncio.run(work())
    finally:
        lines.close()


async def _drive(live: Live, bench: ByLine) -> int:
    """Run the session; Ctrl+C stops what runs, other signals end it, the second at once."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(live.drive())
    showing = asyncio.ensure_future(bench.show())
    if sys.stdin is not None:
        read_lines(sys.stdin.buffer, bench.take)

    def strike(code: ExitCode) -> None:
        if live.signal is not None:
            task.cancel()
        live.stop(code)

    endings = heard_endings()
    for number, code in endings.items():
        if number == signal.SIGINT:
            loop.add_signal_handler(number, bench.interrupt)
        else:
            loop.add_signal_handler(number, strike, code)
    try:
        await asyncio.wait([task, showing], return_when=asyncio.FIRST_COMPLETED)
        if showing.done() and showing.exception() is not None:  # nobody would see what it does
            live.stop(ExitCode.INTERNAL)
        await asyncio.wait([task])
        await showing
    finally:
        for number in endings:
            loop.remove_signal_handler(number)
    return int(live.signal or ExitCode.INTERRUPTED) if task.cancelled() else task.result()


def replay_by_line(session: str, asked: Invocation) -> int:
    """Tell a recording from its beginning to its end.

    Raises:
        RecordingError: there is no such recording, or it cannot be read.
    """
    from jetbox.record.library import find
    from jetbox.record.recording import read_journal

    where = find(session, sessions_folder(asked.settings.session.folder))
    lines = LineOut(sys.stdout.fileno())
    told = Told(Out(lines, marks=False).put, signs.choose(ascii=asked.settings.ui.ascii))
    try:
        for stamped in read_journal(where).events:
            told.apply(stamped)
    finally:
        lines.close()
    return int(ExitCode.DONE)
