"""Lists as servers send them: an entry that is not as it should be takes no other with it."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


def entries(listed: list[Any] | None, kind: type[T]) -> list[T]:
    """The entries that can be read, as far as they can."""
    return [read for said in listed or () if (read := entry(said, kind)) is not None]


def entry(said: Any, kind: type[T]) -> T | None:
    """An entry without those of its fields that are something else than they should be; None where it is none."""
    try:
        return msgspec.convert(said, kind)
    except msgspec.ValidationError:
        if not isinstance(said, dict):
            return None
    kept = {}
    for field in msgspec.structs.fields(kind):
        value = said.get(field.encode_name, field.default)
        if isinstance(value, float):
            value = int(value)
        try:
            kept[field.name] = msgspec.convert(value, field.type, strict=False)
        except msgspec.ValidationError:
            continue
    try:
        return kind(**kept)
    except TypeError:  # it lacks what no entry is without
        return None
