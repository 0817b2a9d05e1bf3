"""The workbench in a real pseudo-terminal, as a process of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

PROGRAM = Path(sys.executable).with_name("jetbox-tui")
PATIENCE_S = 120.0


def _take_terminal() -> None:
    """Make it the controlling terminal, so that hanging up is told to the program."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A pseudo-terminal with a program in it."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - the test has one thread here
        )  # fmt: skip
        os.close(slave)
        self.seen = b""

    def until(self, what: bytes) -> None:
        """Read until the program has written this."""
        deadline = time.monotonic() + PATIENCE_S
        while what not in self.seen:
            left = deadline - time.monotonic()
            assert left > 0, self.seen[-2000:].decode(errors="replace")
            if select.select([self.master], [], [], left)[0]:
                self.seen += self._read()

    def _read(self) -> bytes:
        try:
            return os.read(self.master, 65536)
        except OSError:  # EIO: the other side is closed
            raise AssertionError(self.seen[-2000:].decode(errors="replace")) from None

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def hang_up(self) -> None:
        os.close(self.master)
        self.master = -1

    def end(self) -> int:
        """Wait for the end, reading what still comes."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "the program does not end"
            if self.master >= 0 and select.select([self.master], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self.master, 65536)
                except OSError:
                    self.process.wait(PATIENCE_S)
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.master >= 0:
            os.close(self.master)


@pytest.fixture
def open_terminal(tmp_path: Path, sim_server: Callable[..., object]) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*options: str, **server: object) -> Terminal:
        url = getattr(sim_server(**server), "url")  # noqa: B009
        folder = tmp_path / "project"
        folder.mkdir(exist_ok=True)
        environment = {**os.environ, "TERM": "xterm-256color", "OLLAMA_HOST": url}
        opened.append(Terminal([str(PROGRAM), "-m", "gpt-oss:20b", *options], folder, environment))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


def journal() -> list[dict[str, object]]:
    folder = Path(os.environ["XDG_DATA_HOME"]) / "jetbox" / "sessions"
    lines = (max(folder.iterdir()) / "journal.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line).get("event", {}) for line in lines]


def ended() -> list[object]:
    """What the journal says that ended: what the server holds may be told between."""
    return [e["type"] for e in journal() if e.get("type") in ("goal.ended", "session.closed")]


def test_a_goal_to_its_end_and_gone_on_with_from_another_session(open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal("--yolo", "What is a context manager in Python, and when should I write one?")
    terminal.until(b"answered")
    terminal.type(b"\x11")
    assert terminal.end() == 0
    assert b"\x1b[?1049l" in terminal.seen, "the terminal is not restored"
    assert terminal.seen.count(b"\x1b[?1049h") == 1, "the skeleton is cleared before the first frame"
    assert b"\x1b]2;project: answered" in terminal.seen
    assert b"\x1b[23;0t" in terminal.seen, "the terminal's own title is not put back"
    recorded = journal()
    assert recorded[-1]["type"] == "session.closed"
    terminal = open_terminal("--yolo")
    terminal.until(b"ready")
    terminal.type(b"\x12")
    terminal.until(b"1 round")
    terminal.type(b"\r")
    terminal.until(b"session goes on")
    terminal.type(b"\x11")
    assert terminal.end() == 0
    folder = Path(os.environ["XDG_DATA_HOME"]) / "jetbox" / "sessions" / str(recorded[0]["id"])
    assert b'"session.resumed"' in (folder / "journal.jsonl").read_bytes()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_it_in_good_order(open_terminal: Callable[..., Terminal], number: int, code: int) -> None:
    terminal = open_terminal("--yolo", "What is a context manager?", faults=["stall@1:3"])
    terminal.until(b"project: round 1")
    terminal.process.send_signal(number)
    assert terminal.end() == code
    assert b"\x1b[?1049l" in terminal.seen
    assert ended() == ["goal.ended", "session.closed"]


def test_nothing_stays_when_the_terminal_is_gone(open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal("--yolo", "What is a context manager?", faults=["stall@1:3"])
    terminal.until(b"project: round 1")
    terminal.hang_up()
    assert terminal.end() == 129
    assert ended() == ["goal.ended", "session.closed"]


def test_no_server_is_said_on_the_screen_and_by_the_exit_code(open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal("--host", "127.0.0.1:9", "Do something.")
    terminal.until(b"no Ollama server answers")
    terminal.until(b"serve`")  # the line may be broken before it
    terminal.type(b"\x11")
    assert terminal.end() == 6


def test_what_is_typed_before_the_first_frame_is_kept(open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal("--yolo")
    terminal.type(b"What is a context manager?")
    terminal.until(b"ready")
    terminal.type(b"\r")
    terminal.until(b"answered")
    terminal.type(b"\x11")
    assert terminal.end() == 0
    started = [e for e in journal() if e.get("type") == "goal.started"]
    assert [e["text"] for e in started] == ["What is a context manager?"]
