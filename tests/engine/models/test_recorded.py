"""What a real server answered, byte for byte, as the adapters read it: Ollama 0.24.0 with a model of a few words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from jetbox.engine.errors import (
    ContextOverflow,
    ModelError,
    ModelNotFound,
    ModelUnfit,
    RequestRefused,
    ServerBusy,
)
from jetbox.engine.models.base import Chunk
from jetbox.engine.models.catalog import Catalog
from jetbox.engine.models.manage import unload, warm
from jetbox.engine.models.ollama import OllamaModel
from jetbox.engine.models.openai_compat import OpenAIModel
from jetbox.engine.options import ModelOptions
from recorded import Said, SaysAgain, by_name

SAID = by_name("ollama-0.24.0")
CALL = b'{"path":"a.py","content":"x = 1\\n"}'
Plays = Callable[..., Awaitable[str]]


@pytest_asyncio.fixture
async def plays() -> AsyncIterator[Plays]:
    """The address of a server that gives these answers."""
    async with AsyncExitStack() as ends:

        async def play(*names: str) -> str:
            said: list[Said] = [SAID[name] for name in names]
            return (await ends.enter_async_context(SaysAgain(said, "GET /api/version"))).url

        yield play


async def answer(model: OllamaModel | OpenAIModel) -> list[Chunk]:
    """All chunks of the next answer."""
    try:
        async with model.chat(b"{}") as chunks:
            return [chunk async for chunk in chunks]
    finally:
        await model.close()


def told(chunks: list[Chunk]) -> tuple[str, str, list[tuple[str, bytes]]]:
    """Thinking, text and calls."""
    calls = [(call.function.name, bytes(call.function.arguments)) for chunk in chunks for call in chunk.calls]
    return "".join(chunk.thinking for chunk in chunks), "".join(chunk.text for chunk in chunks), calls


@pytest.mark.parametrize(
    ("name", "thinking", "text", "calls", "reason"),
    [
        ("thinking and a call", "They want a small file.\n", "I write it first.\n", [("write_file", CALL)], "stop"),
        ("the same prompt again", "They want a small file.\n", "I write it first.\n", [("write_file", CALL)], "stop"),
        ("whole answer", "They want a small file.\n", "I write it first.\n", [("write_file", CALL)], "stop"),
        ("without thinking", "", "I write it first.\n", [("write_file", CALL)], "stop"),
        ("cut at its length", "", "I write it first.", [], "length"),
        ("cut in a call", "", "I write it first.\n", [], "length"),
        (
            "after a result",
            "",
            "It is written: a.py stands as it shall — «ü»\u2028.\n",
            [("finish", b'{"summary":"a.py is written"}')],
            "stop",
        ),
        ("a tool that was not offered", "", "It is written: a.py stands as it shall — «ü»\u2028.\n", [], "stop"),
    ],
)
async def test_answers(
    plays: Plays, name: str, thinking: str, text: str, calls: list[tuple[str, bytes]], reason: str
) -> None:
    chunks = await answer(OllamaModel(await plays(name)))
    assert told(chunks) == (thinking, text, calls)
    assert (chunks[-1].done, chunks[-1].done_reason) == (True, reason)
    metrics = chunks[-1].metrics
    assert metrics["prompt_eval_count"] > metrics["eval_count"] > 1
    parts = metrics["load_duration"] + metrics["prompt_eval_duration"] + metrics["eval_duration"]
    assert 0 < parts <= metrics["total_duration"]
    assert "prompt_eval_cached_count" not in metrics, "this version does not tell it"


async def test_calls_have_the_servers_ids(plays: Plays) -> None:
    chunks = await answer(OllamaModel(await plays("thinking and a call")))
    (call,) = [call for chunk in chunks for call in chunk.calls]
    assert call.id.startswith("call_")


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("too long", ContextOverflow, "does not fit the window"),
        ("unknown model", ModelNotFound, "model 'nobody' not found"),
        ("no tools", ModelUnfit, "cannot call tools"),
        ("no thinking", ModelUnfit, "cannot think"),
        ("bad level of thinking", ModelUnfit, "no such level of thinking"),
        ("wrong type", RequestRefused, "cannot unmarshal string"),
        ("arguments as text", RequestRefused, "looks like object"),
        ("no model", RequestRefused, "model is required"),
        ("empty body", RequestRefused, "missing request body"),
        ("busy", ServerBusy, "busy"),
    ],
)
async def test_refusals(plays: Plays, name: str, kind: type[ModelError], words: str) -> None:
    with pytest.raises(ModelError) as caught:
        await answer(OllamaModel(await plays(name)))
    assert type(caught.value) is kind
    assert words in caught.value.message


async def test_lists(plays: Plays) -> None:
    model = OllamaModel(await plays("tags", "show", "loaded", "version"))
    listing = await Catalog(model).look()
    entry = listing.find("recorded")
    assert entry is not None
    assert entry.loaded is not None
    assert (entry.info.family, entry.info.parameters, entry.info.max_ctx) == ("llama", "919K", 32_768)
    assert (entry.loaded.window, entry.on_gpu, entry.lacks) == (8192, 0.0, "")
    assert set(entry.info.capabilities) == {"completion", "tools", "thinking"}
    assert await model.version() == "0.24.0"
    await model.close()
    nothing = OllamaModel(await plays("nothing loaded", "show unknown"))
    assert await nothing.running() == []
    with pytest.raises(ModelNotFound):
        await nothing.info("nobody")
    await nothing.close()


async def test_loading_and_unloading(plays: Plays) -> None:
    model = OllamaModel(await plays("load", "unload"))
    assert (await warm(model, "recorded", ModelOptions(), 8192)).done_reason == "load"
    assert (await unload(model, "recorded", ModelOptions())).done_reason == "unload"
    await model.close()


async def test_its_other_protocol(plays: Plays) -> None:
    model = OpenAIModel(await plays("openai models", "openai chat"))
    assert {info.name for info in await model.installed()} == {"plain:latest", "recorded:latest"}
    chunks = await answer(model)
    assert told(chunks) == ("They want a small file.\n", "I write it first.\n", [("write_file", CALL)])
    assert chunks[-1].metrics["eval_count"] == 14
    with pytest.raises(ModelNotFound):
        await answer(OpenAIModel(await plays("openai unknown")))
