"""Servers and gateways that repeat the key in what they say: it goes no further."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from engine.gateway import saying
from jetbox.engine.errors import ModelError
from jetbox.engine.models.base import ChatModel
from jetbox.engine.models.hushed import MARK
from jetbox.engine.models.ollama import OllamaModel
from jetbox.engine.models.openai_compat import OpenAIModel

KEY = "sk-" + "A1b2C3d4" * 6
BEGIN = KEY[:8]
STREAM = "200 x\r\nContent-Type: text/event-stream"


def head(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n".encode()


def event(said: Any) -> bytes:
    return b"data: " + (said if isinstance(said, bytes) else json.dumps(said).encode()) + b"\n\n"


async def refused(kind: Callable[[str, str], ChatModel], body: bytes, key: str = KEY, user: str = "") -> str:
    """All that an error says."""
    async with saying(body) as host:
        model = kind(host.replace("://", f"://{user}@" if user else "://"), key)
        with pytest.raises(ModelError) as error:
            async with model.chat(b"{}") as chunks:
                [chunk async for chunk in chunks]
        await model.close()
    return repr(vars(error.value)) + str(error.value) + repr(error.value)


@pytest.mark.parametrize(
    "body",
    [
        head("500 x") + json.dumps({"error": {"message": f"upstream got Bearer {KEY}"}}).encode(),
        head("400 x") + json.dumps({"detail": f"{'x' * 270} {KEY}"}).encode(),
        head("404 x") + json.dumps({"error": {"message": f"model not found for {KEY}"}}).encode(),
        head("403 x") + f"no entry with {KEY}".encode(),
        head("503 x") + json.dumps({"error": f"too many with {KEY}"}).encode(),
        head(STREAM) + event({"error": {"message": f"mid {KEY}, and {KEY[:20]}..."}}),
        head(STREAM) + event(f"this is {KEY} and no JSON".encode()),
        head(STREAM) + event({"choices": [{"delta": {}, "finish_reason": f"error {KEY}"}]}),
        head("200 x") + json.dumps({"error": f"whole {KEY}"}).encode(),
        f"{KEY} is no HTTP\r\n".encode(),
    ],
)
async def test_a_key_that_a_server_repeats_is_in_no_error(body: bytes) -> None:
    said = await refused(OpenAIModel, body)
    assert BEGIN not in said
    assert MARK in said


@pytest.mark.parametrize(
    "body",
    [
        head("500 x") + json.dumps({"error": f"upstream got Bearer {KEY}"}).encode(),
        head("400 x") + json.dumps({"error": f'error parsing tool call: raw=\'{{"a": "{KEY}"}}\', err=x'}).encode(),
        head("200 x") + json.dumps({"error": f"mid {KEY}"}).encode() + b"\n",
        head("200 x") + f"{KEY} is no JSON\n".encode(),
    ],
)
async def test_nor_in_one_over_ollamas_protocol(body: bytes) -> None:
    said = await refused(OllamaModel, body)
    assert BEGIN not in said
    assert MARK in said


async def test_nor_is_a_password_of_the_address() -> None:
    told = base64.b64encode(b"me:hush hush hush").decode()
    body = head("500 x") + json.dumps({"error": f"who is {told}, hush hush hush?"}).encode()
    for kind in (OllamaModel, OpenAIModel):
        said = await refused(kind, body, key="", user="me:hush%20hush%20hush")
        assert told not in said
        assert "hush hush hush" not in said


async def test_a_word_that_stands_for_a_key_may_be_said() -> None:
    body = head("500 x") + json.dumps({"error": "EMPTY is the answer"}).encode()
    assert "EMPTY is the answer" in await refused(OpenAIModel, body, key="EMPTY")
