"""Looks after a forked run: what it prints, what it says of itself, its time, and its end with all below it.

The source of this module is handed to the workspace's interpreter as that of `forking` is, and runs
on Python 3.8 and later.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from contextlib import suppress
from typing import Any, Dict, List, Optional, Set  # noqa: UP035 - evaluated by old interpreters

END_S = 1.0
"""How long to go on killing what a run left behind."""
POLL_S = 0.02
"""How often to look whether a run has ended where the kernel does not tell."""


class Kept:
    """The head and the tail of what a run prints."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.head = bytearray()
        self.tail = bytearray()
        self.total = 0

    def feed(self, data: bytes) -> None:
        self.total += len(data)
        room = self.most // 3 - len(self.head)
        if room > 0:
            self.head += data[:room]
            data = data[room:]
        self.tail += data
        if len(self.tail) > 2 * self.most:
            del self.tail[: -self.most]

    def text(self) -> str:
        tail = bytes(self.tail[-self.most :])
        left = self.total - len(self.head) - len(tail)
        gap = f"\n... {left} bytes left out ...\n".encode() if left > 0 else b""
        return (bytes(self.head) + gap + tail).decode(errors="replace")


class Run:
    """A forked process, what it prints, and what it says of itself."""

    def __init__(self, request: Dict[str, Any], pid: int, out: int, said: int, ahead: bool = False) -> None:  # noqa: UP006
        """`ahead`: it had begun before it was asked for."""
        self.request = request
        self.ahead = ahead
        self.pid = pid
        self.out = out
        self.said = said
        self.open: Set[int] = {out, said}  # noqa: UP006
        self.kept = Kept(request["keep"])
        self.record = bytearray()
        self.began = time.monotonic()
        self.first: Optional[float] = None  # noqa: UP045
        self.handle = -1
        # Its pipes may be held open by what it forked itself.
        with suppress(AttributeError, OSError):
            self.handle = os.pidfd_open(pid)

    def watch(self, lines: Any) -> str:
        """Until it has ended, or has to end; which of them."""
        limit = self.began + self.request["seconds"] if self.request["seconds"] else None
        while True:
            left = None if self.handle >= 0 else POLL_S
            if limit is not None:
                until = max(0.0, limit - time.monotonic())
                left = until if left is None else min(left, until)
            waited = [*self.open, lines.fd] + ([self.handle] if self.handle >= 0 else [])
            ready = select.select(waited, [], [], 0 if lines.rest else left)[0]
            if lines.rest or lines.fd in ready:
                line = lines()
                if line is None:
                    return "gone"
                if json.loads(line).get("cancel") == self.request["run"]:
                    return "cancelled"
            for fd in self.open & set(ready):
                if not self.take(fd):
                    self.open.discard(fd)
                    os.close(fd)
            if ended(self.pid):
                return "exited"
            if limit is not None and time.monotonic() >= limit:
                return "timeout"

    def take(self, fd: int) -> bool:
        """Read what is there; False at its end."""
        data = os.read(fd, 65536)
        if fd == self.out:
            self.kept.feed(data)
            return bool(data)
        self.record += data
        if data and self.first is None:
            self.first = time.monotonic() - self.began
        return bool(data)

    def rest(self) -> None:
        """Read what is left in its pipes, once nobody writes to them any more."""
        for fd in sorted(self.open):
            os.set_blocking(fd, False)
            with suppress(BlockingIOError):
                while self.take(fd):
                    continue
            os.close(fd)
        self.open.clear()
        if self.handle >= 0:
            os.close(self.handle)

    def answer(self, state: str, code: int) -> Dict[str, Any]:  # noqa: UP006
        """For the client."""
        line = bytes(self.record).rpartition(b"\n")[0].rpartition(b"\n")[2]
        said = None
        if line.startswith(b"{") and state == "exited":
            with suppress(ValueError):
                said = json.loads(line)
                # A test can write into this pipe too, and leave.
                said = said if said.pop("key", "") == self.request["key"] else None
        return {
            "run": self.request["run"],
            "key": self.request["key"],
            "state": state,
            "code": code,
            "output": self.kept.text(),
            "ms": (time.monotonic() - self.began) * 1000,
            "first_ms": None if self.first is None else self.first * 1000,
            "said": said,
            "ahead": self.ahead,
        }


def ended(pid: int) -> bool:
    """True where the process has ended; it stays to be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def end(pid: int, spared: int = 0) -> int:
    """Kill whatever is left of a run, and of all else but the process that is `spared`; its exit code."""
    status = None
    until = time.monotonic() + END_S
    killed(pid)
    while time.monotonic() < until:
        try:
            done, code = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if done == pid:
            status = code
        elif not done:
            left = [below for below in children() if below != spared]
            if spared and status is not None and not left:
                break
            for below in left:
                killed(below)
            time.sleep(0.0002)
    if status is None:
        return -signal.SIGKILL
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def killed(pid: int) -> None:
    """A group dies as one, so that nothing in it forks away; never our own."""
    with suppress(ProcessLookupError, PermissionError, ChildProcessError):
        gone = ended(pid)  # of one that is not ours any more nothing is known but a number
        group = os.getpgid(pid)
        if group != os.getpgid(0):
            os.killpg(group, signal.SIGKILL)
        if not gone:
            os.kill(pid, signal.SIGKILL)


def children() -> List[int]:  # noqa: UP006
    """What was started below us, and what was left to us by those that ended."""
    me = str(os.getpid())
    with suppress(OSError), open("/proc/" + me + "/task/" + me + "/children") as file:
        return [int(word) for word in file.read().split()]
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/" + name + "/stat", "rb") as stat:
                    state, parent = stat.read().rpartition(b")")[2].split()[:2]
            except OSError:
                continue
            if parent == me.encode() and state != b"Z":
                found.append(int(name))
    return found
