"""The real Python client of Ollama against the embedded server."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def ollama_client(client: Any) -> Any:
    from ollama import Client

    ours = Client(host=client.server.url)
    yield ours
    ours._client.close()


def test_list_show_and_ps(ollama_client: Any) -> None:
    assert "gpt-oss:20b" in [model.model for model in ollama_client.list().models]
    shown = ollama_client.show("qwen2.5-coder:7b")
    assert "tools" in shown.capabilities
    assert shown.modelinfo["qwen2.context_length"] == 32_768
    assert shown.details.parameter_size == "7.6B"
    ollama_client.chat("gpt-oss:20b", [{"role": "user", "content": "hello"}])
    (running,) = ollama_client.ps().models
    assert running.model == "gpt-oss:20b"
    assert running.context_length == 4096
    assert running.expires_at.tzinfo is not None


def test_chat_with_tools_and_thinking(ollama_client: Any) -> None:
    messages = [{"role": "user", "content": "Create mathx package"}]
    tool = {"type": "function", "function": {"name": "list_dir", "description": "", "parameters": {"type": "object"}}}
    reply = ollama_client.chat("gpt-oss:20b", messages, tools=[tool])
    assert reply.message.thinking.startswith("I should see")
    assert reply.message.tool_calls[0].function.name == "list_dir"
    assert reply.message.tool_calls[0].function.arguments == {"path": "."}
    chunks = list(ollama_client.chat("gpt-oss:20b", messages, tools=[tool], stream=True))
    assert "".join(chunk.message.content for chunk in chunks) == reply.message.content
    assert chunks[-1].done_reason == "stop"
    assert chunks[-1].eval_count == reply.eval_count > len(chunks)


def test_generate_and_embed(client_of: Any) -> None:
    from ollama import Client

    ours = Client(host=client_of(models=["nomic-embed-text"]).server.url)
    whole = ours.generate("gpt-oss:20b", "What is a context manager?")
    pieces = list(ours.generate("gpt-oss:20b", "What is a context manager?", stream=True))
    assert "".join(str(piece.response) for piece in pieces) == whole.response != ""
    assert pieces[-1].context == whole.context
    made = ours.embed("nomic-embed-text", ["one", "two"])
    assert [len(vector) for vector in made.embeddings] == [768, 768]
    assert made.prompt_eval_count == 2
    ours._client.close()


def test_pull_and_delete(ollama_client: Any) -> None:
    from ollama import ResponseError

    steps = list(ollama_client.pull("qwen3:8b", stream=True))
    assert [steps[0].status, steps[-1].status] == ["pulling manifest", "success"]
    layers = [step for step in steps if step.completed]
    assert layers[-1].completed == layers[-1].total > layers[0].completed
    assert "qwen3:8b" in [model.model for model in ollama_client.list().models]
    assert ollama_client.pull("devstral:24b").status == "success"
    ollama_client.chat("qwen3:8b", [{"role": "user", "content": "hello"}])
    assert ollama_client.delete("qwen3:8b").status == "success"
    assert ollama_client.ps().models == []
    for refused in (ollama_client.delete, ollama_client.show):
        with pytest.raises(ResponseError, match="not found"):
            refused("qwen3:8b")
    with pytest.raises(ResponseError, match="file does not exist"):
        ollama_client.pull("nope")
    with pytest.raises(ResponseError, match="file does not exist"):
        list(ollama_client.pull("nope", stream=True))


def test_errors_are_response_errors(ollama_client: Any) -> None:
    from ollama import ResponseError

    with pytest.raises(ResponseError, match="model 'x' not found") as caught:
        ollama_client.chat("x", [{"role": "user", "content": "hello"}])
    assert caught.value.status_code == 404
    with pytest.raises(ResponseError, match="not found"):
        ollama_client.show("x")
