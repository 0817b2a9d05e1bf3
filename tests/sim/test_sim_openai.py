"""OpenAI's protocol in the manner of five servers: fields, streams, tools, usage, errors, keys."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripted import WriteScript, call, step

QUESTION = {"role": "user", "content": "What is a context manager?"}
GOAL = {"role": "user", "content": "Create mathx package"}
TOOLS = [{"type": "function", "function": {"name": "list_dir", "parameters": {"type": "object"}}}]
MODEL = "gpt-oss:20b"
SERVERS = ("ollama", "vllm", "sglang", "llamacpp", "lmstudio")
OTHERS = SERVERS[1:]
WITH_CHARSET = "application/json; charset=utf-8"
TYPES = {
    "ollama": ("application/json", b"\n"),
    "vllm": ("application/json", b""),
    "sglang": ("application/json", b""),
    "llamacpp": (WITH_CHARSET, b""),
    "lmstudio": (WITH_CHARSET, b""),
}
"""Of what is no stream: its type, and what stands behind it."""
USAGE = {"stream_options": {"include_usage": True}}


def complete(client: Any, *messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    body = {"model": MODEL, "messages": messages or (GOAL,), "tools": TOOLS, **more}
    made: dict[str, Any] = client.json("POST", "/v1/chat/completions", body)
    return made


def events(client: Any, *messages: dict[str, Any], **more: Any) -> list[Any]:
    """The events of a stream, comments left out; `[DONE]` as a text."""
    body = {"model": MODEL, "messages": messages or (GOAL,), "tools": TOOLS, "stream": True, **more}
    status, headers, data = client.send("POST", "/v1/chat/completions", body)
    assert status == 200, data
    assert headers["content-type"] == "text/event-stream"
    assert data.endswith(b"\n\n") or not data
    parts = [part for part in data.decode().split("\n\n") if part and not part.startswith(":")]
    assert all(part.startswith("data: ") and "\n" not in part for part in parts)
    return [part[6:] if part == "data: [DONE]" else json.loads(part[6:]) for part in parts]


def deltas(chunks: list[Any]) -> list[dict[str, Any]]:
    return [chunk["choices"][0]["delta"] for chunk in chunks if isinstance(chunk, dict) and chunk.get("choices")]


def refusal(client: Any, headers: dict[str, str] | None = None, **body: Any) -> tuple[int, Any]:
    from http.client import HTTPConnection

    connection = HTTPConnection(client.server.url.removeprefix("http://"), timeout=120)
    whole = {"model": MODEL, "messages": [GOAL], **body}
    connection.request("POST", "/v1/chat/completions", json.dumps(whole), headers or {})
    reply = connection.getresponse()
    data = json.loads(reply.read())
    connection.close()
    return reply.status, data


@pytest.mark.parametrize("flavour", SERVERS)
def test_everything_that_is_no_stream_has_the_types_of_the_server(client_of: Any, flavour: str) -> None:
    client = client_of(flavour=flavour, faults=["error@2:0"])
    kind, end = TYPES[flavour]
    whole = {"model": MODEL, "messages": [GOAL]}
    asked = [
        ("GET", "/v1/models", b"", 200),
        ("POST", "/v1/chat/completions", whole, 200),
        ("POST", "/v1/chat/completions", whole, 500),
        ("POST", "/v1/chat/completions", {"messages": [], "model": MODEL}, 400),
        ("POST", "/v1/embeddings", {"model": MODEL, "input": "x"}, 200),
    ]
    for method, path, body, expected in asked:
        status, headers, data = client.send(method, path, body)
        assert (status, headers["content-type"]) == (expected, kind), (path, data)
        assert data.endswith(b"}" + end), path
        assert "transfer-encoding" not in headers


def test_an_error_before_the_first_word_of_a_stream_is_framed_as_one_by_ollama_alone(
    client_of: Any, write_script: WriteScript
) -> None:
    script = str(write_script(step(call("list_dir", path="."))))
    for flavour in SERVERS:
        client = client_of(flavour=flavour, scripts=[script], faults=["error:no@1:0", "send:xml-error@2"])
        for _ in range(2):
            body = {"model": MODEL, "messages": [GOAL], "tools": TOOLS, "stream": True}
            status, headers, data = client.send("POST", "/v1/chat/completions", body)
            assert (status, headers["content-type"]) == (500, TYPES[flavour][0])
            assert data.endswith(b"}" + TYPES[flavour][1])
            assert ("transfer-encoding" in headers) is (flavour == "ollama")


@pytest.mark.parametrize("flavour", SERVERS)
def test_a_whole_answer(client_of: Any, flavour: str) -> None:
    made = complete(client_of(flavour=flavour))
    assert made["object"] == "chat.completion"
    (choice,) = made["choices"]
    assert choice["finish_reason"] == "tool_calls"
    (call,) = choice["message"]["tool_calls"]
    assert call["type"] == "function"
    assert call["id"].startswith("call_")
    assert call["function"]["name"] == "list_dir"
    assert json.loads(call["function"]["arguments"]) == {"path": "."}
    field = "reasoning" if flavour in ("ollama", "vllm") else "reasoning_content"
    assert choice["message"][field]
    usage = made["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"] == {"cached_tokens": 0}
    assert ("timings" in made) is (flavour == "llamacpp")


@pytest.mark.parametrize("flavour", SERVERS)
def test_a_stream_says_the_same(client_of: Any, flavour: str) -> None:
    client = client_of(flavour=flavour)
    whole = complete(client)["choices"][0]["message"]
    *chunks, done = events(client)
    assert done == "[DONE]"
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    field = "reasoning" if flavour in ("ollama", "vllm") else "reasoning_content"
    parts = deltas(chunks)
    assert "".join(part.get("content") or "" for part in parts) == (whole["content"] or "")
    assert "".join(part.get(field) or "" for part in parts) == whole[field]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks][-1] == "tool_calls"
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in chunks[:-1])
    assert parts[0]["role"] == "assistant"
    assert not any("usage" in chunk for chunk in chunks)


@pytest.mark.parametrize("flavour", SERVERS)
def test_arguments_come_in_pieces_or_whole(client_of: Any, flavour: str) -> None:
    parts = [part["tool_calls"] for part in deltas(events(client_of(flavour=flavour))) if "tool_calls" in part]
    assert all(len(calls) == 1 and calls[0]["index"] == 0 for calls in parts)
    (first, *later) = [calls[0] for calls in parts]
    assert first["function"]["name"] == "list_dir"
    assert first["id"]
    assert json.loads("".join(call["function"]["arguments"] for call in (first, *later))) == {"path": "."}
    assert bool(later) is (flavour != "ollama")
    for piece in later:
        assert piece.get("id") is None
        assert piece["function"].get("name") is None
        assert ("id" in piece) is (flavour == "sglang")


@pytest.mark.parametrize("flavour", SERVERS)
def test_usage_is_a_last_chunk_without_choices(client_of: Any, flavour: str) -> None:
    client = client_of(flavour=flavour)
    system = {"role": "system", "content": "Be careful. " * 40}
    first = events(client, system, GOAL, **USAGE)[-2]
    again = events(client, system, GOAL, **USAGE)[-2]
    assert first["choices"] == again["choices"] == []
    size = again["usage"]["prompt_tokens"]
    cached = again["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert cached == (size - 1 - (size - 1) % 16 if flavour == "vllm" else size - 1)
    assert first["usage"]["prompt_tokens_details"]["cached_tokens"] == 0


def test_usage_in_every_chunk(client_of: Any) -> None:
    chunks = events(client_of(flavour="vllm"), stream_options={"include_usage": True, "continuous_usage_stats": True})
    counts = [chunk["usage"]["completion_tokens"] for chunk in chunks[:-1]]
    assert counts == sorted(counts)
    assert counts[0] == 0 < counts[-1]


def test_what_a_server_was_started_without(client_of: Any) -> None:
    client = client_of(flavour="vllm", lacks=["cached-tokens"])
    assert complete(client)["usage"]["prompt_tokens_details"] is None
    bare = client_of(flavour="sglang", lacks=["usage", "tool-parser"])
    made = complete(bare)
    assert "usage" not in made
    assert "<tool_call>" in made["choices"][0]["message"]["content"]
    assert made["choices"][0]["finish_reason"] == "stop"
    assert not any("usage" in chunk for chunk in events(bare, **USAGE)[:-1])
    status, data = refusal(client_of(flavour="vllm", lacks=["tool-parser"]), tools=TOOLS)
    assert (status, data["error"]["code"], data["error"]["type"]) == (400, 400, "BadRequestError")
    assert "--enable-auto-tool-choice" in data["error"]["message"]
    status, data = refusal(client_of(flavour="llamacpp", lacks=["tool-parser"]), tools=TOOLS)
    assert (status, data["error"]["message"]) == (500, "tools param requires --jinja flag")
    status, data = refusal(client_of(flavour="llamacpp"), tools=TOOLS, logprobs=True, stream=True)
    assert (status, data["error"]["message"]) == (400, "logprobs is not supported with tools + stream")
    assert complete(client_of(flavour="llamacpp"), logprobs=True)["choices"][0]["logprobs"]
    assert "logprobs" not in complete(client_of(flavour="vllm", lacks=["logprobs"]), logprobs=True)["choices"][0]
    made = complete(client_of(flavour="vllm", lacks=["fitting-parser"]))
    assert "<tool_call>" in made["choices"][0]["message"]["content"]


def test_timings_and_progress_of_llamacpp(client_of: Any) -> None:
    client = client_of(flavour="llamacpp")
    system = {"role": "system", "content": "Be careful. " * 900}
    chunks = events(client, system, GOAL, return_progress=True, **USAGE)
    told = [chunk["prompt_progress"] for chunk in chunks if isinstance(chunk, dict) and "prompt_progress" in chunk]
    assert set(told[0]) == {"total", "cache", "processed", "time_ms"}
    processed = [progress["processed"] for progress in told]
    assert processed == sorted(processed)
    assert len(processed) > 4
    assert processed[0] == 0
    assert processed[-1] == told[0]["total"]
    timings = chunks[-2]["timings"]
    assert timings["prompt_n"] + timings["cache_n"] == chunks[-2]["usage"]["prompt_tokens"]
    assert timings["predicted_n"] == chunks[-2]["usage"]["completion_tokens"]
    assert timings["prompt_per_second"] > 0 < timings["predicted_per_second"]
    again = events(client, system, GOAL, return_progress=True)
    assert again[1]["prompt_progress"]["cache"] > 2000
    assert "timings" in again[-2]


@pytest.mark.parametrize("flavour", OTHERS)
def test_a_prompt_that_is_too_long_is_refused(client_of: Any, flavour: str) -> None:
    client = client_of(flavour=flavour, context_length=512)
    status, data = refusal(client, messages=[{"role": "user", "content": "mathx " * 2000}])
    assert status == 400
    text = json.dumps(data)
    assert "512" in text
    assert ("exceed_context_size_error" in text) is (flavour == "llamacpp")
    if flavour == "vllm":
        assert "at least 513 input tokens" in data["error"]["message"], "it counts no further"
        assert refusal(client, max_tokens=500)[0] == 200, "what goes beyond the window is left out"
        assert "max_tokens=513 cannot be greater" in refusal(client, max_tokens=513)[1]["error"]["message"]


def test_ollama_cuts_it_in_silence(client_of: Any) -> None:
    client = client_of(context_length=512)
    made = complete(client, {"role": "user", "content": "mathx " * 2000}, tools=[])
    assert made["usage"]["prompt_tokens"] == 512 - (512 - 4) // 2


MISSING = {
    "ollama": {"error": {"message": "model 'x' not found", "type": "not_found_error", "param": None, "code": None}},
    "vllm": {
        "error": {"message": "The model `x` does not exist.", "type": "NotFoundError", "param": "model", "code": 404}
    },
    "sglang": {
        "object": "error",
        "message": "The model `x` does not exist.",
        "type": "NotFoundError",
        "param": None,
        "code": 404,
    },
    "lmstudio": {"error": 'Model "x" not found'},
}


@pytest.mark.parametrize("flavour", MISSING)
def test_a_model_that_is_not_there(client_of: Any, flavour: str) -> None:
    assert refusal(client_of(flavour=flavour), model="x") == (404, MISSING[flavour])


def test_llamacpp_takes_any_name(client_of: Any) -> None:
    made = complete(client_of(flavour="llamacpp"), model="whatever")
    assert made["model"] == "whatever"


@pytest.mark.parametrize("flavour", SERVERS)
def test_a_key_is_asked_for(client_of: Any, flavour: str) -> None:
    client = client_of(flavour=flavour, api_key="secret")
    status, data = refusal(client)
    assert (status, "error" in data) == (401, True)
    assert refusal(client, {"Authorization": "Bearer wrong"})[0] == 401
    assert refusal(client, {"Authorization": "Bearer secret"})[0] == 200
    if flavour in ("vllm", "sglang", "llamacpp"):
        assert client.send("GET", "/health")[0] == 200
    assert (client.send("GET", "/v1/models")[0] == 200) is (flavour == "llamacpp")
    if flavour == "ollama":
        assert client.send("GET", "/api/tags")[0] == 401


@pytest.mark.parametrize("flavour", SERVERS)
def test_models_and_what_is_said_of_them(client_of: Any, flavour: str) -> None:
    client = client_of(flavour=flavour)
    listed = client.json("GET", "/v1/models")
    assert listed["object"] == "list"
    names = [model["id"] for model in listed["data"]]
    assert names == [MODEL] if flavour in ("vllm", "sglang", "llamacpp") else len(names) == 4
    first = listed["data"][0]
    assert first["object"] == "model"
    window = first.get("max_model_len") or first.get("meta", {}).get("n_ctx")
    assert window == (32768 if flavour in ("vllm", "sglang", "llamacpp") else None)
    assert client.json("GET", f"/v1/models/{MODEL}")["id"] == MODEL
    status, _, data = client.send("GET", "/api/tags")
    if flavour == "lmstudio":
        assert (status, "Unexpected endpoint" in json.loads(data)["error"]) == (200, True)
    else:
        assert status == (200 if flavour == "ollama" else 404)


def test_what_servers_have_beside_the_protocol(client_of: Any) -> None:
    llamacpp = client_of(flavour="llamacpp", context_length=8192)
    assert llamacpp.json("GET", "/props")["default_generation_settings"]["n_ctx"] == 8192
    assert client_of(flavour="vllm").json("GET", "/version")["version"]
    assert client_of(flavour="sglang").json("GET", "/get_server_info")["context_length"] == 32768
    studio = client_of(flavour="lmstudio")
    before = {model["id"]: model["state"] for model in studio.json("GET", "/api/v0/models")["data"]}
    assert set(before.values()) == {"not-loaded"}
    complete(studio)
    after = {model["id"]: model for model in studio.json("GET", "/api/v0/models")["data"]}
    assert after[MODEL]["loaded_context_length"] == 32768


def test_named_models_are_served(client_of: Any) -> None:
    client = client_of(flavour="vllm", models=["qwen3-coder:30b"])
    assert complete(client, model="qwen3-coder:30b")["model"] == "qwen3-coder:30b"
    assert refusal(client)[0] == 404


def test_a_conversation_goes_on_with_results(client_of: Any) -> None:
    client = client_of(flavour="vllm")
    first = complete(client)["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": "(empty)"}
    second = complete(client, GOAL, first, result)["choices"][0]["message"]
    assert second["tool_calls"][0]["function"]["name"] != "list_dir"
    assert second["tool_calls"][0]["id"] != first["tool_calls"][0]["id"]


def test_requests_that_are_wrong(client_of: Any) -> None:
    client = client_of(flavour="vllm")
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": {}}}
    said = {"role": "assistant", "tool_calls": [call]}
    assert refusal(client, messages=[GOAL, said])[0] == 400
    call["function"]["arguments"] = "{"  # type: ignore[index]
    assert refusal(client, messages=[GOAL, said])[1]["error"]["message"] == "invalid tool call arguments"
    assert refusal(client, messages=[])[0] == 400
    assert refusal(client, max_tokens=0)[0] == 400
    assert refusal(client, max_tokens=-1)[0] == 400
    assert refusal(client, reasoning_effort="very")[0] == 400
    assert client.send("GET", "/v1/chat/completions")[0] == 405
    assert client.send("POST", "/v1/chat/completions", b"{")[0] == 400


def test_limits_thinking_and_formats(client_of: Any) -> None:
    client = client_of(flavour="vllm")
    assert complete(client, QUESTION, max_tokens=5)["choices"][0]["finish_reason"] == "length"
    quiet = complete(client, QUESTION, chat_template_kwargs={"enable_thinking": False})["choices"][0]["message"]
    assert "reasoning" not in quiet
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    made = complete(client, QUESTION, response_format=wanted)["choices"][0]["message"]
    assert json.loads(made["content"]) == {"n": 0}
    chances = events(client, QUESTION, logprobs=True, top_logprobs=2)[1]["choices"][0]["logprobs"]["content"]
    assert len(chances[0]["top_logprobs"]) == 2
    parts = [{"type": "text", "text": "What is a "}, {"type": "text", "text": "context manager?"}]
    assert complete(client, {"role": "user", "content": parts})["choices"][0]["message"]["content"]


def test_a_call_cut_by_the_limit_stays_in_pieces(client_of: Any) -> None:
    chunks = events(client_of(flavour="vllm", faults=["cut_call"], scripts=["fix-test"]))
    pieces = [call for part in deltas(chunks) for call in part.get("tool_calls", [])]
    assert chunks[-2]["choices"][0]["finish_reason"] == "length"
    with pytest.raises(json.JSONDecodeError):
        json.loads("".join(call["function"]["arguments"] for call in pieces) or "{")


def test_errors_in_mid_stream(client_of: Any) -> None:
    ollama = events(client_of(faults=["error:boom@1:3"]))
    assert deltas(ollama)[-1] == {"role": "assistant", "content": ""}
    assert "[DONE]" not in ollama
    assert not any(chunk["choices"][0]["finish_reason"] for chunk in ollama)
    vllm = events(client_of(flavour="vllm", faults=["error:boom@1:3"]))
    assert (vllm[-2]["error"]["message"], vllm[-1]) == ("boom", "[DONE]")
    other = events(client_of(flavour="llamacpp", faults=["error:boom@1:3"]))
    assert other[-1]["error"]["message"] == "boom"
    assert events(client_of(flavour="vllm", faults=["no_done@1:3"]))[-1] != "[DONE]"


def test_comments_while_the_prompt_is_read(client_of: Any) -> None:
    client = client_of(flavour="llamacpp", profile="E", speed=10, faults=["ping:0.01@1"])
    system = {"role": "system", "content": "Be careful. " * 40}
    body = {"model": MODEL, "messages": [system, QUESTION], "stream": True, "max_tokens": 3}
    data = client.send("POST", "/v1/chat/completions", body)[2]
    assert data.startswith(b": ping\n\n: ping\n\n")
    assert data.endswith(b"data: [DONE]\n\n")


def test_refusals_have_the_form_of_the_server(client_of: Any) -> None:
    status, data = refusal(client_of(flavour="vllm", faults=["limited:3"]))
    assert (status, data["error"]["code"]) == (429, 429)
    status, data = refusal(client_of(faults=["busy"]))
    assert (status, data["error"]["type"]) == (503, "api_error")


def test_many_requests_at_once_and_no_reload(client_of: Any) -> None:
    from threading import Thread

    client = client_of(flavour="vllm", faults=["stall@1:2"])
    body = {"model": MODEL, "messages": [QUESTION], "stream": True}
    held = Thread(target=client.send, args=("POST", "/v1/chat/completions", body))
    held.start()
    client.server.stats(stalled=1)
    assert complete(client, QUESTION)["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    client.server.release()
    held.join(120)
    assert client.server.stats(finished=2)["loads"] == 0


def test_vectors(client_of: Any) -> None:
    client = client_of(models=["nomic-embed-text"])
    body = {"model": "nomic-embed-text", "input": ["one", "two"]}
    made = client.json("POST", "/v1/embeddings", body)
    assert [entry["index"] for entry in made["data"]] == [0, 1]
    assert len(made["data"][0]["embedding"]) == 768
    assert made["usage"]["prompt_tokens"] == made["usage"]["total_tokens"] == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"flavour": "vlm"}, "no flavour 'vlm'"),
        ({"lacks": ["brain"]}, "--lacks brain: there are tool-parser, fitting-parser, usage, cached-tokens, logprobs"),
        ({"models": ["gpt-9"]}, "no model 'gpt-9'"),
        ({"keep_alive": "soon"}, "invalid duration"),
    ],
)
def test_options_that_name_what_there_is_not(client_of: Any, options: dict[str, Any], words: str) -> None:
    from jetbox.sim.launch import LaunchError

    with pytest.raises(LaunchError, match=words):
        client_of(**options)
