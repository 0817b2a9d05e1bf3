"""Shapes, metrics and rules of the protocol, byte for byte where it matters."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import pytest

from jetbox.sim import catalog
from jetbox.sim.chat import chat
from jetbox.sim.http import Connection
from jetbox.sim.script import load_shipped
from jetbox.sim.server import Options, _setup
from jetbox.sim.world import World

GOAL = "Create mathx package"
QUESTION = "What is a context manager?"
METRICS = [
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_cached_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
]

OWN = r"""
[script]
name = "own"
match = "."
[model]
calls = "%s"
[[step]]
text = "a <b> & \"c\" \u0085 \u2028 end"
[[step.call]]
name = "write_file"
arguments = { path = "z.py", content = "x = 1\n", a = { b = [1, 2.5, true] } }
[[step.call]]
name = "finish"
"""


def test_a_streamed_answer_has_the_fields_in_order(client: Any) -> None:
    lines = client.chat(GOAL)
    *chunks, last = lines
    told = [name for name in METRICS if name != "prompt_eval_cached_count"]  # none, and a zero is absent
    assert all(list(line) == ["model", "created_at", "message", "done"] for line in chunks)
    assert all(line["done"] is False and line["message"]["role"] == "assistant" for line in chunks)
    assert all(line["created_at"].endswith("Z") for line in lines)
    assert list(last) == ["model", "created_at", "message", "done", "done_reason", *told]
    assert last["message"] == {"role": "assistant", "content": ""}
    assert last["done_reason"] == "stop"
    assert all(isinstance(last[name], int) and last[name] > 0 for name in told)
    parts = sum(last[name] for name in ("load_duration", "prompt_eval_duration", "eval_duration"))
    assert parts <= last["total_duration"]


def test_the_stream_is_chunked_ndjson(client: Any) -> None:
    body = {"model": "gpt-oss:20b", "messages": [{"role": "user", "content": GOAL}]}
    status, headers, data = client.send("POST", "/api/chat", body)
    assert status == 200
    assert headers["content-type"] == "application/x-ndjson"
    assert headers["transfer-encoding"] == "chunked"
    assert data.endswith(b"}\n")


def test_an_answer_without_stream_is_one_object(client: Any) -> None:
    streamed = client.chat(GOAL)
    body = {"model": "gpt-oss:20b", "messages": [{"role": "user", "content": GOAL}], "tools": [{}], "stream": False}
    whole = client.json("POST", "/api/chat", body)
    assert whole["message"]["content"] == "".join(line["message"]["content"] for line in streamed)
    assert whole["message"]["thinking"] == "".join(line["message"].get("thinking", "") for line in streamed)
    assert [call["function"]["name"] for call in whole["message"]["tool_calls"]] == ["list_dir"]
    assert whole["done"] is True
    assert whole["eval_count"] == streamed[-1]["eval_count"]


@pytest.mark.parametrize("when", ["chunk", "done"])
def test_calls_come_whole_when_the_script_says(client_of: Any, script_file: Any, when: str) -> None:
    client = client_of(scripts=[script_file(OWN % when)])
    lines = client.chat("go")
    with_calls = [line for line in lines if "tool_calls" in line["message"]]
    calls = [call for line in with_calls for call in line["message"]["tool_calls"]]
    assert [line["done"] for line in with_calls] == ([False, False] if when == "chunk" else [True])
    assert [call["function"]["index"] for call in calls] == [0, 1]
    assert list(calls[0]) == ["id", "function"]
    assert list(calls[0]["function"]) == ["index", "name", "arguments"]
    assert list(calls[0]["function"]["arguments"]) == ["path", "content", "a"]
    assert calls[0]["function"]["arguments"]["a"] == {"b": [1, 2.5, True]}
    assert calls[1]["function"]["arguments"] == {}


def test_json_is_escaped_as_go_escapes_it(client_of: Any, script_file: Any) -> None:
    client = client_of(scripts=[script_file(OWN % "chunk")])
    body = {"model": "gpt-oss:20b", "messages": [{"role": "user", "content": "go"}]}
    data = client.send("POST", "/api/chat", body)[2]
    assert b"\\u003c" in data
    assert b"\\u0026" in data
    assert b"\\u2028" in data
    assert "\u0085".encode() in data
    assert b"<" not in data
    text = "".join(json.loads(line)["message"]["content"] for line in data.split(b"\n") if line)
    assert text == 'a <b> & "c" \u0085 \u2028 end'


def test_thinking_only_where_the_model_thinks(client: Any) -> None:
    def thought(**more: Any) -> str:
        return "".join(line["message"].get("thinking", "") for line in client.chat(GOAL, **more))

    assert thought()
    assert thought(think="high")
    assert not thought(think=False)
    assert not thought(model="llama3.2:3b")


def test_num_predict_bounds_the_answer(client: Any) -> None:
    lines = client.chat(QUESTION, options={"num_predict": 7})
    assert lines[-1]["done_reason"] == "length"
    assert lines[-1]["eval_count"] == 7
    assert len(lines) == 8


def test_a_call_cut_by_num_predict_is_swallowed(client: Any) -> None:
    whole = client.chat(GOAL)[-1]["eval_count"]
    lines = client.chat(GOAL, options={"num_predict": whole - 1})
    assert lines[-1]["done_reason"] == "length"
    assert not any("tool_calls" in line["message"] for line in lines)


def test_num_predict_zero_means_unset(client: Any) -> None:
    assert client.chat(QUESTION, options={"num_predict": 0})[-1]["done_reason"] == "stop"


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        ({"model": "x"}, 404, "model 'x' not found"),
        ({"model": "gpt-oss"}, 404, "model 'gpt-oss' not found"),
        (
            {"model": "gemma2:2b", "tools": [{"type": "function"}]},
            400,
            "registry.ollama.ai/library/gemma2:2b does not support tools",
        ),
        ({"model": "llama3.2:3b", "think": True}, 400, '"llama3.2:3b" does not support thinking'),
        ({"think": "very"}, 400, 'invalid think value: "very"'),
        ({"options": {"num_ctx": "4096"}}, 500, 'option "num_ctx" must be of type integer'),
        ({"format": "xml"}, 500, 'invalid format: "\\"xml\\""; expected "json" or a valid JSON Schema object'),
        ({"keep_alive": "-1"}, 400, 'missing unit in duration "-1"'),
        ({"keep_alive": "soon"}, 400, "invalid duration"),
        ({"keep_alive": True}, 400, "Unsupported type: 'bool'"),
        ({"think": 3}, 400, 'think must be a boolean or string ("high", '),
        ({"top_logprobs": 30}, 400, "top_logprobs must be between 0 and 20"),
        ({"model": "a b/::"}, 400, "invalid model name"),
        ({"model": ""}, 400, "model is required"),
        ({"options": {"temperature": "hot"}}, 500, 'option "temperature" must be of type float32'),
        ({"options": {"seed": True}}, 500, 'option "seed" must be of type integer'),
        ({"options": {"stop": "x"}}, 500, 'option "stop" must be of type array'),
        ({"options": {"stop": [1]}}, 500, 'option "stop" must be of an array of strings'),
        ({"options": {"use_mmap": 3}}, 500, 'option "use_mmap" must be of type boolean'),
    ],
)
def test_refusals_have_the_status_and_words_of_ollama(client: Any, more: Any, status: int, words: str) -> None:
    got, text = client.refused(GOAL, **more)
    assert got == status
    assert words in text


MISTYPED: list[tuple[dict[str, Any], str]] = [
    ({"model": 5}, "number into Go struct field ChatRequest.model of type string"),
    ({"tools": "x"}, "string into Go struct field ChatRequest.tools of type api.Tools"),
    ({"tools": [5]}, "number into Go struct field ChatRequest.tools of type api.Tool"),
    ({"options": []}, "array into Go struct field ChatRequest.options of type map[string]interface {}"),
    ({"stream": "yes"}, "string into Go struct field ChatRequest.stream of type bool"),
    ({"truncate": "no"}, "string into Go struct field ChatRequest.truncate of type bool"),
    ({"messages": "x"}, "string into Go struct field ChatRequest.messages of type []api.Message"),
    ({"messages": [5]}, "number into Go struct field ChatRequest.messages of type api.Alias"),
    ({"messages": [{"content": 5}]}, "number into Go struct field ChatRequest.messages.content of type string"),
    (
        {"messages": [{"tool_calls": {}}]},
        "object into Go struct field ChatRequest.messages.tool_calls of type []api.ToolCall",
    ),
    (
        {"messages": [{"tool_calls": [{"id": 5}]}]},
        "number into Go struct field ChatRequest.messages.tool_calls.id of type string",
    ),
    (
        {"messages": [{"tool_calls": [{"function": {"index": "0"}}]}]},
        "string into Go struct field ChatRequest.messages.tool_calls.function.index of type int",
    ),
]


@pytest.mark.parametrize(("more", "words"), MISTYPED)
def test_a_field_of_a_wrong_type_is_refused(client: Any, more: dict[str, Any], words: str) -> None:
    assert client.refused(GOAL, **more) == (400, f"json: cannot unmarshal {words}")


@pytest.mark.parametrize("arguments", ["{}", "", [], 5, True])
def test_arguments_must_be_an_object(client: Any, arguments: Any) -> None:
    said = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}
    status, text = client.refused(GOAL, said)
    assert status == 400
    assert text == "Value looks like object, but can't find closing '}' symbol"


def test_null_stands_for_absent(client: Any) -> None:
    nothing = dict.fromkeys(("tools", "stream", "think", "truncate", "keep_alive"))
    said = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": None}}]}
    lines = client.chat(GOAL, said, GOAL, options={"num_ctx": None, "stop": None, "unknown": "x"}, **nothing)
    assert lines[-1]["done_reason"] == "stop"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "missing request body"),
        (b"{", "unexpected EOF"),
        (b'{"model": x}', "invalid character 'x' looking for beginning of value"),
        (b"[]", "json: cannot unmarshal array into Go value of type api.ChatRequest"),
        (b'{"messages":[]}', "model is required"),
    ],
)
def test_bodies_that_are_no_request(client: Any, body: bytes, words: str) -> None:
    status, _, data = client.send("POST", "/api/chat", body)
    assert (status, json.loads(data)) == (400, {"error": words})


def test_a_model_may_be_named_in_several_ways(client: Any) -> None:
    for name in ("Llama3.2:3B", "library/llama3.2:3b", "registry.ollama.ai/library/llama3.2:3b"):
        assert {line["model"] for line in client.chat(QUESTION, model=name)} == {name}


def test_a_model_without_tools_chats_without_them(client: Any) -> None:
    assert client.chat(QUESTION, model="gemma2:2b", tools=[])[-1]["done_reason"] == "stop"


def test_overflow_is_refused_when_nothing_may_be_cut(client: Any) -> None:
    status, text = client.refused("mathx " * 2000, truncate=False, options={"num_ctx": 256})
    assert status == 400
    inner = json.loads(text)["error"]
    assert inner["type"] == "exceed_context_size_error"
    assert inner["n_ctx"] == 256
    assert inner["n_prompt_tokens"] > 3000


def test_a_prompt_as_long_as_the_window_is_too_long(client: Any) -> None:
    size = client.chat("mathx " * 2000, tools=[], options={"num_ctx": 8192})[-1]["prompt_eval_count"]
    status, text = client.refused("mathx " * 2000, truncate=False, options={"num_ctx": size})
    assert status == 400
    assert json.loads(text)["error"]["n_prompt_tokens"] == size
    lines = client.chat("mathx " * 2000, tools=[], truncate=False, options={"num_ctx": size + 1})
    assert lines[-1]["eval_count"] == 1


def test_overflow_is_cut_in_silence_by_default(client: Any) -> None:
    last = client.chat("mathx " * 2000, options={"num_ctx": 256, "num_predict": 5})[-1]
    assert last["prompt_eval_count"] == 256 - (256 - 4) // 2
    shortened = client.chat("mathx " * 2000, "mathx", options={"num_ctx": 256, "num_predict": 5})[-1]
    assert shortened["prompt_eval_count"] < 256


def test_a_full_window_ends_the_answer(client: Any) -> None:
    last = client.chat(QUESTION, tools=[], options={"num_ctx": 40})[-1]
    assert last["done_reason"] == "length"
    assert last["prompt_eval_count"] + last["eval_count"] == 40


def test_a_model_that_is_played_at_another_pace_is_another() -> None:
    def digests(**options: Any) -> list[str]:
        return [model.digest for model in _setup(Options(**options)).models]

    assert digests() == [model.digest for model in catalog.MODELS]
    for other in ({"speed": 4.0}, {"profile": "llama3.2:3b"}):
        assert not set(digests(**other)) & set(digests())


def test_tags_show_and_version(client: Any) -> None:
    models = {model["name"]: model for model in client.json("GET", "/api/tags")["models"]}
    assert set(models) == {"gpt-oss:20b", "llama3.2:3b", "qwen2.5-coder:7b", "gemma2:2b"}
    assert "tools" not in models["gemma2:2b"]["capabilities"]
    for name, model in models.items():
        assert len(model["digest"]) == 64
        assert model["size"] > 10**9
        shown = client.json("POST", "/api/show", {"model": name})
        family = shown["details"]["family"]
        assert shown["model_info"][f"{family}.context_length"] == model["details"]["context_length"]
        assert shown["capabilities"] == model["capabilities"]
    assert client.json("GET", "/api/version") == {"version": "0.33.3"}
    status, _, data = client.send("POST", "/api/show", {"model": "nope"})
    assert (status, json.loads(data)) == (404, {"error": "model 'nope:latest' not found"})


def test_root_head_and_wrong_ways(client: Any) -> None:
    assert client.send("GET", "/")[2] == b"Ollama is running"
    status, headers, data = client.send("HEAD", "/api/tags")
    assert (status, data) == (200, b"")
    assert int(headers["content-length"]) > 100
    status, headers, data = client.send("GET", "/api/chat")
    assert (status, headers["allow"], data) == (405, "POST", b"405 method not allowed")
    assert client.send("POST", "/api/tags", {})[0] == 405
    assert client.send("GET", "/v2/models")[0] == 404


def test_empty_messages_load_and_unload(client: Any) -> None:
    def ask(**more: Any) -> Any:
        return client.json("POST", "/api/chat", {"model": "llama3.2:3b", "messages": [], **more})

    loaded = ask(options={"num_ctx": 8192}, keep_alive=-1)
    assert loaded["message"] == {"role": "assistant", "content": ""}
    assert (loaded["done"], loaded["done_reason"]) == (True, "load")
    (running,) = client.json("GET", "/api/ps")["models"]
    assert running["context_length"] == 8192
    assert running["size"] == running["size_vram"] > 2 * 10**9
    assert running["expires_at"] > "2300"
    assert ask(keep_alive=0)["done_reason"] == "unload"
    assert client.json("GET", "/api/ps") == {"models": []}


def test_keep_alive_ends_and_is_kept_from_request_to_request(client: Any) -> None:
    client.chat(QUESTION, keep_alive="1h")
    client.chat(QUESTION)
    (running,) = client.json("GET", "/api/ps")["models"]
    client.chat(QUESTION, keep_alive="5m")
    (shorter,) = client.json("GET", "/api/ps")["models"]
    assert shorter["expires_at"] < running["expires_at"]
    client.chat(QUESTION, keep_alive="1ms")
    while client.json("GET", "/api/ps")["models"]:
        pass
    client.chat(QUESTION, keep_alive=0)
    assert client.json("GET", "/api/ps") == {"models": []}
    assert client.json("GET", "/sim/stats")["loads"] == 2


@pytest.mark.parametrize("stream", [True, False])
def test_the_last_line_goes_out_when_the_model_is_unloaded_and_the_figures_stand(stream: bool) -> None:
    """A client that has the whole answer and asks at once must not find the model still listed."""
    world = World(load_shipped, speed=0)
    found: list[tuple[list[str], int, int]] = []

    class Watched(Connection):
        def flush(self) -> None:
            loaded = [runner.model.name for runner in world.scheduler.loaded(lambda: None)]
            report = world.stats.report()
            found.append((loaded, report["finished"], report["timeline"][-1][2]))
            super().flush()

    messages = [{"role": "user", "content": QUESTION}]
    body = {"model": "gpt-oss:20b", "messages": messages, "stream": stream, "keep_alive": 0}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours = listener.accept()[0]
    with ours, theirs:
        chat(world, Watched(ours), json.dumps(body).encode())
        assert b'"done":true' in theirs.recv(1 << 20)
    loaded, finished, answered_at = found[-1]
    assert (loaded, finished) == ([], 1)
    assert 0 < answered_at <= time.monotonic_ns()


def test_launch_options_reload_and_others_do_not(client: Any) -> None:
    for options in ({"num_ctx": 8192}, {"num_ctx": 8192, "temperature": 0.1}, {"num_ctx": 16384}, {"num_ctx": 8192}):
        client.chat(QUESTION, options=options)
    assert client.json("GET", "/sim/stats")["loads"] == 3
    client.chat(QUESTION, options={"num_ctx": 8192}, shift=False)
    assert client.json("GET", "/sim/stats")["loads"] == 4


def test_a_fourth_model_displaces_the_one_idle_for_longest(client: Any) -> None:
    for name in ("gpt-oss:20b", "llama3.2:3b", "qwen2.5-coder:7b", "gemma2:2b"):
        client.chat(QUESTION, model=name, tools=[])
    assert {m["name"] for m in client.json("GET", "/api/ps")["models"]} == {
        "llama3.2:3b",
        "qwen2.5-coder:7b",
        "gemma2:2b",
    }


def test_the_bodies_are_kept_with_their_hashes(client: Any) -> None:
    from hashlib import sha256

    body = b'{"model": "gpt-oss:20b",  "messages": [{"role": "user", "content": "mathx"}]}'
    client.send("POST", "/api/chat", body)
    (kept,) = client.json("GET", "/sim/stats")["bodies"]
    assert kept == {"number": 1, "sha256": sha256(body).hexdigest(), "body": body.decode()}
    assert client.send("GET", "/sim/stats?nonsense=1")[0] == 400
