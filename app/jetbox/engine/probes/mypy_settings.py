"""What a file of configuration has for mypy, read as mypy reads it."""

from __future__ import annotations

import configparser
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jetbox.engine.probes.checkers import text_of

NAMES = ("mypy.ini", ".mypy.ini", "pyproject.toml", "setup.cfg")
"""In the order in which mypy looks for them."""
ALWAYS = NAMES[:2]
"""Count even where they have nothing for mypy."""


def settings(path: Path) -> dict[str, str] | None:
    """Those for all modules, lists as lines; None where mypy goes on to the next file."""
    found = _toml(text_of(path)) if path.name.endswith(".toml") else _ini(path)
    return None if found is None else {name: _text(value) for name, value in found.items()}


def users(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """The user's own files, which count where the project has none."""
    home = Path(environment.get("HOME") or Path.home())
    beside = environment.get("XDG_CONFIG_HOME", "")
    found = (home / ".config/mypy/config", home / ".mypy.ini")
    return (Path(beside, "mypy/config"), *found) if beside else found


def _toml(text: str) -> dict[str, Any] | None:
    import tomllib

    try:
        table = tomllib.loads(text).get("tool", {})
        found = table.get("mypy")
    except (tomllib.TOMLDecodeError, AttributeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _ini(path: Path) -> dict[str, Any] | None:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text_of(path))
    except configparser.Error:
        return None
    if parser.has_section("mypy"):
        return dict(parser.items("mypy"))
    return {} if path.name in ALWAYS and path.exists() else None


def _text(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, Iterable) and not isinstance(value, str) else str(value)
