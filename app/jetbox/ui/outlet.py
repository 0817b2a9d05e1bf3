"""Writes to the terminal from the loop, a frame at a time and without waiting for the terminal.

Textual hands each piece of a frame to a thread: it gets its turn when the loop rests, and
takes the loop's. A frame that goes out at once is seen at once, and in one piece.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import threading
from collections.abc import Callable

BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"
"""Around a frame, on terminals that can show one at once."""
MOST_WAITING = 1 << 18
"""Bytes that the terminal may be behind; with more of them no frame is made until it has taken them all."""
LAST_S = 2.0
"""How long the terminal has for what is left at the end."""
_GONE = (errno.EIO, errno.ENXIO, errno.EPIPE, errno.EBADF)


class Outlet:
    """The terminal of a file, opened anew, so that nobody else's writing becomes one that does not wait."""

    def __init__(self, descriptor: int, encoding: str, caught_up: Callable[[], object] = lambda: None) -> None:
        """In the loop that will write; `caught_up` hears that frames were left out and are wanted again.

        Raises:
            OSError: this is no terminal, or it cannot be opened.
        """
        self._encoding = encoding
        self._loop = asyncio.get_running_loop()
        self._home = threading.get_ident()
        self._frame: list[str] | None = None
        self._waiting = bytearray()
        self._gone = False
        self._late = False
        self._caught_up = caught_up
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        self._fd = os.open(os.ttyname(descriptor), flags)

    @property
    def late(self) -> bool:
        """Whether the terminal is so far behind that the next frame shall be left out."""
        self._late = self._late or len(self._waiting) > MOST_WAITING
        return self._late

    def write(self, text: str) -> None:
        """Write a text; the parts of a frame go together."""
        if threading.get_ident() != self._home:
            self._loop.call_soon_threadsafe(self.write, text)
            return
        if text == BEGIN:
            self._frame = []
        if self._frame is not None:
            self._frame.append(text)
            if text != END:
                return
            text, self._frame = "".join(self._frame), None
        self._send(text.encode(self._encoding, "replace"))

    def _send(self, data: bytes) -> None:
        if self._waiting:
            self._waiting += data
            return
        sent = self._put(data)
        if sent < len(data) and not self._gone:
            self._waiting += data[sent:]
            self._loop.add_writer(self._fd, self._go_on)

    def _put(self, data: bytes | bytearray) -> int:
        """How many bytes the terminal took."""
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno not in _GONE:
                raise
            self._gone = True  # the hang-up is told by a signal
            return len(data)

    def _go_on(self) -> None:
        del self._waiting[: self._put(self._waiting)]
        if not self._waiting or self._gone:
            self._waiting.clear()
            self._loop.remove_writer(self._fd)
            if self._late:
                self._late = False
                self._caught_up()

    def _wait(self, seconds: float) -> None:
        """Let the terminal take what waits; at most so long without a sign of it."""
        while self._waiting and select.select([], [self._fd], [], seconds)[1]:
            self._go_on()

    def close(self) -> None:
        """Write what is left, as far as the terminal takes it."""
        if self._frame is not None:
            text, self._frame = "".join(self._frame), None
            self._send(text.encode(self._encoding, "replace"))
        self._wait(LAST_S)
        self._loop.remove_writer(self._fd)
        os.close(self._fd)
