"""Servers that speak OpenAI's protocol, each with its own differences, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from jetbox.engine.context.history import History
from jetbox.engine.context.wire import OpenAIWire, Wanted
from jetbox.engine.errors import (
    BadAnswer,
    CallGarbled,
    ContextOverflow,
    CountsRefused,
    ForeignServer,
    JetboxError,
    KeyWanted,
    LogprobsRefused,
    ModelNotFound,
    ModelUnfit,
    OutOfMemory,
    RequestRefused,
    ServerBusy,
    WordsDropped,
)
from jetbox.engine.models.base import Call, CallFunction, Chunk, Coming, ModelInfo
from jetbox.engine.models.connect import connect
from jetbox.engine.models.ollama import OllamaModel
from jetbox.engine.models.openai_compat import OpenAIModel
from jetbox.engine.options import ModelOptions
from jetbox.engine.session import NoRecorder, Session

Answers = Callable[..., Awaitable[OpenAIModel]]


class Server:
    """Gives one answer to everything, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 200
        self.body = b""
        self.bodies: dict[str, bytes] = {}
        """What is answered instead at these paths."""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.asked.append((first, headers, body))
        body = self.bodies.get(first.split()[1], self.body)
        writer.write(
            f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def served() -> AsyncIterator[tuple[Server, OpenAIModel]]:
    server = Server()
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    model = OpenAIModel(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1", "sesame")
    yield server, model
    await model.close()
    listening.close()
    await listening.wait_closed()


def events(*values: Any, done: bool = True) -> bytes:
    lines = [f"data: {json.dumps(value)}\n\n" for value in values]
    return "".join([*lines, "data: [DONE]\n\n"] if done else lines).encode()


def delta(reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": reason}]}


def piece(index: int | None, name: str | None, arguments: Any, call: str | None = None) -> dict[str, Any]:
    return {"index": index, "id": call, "type": "function", "function": {"name": name, "arguments": arguments}}


async def answered(model: OpenAIModel) -> list[Chunk]:
    async with model.chat(b"{}") as chunks:
        return [chunk async for chunk in chunks if not chunk.piece]


async def test_figures_that_vllm_measured(served: tuple[Server, OpenAIModel]) -> None:
    server, model = served
    usage = {"prompt_tokens": 24, "total_tokens": 64, "completion_tokens": 40}
    figures = {
        "time_to_first_token_ms": 199.5,
        "generation_time_ms": 266.34,
        "queue_time_ms": 1500.0,
        "mean_itl_ms": 6.75,
        "tokens_per_second": 85.8,
    }
    server.body = events(delta("stop", content="Yes"), {"choices": [], "usage": usage, "metrics": figures})
    timed = {"prompt_eval_duration": 199_500_000, "eval_duration": 270_000_000}
    counted = {"prompt_eval_count": 24, "eval_count": 40}
    assert (await answered(model))[-1].metrics == counted | timed, "a wait in the queue is no load"
    without = {"time_to_first_token_ms": None, "generation_time_ms": 0.0, "mean_itl_ms": None}
    server.body = events(delta("stop", content="Yes"), {"choices": [], "usage": usage, "metrics": without})
    assert (await answered(model))[-1].metrics == counted


async def test_text_reasoning_and_usage_of_vllm(served: tuple[Server, OpenAIModel]) -> None:
    server, model = served
    usage = {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 96}}
    server.body = b": ping\n\n" + events(
        delta(role="assistant", content=""),
        delta(reasoning="Hm. "),
        delta(content="Yes"),
        delta("stop", content="."),
        {"choices": [], "usage": usage},
    )
    chunks = await answered(model)
    assert "".join(chunk.thinking for chunk in chunks) == "Hm. "
    assert "".join(chunk.text for chunk in chunks) == "Yes."
    assert chunks[-1] == Chunk(
        done=True,
        done_reason="stop",
        metrics={"prompt_eval_count": 100, "eval_count": 7, "prompt_eval_cached_count": 96},
    )
    first, headers, _ = server.asked[0]
    assert first == "POST /v1/chat/completions HTTP/1.1"
    assert headers["authorization"] == "Bearer sesame"


@pytest.mark.parametrize(
    ("details", "cached"),
    [({}, None), ({"prompt_tokens_details": None}, None), ({"prompt_tokens_details": {"cached_tokens": None}}, None)]
    + [({"prompt_tokens_details": {"cached_tokens": count}}, count) for count in (0, 96)],
)
async def test_usage_in_every_chunk_and_cached_tokens_that_are_unknown_or_none(
    served: tuple[Server, OpenAIModel], details: dict[str, Any], cached: int | None
) -> None:
    server, model = served
    each = [delta(content="Yes"), delta(content="."), delta("stop")]
    usage = {"prompt_tokens": 100, **details}
    server.body = events(*[{**one, "usage": {**usage, "completion_tokens": n}} for n, one in enumerate(each)])
    known = {} if cached is None else {"prompt_eval_cached_count": cached}
    assert (await answered(model))[-1].metrics == {"prompt_eval_count": 100, "eval_count": 2, **known}


async def test_pieces_of_calls_are_joined_and_handed_on_when_whole(served: tuple[Server, OpenAIModel]) -> None:
    server, model = served
    server.body = events(
        delta(tool_calls=[piece(0, "read_file", "", "a")]),
        delta(tool_calls=[piece(0, None, '{"pa')]),
        delta(tool_calls=[piece(0, None, 'th": "x.py"}')]),
        delta(tool_calls=[piece(1, "list_dir", '{"path": "."}', "b")]),
        delta("tool_calls"),
    )
    chunks = await answered(model)
    calls = [call for chunk in chunks for call in chunk.calls]
    assert [(call.id, call.function.name, bytes(call.function.arguments)) for call in calls] == [
        ("a", "read_file", b'{"path": "x.py"}'),
        ("b", "list_dir", b'{"path": "."}'),
    ]
    assert len(chunks[0].calls) == 1, "the first is there before the second is whole"
    assert chunks[-1].done_reason == "stop"


@pytest.mark.parametrize("whole", [True, False])
async def test_calls_that_a_server_gives_one_index_are_told_apart(
    served: tuple[Server, OpenAIModel], whole: bool
) -> None:
    server, model = served
    asked = [(name, f'{{"path": "{name}.py"}}') for name in "ab"]
    if whole:
        pieces = [piece(0, "read_file", text, name) for name, text in asked]
    else:  # each piece with an id of its own
        pieces = [
            each
            for name, text in asked
            for each in (piece(0, "read_file", text[:5], name), piece(0, None, text[5:], f"{name}2"))
        ]
    server.body = events(*(delta(tool_calls=[each]) for each in pieces), delta("tool_calls"))
    calls = [call for chunk in await answered(model) for call in chunk.calls]
    assert [(call.id, bytes(call.function.arguments).decode()) for call in calls] == asked


async def test_arguments_are_told_of_as_they_become_whole(served: tuple[Server, OpenAIModel]) -> None:
    server, model = served
    server.body = events(
        delta(tool_calls=[piece(0, "write_file", "", "one")]),
        delta(tool_calls=[piece(0, None, '{"path": "a')]),
        delta(tool_calls=[piece(0, None, '.py", "content": "x')]),
        delta(tool_calls=[piece(0, None, ' = 1"')]),
        delta("tool_calls", tool_calls=[piece(0, None, "}")]),
    )
    async with model.chat(b"{}") as chunks:
        came = [(chunk.coming, chunk.piece, len(chunk.calls)) async for chunk in chunks]
    assert came == [
        (None, 11, 0),
        (Coming("write_file", {"path": "a.py"}), 19, 0),
        (Coming("write_file", {"path": "a.py", "content": "x = 1"}), 5, 0),
        (None, 1, 0),
        (None, 0, 1),
        (None, 0, 0),
    ]


async def test_whole_calls_without_numbers_and_with_objects(served: tuple[Server, OpenAIModel]) -> None:
    server, model = served
    each = [piece(None, "read_file", {"path": path}) for path in "wxyz"]
    server.body = events(delta(tool_calls=each[:3]), delta(tool_calls=each[3:]), delta("tool_calls"))
    calls = [call for chunk in await answered(model) for call in chunk.calls]
    assert [json.loads(bytes(call.function.arguments)) for call in calls] == [{"path": path} for path in "wxyz"]


NAMELESS = [(None, '{"path": "', None), (None, 'y.py"}', None)]


@pytest.mark.parametrize(
    "second",
    [
        [("read_file", "", "b"), *NAMELESS],
        [("read_file", '{"pa', "b"), (None, 'th": "y.py"}', "b")],
        [("read_file", '{"pa', "b"), (None, 'th": "y.py"}', "c")],
        [("read_file", '{"pa', "b"), ("read_file", 'th": "y.py"}', "b")],
        [("read_file", '{"pa', None), ("read_file", 'th": "y.py"}', None)],
        [("read_file", "", "b"), ("read_file", '{"path": "y.py"}', "b")],
        [("read_file", '{"path": "y.py"}', "a")],
        [("list_dir", '{"path": "y.py"}', None)],
    ],
    ids=["id first", "id in each", "ids", "all in each", "name in each", "again", "one id for all", "no ids"],
)
async def test_pieces_without_numbers_are_joined_too(
    served: tuple[Server, OpenAIModel], second: list[tuple[str | None, str, str | None]]
) -> None:
    server, model = served
    first = [("read_file", '{"path": ', "a"), (None, '"x.py"}', None)]
    each = [piece(None, name, text, call) for name, text, call in [*first, *second]]
    for said in each:
        del said["index"]
    server.body = events(*(delta(tool_calls=[said]) for said in each), delta("tool_calls"))
    calls = [call for chunk in await answered(model) for call in chunk.calls]
    assert [json.loads(bytes(call.function.arguments)) for call in calls] == [{"path": "x.py"}, {"path": "y.py"}]
    assert [call.function.name for call in calls] == ["read_file", second[0][0]]


@pytest.mark.parametrize("both", [False, True])
async def test_the_older_form_of_a_call_is_read(served: tuple[Server, OpenAIModel], both: bool) -> None:
    server, model = served
    said = [delta(tool_calls=[piece(0, "read_file", '{"path": "x.py"}', "a")])] if both else []
    server.body = events(
        delta(content="", function_call=None),
        *said,
        delta(function_call={"name": "read_file", "arguments": ""}),
        delta(function_call={"arguments": '{"path": '}),
        delta(function_call={"name": None, "arguments": '"x.py"}'}),
        delta(function_call="auto"),
        delta("function_call"),
    )
    chunks = await answered(model)
    (call,) = [call for chunk in chunks for call in chunk.calls]
    assert (call.function.name, json.loads(bytes(call.function.arguments))) == ("read_file", {"path": "x.py"})
    assert chunks[-1].done_reason == "stop"


async def test_the_older_form_of_a_call_in_an_answer_that_comes_at_once(served: tuple[Server, OpenAIModel]) -> None:
    server, model = served
    made = {"role": "assistant", "content": None, "function_call": {"name": "list_dir", "arguments": '{"path": "."}'}}
    server.body = events({"choices": [{"message": made, "finish_reason": "function_call"}]})
    (call,) = [call for chunk in await answered(model) for call in chunk.calls]
    assert (call.function.name, bytes(call.function.arguments)) == ("list_dir", b'{"path": "."}')


async def test_arguments_that_are_no_json_reach_the_tool_as_text(served: tuple[Server, OpenAIModel]) -> None:
    server, model = served
    server.body = events(delta(tool_calls=[piece(0, "read_file", '{"path": ', "a")]), delta("length"))
    (call,) = [call for chunk in await answered(model) for call in chunk.calls]
    assert json.loads(bytes(call.function.arguments)) == '{"path":'


async def test_llama_cpp_counts_and_times_by_itself(served: tuple[Server, OpenAIModel]) -> None:
    server, model = served
    timings = {"cache_n": 90, "prompt_n": 10, "prompt_ms": 12.5, "predicted_n": 5, "predicted_ms": 50.0}
    told = {"choices": [], "timings": timings}
    server.body = events(delta(reasoning_content="Hm."), delta("stop", content="Yes."), told)
    chunks = await answered(model)
    assert chunks[0].thinking == "Hm."
    assert chunks[-1].metrics == {
        "prompt_eval_count": 100,
        "prompt_eval_cached_count": 90,
        "prompt_eval_duration": 12_500_000,
        "eval_count": 5,
        "eval_duration": 50_000_000,
    }


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, {"error": "Unauthorized"}, KeyWanted, "does not take the key that it is sent (401)"),
        (404, {"detail": "Not Found"}, ForeignServer, "no such path"),
        (500, {"error": {"message": "tools param requires --jinja flag"}}, ModelUnfit, "llama-server with --jinja"),
        (404, {"error": {"message": "The model `x` does not exist."}}, ModelNotFound, "does not exist"),
        (404, {"error": {"message": 'Could not find model with id "x".'}}, ModelNotFound, "Could not find"),
        (429, {"error": {"message": "slow down"}}, ServerBusy, "slow down"),
        (503, {"detail": "starting"}, ServerBusy, "starting"),
        (413, {"detail": "Request Entity Too Large"}, ContextOverflow, "too large for the server"),
        (500, {"error": {"message": "CUDA out of memory. Tried to allocate"}}, OutOfMemory, "not enough memory"),
        (500, {"error": "failed to find free space in the KV cache"}, OutOfMemory, "not enough memory"),
        (422, {"detail": "extra fields not permitted"}, RequestRefused, "refused the request (422): extra fields"),
        (400, {"message": "This model's maximum context length is 4096 tokens."}, ContextOverflow, "4096"),
        (
            400,
            {"error": {"type": "exceed_context_size_error", "message": "request exceeds"}},
            ContextOverflow,
            "exceeds",
        ),
        (
            400,
            {"message": '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'},
            ModelUnfit,
            "tool parser",
        ),
        (
            400,
            {"error": {"message": "Unrecognized request argument supplied: stream_options"}},
            CountsRefused,
            "stream_options",
        ),
        (422, {"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs"}]}, CountsRefused, "Extra inputs"),
        (500, {"error": {"message": "logprobs of nan"}}, BadAnswer, "logprobs of nan"),
        (400, {"error": {"message": "logprobs is not supported"}}, LogprobsRefused, "logprobs is not supported"),
        (500, {"error": {"message": "XML syntax error on line 3: unexpected EOF"}}, CallGarbled, "could not read"),
        (500, {"error": {"message": "no user query found in messages"}}, WordsDropped, "dropped what you had said"),
        (500, {"error": {"message": "boom"}}, BadAnswer, "boom"),
    ],
)
async def test_refusals_in_words(
    served: tuple[Server, OpenAIModel], status: int, body: Any, kind: type[JetboxError], words: str
) -> None:
    server, model = served
    server.status, server.body = status, json.dumps(body).encode()
    with pytest.raises(kind) as caught:
        await answered(model)
    assert words in f"{caught.value.message} {caught.value.hint}"
    assert "--num-ctx" not in caught.value.hint, "requests of this protocol name no window"


LENGTH = "This model's maximum context length is 16384 tokens. However, "
BEYOND = "which exceeds this limit even without any output tokens. Please reduce the length of the input prompt."


@pytest.mark.parametrize(
    ("said", "tokens", "window"),
    [
        (f"{LENGTH}your prompt contains at least 16385 input tokens, {BEYOND}", 0, 16384),
        (f"{LENGTH}your prompt contains 20001 input tokens, {BEYOND}", 20001, 16384),
        (f"{LENGTH}your prompt contains 700000 characters (more than 655360 characters, which is the upper", 0, 16384),
        (f"{LENGTH}you requested 17000 tokens (16500 in the messages, 500 in the completion).", 16500, 16384),
        ("max_tokens=20000 cannot be greater than max_model_len=16384. Please request fewer output tokens.", 0, 16384),
        ("max_tokens must be at least 1, got 0. (parameter=max_tokens, value=0)", 0, 0),
    ],
)
async def test_what_vllm_says_of_a_prompt_that_is_too_long_is_told_from_what_it_did_not_count(
    served: tuple[Server, OpenAIModel], said: str, tokens: int, window: int
) -> None:
    server, model = served
    server.status, server.body = 400, json.dumps({"error": {"message": said, "type": "BadRequestError"}}).encode()
    with pytest.raises(ContextOverflow) as caught:
        await answered(model)
    assert (caught.value.tokens, caught.value.window) == (tokens, window)


@pytest.mark.parametrize(
    "body",
    [
        events(delta(content="Yes"), done=False),
        events(delta(content="Yes"), {"error": {"message": "boom"}}),
        b"data: {garbage\n\n",
        b"",
        events(delta(content="Yes"), delta("abort")),
    ],
    ids=["no end", "an error in the stream", "garbage", "nothing", "aborted"],
)
async def test_answers_that_break(served: tuple[Server, OpenAIModel], body: bytes) -> None:
    server, model = served
    server.body = body
    with pytest.raises(BadAnswer):
        await answered(model)


@pytest.mark.parametrize(
    ("said", "kind"),
    [("CUDA out of memory", OutOfMemory), ("Context size has been exceeded.", ContextOverflow)],
)
async def test_what_ends_an_answer_for_want_of_room_has_its_kind(
    served: tuple[Server, OpenAIModel], said: str, kind: type[JetboxError]
) -> None:
    server, model = served
    server.body = events(delta(content="Yes"), {"error": {"message": said}})
    with pytest.raises(kind, match=said):
        await answered(model)


async def test_the_end_is_known_by_the_reason_where_the_mark_is_missing(served: tuple[Server, OpenAIModel]) -> None:
    server, model = served
    server.body = events(delta("stop", content="Yes"), done=False)
    assert (await answered(model))[-1].done


async def test_a_refusal_is_what_the_answer_says(served: tuple[Server, OpenAIModel]) -> None:
    server, model = served
    server.body = events(delta(refusal="I will "), delta("stop", refusal="not."))
    assert "".join(chunk.text for chunk in await answered(model)) == "I will not."


async def test_what_it_serves(served: tuple[Server, OpenAIModel]) -> None:
    server, model = served
    ray = {"id": "r", "owned_by": "organization-owner", "metadata": {"max_request_context_length": 65536}}
    listed = [{"id": "a", "max_model_len": 32768}, {"id": "b", "meta": {"n_ctx": 8192}}, ray]
    server.body = json.dumps({"data": listed}).encode()
    found = [(found.name, found.max_ctx) for found in await model.installed()]
    assert found == [("a", 32768), ("b", 8192), ("r", 65536)]
    assert (await model.info("b")).max_ctx == 8192
    with pytest.raises(ModelNotFound):
        await model.info("c")


async def test_ollamas_models_go_without_their_tag_here_too(served: tuple[Server, OpenAIModel]) -> None:
    server, model = served
    server.body = json.dumps({"data": [{"id": name, "owned_by": "library"} for name in ("a:latest", "b:7b")]}).encode()
    assert (await model.info("a")).name == model.full_name("a") == "a:latest"
    assert model.full_name("b:7b") == "b:7b"
    with pytest.raises(ModelNotFound):
        await model.info("b")


async def test_what_llama_cpp_says_of_its_only_model(served: tuple[Server, OpenAIModel]) -> None:
    server, model = served
    meta = {"n_ctx": 4096, "n_ctx_train": 32768, "n_params": 1120320, "size": 4481280, "ftype": "(guessed) all F32"}
    listed = {"id": "tiny.gguf", "owned_by": "llamacpp", "meta": meta}
    both = {
        "data": [listed],
        "chat_template": "{{ messages }}",
        "chat_template_caps": {"supports_tools": True, "supports_tool_calls": True, "supports_typed_content": False},
        "modalities": {"vision": True, "audio": False},
        "build_info": "b6789-0c1b2a3",
    }
    server.body = json.dumps(both).encode()
    said = ModelInfo(
        "tiny.gguf", 4096, ("completion", "tools", "vision"), size=4481280, parameters="1.1M", quantisation="F32"
    )
    assert await model.installed() == [said]
    assert await model.version() == "b6789-0c1b2a3"
    server.body = json.dumps(both | {"data": [listed, listed]}).encode()
    assert [found.capabilities for found in await model.installed()] == [(), ()], "which of them is told of?"


@pytest.mark.parametrize("props", [b"<p>no</p>", b'{"chat_template_caps": 7}', b"{}"])
async def test_a_llama_cpp_that_tells_less(served: tuple[Server, OpenAIModel], props: bytes) -> None:
    server, model = served
    server.body = json.dumps(
        {"data": [{"id": "m", "owned_by": "llamacpp", "meta": {"size": "", "n_params": None}}]}
    ).encode()
    server.bodies["/props"] = props
    assert await model.installed() == [ModelInfo("m")]
    assert not await model.version()


def test_a_history_is_written_as_the_protocol_wants_it() -> None:
    log = History(Session(NoRecorder()), OpenAIWire())
    log.head("m", ModelOptions(think="low"), b"[]")
    log.system("s")
    log.user("u")
    arguments = msgspec.Raw(b'{"path": "a"}')
    calls = [Call(CallFunction("read_file", arguments), "x"), Call(CallFunction("list_dir", arguments))]
    log.assistant("", "hm", calls)
    log.tool("read_file", "x", "one")
    log.tool("list_dir", "", "two")
    body = json.loads(log.body(Wanted(16384, 50, temperature=0.5)).data)
    assert "num_ctx" not in json.dumps(body)
    assert (body["max_tokens"], body["temperature"], body["reasoning_effort"]) == (50, 0.5, "low")
    assert body["stream_options"] == {"include_usage": True}
    asked, first, second = body["messages"][-3:]
    assert [call["function"]["arguments"] for call in asked["tool_calls"]] == ['{"path": "a"}'] * 2
    assert [call["id"] for call in asked["tool_calls"]] == [first["tool_call_id"], second["tool_call_id"]]


def test_ids_made_here_are_given_once_in_a_history_though_a_later_process_goes_on() -> None:
    log, wire, messages = Session(NoRecorder()), OpenAIWire(), list[bytes]()
    for process in range(3):
        history = History(log, wire if not process else OpenAIWire(), messages)
        history.assistant("", "", [Call(CallFunction("list_dir", msgspec.Raw(b"{}")))] * 2)
        history.tool("list_dir", "", "one")
        history.tool("list_dir", "", "two")
        messages = history.said
    told = [json.loads(data) for data in messages]
    asked = [call["id"] for message in told for call in message.get("tool_calls", ())]
    assert len(set(asked)) == 6
    assert asked == [message["tool_call_id"] for message in told if message["role"] == "tool"]


def test_the_host_names_the_protocol() -> None:
    assert isinstance(connect(ModelOptions(host="http://box:8000/v1")), OpenAIModel)
    assert isinstance(connect(ModelOptions(host="http://box:11434")), OllamaModel)
    keyed = connect(ModelOptions(host="http://box:8000", protocol="openai"), "k")
    assert isinstance(keyed, OpenAIModel)
    assert keyed.host == "http://box:8000"
