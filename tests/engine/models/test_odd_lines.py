"""Answers in OpenAI's protocol whose lines are not quite as they should be, and are answers all the same, over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from engine.gateway import saying
from jetbox.engine.errors import BadAnswer, ModelError
from jetbox.engine.models.base import CACHED, ChatModel, Chunk
from jetbox.engine.models.ollama import OllamaModel
from jetbox.engine.models.openai_compat import OpenAIModel

END = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
COUNTS = {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 3}}
WHOLE = {"choices": [{"message": {"role": "assistant", "content": "Yes"}, "finish_reason": "stop"}]}


def delta(**parts: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": parts, "finish_reason": None}]}


def call(function: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    made = {"name": "list_dir", "arguments": "{}"} | (function or {})
    return delta(tool_calls=[{"index": 0, "id": "c1", "function": made} | parts])


@asynccontextmanager
async def answering(
    body: bytes, field: str = "Content-Type: text/event-stream\r\n", kind: Callable[[str], ChatModel] = OpenAIModel
) -> AsyncIterator[ChatModel]:
    async with saying(f"HTTP/1.1 200 x\r\n{field}Connection: close\r\n\r\n".encode() + body) as host:
        model = kind(host)
        try:
            yield model
        finally:
            await model.close()


async def heard(model: ChatModel) -> list[Chunk]:
    async with model.chat(b"{}") as chunks:
        return [chunk async for chunk in chunks]


async def streamed(*lines: dict[str, Any]) -> tuple[str, str, list[Chunk]]:
    """Text, thinking and chunks of a whole answer of these events."""
    body = "".join(f"data: {json.dumps(line)}\n\n" for line in lines) + "data: [DONE]\n\n"
    async with answering(body.encode()) as model:
        chunks = await heard(model)
    assert chunks[-1].done
    return "".join(chunk.text for chunk in chunks), "".join(chunk.thinking for chunk in chunks), chunks


@pytest.mark.parametrize(
    "figures",
    [
        {"usage": {"prompt_tokens": 10.0, "completion_tokens": 3.0}},
        {"usage": {"prompt_tokens": "10", "completion_tokens": "3"}},
        {"usage": {"prompt_tokens": 10, "completion_tokens": 3, "prompt_tokens_details": []}},
        COUNTS | {"timings": []},
        COUNTS | {"metrics": [1]},
        COUNTS | {"metrics": {"time_to_first_token_ms": "soon"}},
        COUNTS | {"prompt_progress": {"total": 10, "cache": None, "processed": 1, "time_ms": "1"}},
        COUNTS | {"error": ""} | WHOLE,
        COUNTS | {"error": False, "choices": [{"delta": {}, "logprobs": []}]},
    ],
)
async def test_figures_in_another_form_take_no_answer_with_them(figures: dict[str, Any]) -> None:
    text, _, chunks = await streamed(delta(content="Yes"), figures, END)
    assert text.startswith("Yes")
    assert (chunks[-1].metrics["prompt_eval_count"], chunks[-1].metrics["eval_count"]) == (10, 3)


async def test_of_figures_that_are_null_in_part_the_rest_is_read() -> None:
    timings = {"cache_n": 4, "prompt_n": 3, "prompt_ms": None, "predicted_n": 2, "predicted_ms": 5.0}
    _, _, chunks = await streamed(delta(content="Yes"), END, {"choices": [], "timings": timings})
    assert chunks[-1].metrics[CACHED] == 4
    assert chunks[-1].metrics["prompt_eval_count"] == 7


async def test_an_answer_in_parts_is_its_words_and_its_thinking() -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "I know"}, {"type": "text", "text": " that."}]}
    reference = {"type": "reference", "reference_ids": [1]}
    text, thinking, _ = await streamed(
        delta(content=[thought]),
        delta(content=[{"type": "text", "text": "Y"}, reference, "e"]),
        delta(content="s"),
        END,
    )
    assert (text, thinking) == ("Yes", "I know that.")


@pytest.mark.parametrize("other", [{"reasoning": {"text": "x"}}, {"refusal": False}, {"reasoning_content": []}])
async def test_what_is_said_beside_an_answer_in_another_form_is_passed_over(other: dict[str, Any]) -> None:
    assert (await streamed(delta(content="Yes", **other), END))[:2] == ("Yes", "")


@pytest.mark.parametrize(
    ("line", "ids", "arguments"),
    [
        (call(id=5), ["5"], "{}"),
        (call(index="0"), ["c1"], "{}"),
        (call(index=0.0), ["c1"], "{}"),
        (call({"arguments": ["src"]}), ["c1"], '["src"]'),
    ],
)
async def test_a_call_is_read_whatever_numbers_it(line: dict[str, Any], ids: list[str], arguments: str) -> None:
    _, _, chunks = await streamed(line, END)
    calls = [call for chunk in chunks for call in chunk.calls]
    assert [call.id for call in calls] == ids
    assert [bytes(call.function.arguments).decode() for call in calls] == [arguments]


@pytest.mark.parametrize("field", ["", "Content-Type: Application/JSON\r\n", "Content-Type: text/plain\r\n"])
@pytest.mark.parametrize("before", [b"", b"\n ", b"\xef\xbb\xbf"])
async def test_a_whole_answer_that_is_not_said_to_be_one_is_read(field: str, before: bytes) -> None:
    async with answering(before + json.dumps(WHOLE, indent=2).encode(), field) as model:
        chunks = await heard(model)
    assert "".join(chunk.text for chunk in chunks) == "Yes"


@pytest.mark.parametrize("line", [b'error: {"code":500,"message":"the slot broke"}\n\n', b'{"error":"the slot broke"}'])
async def test_an_error_that_is_no_event_of_data_is_told(line: bytes) -> None:
    async with answering(line, "") as model:
        with pytest.raises(ModelError, match="the slot broke"):
            await heard(model)


@pytest.mark.parametrize("line", [delta(content=5), delta(content={"a": 1}), call({"arguments": 5}), call(index="x")])
async def test_what_can_be_no_answer_is_still_garbage(line: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer, match="garbage"):
        await streamed(line, END)


async def test_ollamas_figures_and_ids_may_be_numbers_of_another_kind() -> None:
    made = {"id": 7, "function": {"name": "list_dir", "arguments": {}}}
    lines = (
        {"message": {"content": "", "tool_calls": [made]}},
        {"done": True, "prompt_eval_count": 10.0, "eval_duration": 1.5e9},
    )
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    async with answering(body, kind=OllamaModel) as model:
        first, last = await heard(model)
    assert first.calls[0].id == "7"
    assert last.metrics == {"prompt_eval_count": 10, "eval_duration": 1_500_000_000}
