"""What a verdict does not depend on: folders and files that are left out of the fingerprint.

`.gitignore` has no say here: a test may well read a file that git ignores.
"""

from __future__ import annotations

import os

FOLDERS = frozenset(
    {
        ".git",
        ".hg",
        ".svn",
        ".jj",
        ".bzr",
        ".jetbox",
        "__pycache__",
        ".pytest_cache",
        ".ruff_cache",
        ".mypy_cache",
        ".hypothesis",
        ".tox",
        ".nox",
        ".cache",
        "node_modules",
        ".venv",
        "venv",
    }
)
"""Version control, caches, environments, and our own files."""

FILES = frozenset({".coverage", ".testmondata", ".testmondata-shm", ".testmondata-wal", ".DS_Store"})
"""What probes themselves leave behind."""


def out_of_scope(folder: str, name: str, directory: bool) -> bool:
    """True for what no verdict depends on; environments count by their `pyvenv.cfg`."""
    if not directory:
        return name in FILES or name.startswith(".coverage.")
    return name in FOLDERS or os.path.lexists(os.path.join(folder, name, "pyvenv.cfg"))
