"""Folders that the shipped scripts work on, and the goals that they know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SCRIPTS = HERE.parent / "scripts"


def workspace_for(script: str) -> Path | None:
    """The folder to copy before that script plays; None where it starts from an empty one.

    Raises:
        KeyError: no script of that name is shipped.
    """
    name = _head(script).get("workspace", "")
    return HERE / name if name else None


def goal_for(script: str) -> str:
    """A goal that the shipped script knows.

    Raises:
        KeyError: no script of that name is shipped.
    """
    return str(_head(script)["goal"])


def copy_workspace(script: str, target: Path) -> None:
    """Put the files that the script works on into the target folder, which is made where needed.

    Raises:
        KeyError: no script of that name is shipped.
    """
    from shutil import copytree, ignore_patterns

    target.mkdir(parents=True, exist_ok=True)
    if source := workspace_for(script):
        skip = ignore_patterns("__pycache__", ".pytest_cache", ".ruff_cache", "*.pyc")
        copytree(source, target, dirs_exist_ok=True, ignore=skip)


def _head(script: str) -> dict[str, Any]:
    import tomllib

    path = SCRIPTS / f"{script}.toml"
    if path.parent != SCRIPTS or not path.is_file():
        raise KeyError(script)
    head: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))["script"]
    return head
