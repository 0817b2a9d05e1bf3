"""`/api/generate` and `/api/embed`: streamed and whole, loading and unloading, refusals."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

QUESTION = "What is a context manager?"


def generate(client: Any, **more: Any) -> list[dict[str, Any]]:
    status, _, data = client.send("POST", "/api/generate", {"model": "gpt-oss:20b", "prompt": QUESTION, **more})
    assert status == 200, data
    return [json.loads(line) for line in data.split(b"\n") if line]


def refusal(client: Any, path: str, **body: Any) -> tuple[int, str]:
    status, _, data = client.send("POST", path, body)
    return status, json.loads(data)["error"]


def test_a_streamed_text_has_its_fields_in_order(client: Any) -> None:
    *chunks, last = generate(client)
    spoken = [line for line in chunks if "thinking" not in line]
    assert all(list(line) == ["model", "created_at", "response", "done"] for line in spoken)
    assert "".join(line.get("thinking", "") for line in chunks).startswith("A question")
    assert "".join(line["response"] for line in chunks).startswith("# Context managers")
    assert list(last)[:6] == ["model", "created_at", "response", "done", "done_reason", "context"]
    assert last["eval_count"] == len(chunks)
    assert all(isinstance(number, int) for number in last["context"])


def test_a_text_without_stream_is_one_object(client: Any) -> None:
    whole = client.json("POST", "/api/generate", {"model": "gpt-oss:20b", "prompt": QUESTION, "stream": False})
    assert whole["response"] == "".join(line["response"] for line in generate(client))
    assert whole["done_reason"] == "stop"


def test_the_context_of_an_answer_makes_the_next_prompt_longer(client: Any) -> None:
    first = generate(client)[-1]
    second = generate(client, context=first["context"])[-1]
    assert second["prompt_eval_count"] > first["prompt_eval_count"] + 100
    assert "context" not in generate(client, raw=True)[-1]


def test_a_system_text_counts(client: Any) -> None:
    plain = generate(client)[-1]["prompt_eval_count"]
    assert generate(client, system="x" * 400)[-1]["prompt_eval_count"] == plain + 100


def test_an_empty_prompt_loads_and_unloads(client: Any) -> None:
    (loaded,) = generate(client, prompt="", keep_alive="10m", options={"num_ctx": 8192})
    assert (loaded["response"], loaded["done"], loaded["done_reason"]) == ("", True, "load")
    (running,) = client.json("GET", "/api/ps")["models"]
    assert (running["name"], running["context_length"]) == ("gpt-oss:20b", 8192)
    (unloaded,) = generate(client, prompt="", keep_alive=0)
    assert unloaded["done_reason"] == "unload"
    assert client.json("GET", "/api/ps") == {"models": []}
    assert client.server.stats()["chats"] == 0


def test_chat_and_generate_share_the_loaded_model(client: Any) -> None:
    generate(client)
    client.chat(QUESTION)
    assert client.server.stats()["loads"] == 1
    assert client.server.stats()["chats"] == 2


def test_logprobs_of_a_text(client: Any) -> None:
    lines = generate(client, logprobs=True, top_logprobs=3)
    for line in lines[:-1]:
        (chance,) = line["logprobs"]
        assert chance["token"] == line["response"] + line.get("thinking", "")
        assert chance["logprob"] <= 0
        assert chance["top_logprobs"][0]["token"] == chance["token"]
        assert len(chance["top_logprobs"]) == 3
        assert bytes(chance["bytes"]).decode() == chance["token"]
    assert "logprobs" not in generate(client)[0]


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        ({"raw": True, "system": "x"}, 400, "raw mode does not support template, system, or context"),
        ({"suffix": "x"}, 400, "registry.ollama.ai/library/gpt-oss:20b does not support insert"),
        ({"model": "nope"}, 404, "model 'nope' not found"),
        ({"prompt": 5}, 400, "number into Go struct field GenerateRequest.prompt of type string"),
        ({"context": ["x"]}, 400, "string into Go struct field GenerateRequest.context of type int"),
        ({"model": "nomic-embed-text"}, 400, '"nomic-embed-text" does not support generate'),
        ({"model": "gemma2:2b", "think": True}, 400, '"gemma2:2b" does not support thinking'),
    ],
)
def test_refusals(client_of: Any, more: dict[str, Any], status: int, words: str) -> None:
    client = client_of(models=["nomic-embed-text"])
    got, text = refusal(client, "/api/generate", **{"model": "gpt-oss:20b", "prompt": "x", **more})
    assert got == status
    assert words in text


def test_an_insertion_needs_a_model_for_it(client: Any) -> None:
    lines = generate(client, model="qwen2.5-coder:7b", suffix="end")
    assert lines[-1]["done_reason"] == "stop"


def test_embeddings_are_of_length_one_and_near_where_words_are_shared(client_of: Any) -> None:
    client = client_of(models=["nomic-embed-text"])
    texts = ["a cat on a mat", "the cat on the mat", "budget of the fiscal year"]
    made = client.json("POST", "/api/embed", {"model": "nomic-embed-text", "input": texts})
    one, two, three = made["embeddings"]
    assert len(one) == 768
    assert math.hypot(*one) == pytest.approx(1, abs=1e-4)
    near, far = (sum(a * b for a, b in zip(one, other, strict=True)) for other in (two, three))
    assert near > far + 0.2
    assert list(made) == ["model", "embeddings", "total_duration", "load_duration", "prompt_eval_count"]
    assert made["prompt_eval_count"] == sum(-(-len(text) // 4) for text in texts)
    single = client.json("POST", "/api/embed", {"model": "nomic-embed-text", "input": texts[0], "dimensions": 64})
    assert [len(vector) for vector in single["embeddings"]] == [64]
    assert [model["name"] for model in client.json("GET", "/api/ps")["models"]] == ["nomic-embed-text:latest"]
    assert client.server.stats()["embeds"] == 2


def test_what_cannot_be_embedded(client_of: Any) -> None:
    client = client_of(models=["nomic-embed-text"])
    name = "nomic-embed-text"
    assert client.json("POST", "/api/embed", {"model": name, "input": ""}) == {"model": name, "embeddings": []}
    assert refusal(client, "/api/embed", model=name, input=5) == (400, "invalid input type")
    assert refusal(client, "/api/embed", model=name, input=[5]) == (400, "invalid input type")
    assert refusal(client, "/api/embed", model="nope", input="x") == (404, "model 'nope' not found")
    long = "word " * 3000
    too_long = (400, "the input length exceeds the context length")
    assert refusal(client, "/api/embed", model=name, input=long, truncate=False) == too_long
    assert client.json("POST", "/api/embed", {"model": name, "input": long})["prompt_eval_count"] == 2048
    assert client.refused("hello", model=name) == (400, f'"{name}" does not support chat')


def test_an_embedding_with_a_window_of_its_own_reloads_like_any_request(client: Any) -> None:
    client.chat(QUESTION, options={"num_ctx": 8192})
    client.json("POST", "/api/embed", {"model": "gpt-oss:20b", "input": "x", "options": {"num_ctx": 8192}})
    assert client.server.stats()["loads"] == 1
    client.json("POST", "/api/embed", {"model": "gpt-oss:20b", "input": "x"})
    assert client.server.stats()["loads"] == 2
