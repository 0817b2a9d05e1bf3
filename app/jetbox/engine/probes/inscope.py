"""What a verdict does not depend on: folders and files that are left out of the fingerprint.

`.gitignore` has no say here: a test may well read a file that git ignores. Nor does the list
for searches pass over `node_modules`: what is installed there is program text like any other.
"""

from __future__ import annotations

import os

from jetbox.engine.workspace.ignore import FOLDERS, is_environment

FILES = frozenset({".coverage", ".testmondata", ".testmondata-shm", ".testmondata-wal", ".DS_Store"})
"""What probes themselves leave behind."""
OWN = ".jetbox-tmp"
"""Suffix of files that are being written and get their name when they are whole."""


def out_of_scope(folder: str, name: str, directory: bool) -> bool:
    """True for what no verdict depends on; environments count by their `pyvenv.cfg`."""
    if not directory:
        return name in FILES or name.startswith(".coverage.") or name.endswith(OWN)
    return (name in FOLDERS and name != "node_modules") or is_environment(os.path.join(folder, name))


def left_out(folder: str, path: str) -> bool:
    """True where a file at `path` below a folder of the tree is out of scope, or something above it is."""
    parts = path.split("/")
    for at, name in enumerate(parts):
        if out_of_scope(folder, name, directory=at < len(parts) - 1):
            return True
        folder = f"{folder}/{name}"
    return False
