"""A stop as the shell knows it, with and without a shell that could let it go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

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
