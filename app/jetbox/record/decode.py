"""Reads the lines of a journal back; what they look like stands in `jetbox.record.lines`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from jetbox.engine.errors import RecordingError
from jetbox.engine.events import AnyEvent, Stamped, TextDelta, ThinkingDelta, ToolOutput, Unknown
from jetbox.record.lines import DeltaLine, Deltas

BAD_LINE = (ValueError, msgspec.MsgspecError, RecursionError)
"""What `decode` raises for something that is no line of a journal."""

Resolve = Callable[[str], bytes]
"""The content of a blob by its SHA-256; raises RecordingError."""


class Deferred(msgspec.Struct, frozen=True):
    """An event that needs a blob: resolved when someone asks for it."""

    seq: int
    t: int
    round: int
    line: bytes
    index: int
    """Which of the line's events."""


class _Envelope(msgspec.Struct, frozen=True):
    seq: int
    t: int
    round: int
    event: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    deltas: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Times(msgspec.Struct, frozen=True):
    at: list[int]


class _Tag(msgspec.Struct, frozen=True):
    type: str


_stamped = msgspec.json.Decoder(Stamped)
_delta_line = msgspec.json.Decoder(DeltaLine)
_envelope = msgspec.json.Decoder(_Envelope)
_times = msgspec.json.Decoder(_Times)
_tag = msgspec.json.Decoder(_Tag)
_event = msgspec.json.Decoder(AnyEvent)


def decode(line: bytes, problems: list[str] | None = None) -> list[Stamped] | list[Deferred]:
    """The events of a line without its newline; deferred where they need a blob.

    Raises one of `BAD_LINE` where this is no line of a journal.
    """
    if b'"$blob"' in line:
        return _defer(line, problems)
    try:
        if b'"deltas":{' in line[:100]:
            return expand(_delta_line.decode(line))
        return [_stamped.decode(line)]
    except msgspec.ValidationError:
        return _decode_slowly(line, problems)


def resolve(deferred: Deferred, blob: Resolve) -> Stamped:
    """The event with its blobs read.

    Raises:
        RecordingError: a blob is missing or damaged.
    """
    line = _walk_in(msgspec.json.decode(deferred.line), blob)
    try:
        if "deltas" in line:
            return expand(msgspec.convert(line, DeltaLine))[deferred.index]
        return msgspec.convert(line, Stamped)
    except BAD_LINE as error:
        raise RecordingError(f"event {deferred.seq} cannot be read with its blobs: {error}") from error


def expand(line: DeltaLine) -> list[Stamped]:
    """The deltas of a line, each with its own number and time. Raises ValueError."""
    deltas = line.deltas
    if len(deltas.at) != len(deltas.len) or sum(deltas.len) != len(deltas.text) or min(deltas.len, default=0) < 0:
        raise ValueError("the lengths of the deltas do not fit their text")
    events = []
    start = 0
    for n, (at, length) in enumerate(zip(deltas.at, deltas.len, strict=True)):
        text = deltas.text[start : start + length]
        start += length
        events.append(Stamped(line.seq + n, line.t + at, line.round, _delta(deltas, text)))
    return events


def _delta(deltas: Deltas, text: str) -> AnyEvent:
    if deltas.type == "model.text":
        return TextDelta(text=text)
    if deltas.type == "model.thinking":
        return ThinkingDelta(text=text)
    if deltas.type == "tool.output":
        return ToolOutput(call=deltas.call, text=text)
    return Unknown(json=msgspec.json.encode({"type": deltas.type, "text": text, "call": deltas.call}).decode())


def _decode_slowly(line: bytes, problems: list[str] | None) -> list[Stamped]:
    """For lines whose event is of a later version."""
    envelope = _envelope.decode(line)
    if isinstance(envelope.deltas, msgspec.Raw):
        return expand(_delta_line.decode(line))
    if not isinstance(envelope.event, msgspec.Raw):
        raise ValueError("neither an event nor deltas")
    raw = bytes(envelope.event)
    _tag.decode(raw)
    event: AnyEvent
    try:
        event = _event.decode(raw)
    except msgspec.ValidationError as error:
        event = Unknown(json=raw.decode())
        if problems is not None and "$.type" not in str(error):
            problems.append(f"event {envelope.seq} is not understood and was skipped: {error}")
    return [Stamped(envelope.seq, envelope.t, envelope.round, event)]


def _defer(line: bytes, problems: list[str] | None) -> list[Stamped] | list[Deferred]:
    envelope = _envelope.decode(line)
    if isinstance(envelope.deltas, msgspec.Raw):
        at = _times.decode(bytes(envelope.deltas)).at
        return [Deferred(envelope.seq + n, envelope.t + d, envelope.round, line, n) for n, d in enumerate(at)]
    filled = _walk_in(msgspec.json.decode(line), lambda sha: b"")
    try:
        msgspec.convert(filled, Stamped)
    except msgspec.ValidationError:
        return _decode_slowly(line, problems)
    return [Deferred(envelope.seq, envelope.t, envelope.round, line, 0)]


def _walk_in(value: Any, blob: Resolve) -> Any:
    if isinstance(value, dict):
        # A table of the user's own has strings or numbers in both places, never one of each.
        if len(value) == 2 and isinstance(value.get("$blob"), str) and isinstance(value.get("bytes"), int):
            return blob(value["$blob"]).decode()
        return {key: _walk_in(item, blob) for key, item in value.items()}
    if isinstance(value, list):
        return [_walk_in(item, blob) for item in value]
    return value
