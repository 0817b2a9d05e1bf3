"""Themes: one TOML file each, shipped ones and the user's own. A broken one is reported, never fatal."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec
from textual.color import Color, ColorParseError
from textual.theme import Theme

from jetbox.settings.themes import theme_files
from jetbox.ui.paint import VARIABLES

DEFAULT_DARK = "jetbox-dark"
DEFAULT_LIGHT = "jetbox-light"
ANSI = "ansi"
"""The one that uses the terminal's own colours."""

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


class BrokenTheme(msgspec.Struct, frozen=True):
    """A theme file that cannot be used, and why."""

    path: Path
    reason: str
    line: int = 0
    """From 1; 0 where it is about the whole file."""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}" if self.line else f"{self.path}: {self.reason}"


class Themes(msgspec.Struct):
    """What was found."""

    loaded: dict[str, Theme] = msgspec.field(default_factory=dict)
    broken: list[BrokenTheme] = msgspec.field(default_factory=list)


class ThemeError(ValueError):
    """A theme file says something that no theme can; `key` is where, table and name."""

    def __init__(self, reason: str, *key: str) -> None:
        super().__init__(reason)
        self.key = key


def load_themes(*folders: Path, only: Collection[str] = ()) -> Themes:
    """Read every theme of the folders, later ones winning; what is missing in one comes from a shipped one.

    `only`: no files but those with these names, without their suffix.
    """
    found = Themes()
    for folder in folders:
        for path in _files(folder, found):
            if only and path.stem not in only:
                continue
            try:
                theme = _read(path, found.loaded)
            except OSError as error:
                found.broken.append(BrokenTheme(path, error.strerror or str(error)))
            except ThemeError as error:
                found.broken.append(BrokenTheme(path, str(error), _line(path, error.key)))
            except UnicodeDecodeError as error:
                found.broken.append(BrokenTheme(path, "is no UTF-8", error.object.count(b"\n", 0, error.start) + 1))
            except tomllib.TOMLDecodeError as error:
                reason, _, place = str(error).partition(" (at ")
                at = re.match(r"line (\d+)", place)
                line = int(at[1]) if at else path.read_bytes().count(b"\n") + 1
                found.broken.append(BrokenTheme(path, f"TOML syntax: {reason}", line))
            else:
                found.loaded[theme.name] = theme
    return found


def _line(path: Path, key: tuple[str, ...]) -> int:
    if not key:
        return 0
    from jetbox.settings.scan import key_lines

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return 0  # written anew meanwhile
    return key_lines(text).get(key, 0)


def _files(folder: Path, found: Themes) -> list[Path]:
    """Theme files, the ones that others build on before them."""
    try:
        paths = theme_files(folder)
    except OSError as error:
        found.broken.append(BrokenTheme(folder, error.strerror or str(error)))
        return []
    return sorted(paths, key=lambda path: (path.stem not in (DEFAULT_DARK, DEFAULT_LIGHT, ANSI), path.name))


def _read(path: Path, known: dict[str, Theme]) -> Theme:
    if path.exists() and not path.is_file():
        raise ThemeError("is no file")  # reading a pipe would wait for who writes into it
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    name = data.pop("name", path.stem)
    if not isinstance(name, str) or not name:
        raise ThemeError("name must be a text", "name")
    dark = _switch(data, "dark", True)
    ansi = _switch(data, "ansi", False)
    colors = _table(data, "colors")
    variables = _table(data, "variables")
    if data:
        key = next(iter(data))
        raise ThemeError(f"unknown key {key!r}: a theme has name, dark, ansi, [colors] and [variables]", key)
    for key in colors:
        if key not in COLORS:
            raise ThemeError(f"unknown colour {key!r} in [colors]: there are {', '.join(COLORS)}", "colors", key)
    base = known.get(ANSI if ansi else DEFAULT_DARK if dark else DEFAULT_LIGHT)
    if base is not None:
        colors = {key: getattr(base, key) for key in COLORS if getattr(base, key)} | colors
        variables = base.variables | variables
    if "primary" not in colors:
        raise ThemeError("[colors] needs at least primary")
    missing = sorted(VARIABLES - set(variables) - set(colors))
    if missing:
        raise ThemeError(f"[variables] lacks {', '.join(missing)}")
    return Theme(name=name, dark=dark, ansi=ansi, variables=variables, **colors)  # type: ignore[arg-type]  # the keys were checked: all are colours


def _switch(data: dict[str, Any], name: str, default: bool) -> bool:
    value = data.pop(name, default)
    if not isinstance(value, bool):
        raise ThemeError(f"{name} must be true or false", name)
    return value


def _table(data: dict[str, Any], name: str) -> dict[str, str]:
    table = data.pop(name, {})
    if not isinstance(table, dict):
        raise ThemeError(f"{name} must be a table", name)
    for key, value in table.items():
        if not isinstance(value, str):
            raise ThemeError(f"{name}.{key} must be a colour as text", name, key)
        _check(name, key, value)
    return dict(table)


def _check(table: str, key: str, value: str) -> None:
    try:
        Color.parse(value)
    except ColorParseError:
        raise ThemeError(f"{table}.{key}: {value!r} is no colour; write it as #rrggbb", table, key) from None
