"""Themes: one TOML file each, shipped ones and the user's own. A broken one is reported, never fatal."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textual.color import Color, ColorParseError
from textual.theme import Theme

from jetbox.settings.themes import theme_files
from jetbox.ui.paint import VARIABLES

DEFAULT_DARK = "jetbox-dark"
DEFAULT_LIGHT = "jetbox-light"

COLORS = (
    "primary",
    "secondary",
    "warning",
    "error",
    "success",
    "accent",
    "foreground",
    "background",
    "surface",
    "panel",
    "boost",
)
"""Textual's own colours: the keys of `[colors]`."""


@dataclass(frozen=True, slots=True)
class BrokenTheme:
    """A theme file that cannot be used, and why."""

    path: Path
    reason: str


@dataclass(slots=True)
class Themes:
    """What was found."""

    loaded: dict[str, Theme] = field(default_factory=dict)
    broken: list[BrokenTheme] = field(default_factory=list)


class ThemeError(ValueError):
    """A theme file says something that no theme can."""


def load_themes(*folders: Path) -> Themes:
    """Read every theme of the folders, later ones winning; what is missing in one comes from a shipped one."""
    found = Themes()
    for folder in folders:
        for path in _files(folder, found):
            try:
                theme = _read(path, found.loaded)
            except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ThemeError) as error:
                found.broken.append(BrokenTheme(path, str(error)))
            else:
                found.loaded[theme.name] = theme
    return found


def _files(folder: Path, found: Themes) -> list[Path]:
    """Theme files, the ones that others build on before them."""
    try:
        paths = theme_files(folder)
    except OSError as error:
        found.broken.append(BrokenTheme(folder, error.strerror or str(error)))
        return []
    return sorted(paths, key=lambda path: (path.stem not in (DEFAULT_DARK, DEFAULT_LIGHT), path.name))


def _read(path: Path, known: dict[str, Theme]) -> Theme:
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    name = data.pop("name", path.stem)
    if not isinstance(name, str) or not name:
        raise ThemeError("name must be a text")
    dark = data.pop("dark", True)
    if not isinstance(dark, bool):
        raise ThemeError("dark must be true or false")
    colors = _table(data, "colors")
    variables = _table(data, "variables")
    if data:
        raise ThemeError(f"unknown key {next(iter(data))!r}: a theme has name, dark, [colors] and [variables]")
    for key in colors:
        if key not in COLORS:
            raise ThemeError(f"unknown colour {key!r} in [colors]: there are {', '.join(COLORS)}")
    base = known.get(DEFAULT_DARK if dark else DEFAULT_LIGHT)
    if base is not None:
        colors = {key: getattr(base, key) for key in COLORS if getattr(base, key)} | colors
        variables = base.variables | variables
    if "primary" not in colors:
        raise ThemeError("[colors] needs at least primary")
    missing = sorted(VARIABLES - set(variables) - set(colors))
    if missing:
        raise ThemeError(f"[variables] lacks {', '.join(missing)}")
    return Theme(name=name, dark=dark, variables=variables, **colors)  # type: ignore[arg-type]


def _table(data: dict[str, Any], name: str) -> dict[str, str]:
    table = data.pop(name, {})
    if not isinstance(table, dict):
        raise ThemeError(f"{name} must be a table")
    for key, value in table.items():
        if not isinstance(value, str):
            raise ThemeError(f"{name}.{key} must be a colour as text")
        _check(f"{name}.{key}", value)
    return dict(table)


def _check(key: str, value: str) -> None:
    try:
        Color.parse(value)
    except ColorParseError:
        raise ThemeError(f"{key}: {value!r} is no colour; write it as #rrggbb") from None
