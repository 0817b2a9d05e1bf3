"""What a verdict does not depend on: folders and files that are left out of the fingerprint.

`.gitignore` has no say here: a test may well read a file that git ignores. Nor does the list
for searches pass over `node_modules`: what is installed there is program text like any other.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from functools import cache

from jetbox.engine.workspace.ignore import FOLDERS, is_environment

FILES = frozenset({".coverage", ".testmondata", ".testmondata-shm", ".testmondata-wal", ".DS_Store"})
"""What probes themselves leave behind."""
OWN = ".jetbox-tmp"
"""Suffix of files that are being written and get their name when they are whole."""
TOLD = frozenset({"", ".log", ".txt", ".out", ".err", ".md", ".json", ".jsonl", ".ndjson", ".csv", ".tsv"})
"""Suffixes of files that the words of a program are sent to, behind which numbers may stand: program text and
configuration always count."""
CACHE = "pytest-cache-files-"
"""The beginning of what the folder `.pytest_cache` is called until it is whole."""


def out_of_scope(folder: str, name: str, directory: bool) -> bool:
    """True for what no verdict depends on; environments count by their `pyvenv.cfg`."""
    if not directory:
        ours = name in FILES or name.startswith(".coverage.") or name.endswith(OWN)
        return ours or (name in _written() and os.path.realpath(os.path.join(folder, name)) == _written()[name])
    made = (name in FOLDERS and name != "node_modules") or name.startswith(CACHE)
    return made or is_environment(os.path.join(folder, name))


@cache
def _written() -> dict[str, str]:
    """Files that this process's own words go to, by name: each verdict that is told would outdate itself."""
    found: dict[str, str] = {}
    for output in (1, 2):
        try:
            if stat.S_ISREG(os.fstat(output).st_mode):
                path = _path(output)
                name = os.path.basename(path)
                plain = re.sub(r"(?:\.\d+)+$", "", name)
                if os.path.splitext(plain)[1] in TOLD and not name.startswith("."):
                    found[name] = path
        except OSError:
            continue
    return found


def _path(output: int) -> str:
    if sys.platform == "darwin":
        import fcntl

        return fcntl.fcntl(output, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0").decode()
    return os.readlink(f"/proc/self/fd/{output}")


def own_output(root: str) -> list[str]:
    """Files below `root` that are out of scope because our own words go there, relative to it."""
    below = os.path.join(root, "")
    return sorted(path.removeprefix(below) for path in _written().values() if path.startswith(below))


def left_out(folder: str, path: str) -> bool:
    """True where a file at `path` below a folder of the tree is out of scope, or something above it is."""
    parts = path.split("/")
    for at, name in enumerate(parts):
        if out_of_scope(folder, name, directory=at < len(parts) - 1):
            return True
        folder = f"{folder}/{name}"
    return False
