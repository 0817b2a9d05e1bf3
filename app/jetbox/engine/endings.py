"""Signals that ask the process to end, and the exit codes that tell of them."""

from __future__ import annotations

import signal

from jetbox.engine.errors import ExitCode

ENDINGS: dict[int, ExitCode] = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
    signal.SIGHUP: ExitCode.HANGUP,
}


def heard_endings() -> dict[int, ExitCode]:
    """Those that are not ignored: one that was ignored at start, as by nohup, stays so."""
    return {number: code for number, code in ENDINGS.items() if signal.getsignal(number) is not signal.SIG_IGN}
