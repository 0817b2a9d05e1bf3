"""How one model's words are carried over to another: without its thinking, and with ids that the other takes.

What a model said itself it gets back byte for byte, also after others have spoken: its prefix in the
server's cache holds. What others said is written anew for it, always in the same way.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import msgspec

from jetbox.engine.context.wire import OpenAIWire, Wire
from jetbox.engine.models.base import Call, CallFunction, ModelInfo

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


def in_form_of(wire: Wire, messages: Sequence[bytes]) -> list[bytes]:
    """Messages that were written for another protocol, as this one writes them; its own stay as they are."""
    names: dict[str, str] = {}
    out = []
    for data in messages:
        fields = msgspec.json.decode(data, type=Fields)
        calls = _calls(fields)
        names |= {call.id: call.function.name for call in calls}
        foreign = bool(calls) and _as_text(fields) != isinstance(wire, OpenAIWire)
        if foreign:
            thought = next((fields[name] for name in THINKING if name in fields), msgspec.Raw(b'""'))
            made = wire.assistant(_text(fields.get("content")), _text(thought), calls)
            out.append(msgspec.json.encode(made))
        elif _text(fields.get("role")) == "tool" and ("tool_name" in fields) == isinstance(wire, OpenAIWire):
            call = _text(fields.get("tool_call_id"))
            name = _text(fields.get("tool_name")) or names.get(call, "")
            out.append(msgspec.json.encode(wire.tool(name, call, _text(fields.get("content")))))
        else:
            out.append(data)
    return out


def _calls(fields: Fields) -> list[Call]:
    """The calls of a message, in either form, with their arguments as an object."""
    made = []
    for call in msgspec.json.decode(fields.get("tool_calls") or b"[]", type=list[dict[str, msgspec.Raw]]):
        function = msgspec.json.decode(call["function"], type=Fields)
        arguments = function.get("arguments", msgspec.Raw(b"{}"))
        if bytes(arguments).startswith(b'"'):
            arguments = msgspec.Raw(_object(_text(arguments)))
        made.append(Call(CallFunction(_text(function.get("name")), arguments), _text(call.get("id"))))
    return made


def _as_text(fields: Fields) -> bool:
    """Whether the arguments of the calls are text, as OpenAI's protocol has them."""
    first = msgspec.json.decode(fields["tool_calls"], type=list[dict[str, msgspec.Raw]])[0]
    function = msgspec.json.decode(first["function"], type=Fields)
    return bytes(function.get("arguments", b"")).startswith(b'"')


def _object(text: str) -> bytes:
    """Arguments that are an object; an empty one where they are something else."""
    try:
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return b"{}"
    return text.encode()


def _text(raw: msgspec.Raw | None) -> str:
    value = msgspec.json.decode(raw) if raw is not None else ""
    return value if isinstance(value, str) else ""
