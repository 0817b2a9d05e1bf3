"""Rebuilds the requests of a recording, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator

from jetbox.engine.errors import RecordingError
from jetbox.engine.events import MessageAdded, PromptHead, PromptRewound, RequestSent, Stamped
from jetbox.record.blobs import digest
from jetbox.record.recording import Recording
from jetbox.record.resume import add_message


def rebuild_all(recording: Recording) -> Iterator[tuple[Stamped, bytes]]:
    """Every request with its body, in order.

    Raises:
        RecordingError: a part is missing, or the bytes do not match the hash.
    """
    heads: dict[str, bytes] = {}
    messages: list[bytes] = []
    for stamped in recording.events:
        event = stamped.event
        if isinstance(event, MessageAdded):
            add_message(messages, event)
        elif isinstance(event, PromptRewound):
            del messages[event.count :]
        elif isinstance(event, PromptHead):
            heads[event.sha] = event.json.encode()
        elif isinstance(event, RequestSent):
            yield stamped, _body(stamped.seq, event, heads, messages)


def _body(seq: int, request: RequestSent, heads: dict[str, bytes], messages: list[bytes]) -> bytes:
    if request.head not in heads:
        raise RecordingError(f"request {seq} cannot be rebuilt: the prompt's head {request.head} is missing")
    if request.count > len(messages):
        raise RecordingError(
            f"request {seq} cannot be rebuilt: it has {request.count} messages, {len(messages)} were recorded"
        )
    body = heads[request.head] + b",".join(messages[: request.count]) + request.tail.encode()
    if digest(body) != request.sha:
        raise RecordingError(
            f"request {seq} cannot be rebuilt: {len(body)} bytes came of it, not the {request.bytes} that were sent"
            if len(body) != request.bytes
            else f"request {seq} cannot be rebuilt: its bytes do not match their hash"
        )
    return body
