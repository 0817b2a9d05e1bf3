"""How one model's words are carried over to another: without its thinking, and with ids that the other takes.

What a model said itself it gets back byte for byte, also after others have spoken: its prefix in the
server's cache holds. What others said is written anew for it, always in the same way.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import msgspec

from jetbox.engine.models.base import ModelInfo

THINKING = ("thinking", "reasoning_content")
"""The field of a message that holds it, in the protocols."""
NINE = re.compile(r"[A-Za-z0-9]{9}")
"""What the templates of Mistral's models take for the id of a call; they refuse all others."""
MISTRAL = ("mistral", "mixtral", "devstral", "codestral", "magistral", "ministral", "pixtral")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
Fields = dict[str, msgspec.Raw]


class Reader(msgspec.Struct, frozen=True):
    """The model that is to read a history."""

    name: str
    short_ids: bool = False
    """It takes ids of nine letters and digits alone."""


def reader_of(info: ModelInfo) -> Reader:
    """How this model wants to read."""
    words = f"{info.name} {info.family}".lower()
    return Reader(info.name, any(name in words for name in MISTRAL))


def carried(messages: Sequence[bytes], authors: Sequence[str], reader: Reader) -> list[bytes]:
    """The history as the reader gets it; `authors` are the models that said or caused each message."""
    return [
        message if author in ("", reader.name) else _carry(message, reader)
        for message, author in zip(messages, authors, strict=True)
    ]


def _carry(message: bytes, reader: Reader) -> bytes:
    fields = msgspec.json.decode(message, type=Fields)
    changed = _without_thinking(fields)
    if reader.short_ids:
        changed = _with_short_ids(fields) or changed
    return msgspec.json.encode(fields) if changed else message


def _without_thinking(fields: Fields) -> bool:
    """Leave out what another model thought; where it said nothing else, that is what it said."""
    name = next((name for name in THINKING if name in fields), "")
    if not name:
        return False
    thought = fields.pop(name)
    if not fields.get("tool_calls") and not msgspec.json.decode(fields.get("content", b'""')):
        fields["content"] = thought
    return True


def _with_short_ids(fields: Fields) -> bool:
    if "tool_call_id" in fields:
        old = msgspec.json.decode(fields["tool_call_id"], type=str)
        fields["tool_call_id"] = msgspec.Raw(msgspec.json.encode(short_id(old)))
        return short_id(old) != old
    if "tool_calls" not in fields:
        return False
    calls = msgspec.json.decode(fields["tool_calls"], type=list[Fields])
    changed = False
    for call in calls:
        old = msgspec.json.decode(call.get("id", b'""'), type=str)
        if short_id(old) != old:
            changed = True
            call["id"] = msgspec.Raw(msgspec.json.encode(short_id(old)))
    if changed:
        fields["tool_calls"] = msgspec.Raw(msgspec.json.encode(calls))
    return changed


def short_id(given: str) -> str:
    """Nine letters and digits for an id; the same for the same one, and itself where it is such."""
    if not given or NINE.fullmatch(given):
        return given
    number = int.from_bytes(hashlib.sha256(given.encode()).digest()[:8], "big")
    letters = []
    for _ in range(9):
        number, rest = divmod(number, len(LETTERS))
        letters.append(LETTERS[rest])
    return "".join(letters)
