"""Arrays of tables, such as `[[probes.commands]]`: whether they fit, and what to say when they do not."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any

import msgspec

from jetbox.engine.errors import SettingsError
from jetbox.engine.options import ProbeCommand
from jetbox.settings.fields import Within, error, nearest
from jetbox.settings.model import Source
from jetbox.settings.values import describe_type, describe_value

TAKEN = ("ruff", "pytest", "mypy", "pyright")
"""Names of probes that a command cannot have."""
LEAST_OUTPUT = 200
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")


def fit_tables(option: str, table: type[msgspec.Struct], value: Any, source: Source, within: Within) -> Any:
    """The tables as values of their type.

    Raises:
        SettingsError: an unknown or missing key, a wrong type, or a value that cannot be meant.
    """
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        what = "the table" if isinstance(value, dict) else describe_value(value)
        raise error(source, f"{option} must be a list of tables, not {what}", f"write [[{option}]] and its keys below")
    fitted = [_fit_table(option, table, item, number, within) for number, item in enumerate(value)]
    seen: dict[str, int] = {}
    for number, made in enumerate(fitted):
        if isinstance(made, ProbeCommand):
            _check_command(option, made, number, within)
            if made.name in seen:
                raise error(within(number, "name"), f"{option}: there are two named {made.name!r}", "rename one")
            seen[made.name] = number
    return tuple(fitted)


def _fit_table(
    option: str, table: type[msgspec.Struct], item: dict[str, Any], number: int, within: Within
) -> msgspec.Struct:
    fields = {field.name: field for field in msgspec.structs.fields(table)}
    values = {}
    for key, value in item.items():
        if key not in fields:
            near = nearest(key, list(fields))
            hint = f"did you mean {near!r}?" if near else f"its keys: {', '.join(fields)}"
            raise error(within(number, key), f"unknown key {option}.{key}", hint)
        try:
            values[key] = msgspec.convert(value, fields[key].type)
        except msgspec.ValidationError:
            wanted = describe_type(fields[key].type)
            raise error(within(number, key), f"{option}.{key} must be {wanted}, not {describe_value(value)}") from None
    for field in fields.values():
        if field.required and field.name not in values:
            raise error(within(number, ""), f"{option}: a table has no {field.name}", f"its keys: {', '.join(fields)}")
    return table(**values)


def _check_command(option: str, command: ProbeCommand, number: int, within: Within) -> None:
    def wrong(key: str, words: str, hint: str = "") -> SettingsError:
        return error(within(number, key), f"{option}.{key} {words}", hint)

    if not _NAME.fullmatch(command.name):
        raise wrong("name", f"cannot be {describe_value(command.name)}", "letters, digits and . _ -, at most 32")
    if command.name.lower() in TAKEN:
        raise wrong("name", f"cannot be {command.name!r}: a probe has that name already", "choose another name")
    words = (command.command,) if isinstance(command.command, str) else command.command
    if not words or not words[0].strip():
        raise wrong("command", "is empty", 'such as "cargo test" or ["cargo", "test"]')
    if any(_hidden(char) for word in words for char in word):
        # What a terminal would hide must not run: whoever trusts the file could not see it.
        raise wrong("command", "holds control or invisible characters", "write them as escapes of the shell")
    for pattern in command.scope:
        if not pattern.strip() or pattern.startswith(("/", "~", "!")) or ".." in pattern.split("/"):
            raise wrong("scope", f"cannot hold {describe_value(pattern)}", "patterns below the folder: *.rs, src/**")
    if not math.isfinite(command.time_s) or command.time_s < 0:
        raise wrong("time_s", f"must be 0 or more, not {command.time_s}")
    if command.output_bytes and command.output_bytes < LEAST_OUTPUT:
        raise wrong("output_bytes", f"must be {LEAST_OUTPUT} or more, or 0, not {command.output_bytes}")


def _hidden(char: str) -> bool:
    """True for what does not show; a line break and a tab do."""
    return char not in "\n\t" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")
