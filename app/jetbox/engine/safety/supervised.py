"""A command below a small supervisor, which ends whatever the command leaves behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from jetbox.engine.safety.sandbox import Launch

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "supervisor.py")


def supervised(argv: Sequence[str], cwd: str, env: Mapping[str, str], options: Sequence[str] = ()) -> Launch:
    """The command below the supervisor; elsewhere than on Linux as it is, in its own group."""
    if sys.platform != "linux":
        return Launch(tuple(argv), dict(env), cwd)
    head = (sys.executable, "-I", "-S", SCRIPT, f"--parent={os.getpid()}", *options, "--")
    return Launch((*head, *argv), dict(env), cwd, supervised=True)
