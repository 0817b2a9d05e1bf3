"""OpenAI's way of writing an answer: server-sent events, or one object."""

from __future__ import annotations

import json
import time
from typing import Any

from jetbox.sim import answer, ask
from jetbox.sim.flavours import Flavour
from jetbox.sim.generation import Dropped, End
from jetbox.sim.http import ApiError, Connection, encode
from jetbox.sim.openai_ask import Wishes
from jetbox.sim.setup import Setup

EVENTS = "text/event-stream"
PATH = "/v1/chat/completions"


class OpenAISink:
    """Writes the answer to one request of `/v1/chat/completions`."""

    def __init__(self, connection: Connection, asked: ask.Asked, wishes: Wishes, setup: Setup, number: int) -> None:
        self._connection = connection
        self._asked = asked
        self._wishes = wishes
        self._setup = setup
        self._flavour: Flavour = setup.flavour
        self._number = number
        self._created = int(time.time())
        self._opened = False
        self._content = ""
        self._thinking = ""
        self._calls: list[dict[str, Any]] = []
        self._chances: list[dict[str, Any]] = []
        self._prompt = (0, 0)
        self._tokens = 0

    def open(self) -> None:
        """Send the head of the stream."""
        if self._asked.stream:
            self._connection.start_stream(EVENTS)

    def read(self, size: int, cached: int) -> None:
        """The prompt is known, for usage in every chunk."""
        self._prompt = (size, cached)

    def emit(self, piece: answer.Piece, chances: list[dict[str, Any]]) -> None:
        """Write a piece as a delta, or keep it for the one object."""
        self._open_message()
        self._tokens += piece.tokens
        self._chances += chances
        delta = self._delta(piece)
        if self._asked.stream:
            self._send(self._chunk(delta, chances=chances))

    def progress(self, total: int, cached: int, processed: int, seconds: float) -> None:
        """llama.cpp says how far it has read, where it is asked to."""
        told = {"total": total, "cache": cached, "processed": processed, "time_ms": round(seconds * 1000)}
        self._open_message()
        self._send({**self._chunk({}), "prompt_progress": told})

    def ping(self) -> None:
        """A comment."""
        if self._asked.stream:
            self._connection.send_line(b": ping\n", EVENTS)
            self._connection.flush()

    def garbage(self) -> None:
        """An event that is no JSON, or a whole answer that is none."""
        if self._asked.stream:
            return self._connection.send_line(b'data: {"id": <garbage>, "choi\n', EVENTS)
        self._connection.respond(200, b'{"id": <garbage>, "choi', self._flavour.json)
        raise Dropped

    def fail(self, status: int, text: str) -> None:
        """An event with the error, or its status where nothing is out yet.

        Ollama makes of an error in mid-stream a chunk that says nothing, and ends without `[DONE]`.
        """
        if not self._connection.streaming:
            raise ApiError(status, text, streamed=self._asked.stream)
        if self._flavour.name == "ollama":
            self._send(self._chunk({"role": "assistant", "content": ""}))
        else:
            self._send(self._flavour.error(status, text, {}))
            if self._flavour.name == "vllm":
                self._done()
        self._connection.end_stream()

    def end(self) -> None:
        """The stream ends without a reason and without `[DONE]`."""
        self.open()
        self._connection.end_stream()

    def finish(self, end: End) -> None:
        """The reason, usage where it is wanted, and `[DONE]`; or the whole."""
        late = [self._whole_call(call) for call in end.calls]
        self._calls += late
        reason = "tool_calls" if self._calls and end.reason == "stop" else end.reason
        self._tokens = end.metrics["eval_count"]
        if not self._asked.stream:
            self._connection.respond(200, *self._flavour.reply(PATH, self._object(end, reason)), flush=False)
            return
        self._open_message()
        closing: dict[str, Any] = {"role": "assistant", "content": ""} if self._flavour.name == "ollama" else {}
        if late:
            closing["tool_calls"] = late
        last = self._chunk(closing, reason)
        if self._wishes.usage and "usage" not in self._setup.lacks:
            self._send(last)
            last = {**self._head("chat.completion.chunk"), "choices": [], "usage": self._usage()}
        self._send({**last, **self._timings(end)})
        self._done()
        self._connection.end_stream(flush=False)

    def _open_message(self) -> None:
        """The chunk that has the role alone, in the servers that send one."""
        if self._opened or not self._asked.stream:
            return
        self._opened = True
        if self._flavour.name != "ollama":
            self._send(self._chunk({"role": "assistant", "content": self._flavour.opening}))

    def _delta(self, piece: answer.Piece) -> dict[str, Any]:
        """A piece as the delta of a chunk; what it adds is kept as well."""
        role = {"role": "assistant", "content": ""} if self._flavour.name == "ollama" else {}
        if piece.kind == "content":
            self._content += piece.text
            return {**role, "content": piece.text}
        if piece.kind == "thinking":
            self._thinking += piece.text
            return {**role, self._flavour.reasoning: piece.text}
        if piece.kind == "call":
            whole = [self._whole_call(call) for call in piece.calls]
            self._calls += whole
            return {**role, "tool_calls": whole}
        if piece.kind in ("open", "more"):
            return {"tool_calls": [self._call_delta(piece)]}
        return role

    def _call_delta(self, piece: answer.Piece) -> dict[str, Any]:
        (wire,) = piece.calls
        function = wire["function"]
        if piece.kind == "open":
            named = {"name": function["name"], "arguments": ""}
            identity = {"id": wire["id"]} if "id" in wire else {}
            self._calls.append({**identity, "type": "function", "function": dict(named)})
            return {"index": function["index"], **identity, "type": "function", "function": named}
        self._calls[-1]["function"]["arguments"] += piece.text
        if self._flavour.nulls:
            more = {"name": None, "arguments": piece.text}
            return {"index": function["index"], "id": None, "type": "function", "function": more}
        return {"index": function["index"], "function": {"arguments": piece.text}}

    def _whole_call(self, call: dict[str, Any]) -> dict[str, Any]:
        function = call["function"]
        text = json.dumps(function["arguments"], ensure_ascii=False, separators=(",", ":"))
        identity = {"id": call["id"]} if "id" in call else {}
        made = {"name": function["name"], "arguments": text}
        return {**identity, "index": function["index"], "type": "function", "function": made}

    def _head(self, kind: str) -> dict[str, Any]:
        head = {"id": f"chatcmpl-{self._number}", "object": kind, "created": self._created, "model": self._asked.named}
        return {**head, "system_fingerprint": self._flavour.fingerprint} if self._flavour.fingerprint else head

    def _chunk(
        self, delta: dict[str, Any], reason: str | None = None, chances: list[dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": reason}
        if chances:
            choice["logprobs"] = {"content": chances}
        chunk = {**self._head("chat.completion.chunk"), "choices": [choice]}
        return {**chunk, "usage": self._usage()} if self._wishes.running_usage else chunk

    def _object(self, end: End, reason: str) -> dict[str, Any]:
        calls = [{key: value for key, value in call.items() if key != "index"} for call in self._calls]
        nothing = "" if self._flavour.name == "ollama" else None
        message: dict[str, Any] = {"role": "assistant", "content": self._content or (nothing if calls else "")}
        if self._thinking:
            message[self._flavour.reasoning] = self._thinking
        if calls:
            message["tool_calls"] = calls
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": reason}
        if self._chances:
            choice["logprobs"] = {"content": self._chances}
        made = {**self._head("chat.completion"), "choices": [choice]}
        if "usage" not in self._setup.lacks:
            made["usage"] = self._usage()
        return {**made, **self._timings(end)}

    def _usage(self) -> dict[str, Any]:
        size, cached = self._prompt
        usage: dict[str, Any] = {"prompt_tokens": size, "completion_tokens": self._tokens}
        usage["total_tokens"] = size + self._tokens
        if self._setup.counts_cached:
            usage["prompt_tokens_details"] = {"cached_tokens": cached}
        elif self._flavour.name != "ollama":
            usage["prompt_tokens_details"] = None
        return usage

    def _timings(self, end: End) -> dict[str, Any]:
        """llama.cpp's figures, or vLLM's where it was started with them; those stand beside the usage."""
        if not self._flavour.timings:
            told = self._flavour.name == "vllm" and not self._setup.lacks.intersection(("timings", "usage"))
            return {"metrics": _measured(end)} if told and (self._wishes.usage or not self._asked.stream) else {}
        read = end.metrics["prompt_eval_count"] - end.cached
        written = end.metrics["eval_count"]
        figures: dict[str, Any] = {"cache_n": end.cached}
        for name, count, took in (
            ("prompt", read, end.metrics["prompt_eval_duration"]),
            ("predicted", written, end.metrics["eval_duration"]),
        ):
            milliseconds = max(took, 1) / 1e6
            figures |= {
                f"{name}_n": count,
                f"{name}_ms": milliseconds,
                f"{name}_per_token_ms": milliseconds / max(count, 1),
                f"{name}_per_second": count / milliseconds * 1000,
            }
        return {"timings": figures}

    def _send(self, value: Any) -> None:
        self._connection.send_line(b"data: " + encode(value) + b"\n", EVENTS)

    def _done(self) -> None:
        self._connection.send_line(b"data: [DONE]\n", EVENTS)


def _measured(end: End) -> dict[str, float]:
    """What vLLM tells of a request, in ms and tokens a second; the wait in the queue is apart."""
    written = max(end.metrics["eval_count"], 1)
    whole, read, wrote = (end.metrics[f"{name}_duration"] / 1e6 for name in ("total", "prompt_eval", "eval"))
    return {
        "time_to_first_token_ms": read,
        "generation_time_ms": wrote * (written - 1) / written,
        "queue_time_ms": whole - read - wrote,
        "mean_itl_ms": wrote / written,
        "tokens_per_second": written / max(read + wrote, 1e-6) * 1000,
    }
