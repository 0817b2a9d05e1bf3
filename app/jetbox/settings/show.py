"""Settings as rows to be shown: value and where it came from, secrets masked; and their schema."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from jetbox.settings.fields import option_names
from jetbox.settings.load import Loaded
from jetbox.settings.model import Source
from jetbox.settings.values import format_value

_SECRET_NAME = re.compile(r"(^|_)(api_?key|key|token|secret|password|authorization|headers)$")
_USER_INFO = re.compile(r"(?<=://)[^/\s]+@")


class Row(msgspec.Struct, frozen=True):
    """One option."""

    option: str
    value: Any
    shown: str
    """The value as TOML, masked."""
    source: Source


def effective(loaded: Loaded) -> list[Row]:
    """Every option with its effective value, in the order of the sections."""
    rows = [_row("profile", loaded.settings.profile, loaded)] if loaded.settings.profile else []
    for option in option_names():
        section, _, key = option.partition(".")
        rows.append(_row(option, getattr(getattr(loaded.settings, section), key), loaded))
    rows += [_row(f"keys.{name}", value, loaded) for name, value in loaded.settings.keys.items()]
    return rows


def mask(option: str, value: Any) -> Any:
    """The value without what must not be shown."""
    if isinstance(value, str):
        if value and _SECRET_NAME.search(option.rpartition(".")[2]) and not option.startswith("keys."):
            return "***"
        return _USER_INFO.sub("***@", value)
    if isinstance(value, tuple):
        return tuple(mask(option, inner) for inner in value)
    if isinstance(value, msgspec.Struct):
        return type(value)(**{name: mask(name, inner) for name, inner in msgspec.structs.asdict(value).items()})
    return value


def _row(option: str, value: Any, loaded: Loaded) -> Row:
    masked = mask(option, value)
    return Row(option, masked, format_value(masked), loaded.source(option))


def schema() -> dict[str, Any]:
    """The JSON Schema of a configuration file, with the help text of every option."""
    from jetbox.settings.model import Settings

    made: dict[str, Any] = msgspec.json.schema(Settings)
    definitions: dict[str, Any] = made["$defs"]
    texts = _docstrings()
    for name, definition in definitions.items():
        definition["additionalProperties"] = False
        for key, node in definition.get("properties", {}).items():
            if text := texts.get((name, key)):
                node["description"] = text
    definitions["Settings"]["title"] = "Configuration of jetbox-tui"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def help_texts() -> dict[str, str]:
    """What each option is for, by its name."""
    from jetbox.settings.model import Settings

    texts, sections = _docstrings(), Settings()
    return {
        option: texts.get((type(getattr(sections, option.partition(".")[0])).__name__, option.partition(".")[2]), "")
        for option in option_names()
    }


def _docstrings() -> dict[tuple[str, str], str]:
    """The string under each field of the option classes, by class and field."""
    import ast
    import inspect

    from jetbox.engine import options
    from jetbox.settings import model

    found: dict[tuple[str, str], str] = {}
    for module in (options, model):
        for node in ast.parse(inspect.getsource(module)).body:
            if not isinstance(node, ast.ClassDef):
                continue
            for field, after in zip(node.body, node.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    text = after.value if isinstance(after, ast.Expr) else None
                    if isinstance(text, ast.Constant) and isinstance(text.value, str):
                        found[node.name, field.target.id] = " ".join(text.value.split())
                        if node.name == "EngineOptions":
                            found["Settings", field.target.id] = found[node.name, field.target.id]
    return found
