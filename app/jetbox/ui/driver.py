"""The terminal's driver: takes over what the skeleton left, and keeps its colours for the next start."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
from codecs import getincrementaldecoder
from contextlib import suppress
from select import select
from typing import TYPE_CHECKING

from textual.drivers.linux_driver import LinuxDriver

from jetbox.ui.clusters import held
from jetbox.ui.metakeys import MetaParser
from jetbox.ui.outlet import Outlet
from jetbox.ui.skeleton import ROLES, Skeleton, keep_styles, waiting

if TYPE_CHECKING:
    from rich.style import Style
    from textual.message import Message

    from jetbox.ui.app import JetboxApp
    from jetbox.ui.deaths import Deaths

LOOK_S = 0.1
"""How soon it is noticed that nothing shall be read any more."""
READ = 1 << 16
"""Most bytes that are read at once."""
RUSH, GOES_ON = 1_000, 64
"""Bytes at once behind which more is waited for, and those behind which still more is."""
RUSH_S = 0.05
"""How long."""
MOST = 1 << 21
"""Most bytes that are read together."""
OTHER_SCREEN, OWN_SCREEN = "\x1b[?1049h", "\x1b[?1049l"


class TerminalDriver(LinuxDriver):
    """Textual's own, on the screen that is painted already; or, where that is wanted, on the terminal's own screen."""

    _painted: Skeleton | None = None
    _alternate = True
    """Whether the terminal's other screen is used."""
    _outlet: Outlet | None = None
    _deaths: Deaths | None = None
    _lines = 0
    """Bytes to be read in which the terminal has made Enter a line feed, since nobody had asked it for keys yet."""
    _on = False
    """Whether the terminal is ours: keys are read."""
    _gone_on = True
    """Somebody has let us go on since we were to stop."""
    _anew = False
    """The terminal is about to be taken over once more."""

    def start_application_mode(self) -> None:
        from jetbox.ui.app import JetboxApp

        if sys.platform == "linux" and self._file is not None:
            with suppress(OSError):  # Textual's own thread writes where it cannot be opened anew
                self._outlet = Outlet(self._file.fileno(), self._file.encoding, self._paint_whole)
        if isinstance(self._app, JetboxApp):
            self._app.outlet = self._outlet
        skeleton = self._app.skeleton if isinstance(self._app, JetboxApp) else None
        self._alternate = not isinstance(self._app, JetboxApp) or self._app.alternate
        if skeleton is not None and not self._alternate:
            skeleton.clear()
        if skeleton is not None and skeleton.shown:
            self._painted = skeleton
        with suppress(OSError):  # no terminal: then nobody types either
            self._lines = self._painted.lines if self._painted is not None else waiting(self.fileno)
        super().start_application_mode()  # type: ignore[no-untyped-call]  # Textual leaves it without types
        if self._painted is not None:
            # What it read were the attributes of the skeleton: keys unseen.
            self.attrs_before = self._painted.hand_over()
            self._painted = None
        if self.attrs_before is not None and self._file is not None:
            from jetbox.ui.deaths import Deaths

            self._deaths = Deaths(self._file.fileno(), self.attrs_before)
            self._deaths.begin()
        self._on = True

    def _sigtstp_application(self, *_: object) -> None:
        from jetbox.ui.stopping import stop_job

        ours = self._auto_restart
        if ours:
            self.suspend_application_mode()
            self._must_signal_resume = True
        self._gone_on = False
        if not stop_job(lambda: self._gone_on, whole=ours) and ours:
            self.resume_application_mode()
            self._loop.call_soon_threadsafe(self._say_that_nobody_could)

    def _say_that_nobody_could(self) -> None:
        self._app.notify("it was not begun from a shell that could bring it back", title="not in the background")

    def _sigcont_application(self, *_: object) -> None:
        self._gone_on = True
        # A stop that cannot be heard (SIGSTOP): a second thread for keys beside the first would never end.
        if self._must_signal_resume:
            super()._sigcont_application()
        elif self._on and not self._anew:
            self._anew = True
            self._loop.call_soon_threadsafe(self._take_over_anew)

    def _take_over_anew(self) -> None:
        """Meanwhile a shell may have had the terminal."""
        self._anew = False
        if self._on and self._auto_restart and self._is_there():
            self.suspend_application_mode()
            self._must_signal_resume = True
            self.resume_application_mode()

    def _is_there(self) -> bool:
        """Whether the terminal still is: one that hangs up lets its processes go on (SIGCONT), so that they can end."""
        try:
            termios.tcgetattr(self.fileno)
        except termios.error:
            return False
        return True

    def run_input_thread(self) -> None:
        """Read keys, clicks and pastes, until the end.

        Raises:
            OSError: the terminal is gone.
        """
        parser = MetaParser(self._debug)
        decode = getincrementaldecoder("utf-8")(errors="replace").decode
        while not self.exit_event.is_set():
            if select([self.fileno], [], [], LOOK_S)[0]:
                text = decode(self._typed(self._read()))
                for message in parser.feed(text) if text else ():
                    self.process_message(message)
            for message in parser.tick():
                self.process_message(message)

    def _read(self) -> bytes:
        """What came; all of it where it comes in a rush, as a paste does that the terminal does not mark."""
        piece = read = os.read(self.fileno, READ)
        least = RUSH
        while least <= len(piece) and len(read) < MOST and select([self.fileno], [], [], RUSH_S)[0]:
            piece, least = os.read(self.fileno, READ), GOES_ON
            read += piece
        return read

    def send_message(self, message: Message) -> None:
        # A task for each key, as Textual has it, would only put it in the queue.
        self._loop.call_soon_threadsafe(self._app.post_message, message)

    def _typed(self, read: bytes) -> bytes:
        """What was typed, Enter as keys are named."""
        lines, self._lines = self._lines, max(0, self._lines - len(read))
        return read[:lines].replace(b"\n", b"\r") + read[lines:] if lines else read

    def _get_terminal_size(self) -> tuple[int, int]:
        # Of the terminal itself: COLUMNS and LINES are often those of another, and stay as they are when it is resized.
        width = height = 0
        if self._file is not None:
            with suppress(OSError, ValueError):
                width, height = os.get_terminal_size(self._file.fileno())
        return (width, height) if width > 0 and height > 0 else super()._get_terminal_size()

    def write(self, data: str) -> None:
        # Asked for again, some terminals clear it: the screen would be dark until the first frame.
        if data == OTHER_SCREEN and self._painted is not None:
            return
        if not self._alternate and data in (OTHER_SCREEN, OWN_SCREEN):
            _, rows = self._get_terminal_size()
            # What the terminal shows scrolls up; in the end the last state stays, and the shell goes on below.
            data = "\n" * rows if data == OTHER_SCREEN else f"\x1b[m\x1b[{rows};1H\n"
        data = held(data)
        if self._outlet is not None:
            self._outlet.write(data)
        elif self._writer_thread is None or self._writer_thread.is_alive():
            super().write(data)

    def _paint_whole(self) -> None:
        self._app.call_later(self._app.screen.refresh)

    def close(self) -> None:
        from jetbox.ui.app import JetboxApp

        self._on = False
        if isinstance(self._app, JetboxApp):
            self._app.outlet = None
        if self._deaths is not None:
            self._deaths.over()
            self._deaths = None
        if self._outlet is not None:
            self._outlet.close()
            self._outlet = None
        if self._writer_thread is not None and self._writer_thread.is_alive():
            super().close()


async def keep_look(app: JetboxApp) -> None:
    """The next start begins in the colours of this screen."""
    styles = look(app)
    shown = [codes(styles[role], app) for role in ROLES]
    ascii = app.loaded is not None and app.loaded.settings.ui.ascii
    await asyncio.to_thread(keep_styles, shown, os.environ, ascii=ascii)
    if app.skeleton is not None and app.skeleton.kept is not None:
        kept, app.skeleton.kept = app.skeleton.kept, None
        kept.end()
        await asyncio.to_thread(kept.save)


def look(app: JetboxApp) -> dict[str, Style]:
    """The screen's own styles for what the skeleton shows."""
    bench = app.workbench
    paint, component = bench.status.colours, bench.prompt.get_component_rich_style
    return {
        "ground": paint.base,
        "brand": paint["brand"],
        "rule": paint["track"],
        "mark": paint["user.mark"],
        "cursor": paint.base + component("text-area--cursor"),
        "hint": paint.base + component("text-area--placeholder"),
    }


def codes(style: Style, app: JetboxApp) -> str:
    """The style's attributes, as this terminal is told of them."""
    from rich.color import ColorSystem

    system = {"standard": ColorSystem.STANDARD, "256": ColorSystem.EIGHT_BIT, "truecolor": ColorSystem.TRUECOLOR}
    colours = system.get(app.console.color_system or "")
    return style.render("x", color_system=colours).partition("x")[0].removeprefix("\x1b[").rstrip("m")
