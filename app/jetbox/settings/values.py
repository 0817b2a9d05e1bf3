"""Single values: TOML text to value and back, and types in words."""

from __future__ import annotations

import types
from typing import Any, Literal, Union, get_args, get_origin

import msgspec


def parse_value(text: str) -> Any:
    """The TOML value that the text is; what is none is taken as a string."""
    stripped = text.strip()
    if stripped in ("true", "false"):
        return stripped == "true"
    if stripped.isascii() and stripped.isdigit() and (stripped[0] != "0" or stripped == "0"):
        return int(stripped)
    if not stripped or stripped[0] not in "\"'[{+-0123456789":
        return text
    import tomllib  # 3 ms to import, needed for little

    try:
        parsed = tomllib.loads(f"value = {stripped}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 else text


def format_value(value: Any) -> str:
    """The value as TOML writes it; empty for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, msgspec.Struct):
        fields = zip(value.__struct_fields__, msgspec.structs.fields(value), strict=True)
        value = {name: held for name, field in fields if (held := getattr(value, name)) != field.default}
    if isinstance(value, dict):
        inner = ", ".join(f"{_format_key(k)} = {format_value(v)}" for k, v in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(format_value(v) for v in value)}]"
    return _quote(str(value))


def describe_type(wanted: Any) -> str:
    """The type in words, as an error names it."""
    if get_origin(wanted) is Literal:
        return " or ".join(f'"{choice}"' for choice in get_args(wanted))
    if get_origin(wanted) in (Union, types.UnionType):
        return " or ".join(describe_type(arg) for arg in get_args(wanted) if arg is not type(None))
    if get_origin(wanted) in (tuple, list):
        return "a list of tables" if table_type(wanted) else "a list of texts"
    if get_origin(wanted) is dict:
        return "a table"
    words: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number"}
    return words.get(wanted, "a text")


def table_type(wanted: Any) -> type[msgspec.Struct] | None:
    """What each table of an array of tables is; None for any other type."""
    inner = next(iter(get_args(wanted)), None) if get_origin(wanted) is tuple else None
    return inner if isinstance(inner, type) and issubclass(inner, msgspec.Struct) else None


def describe_value(value: Any) -> str:
    """The value in words, short, as an error names it."""
    kinds: dict[type, str] = {str: "the text ", dict: "the table ", list: "the list "}
    kind = kinds.get(type(value), "")
    shown = format_value(value) if isinstance(value, str | int | float | dict | list) else str(value)
    return kind + (shown if len(shown) <= 60 else shown[:59] + "…")


def _format_key(key: str) -> str:
    bare = key and all(c.isascii() and (c.isalnum() or c in "-_") for c in key)
    return key if bare else _quote(key)


def _quote(text: str) -> str:
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(escapes.get(c, c if c.isprintable() else f"\\U{ord(c):08X}") for c in text) + '"'
