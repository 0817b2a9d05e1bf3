"""A real terminal for measuring: a process on a pty, everything that it writes with its time."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

ROWS, COLUMNS = 40, 120
_UNSET = ("NO_COLOR", "TMUX", "COLUMNS", "LINES", "PYTHONDONTWRITEBYTECODE", "LC_ALL")


class Terminal:
    """Starts a command on a pty of its own; times are those of the monotonic clock, s."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self.reads: list[tuple[float, bytes]] = []
        self.begun = time.monotonic()
        self._asked = b""
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            size = struct.pack("HHHH", ROWS, COLUMNS, 0, 0)
            fcntl.ioctl(0, termios.TIOCSWINSZ, size)
            inherited = {name: value for name, value in os.environ.items() if name not in _UNSET}
            inherited |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
            os.execvpe(command[0], list(command), inherited | dict(environ))

    def pump(self, seconds: float) -> bool:
        """Read what is there, waiting this long at most; false at the end."""
        if not select.select([self._fd], [], [], max(0.0, seconds))[0]:
            return True
        try:
            data = os.read(self._fd, 1 << 16)
        except OSError:
            return False
        if data:
            self.reads.append((time.monotonic(), data))
            self._answer(data)
        return bool(data)

    def _answer(self, data: bytes) -> None:
        """It can draw a frame at once, as today's terminals do."""
        self._asked = self._asked[-16:] + data
        if b"\x1b[?2026$p" in self._asked:
            self._asked = b""
            os.write(self._fd, b"\x1b[?2026;2$y")

    def pump_until(self, deadline: float) -> None:
        """Read until this time."""
        while (left := deadline - time.monotonic()) > 0 and self.pump(left):
            pass

    def write(self, data: bytes) -> float:
        """Type; returns when."""
        at = time.monotonic()
        os.write(self._fd, data)
        return at

    def time_of(self, pattern: bytes, since: float = 0.0) -> float | None:
        """When the first bytes that complete the pattern came, of what came since."""
        seen, wanted = b"", re.compile(pattern)
        for at, data in self.reads:
            if at < since:
                continue
            seen = seen[-4096:] + data
            if wanted.search(seen):
                return at
        return None

    def wait_for(self, pattern: bytes, seconds: float, since: float = 0.0) -> float | None:
        """When the pattern came, waiting for it."""
        deadline = time.monotonic() + seconds
        while (found := self.time_of(pattern, since)) is None and time.monotonic() < deadline:
            if not self.pump(0.1):
                return self.time_of(pattern, since)
        return found

    def computed_ms(self) -> float:
        """How long the process's threads have computed, where the system tells."""
        folder, total = f"/proc/{self._pid}/task", 0
        for thread in os.listdir(folder) if os.path.isdir(folder) else ():
            with suppress(OSError, ValueError), open(f"{folder}/{thread}/schedstat") as file:
                total += int(file.read().split()[0])
        return total / 1e6

    def end(self) -> None:
        """End the process, and read no more."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._fd)


def share(values: Sequence[float], percent: int) -> float:
    """The value that so many percent of them do not exceed."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))]
