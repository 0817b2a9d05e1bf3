"""How messages and options are written for a server: Ollama's own protocol, or OpenAI's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

import msgspec

from jetbox.engine.models.base import Call
from jetbox.engine.options import ModelOptions

Fields = dict[str, object]


class Wanted(msgspec.Struct, frozen=True):
    """What one request asks for besides its messages."""

    num_ctx: int
    num_predict: int
    temperature: float | None = None
    seed: int | None = None
    logprobs: bool = False
    """Log probabilities of the answer's tokens."""


MADE = re.compile(rb"call_jetbox_(\d{1,9})")
"""An id that a call got here, since the server gave none."""


class Wire(Protocol):
    """The shape of a protocol; what is written once is never written again."""

    def go_on(self, messages: Sequence[bytes]) -> None:
        """What is written next stands behind these messages, of an earlier process."""
        ...

    def assistant(self, text: str, thinking: str, calls: Sequence[Call]) -> Fields:
        """What the model said."""
        ...

    def tool(self, name: str, call: str, text: str) -> Fields:
        """The result of a call, in the order of the calls."""
        ...

    def head(self, model: str, options: ModelOptions) -> Fields:
        """What stands before tools and messages, the same in every request."""
        ...

    def tail(self, wanted: Wanted) -> bytes:
        """What follows the last message, up to the end of the request."""
        ...


class OllamaWire:
    """`/api/chat`."""

    def go_on(self, messages: Sequence[bytes]) -> None:
        """Nothing here depends on what was written before."""

    def assistant(self, text: str, thinking: str, calls: Sequence[Call]) -> Fields:
        message: Fields = {"role": "assistant", "content": text}
        if thinking:
            message["thinking"] = thinking
        if calls:
            message["tool_calls"] = list(calls)
        return message

    def tool(self, name: str, call: str, text: str) -> Fields:
        message: Fields = {"role": "tool", "tool_name": name, "content": text}
        if call:
            message["tool_call_id"] = call
        return message

    def head(self, model: str, options: ModelOptions) -> Fields:
        keep = options.keep_alive
        fields: Fields = {
            "model": model,
            "stream": True,
            "truncate": False,
            "keep_alive": int(keep) if keep.lstrip("-").isdigit() else keep,
        }
        if options.think:
            fields["think"] = {"true": True, "false": False}.get(options.think, options.think)
        return fields

    def tail(self, wanted: Wanted) -> bytes:
        options: Fields = {"num_ctx": wanted.num_ctx, "num_predict": wanted.num_predict}
        end = b',"logprobs":true}' if wanted.logprobs else b"}"
        return b'],"options":' + msgspec.json.encode(options | _sampling(wanted)) + end


class Wishes(msgspec.Struct):
    """What every request asks a server for beside an answer; some refuse a wish that they do not know."""

    progress: bool = False
    """How far it has read a prompt: llama.cpp's server tells that."""
    counts: bool = True
    """How many tokens prompt and answer had."""


class OpenAIWire:
    """`/v1/chat/completions`: every call has an id, arguments are text, and results go by the id."""

    def __init__(self, wishes: Wishes | None = None) -> None:
        """`wishes` go by what the server turns out to take."""
        self._wishes = wishes or Wishes()
        self._made = 0
        self._open: list[str] = []
        """Ids of calls without one of their own, whose results are still to come."""
        self._alike: dict[str, list[str]] = {}
        """By an id that a server gave to several calls of one answer, what each of them goes by."""

    def go_on(self, messages: Sequence[bytes]) -> None:
        """No id is given a second time in one history."""
        given = (int(number) for data in messages for number in MADE.findall(data))
        self._made = max(self._made, *given, 0)

    def assistant(self, text: str, thinking: str, calls: Sequence[Call]) -> Fields:
        message: Fields = {"role": "assistant", "content": text}
        if thinking:
            # Templates that keep the thinking of a tool loop read it here; others pass over it.
            message["reasoning_content"] = thinking
        self._alike = {}
        if calls:
            message["tool_calls"] = [self._call(call) for call in calls]
        return message

    def _call(self, call: Call) -> Fields:
        name, alike = call.id, self._alike.setdefault(call.id, [])
        if not name or alike:
            self._made += 1
            name = f"call_jetbox_{self._made}"
        (alike if call.id else self._open).append(name)
        arguments = bytes(call.function.arguments).decode(errors="replace")
        return {"id": name, "type": "function", "function": {"name": call.function.name, "arguments": arguments}}

    def tool(self, name: str, call: str, text: str) -> Fields:
        if left := self._alike.get(call) if call else self._open:
            call = left.pop(0)
        return {"role": "tool", "tool_call_id": call, "content": text}

    def head(self, model: str, options: ModelOptions) -> Fields:
        fields: Fields = {"model": model, "stream": True}
        if self._wishes.counts:
            fields["stream_options"] = {"include_usage": True}
        if self._wishes.progress:
            fields["return_progress"] = True
        if options.think in ("low", "medium", "high"):
            fields["reasoning_effort"] = options.think
        elif options.think:
            fields["chat_template_kwargs"] = {"enable_thinking": options.think == "true"}
        return fields

    def tail(self, wanted: Wanted) -> bytes:
        fields: Fields = {"max_tokens": wanted.num_predict}
        if wanted.logprobs:
            fields["logprobs"] = True
        return b"]," + msgspec.json.encode(fields | _sampling(wanted))[1:]


def _sampling(wanted: Wanted) -> Fields:
    given = {"temperature": wanted.temperature, "seed": wanted.seed}
    return {name: value for name, value in given.items() if value is not None}
