"""A session as somebody has it: the demo in a real terminal, from its start to leaving it."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jetbox.engine import events as e
from jetbox.record.recording import read_journal

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0
"""For a machine that has other work; nothing here waits for time to pass."""


class Tmux:
    """A terminal with a shell in it."""

    def __init__(self, folder: Path) -> None:
        self._server = ["tmux", "-S", str(folder / "tmux"), "-f", os.devnull]
        told = folder / "told"
        os.mkfifo(told)
        self._told = os.open(told, os.O_RDWR | os.O_NONBLOCK)
        environment = {**os.environ, "ENV": "", "PS1": "$ ", "LANG": "C.UTF-8", "TMPDIR": str(folder)}
        shell = ["new-session", "-d", "-x", "120", "-y", "40", "-c", str(folder), "/bin/sh"]
        subprocess.run([*self._server, *shell], env=environment, check=True)
        self._do("pipe-pane", "-O", f"exec cat >{told}")

    def _do(self, *words: str) -> str:
        return subprocess.run([*self._server, *words], capture_output=True, text=True, check=True).stdout

    @property
    def screen(self) -> str:
        """What is seen, without the spaces that end its lines."""
        return "\n".join(line.rstrip() for line in self._do("capture-pane", "-p", "-J").split("\n"))

    def press(self, *keys: str) -> None:
        self._do("send-keys", *keys)

    def type(self, text: str) -> None:
        self._do("send-keys", "-l", text)

    def until(self, text: str) -> None:
        """Wait until the screen shows this; it is looked at again whenever something was written to it."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in (screen := self.screen):
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} does not come:\n{screen}"
            if select.select([self._told], [], [], left)[0]:
                os.read(self._told, 1 << 20)

    def close(self) -> None:
        subprocess.run([*self._server, "kill-server"], capture_output=True, check=False)
        os.close(self._told)


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    terminal = Tmux(tmp_path)
    yield terminal
    terminal.close()


def test_the_demo_from_its_start_to_leaving_it(tmux: Tmux, tmp_path: Path) -> None:
    made = f"{sys.prefix}/.installed"
    tmux.type(f"make -s -C {ROOT} -o {made} VENV={sys.prefix} demo; echo left with $?")
    tmux.press("Enter")
    tmux.until("Create mathx package")
    tmux.until("write_file pyproject.toml")

    tmux.type("and keep it small")
    tmux.press("Enter")
    tmux.until("❯ and keep it small")

    tmux.press("C-l")
    tmux.until("4 models")
    tmux.press("Down")
    tmux.until("llama3.2:3b  3.2B")
    tmux.press("Enter")
    tmux.until("model: gpt-oss:20b to llama3.2:3b")

    tmux.press("Escape")
    tmux.until("interrupted by the user")
    (folder,) = tmp_path.glob("jetbox-demo-*")
    assert (folder / "pyproject.toml").is_file()

    tmux.press("F3")
    tmux.until("back to before round")
    tmux.press("G")
    tmux.until("your words come back: Create mathx")
    tmux.press("Enter")
    tmux.until("put back")
    assert not (folder / "pyproject.toml").exists()

    tmux.press("C-c")
    tmux.until("what shall be done here?")
    tmux.type("What is a context manager?")
    tmux.press("Enter")
    tmux.until("answered")
    tmux.press("C-q")
    tmux.until("left with 0")
    assert "Traceback" not in tmux.screen
    check_journal()


def check_journal() -> None:
    """What happened stands in the recording too."""
    (session,) = (Path(os.environ["XDG_DATA_HOME"]) / "jetbox" / "sessions").iterdir()
    recording = read_journal(session)
    assert not recording.problems
    events = [stamped.event for stamped in recording.events]
    assert [each.text for each in events if isinstance(each, e.Steered)] == ["and keep it small"]
    assert [(each.old, each.new) for each in events if isinstance(each, e.ModelSwitched)][:1] == [
        ("gpt-oss:20b", "llama3.2:3b")
    ]
    assert [each.outcome for each in events if isinstance(each, e.GoalEnded)] == ["interrupted", "answered"]
    (undone,) = (each for each in events if isinstance(each, e.Undone))
    assert {change.path for change in undone.files} >= {"pyproject.toml"}
    assert not undone.left
    assert isinstance(events[-1], e.SessionClosed)
