"""The lines of a journal: events and coalesced deltas as JSON.

An event is `{"seq":..,"t":..,"round":..,"event":{"type":..}}`. Deltas of one kind that
follow each other share a line: `{"seq":..,"t":..,"round":..,"deltas":{"type":..,"text":..,
"at":[..],"len":[..],"call":..}}` with the number and time of the first one, and for each
its distance from that time (ns) and the length of its share of `text` (code points).
A string above `BLOB_BYTES` may stand in a blob: `{"$blob":"<sha256>","bytes":N}`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from jetbox.engine.events import Delta, Stamped, TextDelta, ThinkingDelta, ToolOutput

BLOB_BYTES = 4096
"""Longer strings go to a blob."""


class Deltas(msgspec.Struct, frozen=True, omit_defaults=True):
    """What deltas of one line share, and what is each one's own."""

    type: str
    text: str
    at: list[int]
    len: list[int]
    call: str = ""


class DeltaLine(msgspec.Struct, frozen=True):
    """A line of coalesced deltas."""

    seq: int
    t: int
    round: int
    deltas: Deltas


_KINDS: dict[type[Delta], str] = {
    ThinkingDelta: "model.thinking",
    TextDelta: "model.text",
    ToolOutput: "tool.output",
}
DELTA_TYPES = (ThinkingDelta, TextDelta, ToolOutput)

_encoder = msgspec.json.Encoder()


class Group:
    """Deltas that will share a line."""

    __slots__ = ("at", "call", "kind", "lengths", "next_seq", "room", "round", "seq", "t", "texts")

    def __init__(self, stamped: Stamped, event: Delta) -> None:
        self.seq = self.next_seq = stamped.seq
        self.t = stamped.t
        self.round = stamped.round
        self.kind = type(event)
        self.call = event.call if isinstance(event, ToolOutput) else ""
        self.texts: list[str] = []
        self.at: list[int] = []
        self.lengths: list[int] = []
        self.room = BLOB_BYTES

    def add(self, stamped: Stamped, event: Delta) -> bool:
        """Take one more; False where it does not belong here or there is no room left."""
        text = event.text
        size = len(text) if text.isascii() else 4 * len(text)
        if self.texts and (
            size > self.room
            or type(event) is not self.kind
            or stamped.seq != self.next_seq
            or stamped.round != self.round
            or (isinstance(event, ToolOutput) and event.call != self.call)
        ):
            return False
        self.texts.append(text)
        self.at.append(stamped.t - self.t)
        self.lengths.append(len(text))
        self.room -= size
        self.next_seq += 1
        return True

    def line(self) -> DeltaLine:
        """The line to be encoded."""
        deltas = Deltas(_KINDS[self.kind], "".join(self.texts), self.at, self.lengths, self.call)
        return DeltaLine(self.seq, self.t, self.round, deltas)


def encode(line: Stamped | DeltaLine, put: Callable[[bytes], str] | None) -> bytes:
    """The whole line with its newline; `put` stores a long string's bytes and names them."""
    try:
        data = _encoder.encode(line)
    except UnicodeEncodeError:
        return _encoder.encode(_walk_out(msgspec.to_builtins(line), put)) + b"\n"
    if put is not None and len(data) > BLOB_BYTES:
        data = _encoder.encode(_walk_out(msgspec.to_builtins(line), put))
    return data + b"\n"


def _walk_out(value: Any, put: Callable[[bytes], str] | None) -> Any:
    """Mend what UTF-8 cannot say, and put long strings into blobs."""
    if isinstance(value, str):
        if not value.isascii():
            # Half a surrogate pair has no bytes; one code point stays one, so lengths hold.
            value = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in value)
        if put is not None and 4 * len(value) > BLOB_BYTES:
            data = value.encode()
            if len(data) > BLOB_BYTES:
                return {"$blob": put(data), "bytes": len(data)}
        return value
    if isinstance(value, dict):
        return {_walk_out(key, None): _walk_out(item, put) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_walk_out(item, put) for item in value]
    return value
