"""Ollama's own way of writing an answer: lines of JSON, or one object."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from jetbox.sim import answer, ask
from jetbox.sim.generation import Dropped, End
from jetbox.sim.http import ApiError, Connection, encode
from jetbox.sim.setup import Setup

CACHED = "prompt_eval_cached_count"
GARBAGE = b'{"model": <garbage>, "messa'
Body = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns a message into the part of a line that holds it."""


def timestamp(seconds_ahead: float = 0.0) -> str:
    """The time as Go prints it, so many seconds from now."""
    seconds, nanoseconds = divmod(time.time_ns() + int(seconds_ahead * 1e9), 1_000_000_000)
    head = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    fraction = f".{nanoseconds:09d}".rstrip("0").rstrip(".")
    return f"{head}{fraction}Z"


def chat_body(message: dict[str, Any]) -> dict[str, Any]:
    """A message of `/api/chat`."""
    return {"message": message}


class NativeSink:
    """Writes the answer to one request of `/api/chat` or `/api/generate`."""

    def __init__(
        self,
        connection: Connection,
        asked: ask.Asked,
        setup: Setup,
        body: Body = chat_body,
        extra: Callable[[str], dict[str, Any]] | None = None,
    ) -> None:
        """`extra` makes fields of the last line out of the whole text."""
        self._connection = connection
        self._asked = asked
        self._setup = setup
        self._body = body
        self._extra = extra
        self._messages: list[dict[str, Any]] = []
        self._chances: list[dict[str, Any]] = []
        self._text = ""

    def open(self) -> None:
        """Send the head of the stream."""
        if self._asked.stream:
            self._connection.start_stream()

    def emit(self, piece: answer.Piece, chances: list[dict[str, Any]]) -> None:
        """Write a piece as a line, or keep it for the one object."""
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        if piece.kind == "content":
            message["content"] = piece.text
            self._text += piece.text
        elif piece.kind == "thinking":
            message["thinking"] = piece.text
        elif piece.kind == "call":
            message["tool_calls"] = list(piece.calls)
        if self._asked.stream:
            line = {**self._head(), **self._body(message), "done": False}
            self._connection.send_line(encode({**line, "logprobs": chances} if chances else line))
        else:
            self._messages.append(message)
            self._chances += chances

    def read(self, size: int, cached: int) -> None:
        """Ollama tells at the end."""

    def progress(self, total: int, cached: int, processed: int, seconds: float) -> None:
        """Ollama says nothing about it."""

    def ping(self) -> None:
        """Ollama sends no comments."""

    def garbage(self) -> None:
        """A line that is no JSON, or a whole answer that is none."""
        if self._asked.stream:
            return self._connection.send_line(GARBAGE)
        self._connection.respond(200, GARBAGE)
        raise Dropped

    def fail(self, status: int, text: str) -> None:
        """A line with the error, or its status where nothing is out yet."""
        if not self._connection.streaming:
            raise ApiError(status, text, streamed=self._asked.stream)
        self._connection.send_line(encode({"error": text}))
        self._connection.end_stream()

    def end(self) -> None:
        """The stream ends as if it were complete."""
        self._connection.end_stream()

    def finish(self, end: End) -> None:
        """The last line, or the whole."""
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        calls = list(end.calls)
        if not self._asked.stream:
            message = _joined(self._messages)
            calls = message.get("tool_calls", []) + calls
        if calls:
            message["tool_calls"] = calls
        metrics = {name: value for name, value in self._metrics(end).items() if value}  # as Go's `omitempty` has it
        line = {**self._head(), **self._body(message), "done": True, "done_reason": end.reason}
        line |= {**(self._extra(self._text) if self._extra else {}), **metrics}
        if self._chances:
            line["logprobs"] = self._chances
        if self._asked.stream:
            self._connection.send_line(encode(line))
            self._connection.end_stream(flush=False)
        else:
            self._connection.respond(200, encode(line), flush=False)

    def _head(self) -> dict[str, Any]:
        return {"model": self._asked.named, "created_at": timestamp()}

    def _metrics(self, end: End) -> dict[str, int]:
        """The figures that this version of the server gives."""
        metrics = dict(end.metrics)
        if not self._setup.counts_cached:
            del metrics[CACHED]
        if self._setup.release == (0, 30, 0) or self._setup.release < (0, 4):
            metrics["prompt_eval_count"] -= end.cached  # the uncached part alone; 0, and absent, on a hit
        return metrics


def _joined(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """All chunks of an answer as one message."""
    whole: dict[str, Any] = {"role": "assistant", "content": "".join(m["content"] for m in messages)}
    if thinking := "".join(m.get("thinking", "") for m in messages):
        whole["thinking"] = thinking
    if calls := [call for m in messages for call in m.get("tool_calls", ())]:
        whole["tool_calls"] = calls
    return whole
