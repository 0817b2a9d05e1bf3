"""A stop as the shell knows it, with and without a shell that could let it go on."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
from contextlib import suppress

import pytest
from textual.app import App
from textual.drivers._writer_thread import WriterThread

from jetbox.ui.driver import TerminalDriver

STOPS = (
    "import signal; from jetbox.ui.stopping import stop_job; heard = []; "
    "signal.signal(signal.SIGCONT, lambda *_: heard.append(1)); "
    "print(stop_job(lambda: bool(heard), whole=True), flush=True)"
)


def test_what_began_the_program_stops_with_it_so_that_the_shell_hears_of_it() -> None:
    script = subprocess.Popen(
        ["/bin/sh", "-c", '"$@"; echo over', "sh", sys.executable, "-c", STOPS],
        stdout=subprocess.PIPE, text=True, process_group=0,
    )  # fmt: skip
    _, how = os.waitpid(script.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(how)
    assert os.WSTOPSIG(how) == signal.SIGTSTP
    os.killpg(script.pid, signal.SIGCONT)
    assert script.communicate(timeout=60)[0] == "True\nover\n"


def test_where_no_shell_could_let_it_go_on_nothing_is_stopped() -> None:
    alone = [sys.executable, "-c", STOPS]
    ended = subprocess.run(alone, capture_output=True, text=True, start_new_session=True, timeout=60, check=False)
    assert ended.stdout == "False\n"
    assert ended.stderr == ""


def test_a_terminal_that_hung_up_is_not_taken_over_when_the_kernel_lets_its_processes_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[str] = []
    monkeypatch.setattr(TerminalDriver, "suspend_application_mode", lambda _: taken.append("given"))
    monkeypatch.setattr(TerminalDriver, "resume_application_mode", lambda _: taken.append("taken"))
    master, slave = pty.openpty()
    driver = TerminalDriver.__new__(TerminalDriver)
    driver.fileno, driver._on, driver._auto_restart = slave, True, True
    try:
        driver._take_over_anew()
        assert taken == ["given", "taken"]
        os.close(master)
        driver._take_over_anew()
        assert taken == ["given", "taken"]
    finally:
        os.close(slave)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_waits_for_a_terminal_that_textuals_own_thread_could_not_write_to() -> None:
    def writes_and_ends() -> None:
        for _ in range(100):
            driver.write("x")
        driver.close()

    master, slave = pty.openpty()
    driver = TerminalDriver.__new__(TerminalDriver)
    with suppress(OSError), open(slave, "w", encoding="utf-8") as file:
        os.close(master)
        driver._file, driver._writer_thread, driver._app = file, WriterThread(file), App()
        driver._writer_thread.start()
        driver.write("x")
        driver._writer_thread.join(60)
        goes_on = threading.Thread(target=writes_and_ends, daemon=True)
        goes_on.start()
        goes_on.join(5)
    assert not goes_on.is_alive()
