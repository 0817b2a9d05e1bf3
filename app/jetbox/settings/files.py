"""Reading one configuration file into single values with their lines."""

from __future__ import annotations

import os
import stat
from functools import partial
from typing import Any

import msgspec

from jetbox.engine.errors import SettingsError
from jetbox.settings.fields import error, fit, section_names, type_of
from jetbox.settings.model import Source
from jetbox.settings.profiles import BUILT_IN
from jetbox.settings.scan import key_lines

MOST_BYTES = 1024 * 1024


class Entry(msgspec.Struct, frozen=True):
    """One value and where it stands."""

    option: str
    """`section.key`, `keys.NAME` or `profile`."""
    value: Any
    source: Source


class ConfigFile(msgspec.Struct, frozen=True):
    """What a file says."""

    path: str
    kind: str
    data: bytes
    entries: tuple[Entry, ...]
    profiles: dict[str, tuple[Entry, ...]]


def read_bytes(path: str) -> bytes | None:
    """The file's content; None where there is no file.

    Raises:
        SettingsError: it cannot be read, is no regular file, or is larger than a configuration can be.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as failure:
        raise SettingsError(f"{path}: cannot be read: {failure.strerror}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SettingsError(f"{path}: is no regular file")
        if status.st_size > MOST_BYTES:
            raise SettingsError(f"{path}: is too large for a configuration ({status.st_size} bytes)")
        return os.read(descriptor, MOST_BYTES + 1)
    except OSError as failure:
        raise SettingsError(f"{path}: cannot be read: {failure.strerror}") from None
    finally:
        os.close(descriptor)


def read_file(path: str, kind: str) -> ConfigFile | None:
    """Everything that the file says, each value checked; None where there is no file.

    Raises:
        SettingsError: with the line, the key, and the nearest right one.
    """
    data = read_bytes(path)
    return None if data is None else parse(data, path, kind)


def parse(data: bytes, path: str, kind: str) -> ConfigFile:
    """The content of a file as values.

    Raises:
        SettingsError: as `read_file`.
    """
    tables, text = _decode(data, path)
    lines = key_lines(text)

    def source(*parts: str) -> Source:
        while parts and parts not in lines:
            parts = parts[:-1]
        return Source(kind, path, lines.get(parts, 0))

    entries: list[Entry] = []
    profiles: dict[str, tuple[Entry, ...]] = {}
    for name, value in tables.items():
        where = source(name)
        if name == "profiles":
            for own, table in _table(name, value, where).items():
                at = source(name, own)
                if own in BUILT_IN:
                    raise error(at, f"the profile {own!r} is built in", "choose another name")
                profiles[own] = _sections(_table(f"profiles.{own}", table, at), (name, own), source)
        elif name == "profile":
            entries.append(Entry(name, fit(name, value, where), where))
        else:
            entries += _sections({name: value}, (), source)
    return ConfigFile(path, kind, data, tuple(entries), profiles)


def _decode(data: bytes, path: str) -> tuple[dict[str, Any], str]:
    import tomllib

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        line = data.count(b"\n", 0, failure.start) + 1
        raise SettingsError(f"{path}:{line}: is not UTF-8", "save it as UTF-8") from None
    try:
        return tomllib.loads(text), text
    except tomllib.TOMLDecodeError as failure:
        raise _syntax_error(path, text, str(failure)) from None
    except RecursionError:
        raise SettingsError(f"{path}: is nested too deeply") from None


def _syntax_error(path: str, text: str, said: str) -> SettingsError:
    import re

    reason, at, _ = said.partition(" (at ")
    found = re.search(r"line (\d+), column (\d+)", said)
    line = int(found[1]) if found else text.count("\n") + 1
    lines = text.split("\n")
    shown = lines[line - 1].strip()[:80] if at and line <= len(lines) else ""
    return SettingsError(f"{path}:{line}: TOML syntax: {reason}", f"the line: {shown}" if shown else "")


def _sections(tables: dict[str, Any], above: tuple[str, ...], source: Any) -> tuple[Entry, ...]:
    entries: list[Entry] = []
    for section, table in tables.items():
        where = source(*above, section)
        if section != "keys" and section not in section_names():
            type_of(section, where)
        for key, value in _table(section, table, where).items():
            if section == "keys":
                entries += _keys((key,), value, (*above, section), source)
            else:
                path = (*above, section, key)
                at = source(*path)
                within = partial(_within, source, path)
                entries.append(Entry(f"{section}.{key}", fit(f"{section}.{key}", value, at, within), at))
    return tuple(entries)


def _within(source: Any, path: tuple[str, ...], number: int, key: str) -> Source:
    """Where a table of an array stands, or one of its keys."""
    found: Source = source(*path, str(number), *((key,) if key else ()))
    return found


def _keys(path: tuple[str, ...], value: Any, above: tuple[str, ...], source: Any) -> list[Entry]:
    """`session.cancel = ...` without quotes is a nested table in TOML and means the same here."""
    if isinstance(value, dict):
        return [entry for key, inner in value.items() for entry in _keys((*path, key), inner, above, source)]
    option = "keys." + ".".join(path)
    at = source(*above, *path)
    return [Entry(option, fit(option, value, at), at)]


def _table(name: str, value: Any, where: Source) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise error(where, f"{name} is a section, not a value", f"write [{name}] and its keys below")
    return value
