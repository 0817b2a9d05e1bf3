"""What a line of a stream in OpenAI's chat protocol can hold, as servers write it; what is not here is passed over."""

from __future__ import annotations

from typing import Any

import msgspec


class Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class CallPiece(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[CallPiece] | None = None
    function_call: Any = None
    """A piece of the answer's only call, as the protocol had it before there were several."""


class Logprob(msgspec.Struct):
    logprob: float | None = None


class Logprobs(msgspec.Struct):
    content: list[Logprob] | None = None


class Choice(msgspec.Struct):
    delta: Delta | None = None
    message: Delta | None = None
    """The whole answer, where a server does not stream."""
    logprobs: Logprobs | None = None
    finish_reason: str | None = None


class Details(msgspec.Struct):
    cached_tokens: int | None = None


class Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: Details | None = None


class Timings(msgspec.Struct):
    """llama.cpp's own figures."""

    cache_n: int = 0
    prompt_n: int = 0
    prompt_ms: float = 0.0
    predicted_n: int = 0
    predicted_ms: float = 0.0


class Measured(msgspec.Struct):
    """vLLM's own figures, where it was started with `--enable-per-request-metrics`."""

    time_to_first_token_ms: float | None = None
    """From when it began with the request, its wait in the queue not counted."""
    mean_itl_ms: float | None = None
    """From token to token."""


class Progress(msgspec.Struct):
    """How far llama.cpp has read the prompt."""

    total: int = 0
    cache: int = 0
    processed: int = 0
    time_ms: float = 0.0


class Line(msgspec.Struct):
    choices: list[Choice] | None = None
    usage: Usage | None = None
    timings: Timings | None = None
    metrics: Measured | None = None
    prompt_progress: Progress | None = None
    error: Any = None


decode_line = msgspec.json.Decoder(Line).decode
"""A line's JSON; raises msgspec.DecodeError."""
