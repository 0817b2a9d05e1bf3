"""Stopping as a job stops: with all that the shell began together, and only where a shell can go on with it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

HEARD_S = 0.005
LOOKS = 10
"""How often, and how long each time, it is looked whether somebody has let us go on."""


def stop_job(gone_on: Callable[[], bool], *, whole: bool) -> bool:
    """Stop until somebody lets us go on, which `gone_on` tells; False where nobody could, and nothing was stopped.

    What began us (`make`, a script) is stopped too where it is `whole`: the shell waits for that. It is a stop that the
    system may refuse (SIGTSTP, not SIGSTOP), as it does where no shell watches: `ssh host jetbox-tui`.
    """
    before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    try:
        # One signal for all: where the shell lets them go on before it has stopped us, it is forgotten.
        os.kill(0 if whole else os.getpid(), signal.SIGTSTP)
        for _ in range(LOOKS):
            if gone_on():
                return True
            time.sleep(HEARD_S)
        return gone_on()
    finally:
        signal.signal(signal.SIGTSTP, before)
