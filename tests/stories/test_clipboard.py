"""What is copied arrives: through the terminal, through tmux, and by the desktop's tool where that is the right one."""

from __future__ import annotations

import base64
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jetbox.sim.launch import ServerProcess
from stories.test_terminal import PROGRAM, Terminal
from stories.test_tmux import Tmux

OSC_52 = re.compile(rb"\x1b\]52;c;([A-Za-z0-9+/=]*)(?:\x07|\x1b\\)")
ANSWER = "Grüße: \N{SNOWMAN} and `code`"
Open = Callable[..., Terminal]


@pytest.fixture
def server(sim_server: Callable[..., ServerProcess], write_script: Callable[..., Path]) -> ServerProcess:
    return sim_server(scripts=[str(write_script({"text": ANSWER, "think": "", "calls": ()}))])


@pytest.fixture
def opened(tmp_path: Path, server: ServerProcess) -> Iterator[Open]:
    """Opens the workbench with a goal in a terminal beside a desktop whose clipboard is a file."""
    running: list[Terminal] = []

    def begin(**environ: str) -> Terminal:
        folder = tmp_path / "project"
        folder.mkdir()
        bin_ = tmp_path / "bin"
        bin_.mkdir()
        script = bin_ / "xclip"
        script.write_text(f"#!/bin/sh\ncat >{tmp_path}/desktop.new && mv {tmp_path}/desktop.new {tmp_path}/desktop\n")
        script.chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
        path = f"{bin_}:{os.environ['PATH']}"
        environment = {**kept, "TERM": "xterm-256color", "OLLAMA_HOST": server.url, "DISPLAY": ":0", "PATH": path}
        command = [str(PROGRAM), "-m", "gpt-oss:20b", "--yolo", "Say it."]
        running.append(Terminal(command, folder, environment | environ))
        return running[-1]

    yield begin
    for terminal in running:
        terminal.close()


ELSEWHERE = ("TMUX", "SSH_CONNECTION", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME")


def copy_answer(terminal: Terminal) -> str:
    """Copy the answer by keys; what the terminal was handed."""
    terminal.until(b"answered")
    terminal.type(b"\ty")
    terminal.until(b"\x1b]52;")
    terminal.until(b"copied")
    terminal.type(b"\x11")
    assert terminal.end() == 0
    (handed,) = OSC_52.findall(terminal.seen)
    return base64.b64decode(handed, validate=True).decode()


def test_beside_a_desktop_its_own_tool_and_the_terminal_get_what_is_copied(opened: Open, tmp_path: Path) -> None:
    assert copy_answer(opened()) == ANSWER
    assert (tmp_path / "desktop").read_text() == ANSWER


def test_over_ssh_the_terminal_alone_gets_it(opened: Open, tmp_path: Path) -> None:
    assert copy_answer(opened(SSH_CONNECTION="10.0.0.1 50000 10.0.0.2 22")) == ANSWER
    assert not (tmp_path / "desktop").exists()


@pytest.mark.parametrize("knows_tmux", [True, False])
def test_inside_tmux_its_buffer_has_what_is_copied(tmp_path: Path, server: ServerProcess, knows_tmux: bool) -> None:
    # Without $TMUX, as where one went on to another machine, only the terminal's own way is left.
    tmux = Tmux(tmp_path)
    try:
        tmux._do("set-option", "-s", "set-clipboard", "on")
        forget = "" if knows_tmux else "env -u TMUX SSH_CONNECTION=there "
        python = Path(sys.prefix) / "bin" / "jetbox-tui"
        tmux.type(f"OLLAMA_HOST={server.url} {forget}{python} -m gpt-oss:20b --yolo 'Say it.'; echo left with $?")
        tmux.press("Enter")
        tmux.until("answered")
        tmux.press("Tab")
        tmux.press("y")
        tmux.until("copied")
        tmux.press("C-q")
        tmux.until("left with 0")
        assert tmux._do("show-buffer") == ANSWER
    finally:
        tmux.close()
