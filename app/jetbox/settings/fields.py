"""The keys that exist and their types; whether a value fits, and what to say when it does not."""

from __future__ import annotations

import math
import os
import types
from collections.abc import Callable
from functools import cache
from typing import Any, Union, get_args, get_origin

import msgspec

from jetbox.engine.errors import SettingsError
from jetbox.settings.host import parse_host
from jetbox.settings.model import Settings, Source
from jetbox.settings.values import describe_type, describe_value, format_value, parse_value, table_type

FREE_SECTIONS = ("keys", "profiles")
"""Tables whose keys are the user's own."""
_AT_LEAST = {"model.num_predict": 1, "tools.concurrency": 1, "tools.output_bytes": 200}
LEAST_WINDOW = 256
"""Tokens; 0 stands for a window that is decided at the start."""
_MORE_THAN_ZERO = ("tools.command_s", "probes.time_s")
_TEXT_OR_SCALAR = ("model.think", "model.keep_alive")
"""Texts that are naturally written as `true` or `-1` in TOML."""
_FOLDERS = ("session.folder", "probes.python", "permissions.read_outside")
"""Paths, in which `~` is the user's home."""
_FILES = ("model.tokenizers",)
"""Tables of paths, each of which says where it begins."""
Within = Callable[[int, str], Source]
"""Where a table of an array stands by its number, and its key; the key may be empty."""
_YES_NO = {"1": True, "yes": True, "on": True, "0": False, "no": False, "off": False}


@cache
def section_names() -> tuple[str, ...]:
    """Sections whose keys are options, in order."""
    defaults = Settings()
    return tuple(n for n in Settings.__struct_fields__ if isinstance(getattr(defaults, n), msgspec.Struct))


@cache
def section_types(section: str) -> dict[str, Any]:
    """Types of a section's keys by name."""
    return {f.name: f.type for f in msgspec.structs.fields(type(getattr(Settings(), section)))}


def option_names() -> list[str]:
    """Every option as `section.key`, in order."""
    return [f"{section}.{key}" for section in section_names() for key in section_types(section)]


def type_of(option: str, source: Source) -> Any:
    """The type of `section.key`, `keys.NAME` or `profile`.

    Raises:
        SettingsError: there is no such option; says which is nearest.
    """
    section, _, key = option.partition(".")
    if option == "profile" or section == "keys":
        return str
    if section not in section_names():
        _unknown_section(section, source)
    if not key:
        raise error(source, f"{section} is a section, not an option", f"its keys: {_list(section)}")
    if key not in section_types(section):
        _unknown_key(section, key, source)
    return section_types(section)[key]


def fit(option: str, value: Any, source: Source, within: Within | None = None) -> Any:
    """A value of a TOML file as the option's type; `within` tells where a part of an array of tables stands.

    Raises:
        SettingsError: unknown option, wrong type, or a value that cannot be meant.
    """
    wanted = type_of(option, source)
    if (table := table_type(wanted)) is not None:
        from jetbox.settings.tables import fit_tables

        return fit_tables(option, table, value, source, within or (lambda *_: source))
    if option in _TEXT_OR_SCALAR and isinstance(value, bool | int):
        value = format_value(value)
    try:
        fitted = msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        raise _misfit(option, wanted, value, source) from None
    return _checked(option, fitted, source)


def fit_text(option: str, text: str, source: Source) -> Any:
    """The text of a flag or variable as the option's type: a TOML value, or a bare word for texts.

    Raises:
        SettingsError: as `fit`.
    """
    wanted = type_of(option, source)
    parsed = parse_value(text)
    if _is_text(wanted):
        return fit(option, parsed if isinstance(parsed, str) else text, source)
    if wanted is bool and text.strip().lower() in _YES_NO:
        parsed = _YES_NO[text.strip().lower()]
    elif get_origin(wanted) is tuple and isinstance(parsed, str) and not table_type(wanted):
        parsed = [part.strip() for part in parsed.split(",") if part.strip()]
    elif _optional(wanted) and text.strip() in ("", "none"):
        parsed = None
    return fit(option, parsed, source)


def error(source: Source, message: str, hint: str = "") -> SettingsError:
    """An error that says where."""
    place = f"{source.where}:{source.line}" if source.line else source.where
    return SettingsError(f"{place}: {message}" if place else message, hint)


def nearest(word: str, choices: list[str]) -> str:
    """The choice that is most like the word; empty when none is."""
    import difflib

    return next(iter(difflib.get_close_matches(word, choices, 1, 0.6)), "")


def _checked(option: str, value: Any, source: Source) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        least = _AT_LEAST.get(option, -math.inf if option == "model.seed" else 0)
        if not math.isfinite(value) or value < least or (option in _MORE_THAN_ZERO and value <= 0):
            bound = "more than 0" if option in _MORE_THAN_ZERO else f"{least} or more"
            raise error(source, f"{option} must be {bound}, not {value}")
        if option == "context.num_ctx" and 0 < value < LEAST_WINDOW:
            raise error(source, f"{option} must be 0 or at least {LEAST_WINDOW}, not {value}")
    elif option == "model.host":
        return _checked_host(value, source)
    elif option == "model.keep_alive" and not _is_duration(value):
        raise error(source, f"{option} must be a duration, not {describe_value(value)}", "such as 30m, 1h30m, 0 or -1")
    elif option == "ui.theme":
        _check_theme(value, source)
    elif option in _FILES:
        files = {name: os.path.expanduser(path) for name, path in value.items()}
        if other := next((path for path in files.values() if not os.path.isabs(path)), ""):
            raise error(source, f"{option}: {describe_value(other)} is no whole path", "begin it with / or ~/")
        return files
    elif option in _FOLDERS:
        expand = os.path.expanduser
        return expand(value) if isinstance(value, str) else tuple(expand(folder) for folder in value)
    return value


def _checked_host(value: str, source: Source) -> str:
    try:
        return parse_host(value)
    except SettingsError as failure:
        raise error(source, failure.message, failure.hint) from None


def _check_theme(value: str, source: Source) -> None:
    from jetbox.settings.themes import name_within, theme_names, user_folder

    names = theme_names()
    if value not in names:
        within = name_within(value)
        own = f"{value}.toml calls itself {within!r}" if within else f"your own lie in {user_folder()}"
        raise error(source, f"no theme {value!r}", f"themes: {', '.join(names)}; {own}")


def _is_duration(text: str) -> bool:
    import re

    return re.fullmatch(r"-?(\d+|(\d+(\.\d+)?(ns|us|ms|s|m|h))+)", text) is not None


def _misfit(option: str, wanted: Any, value: Any, source: Source) -> SettingsError:
    hint = "write it without quotes" if isinstance(value, str) and not _is_text(wanted) and _unquoted(value) else ""
    return error(source, f"{option} must be {describe_type(wanted)}, not {describe_value(value)}", hint)


def _unquoted(value: str) -> bool:
    return not isinstance(parse_value(value), str)


def _unknown_section(section: str, source: Source) -> None:
    names = [*section_names(), *FREE_SECTIONS, "profile"]
    if found := [s for s in section_names() if section in section_types(s)]:
        raise error(source, f"unknown section or key {section!r}", f"did you mean {found[0]}.{section}?")
    near = nearest(section, names)
    raise error(
        source, f"unknown section {section!r}", f"did you mean {near!r}?" if near else f"sections: {', '.join(names)}"
    )


def _unknown_key(section: str, key: str, source: Source) -> None:
    elsewhere = [s for s in section_names() if key in section_types(s)]
    near = f"{elsewhere[0]}.{key}" if elsewhere else nearest(key, list(section_types(section)))
    hint = f"did you mean {near!r}?" if near else f"keys of {section}: {_list(section)}"
    raise error(source, f"unknown key {section}.{key}", hint)


def _list(section: str) -> str:
    return ", ".join(section_types(section)) or "none in this version"


def _is_text(wanted: Any) -> bool:
    return wanted is str or describe_type(wanted).startswith(('"', "a text"))


def _optional(wanted: Any) -> bool:
    return get_origin(wanted) in (Union, types.UnionType) and type(None) in get_args(wanted)
