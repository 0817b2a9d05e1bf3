"""The model's arguments, mended where that is safe, refused with what is allowed where not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from jetbox.engine.errors import ToolError
from jetbox.engine.models.nested import read_flat
from jetbox.engine.tools.base import Tool

_WRAPPERS = ("arguments", "parameters", "args", "kwargs", "input", "params")
_DEPTH = 3
"""How often JSON may be packed into a string of JSON."""

IGNORED = "ignored: "
"""How a note begins on arguments that the tool does not know."""

ALIASES: dict[str, tuple[str, ...]] = {
    "path": ("file_path", "filepath", "filename", "file_name", "file", "target_file", "directory", "dir", "folder"),
    "content": ("contents", "text", "file_content", "file_text", "data", "body"),
    "command": ("cmd", "commands", "script", "bash", "shell", "command_line"),
    "timeout": ("timeout_s", "timeout_sec", "timeout_seconds", "time_limit"),
    "cwd": ("workdir", "working_directory", "working_dir"),
    "pattern": ("query", "regex", "regexp", "search", "search_term", "glob_pattern", "expression"),
    "glob": ("include", "include_pattern", "file_pattern", "file_glob", "glob_pattern"),
    "ignore_case": ("case_insensitive", "-i", "insensitive"),
    "offset": ("start_line", "line_start", "start", "first_line", "from_line"),
    "limit": ("max_lines", "num_lines", "line_count", "lines", "count"),
    "edits": ("changes", "replacements", "edit"),
    "old": ("old_string", "old_str", "old_text", "oldText", "oldString", "search", "find", "from"),
    "new": ("new_string", "new_str", "new_text", "newText", "newString", "replace", "replacement", "to"),
    "replace_all": ("replaceAll", "all", "expected_replacements_all"),
    "question": ("prompt", "query", "text", "message"),
    "choices": ("options", "answers", "suggestions", "follow_up"),
    "summary": ("message", "result", "reason", "text", "answer", "description"),
}
"""Names that models use for ours. A name counts where the tool has the argument and it is not given."""

_WORDS = {"array": "a list", "object": "an object", "string": "a string", "integer": "a whole number"}
_WORDS |= {"boolean": "true or false", "number": "a number"}


def decode_arguments(tool: Tool, raw: str) -> tuple[dict[str, Any], list[str]]:
    """The arguments as the tool's schema has them, and notes on what was mended or ignored.

    Raises:
        ToolError: something is missing or of the wrong type; the text says what is allowed.
    """
    properties = _properties(tool)
    given = _object(tool, raw)
    notes: list[str] = []
    given = _unwrap(given, properties, notes)
    given = _named(given, properties, notes)
    prepare = getattr(tool, "prepare", None)
    if prepare is not None:
        given = prepare(given, notes)
    ignored = [name for name in given if name not in properties]
    _refuse(tool, given)
    if ignored:
        notes.append(IGNORED + ", ".join(name[:60] for name in ignored[:10]))
    decoded: dict[str, Any] = {}
    for name, schema in properties.items():
        value = given.get(name)
        if value is None or (value == "" and schema["type"] in ("integer", "boolean", "number")):
            continue
        try:
            decoded[name] = _coerce(value, schema, name, notes)
        except _Wrong as error:
            raise ToolError(f"{tool.name}: {error}; allowed: {_signature(tool)}") from None
    missing = [name for name in tool.parameters.get("required", ()) if name not in decoded]
    if missing:
        raise ToolError(f"{tool.name}: missing {', '.join(missing)}; allowed: {_signature(tool)}")
    return decoded, notes


class _Wrong(Exception):
    pass


def _properties(tool: Tool) -> dict[str, dict[str, Any]]:
    """What the tool takes: what the model is told, and what is taken besides."""
    return {**tool.parameters["properties"], **getattr(tool, "silent", {})}


def _object(tool: Tool, raw: str) -> dict[str, Any]:
    value: Any = raw
    for _ in range(_DEPTH):
        if not isinstance(value, str):
            break
        text = value.strip()
        if not text:
            return {}
        try:
            value = read_flat(text)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise ToolError(f"{tool.name}: the arguments are no JSON: {error}; allowed: {_signature(tool)}") from None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ToolError(f"{tool.name}: the arguments must be one JSON object; allowed: {_signature(tool)}")
    return value


def _unwrap(given: dict[str, Any], properties: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """Arguments that came packed into an argument."""
    if len(given) != 1:
        return given
    name, value = next(iter(given.items()))
    if name not in _WRAPPERS or name in properties:
        return given
    if isinstance(value, str):
        try:
            value = read_flat(value)
        except (msgspec.DecodeError, UnicodeError):
            return given
    if not isinstance(value, dict):
        return given
    notes.append(f"taken out of {name}")
    return value


def _named(given: dict[str, Any], properties: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """Known other names as ours, where ours is not given."""
    named = dict(given)
    for name in properties:
        if named.get(name) is not None:
            continue
        for alias in ALIASES.get(name, ()):
            if alias not in properties and named.get(alias) is not None:
                named[name] = named.pop(alias)
                notes.append(f"{alias} taken as {name}")
                break
    return named


def _refuse(tool: Tool, given: dict[str, Any]) -> None:
    """An unknown argument that would change the meaning of the call cannot be ignored."""
    refused: Mapping[str, str] = getattr(tool, "refused", {})
    for name, why in refused.items():
        if given.get(name) not in (None, False, "", 0, "false", "False"):
            raise ToolError(f"{tool.name}: {name} is not possible: {why}")


def _coerce(value: Any, schema: Mapping[str, Any], name: str, notes: list[str]) -> Any:
    wanted = schema["type"]
    match wanted:
        case "string":
            if isinstance(value, str):
                return value
        case "integer":
            number = _integer(value)
            if number is not None:
                return number
        case "boolean":
            if isinstance(value, bool):
                return value
            if str(value).strip().lower() in ("true", "1", "yes", "on"):
                return True
            if str(value).strip().lower() in ("false", "0", "no", "off"):
                return False
        case "array":
            return _list(value, schema, name, notes)
        case "object":
            return _members(value, schema, name, notes)
        case "command":
            if isinstance(value, str):
                return _packed(value, list) or value
            if isinstance(value, list) and value and all(isinstance(word, str | int | float) for word in value):
                return [str(word) for word in value]
            raise _Wrong(f"{name} must be a string or a list of strings")
    raise _Wrong(f"{name} must be {_WORDS[wanted]}, not {_kind(value)}")


def _integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        try:
            value = float(value.strip())
        except ValueError:
            return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None


def _list(value: Any, schema: Mapping[str, Any], name: str, notes: list[str]) -> list[Any]:
    if isinstance(value, str):
        value = _packed(value, list, dict)
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise _Wrong(f"{name} must be a list")
    items = schema.get("items", {})
    return [_coerce(item, items, f"{name}[{n}]", notes) for n, item in enumerate(value)]


def _members(value: Any, schema: Mapping[str, Any], name: str, notes: list[str]) -> dict[str, Any]:
    if isinstance(value, str):
        value = _packed(value, dict)
    if not isinstance(value, dict):
        raise _Wrong(f"{name} must be an object")
    properties = schema.get("properties", {})
    found = _named(value, properties, notes)
    ignored = [f"{name}.{key}" for key in found if key not in properties]
    if ignored:
        notes.append(IGNORED + ", ".join(ignored[:10]))
    return {
        key: _coerce(found[key], properties[key], f"{name}.{key}", notes)
        for key in properties
        if found.get(key) is not None
    }


def _packed(text: str, *kinds: type) -> Any:
    """JSON of one of these kinds in a string; None where it is something else."""
    if text.lstrip()[:1] not in ("[", "{"):
        return None
    try:
        value = read_flat(text)
    except (msgspec.DecodeError, UnicodeError):
        return None
    return value if isinstance(value, kinds) else None


def _kind(value: Any) -> str:
    for kind, word in ((bool, "boolean"), (int, "number"), (float, "number"), (str, "string"), (list, "array")):
        if isinstance(value, kind):
            return f"{_WORDS[word]} ({str(value)[:40]!r})"
    return _WORDS["object"]


def _signature(tool: Tool) -> str:
    """The arguments with their types, for a model that got them wrong."""
    required = tool.parameters.get("required", ())
    return ", ".join(
        f"{name}: {_type(schema)}" + ("" if name in required else " (optional)")
        for name, schema in tool.parameters["properties"].items()
    )


def _type(schema: Mapping[str, Any]) -> str:
    if schema["type"] == "array":
        return f"[{_type(schema['items'])}, ...]"
    if schema["type"] == "object":
        return "{" + ", ".join(f"{key}: {_type(member)}" for key, member in schema["properties"].items()) + "}"
    return str(schema["type"])
