"""Files that the probes read their settings from."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable

OF_RUFF = frozenset({"pyproject.toml", "ruff.toml", ".ruff.toml"})
OF_PYTEST = frozenset(
    {"pyproject.toml", "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "tox.ini", "setup.cfg"}
)
OF_MYPY = frozenset({"mypy.ini", ".mypy.ini", "pyproject.toml", "setup.cfg"})
OF_PYRIGHT = frozenset({"pyrightconfig.json", "pyproject.toml"})
BY_PROBE = {"ruff": OF_RUFF, "pytest": OF_PYTEST, "mypy": OF_MYPY, "pyright": OF_PYRIGHT}
CONFIGURATION = OF_RUFF | OF_PYTEST | {"setup.py", "conftest.py", ".gitignore", ".ignore"}
"""Files that ruff or pytest looks for, in the folders above the workspace too."""


def configuration(path: str) -> bool:
    """True for a file that ruff or pytest reads its settings from."""
    return path.rpartition("/")[2] in CONFIGURATION


def looked_for(root: str) -> dict[str, str]:
    """Configuration that may lie above a workspace, and what git says of branch and exclusions, by relative path."""
    found = {f".git/{name}": os.path.join(root, ".git", name) for name in ("HEAD", "info/exclude")}
    folder, prefix = root, ""
    while (parent := os.path.dirname(folder)) != folder:
        folder, prefix = parent, prefix + "../"
        found.update((prefix + name, os.path.join(folder, name)) for name in CONFIGURATION)
    return found


def configured_below(tests: Iterable[str], files: Container[str]) -> bool:
    """True where pytest would find another configuration, or root, for these tests than for the whole workspace."""
    folders: set[str] = set()
    for path in tests:
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return any(f"{folder}/{name}" in files for folder in folders for name in (*OF_PYTEST, "setup.py"))
