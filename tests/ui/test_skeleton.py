from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from functools import partial
from pathlib import Path

import pytest
from textual.strip import Strip

from jetbox.cli.dispatch import COMMANDS
from jetbox.cli.main import COMMANDS as WORDS
from jetbox.ui import skeleton
from jetbox.ui.deaths import PUT_BACK
from jetbox.ui.driver import codes, look
from jetbox.ui.glyphs import ASCII, UNICODE
from ui.conftest import Showing

LIVE = [[], ["add a test"], ["--demo"], ["--theme", "ember", "-m", "x"], ["--", "run"], ["--", "-p"]]
ELSEWHERE = [
    ["--plain"],
    ["--no-alternate-screen", "x"],
    ["run", "x"],
    ["run", "--", "x"],
    ["--help"],
    ["--version"],
    ["-p", "x"],
    ["-r"],
    ["--resume", "1"],
    ["-cr"],
    ["doctor"],
]


@pytest.mark.parametrize("arguments", LIVE, ids=" ".join)
def test_what_begins_with_a_screen_is_announced(arguments: list[str]) -> None:
    assert skeleton.wanted(arguments, WORDS) == "live"
    assert skeleton.wanted(["replay", "mathx"], WORDS) == "replay"
    assert set(WORDS) == set(COMMANDS)


@pytest.mark.parametrize("arguments", ELSEWHERE, ids=" ".join)
def test_nothing_else_is(arguments: list[str]) -> None:
    assert skeleton.wanted(arguments, WORDS) == ""


@pytest.mark.parametrize(
    ("size", "theme", "ascii"),
    [
        ((120, 40), "jetbox-dark", False),
        ((80, 24), "jetbox-light", False),
        ((50, 12), "jetbox-dark", True),
        ((100, 16), "ansi", True),
    ],
)
async def test_it_is_the_first_frame_in_its_colours(
    show: Showing, size: tuple[int, int], theme: str, ascii: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    async with show(size=size, theme=theme, glyphs=ASCII if ascii else UNICODE) as s:
        frame: list[Strip] = s.app.screen._compositor.render_strips()
        found = look(s.app)
        for row, column, role, text in skeleton.pieces(*size, "live", unicode=not ascii):
            there = frame[row - 1].crop(column - 1, column - 1 + len(text))
            assert there.text == text
            for segment in there:
                assert segment.style is not None
                assert codes(segment.style, s.app) == codes(found[role], s.app)
        if theme == "jetbox-dark":
            assert tuple(codes(found[role], s.app) for role in skeleton.ROLES) == skeleton.JETBOX_DARK


def test_colours_are_kept_for_this_terminal_alone(tmp_path: Path) -> None:
    here = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    assert skeleton.kept_styles(here) == (skeleton.JETBOX_DARK, False)
    styles = ("1;2", "3", "4", "5", "6", "7")
    skeleton.keep_styles(styles, here)
    assert skeleton.kept_styles(here) == (styles, False)
    skeleton.keep_styles(styles, here, ascii=True)
    assert skeleton.kept_styles(here) == (styles, True)
    assert skeleton.kept_styles({**here, "COLORTERM": ""}) == (skeleton.PLAIN, False)
    assert skeleton.kept_styles({**here, "NO_COLOR": "1"}) == (skeleton.PLAIN, False)
    skeleton.keep_styles(("\x1b]0;x", *styles[1:]), here)
    assert skeleton.kept_styles(here) == (skeleton.JETBOX_DARK, False)


def test_on_the_terminals_own_screen_what_was_there_scrolls_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from textual.drivers.linux_driver import LinuxDriver

    from jetbox.ui.driver import TerminalDriver

    written: list[str] = []
    monkeypatch.setattr(LinuxDriver, "write", lambda driver, data: written.append(data))
    driver = TerminalDriver.__new__(TerminalDriver)
    monkeypatch.setattr(driver, "_get_terminal_size", lambda: (80, 4))
    monkeypatch.setattr(driver, "_writer_thread", None, raising=False)
    for alternate in (True, False):
        driver._alternate = alternate
        for data in ("\x1b[?1049h", "\x1b[?25l", "\x1b[?1049l"):
            driver.write(data)
    assert written[:3] == ["\x1b[?1049h", "\x1b[?25l", "\x1b[?1049l"]
    assert written[3:] == ["\n\n\n\n", "\x1b[?25l", "\x1b[m\x1b[4;1H\n"]


def test_the_size_is_the_terminals_own_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    from jetbox.ui.driver import TerminalDriver

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    master, slave = pty.openpty()
    driver = TerminalDriver.__new__(TerminalDriver)
    with os.fdopen(master), os.fdopen(slave, "wb", 0) as file:
        monkeypatch.setattr(driver, "_file", file, raising=False)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
        assert driver._get_terminal_size() == (80, 24), "it does not say"
        for columns, rows in ((100, 30), (120, 40)):
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            assert driver._get_terminal_size() == (columns, rows)


async def test_after_a_stop_that_nobody_heard_the_terminal_is_taken_over_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from jetbox.ui.driver import TerminalDriver

    did: list[str] = []
    driver = TerminalDriver.__new__(TerminalDriver)
    loop = asyncio.get_running_loop()
    for name, value in {"_loop": loop, "_must_signal_resume": False, "_auto_restart": True}.items():
        monkeypatch.setattr(driver, name, value, raising=False)
    for name in ("suspend_application_mode", "resume_application_mode"):
        monkeypatch.setattr(driver, name, partial(did.append, name))
    there = True
    monkeypatch.setattr(driver, "_is_there", lambda: there)
    driver._sigcont_application()
    await asyncio.sleep(0)
    assert did == [], "it is not ours yet"
    driver._on = True
    for _ in range(3):
        driver._sigcont_application()
    assert did == [], "never within what the signal interrupts"
    await asyncio.sleep(0)
    assert did == ["suspend_application_mode", "resume_application_mode"]
    assert driver._must_signal_resume, "all is painted"
    there = driver._must_signal_resume = False
    driver._sigcont_application()
    await asyncio.sleep(0)
    assert len(did) == 2, "it has hung up"


def run_on_a_terminal(code: str, *arguments: str, read: bool = True) -> tuple[int, bytes]:
    """Exit code and output, which nobody takes where it is not to be read; the terminal is to be as it was."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    before = termios.tcgetattr(slave)
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
    take = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", take + code, *arguments],
        env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    over, seen = os.pidfd_open(process.pid), b""
    while True:
        ready, _, _ = select.select([master, over] if read else [over], [], [], 20)
        assert ready, seen
        if master not in ready:
            break
        seen += os.read(master, 65536)
    process.wait(20)
    assert termios.tcgetattr(slave) == before
    for each in (over, master, slave):
        os.close(each)
    return process.returncode, seen


PATHS = f"import sys; sys.path[:0] = {[str(Path(skeleton.__file__).parents[2])]}; "
SHOW = "from jetbox.ui.skeleton import show; from jetbox.cli.main import COMMANDS; s = show(sys.argv[1:], COMMANDS); "


def test_it_is_painted_before_anything_is_imported() -> None:
    code, seen = run_on_a_terminal(
        f"{PATHS}import os; before = set(sys.modules); {SHOW}mine = sorted(set(sys.modules) - before); s.clear();"
        "print('DONE', *mine)",
    )
    assert code == 0
    painted, left, after = seen.partition(b"\x1b[?1049l")
    assert painted.startswith(b"\x1b[?1049h")
    assert "❯".encode() in painted
    assert left
    words = after.split()
    imported = {word.decode() for word in words[words.index(b"DONE") + 1 :]}
    ours = {name for name in imported if name.startswith("jetbox")}
    assert imported - ours <= {"termios", "fcntl", "__future__"}
    assert ours <= {
        *("jetbox", "jetbox.ui", "jetbox.ui.skeleton", "jetbox.ui.locale", "jetbox.cli", "jetbox.cli.main"),
        "jetbox.folders",
    }


@pytest.mark.parametrize(("number", "code"), [(15, 143), (1, 129)])
def test_a_signal_before_the_program_has_its_own_way_to_end(number: int, code: int) -> None:
    done, seen = run_on_a_terminal(f"{PATHS}{SHOW}import os, signal; os.kill(os.getpid(), {number}); signal.pause()")
    assert done == code
    assert seen.endswith(b"\x1b[?1049l")


def test_an_error_is_told_where_the_shell_is() -> None:
    code, seen = run_on_a_terminal(
        f"import site; site.main(); {PATHS}from jetbox.cli.main import console; console()", "--set", "model.nme=x"
    )
    assert code == 2
    painted, _, told = seen.partition(b"\x1b[?1049l")
    assert b"\x1b[?1049h" in painted
    assert re.search(rb"unknown key model.nme\r\n", told)


def test_textuals_palette_is_never_imported_and_tls_when_it_is_needed() -> None:
    code = (
        f"{PATHS}from jetbox.ui.lean import import_asyncio, import_textual; import_asyncio();"
        "import asyncio.base_events as base; import_textual();"
        "import textual.app; from jetbox.ui import app;"
        "assert not {'textual.command', 'textual.widgets._option_list', 'ssl', 'asyncio.sslproto'} & set(sys.modules);"
        "assert not {'platformdirs', 'mimetypes', 'difflib', 'tempfile'} & set(sys.modules);"
        "from textual.suggestions import get_suggestion; assert get_suggestion('hepl', ['help']) == 'help';"
        "assert textual.app.mimetypes.guess_type('a.png')[0] == 'image/png';"
        "import platformdirs; assert textual.app.user_downloads_path() == platformdirs.user_downloads_path();"
        "context = base.ssl.SSLContext; import ssl; assert context is ssl.SSLContext;"
        "base.sslproto.SSLProtocol; assert base.sslproto.SSLProtocol is sys.modules['asyncio.sslproto'].SSLProtocol"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


SEEN = """
import asyncio, sys
from ui.conftest import shown

async def main():
    async with shown() as s:
        early = {"jetbox.ui.palette", "jetbox.ui.screens.timing"} & set(sys.modules)
        await s.until(lambda: {"jetbox.ui.palette", "jetbox.ui.screens.timing"} <= set(sys.modules))
        print(early)

asyncio.run(main())
"""


def test_other_screens_are_imported_after_the_first_frame_and_before_a_key_wants_them() -> None:
    paths = [str(Path(skeleton.__file__).parents[2]), str(Path(__file__).parents[1])]
    code = f"import sys; sys.path[:0] = {paths}\n{SEEN}"
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True)
    assert done.stdout == "set()\n"


DIE = """
import os, resource, signal, sys, termios, tty
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
number = getattr(signal, sys.argv[1])
signal.signal(number, signal.SIG_DFL)  # whoever runs the tests may ignore it
from jetbox.ui.deaths import Deaths
before = termios.tcgetattr(0)
tty.setraw(0)
deaths = Deaths(0, before)
deaths.begin()
os.kill(os.getpid(), number)
"""


@pytest.mark.parametrize("name", ["SIGQUIT", "SIGABRT"])
def test_a_signal_that_ends_the_process_at_once_puts_the_terminal_back(name: str) -> None:
    code, seen = run_on_a_terminal(f"{PATHS}\n{DIE}", name)
    assert code == -getattr(signal, name)
    assert seen == PUT_BACK


FULL = """
os.set_blocking(0, False)
try:
    while True:
        os.write(0, b"x" * 4096)
except BlockingIOError:
    os.set_blocking(0, True)
"""


def test_a_terminal_that_takes_nothing_more_is_put_back_too() -> None:
    fill = DIE.replace("deaths.begin()", f"deaths.begin(){FULL}")
    assert run_on_a_terminal(f"{PATHS}\n{fill}", "SIGQUIT", read=False) == (-signal.SIGQUIT, b"")
