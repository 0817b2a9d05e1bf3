"""Reports of unexpected failures: the traceback goes to a file, not on the screen."""

from __future__ import annotations

import os
import sys
import time
import traceback


def report(failure: BaseException) -> tuple[str, str]:
    """Write a report, without known secrets; returns what to say and where it lies."""
    from jetbox.engine.errors import in_full
    from jetbox.engine.safety.secrets import Redactor
    from jetbox.folders import state_folder

    redact = Redactor.from_environment(os.environ).redact
    said = redact(f"internal error: {in_full(failure)}")
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = os.path.join(state_folder(), "crashes", f"{stamp}-{os.getpid()}.txt")
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(redact(_text(failure, stamp)))
    except OSError as reason:
        return said, f"no report could be written to {path}: {reason.strerror}"
    return said, f"a report is in {path}"


def _text(failure: BaseException, stamp: str) -> str:
    import platform

    from jetbox import __version__

    trace = "".join(traceback.format_exception(failure))
    return f"jetbox-tui {__version__}  {stamp}\nPython {sys.version}\n{platform.platform()}\n\n{trace}"
