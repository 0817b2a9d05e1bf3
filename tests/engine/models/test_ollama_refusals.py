"""What the adapter makes of refusals, each answered over HTTP as the server sends it."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from engine.gateway import saying
from jetbox.engine.errors import (
    BadAnswer,
    ContextOverflow,
    KeyWanted,
    ModelError,
    ModelNotFound,
    ModelUnfit,
    OtherProtocol,
    OutOfMemory,
    RequestRefused,
    ServerBusy,
    ServerUnreachable,
    WordsDropped,
)
from jetbox.engine.models.base import LoadedModel, ModelInfo, PullStep
from jetbox.engine.models.ollama import OllamaModel
from jetbox.sim.launch import ServerProcess

LLAMA_SERVER = json.dumps(
    {
        "error": {
            "code": 400,
            "message": "request (351 tokens) exceeds the available context size (256 tokens), try increasing it",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": 351,
            "n_ctx": 256,
        }
    },
    separators=(",", ":"),
)
LONGER = (
    "the prompt is longer than the context length currently available to the model; shorten the prompt, adjust "
    "the context length in settings, or use a model with a longer context length"
)
THINK = 'invalid think value: "very" (must be "high", "medium", "low", "max", true, or false)'
CLOUD = {"error": "unauthorized", "signin_url": "https://ollama.com/connect?name=box"}
LLAMA_404 = {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}}
Answering = Callable[[int, bytes], Awaitable[OllamaModel]]


@pytest_asyncio.fixture
async def answering() -> AsyncIterator[Answering]:
    """Makes an adapter to a server that gives every request this status and this body."""
    async with AsyncExitStack() as ends:

        async def make(status: int, body: bytes) -> OllamaModel:
            said = f"HTTP/1.1 {status} x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
            model = OllamaModel(await ends.enter_async_context(saying(said)))
            ends.push_async_callback(model.close)
            return model

        yield make


async def chat(model: OllamaModel) -> None:
    async with model.chat(b"{}") as chunks:
        async for _ in chunks:
            pass


async def refused(model: OllamaModel) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await chat(model)
    return caught.value


@pytest.mark.parametrize(
    ("status", "said", "kind", "words"),
    [
        (400, LLAMA_SERVER, ContextOverflow, "351 tokens for a window of 256"),
        (400, "the input length exceeds the context length", ContextOverflow, "does not fit the window"),
        (400, LONGER, ContextOverflow, "does not fit the window"),
        (404, "model 'nope' not found", ModelNotFound, "model 'nope' not found"),
        (400, "registry.ollama.ai/library/plain:latest does not support tools", ModelUnfit, "cannot call tools"),
        (400, '"tiny" does not support thinking', ModelUnfit, "cannot think"),
        (400, THINK, ModelUnfit, "no such level of thinking"),
        (503, "server busy, please try again.  maximum pending requests exceeded", ServerBusy, "busy"),
        (400, "prompt too long; exceeded max context length by 12 tokens", ContextOverflow, "does not fit the window"),
        (413, "request body too large", ContextOverflow, "too large for the server"),
        (500, "no user query found in messages", WordsDropped, "dropped what you had said"),
        (500, "CUDA error: out of memory", OutOfMemory, "not enough memory"),
        (400, "invalid tool schema: unknown type", RequestRefused, "refused the request (400): invalid tool schema"),
        (500, "error starting llama-server: no such file", BadAnswer, "answered 500: error starting llama-server"),
        (403, "ollama cloud is disabled: remote model details are unavailable", RequestRefused, "cloud is disabled"),
        (429, "you've reached your usage limit, please try again later", ServerBusy, "your usage limit"),
        (499, "request cancelled", BadAnswer, "answered 499: request cancelled"),
        (502, "could not reach ollama.com", BadAnswer, "answered 502: could not reach ollama.com"),
    ],
)
async def test_a_refusal_has_its_kind(
    answering: Answering, status: int, said: str, kind: type[ModelError], words: str
) -> None:
    model = await answering(status, json.dumps({"error": said}).encode())
    error = await refused(model)
    assert type(error) is kind
    assert words in error.message
    assert error.hint


async def test_a_sign_in_is_asked_for_with_its_address_and_not_tried_again(answering: Answering) -> None:
    model = await answering(401, json.dumps(CLOUD).encode())
    error = await refused(model)
    assert type(error) is KeyWanted
    assert "https://ollama.com/connect?name=box" in error.hint
    error = await refused(await answering(401, b"Unauthorized"))
    assert type(error) is KeyWanted
    assert "model.api_key_env" in error.hint


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error":"first line\\nsecond\\r\\n  third"}', "the server answered 500: first line second third"),
        (b"first line\nsecond", "the server answered 500: first line second"),
        (b'{"error":""}', "the server answered 500: no reason given"),
        (b"", "the server answered 500: no reason given"),
    ],
)
async def test_a_servers_words_are_one_line_or_said_to_be_none(answering: Answering, body: bytes, words: str) -> None:
    assert (await refused(await answering(500, body))).message == words


@pytest.mark.parametrize("end", ["/api", "/api/"])
async def test_a_path_that_is_part_of_every_question_may_be_named_or_left_out(
    sim_server: Callable[..., ServerProcess], end: str
) -> None:
    model = OllamaModel(f"{sim_server().url}{end}")
    assert "gpt-oss:20b" in [each.name for each in await model.installed()]
    await model.close()


async def test_a_server_that_says_any_json_is_not_taken_for_ollama(answering: Answering) -> None:
    model = await answering(200, b"{}")
    with pytest.raises(BadAnswer, match="does not speak Ollama's protocol"):
        await model.version()


async def test_no_json_is_shown(answering: Answering) -> None:
    nested = json.dumps({"error": json.dumps({"error": {"code": 500, "message": "boom", "type": "server_error"}})})
    assert (await refused(await answering(500, nested.encode()))).message == "the server answered 500: boom"
    assert (await refused(await answering(500, b'{"detail": "boom"}'))).message == "the server answered 500: boom"
    found = await refused(await answering(404, json.dumps(LLAMA_404).encode()))
    assert type(found) is OtherProtocol
    assert "{" not in found.message


@pytest.mark.parametrize("body", [b"404 page not found", b"<html>", b"\xff", b"[]", b"{}"])
async def test_another_server_is_told_from_a_missing_model(answering: Answering, body: bytes) -> None:
    model = await answering(404, body)
    with pytest.raises(BadAnswer, match="does not speak Ollama's protocol") as caught:
        await model.info("tiny")
    assert "--host" in caught.value.hint


async def test_a_name_that_the_server_does_not_answer_to_is_told(answering: Answering) -> None:
    model = await answering(403, b"")
    error = await refused(model)
    assert type(error) is ServerUnreachable
    assert "127.0.0.1" in error.hint


async def test_a_proxy_without_its_server_is_busy(answering: Answering) -> None:
    model = await answering(503, b"<html>no server</html>")
    assert type(await refused(model)) is ServerBusy


async def test_fields_of_later_versions_are_passed_over_and_missing_ones_are_unknown(answering: Answering) -> None:
    lines = [
        {"model": "m", "message": {"role": "assistant", "content": "Yes", "channel": {"name": "x"}}, "trace": [1]},
        {"message": {"content": ".", "thinking": None}, "done": False, "done_reason": None},
        {"done": True, "done_reason": "stop", "eval_count": 2, "energy_joules": 1.5, "usage": {"cached": 3}},
    ]
    model = await answering(200, b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    async with model.chat(b"{}") as stream:
        chunks = [chunk async for chunk in stream]
    assert "".join(chunk.text for chunk in chunks) == "Yes."
    assert (chunks[-1].done, chunks[-1].done_reason) == (True, "stop")
    assert chunks[-1].metrics["eval_count"] == 2
    assert "prompt_eval_count" not in chunks[-1].metrics, "what a server does not tell is not taken for nothing"


async def test_lists_of_later_versions_are_read_and_what_is_null_is_unknown(answering: Answering) -> None:
    said = {
        "models": [{"name": "m", "size": 7, "capabilities": None, "details": None, "trace": 1}],
        "capabilities": None,
        "model_info": {"a.context_length": None, "a.vocab": [1]},
        "thinking": {"values": None, "default": "high"},
        "version": "1.0.0",
        "server": {},
    }
    model = await answering(200, json.dumps(said).encode())
    assert await model.installed() == [ModelInfo("m", size=7)]
    assert await model.info("m") == ModelInfo("m:latest")
    assert [held.name for held in await model.running()] == ["m"]
    for none in ({"models": None}, {"models": None, "model_info": None}):
        model = await answering(200, json.dumps(none).encode())
        assert (await model.installed(), await model.running(), await model.info("m")) == (
            [],
            [],
            ModelInfo("m:latest"),
        )


@pytest.mark.parametrize("window", ['"32k"', "[4096]", "{}", "1e99", "null", "-7"])
async def test_figures_of_models_that_are_none_are_unknown(answering: Answering, window: str) -> None:
    nothing = dict.fromkeys(("size", "size_vram", "context_length", "expires_at", "digest"))
    listed = json.dumps([{"name": "m", **nothing}])
    parameters = json.dumps(f"num_ctx {'9' * 400}")
    body = f'{{"models":{listed},"model_info":{{"a.context_length":{window}}},"parameters":{parameters}}}'
    model = await answering(200, body.encode())
    assert await model.installed() == [ModelInfo("m")]
    assert await model.info("m") == ModelInfo("m:latest")
    assert await model.running() == [LoadedModel("m")]
    done = {"status": "success", "total": None, "completed": None, "error": None}
    model = await answering(200, json.dumps(done).encode())
    assert [step async for step in model.pull("m")] == [PullStep("success")]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>\n<h1>Sign in</h1></html>", "a page of HTML stands in the answer's place"),
        (gzip.compress(b'{"done": true}', mtime=0), "the answer came compressed (gzip)"),
    ],
)
async def test_what_stands_in_an_answers_place_is_named(answering: Answering, body: bytes, said: str) -> None:
    error = await refused(await answering(200, body))
    assert error.message == said
    assert "what stands before the server" in error.hint
