"""Text that satisfies a `format`: constrained decoding allows nothing else."""

from __future__ import annotations

import json
from typing import Any


def constrained(text: str, wanted: Any) -> str:
    """The text where it is JSON already, otherwise the smallest value that the format allows."""
    try:
        json.loads(text)
    except ValueError:
        return json.dumps(smallest(wanted) if isinstance(wanted, dict) else {}, ensure_ascii=False)
    return text


def smallest(schema: dict[str, Any]) -> Any:
    """A small value that fits a JSON schema."""
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for choice in ("anyOf", "oneOf"):
        if schema.get(choice):
            return smallest(schema[choice][0])
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties") or {}
        return {name: smallest(properties.get(name) or {}) for name in schema.get("required") or properties}
    if kind == "array":
        return [smallest(schema.get("items") or {}) for _ in range(int(schema.get("minItems") or 0))]
    return {
        "integer": schema.get("minimum", 0),
        "number": schema.get("minimum", 0),
        "boolean": False,
        "null": None,
    }.get(kind, "")
