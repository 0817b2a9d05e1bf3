"""Where sessions are kept and how they are named; imported at every start, so it imports little."""

from __future__ import annotations

import os
from pathlib import Path

from jetbox.folders import cache_folder, data_folder


def sessions_folder(configured: str = "") -> Path:
    """Where sessions are kept: the configured folder, else `$XDG_DATA_HOME/jetbox/sessions`."""
    if configured:
        return Path(configured).expanduser()
    return Path(data_folder(), "sessions")


def probes_folder(root: Path) -> Path:
    """What probes learn about a workspace: `$XDG_CACHE_HOME/jetbox/probes/<name>-<hash>`."""
    import hashlib

    path = os.path.realpath(root)
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path(cache_folder(), "probes", f"{os.path.basename(path)}-{name}")


def new_session_id() -> str:
    """An id that sorts by time of creation (UTC, ms), with four random digits."""
    import time

    now = time.time_ns()
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now // 1_000_000_000))
    return f"{stamp}-{now // 1_000_000 % 1000:03d}-{os.urandom(2).hex()}"
