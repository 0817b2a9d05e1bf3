"""`/v1/…`: OpenAI's protocol, and what its servers have beside it."""

from __future__ import annotations

import time
from typing import Any

from jetbox.sim import ask, catalog, embed, openai_ask
from jetbox.sim.chat import play
from jetbox.sim.http import ApiError, Connection, Request
from jetbox.sim.openai_sink import OpenAISink
from jetbox.sim.setup import Setup
from jetbox.sim.world import World

COMMON = {"/v1/models": "GET", "/v1/chat/completions": "POST", "/v1/embeddings": "POST"}
OWN = {
    "vllm": {"/health": "GET", "/version": "GET"},
    "sglang": {"/health": "GET", "/get_model_info": "GET", "/get_server_info": "GET"},
    "llamacpp": {"/health": "GET", "/props": "GET", "/models": "GET"},
    "lmstudio": {"/api/v0/models": "GET"},
}


def complete(world: World, connection: Connection, body: bytes) -> None:
    """Answer a chat completion request."""
    asked, wishes = openai_ask.parse(body, world.setup)
    sink = OpenAISink(connection, asked, wishes, world.setup, world.stats.next_number())
    play(world, connection, asked, sink, body)


def reply(world: World, connection: Connection, request: Request) -> Any:
    """The reply to everything that is no chat completion."""
    setup = world.setup
    match request.path:
        case "/v1/models":
            return _models(setup)
        case "/v1/embeddings":
            return _embeddings(world, connection, request.body)
        case "/health":
            return {"status": "ok"}
        case "/version":
            return {"version": "0.32.0"}
        case "/props":
            return _props(setup)
        case "/models":
            return _models(setup)
        case "/get_model_info":
            return {"model_path": setup.models[0].name, "is_generation": True}
        case "/get_server_info":
            return {"model_path": setup.models[0].name, "context_length": setup.default_ctx, "version": "0.6.1"}
        case "/api/v0/models":
            loaded = {runner.model.name: runner.num_ctx for runner in world.scheduler.loaded(connection.check)}
            return {"object": "list", "data": [_studio_model(model, loaded) for model in setup.models]}
    model = openai_ask.served(request.path.removeprefix("/v1/models/"), setup)
    return _model(model, setup)


def _models(setup: Setup) -> dict[str, Any]:
    return {"object": "list", "data": [_model(model, setup) for model in setup.models]}


def _model(model: catalog.Model, setup: Setup) -> dict[str, Any]:
    """An entry of `/v1/models`, with what this server adds to it."""
    import calendar

    entry: dict[str, Any] = {
        "id": model.name,
        "object": "model",
        "created": calendar.timegm(time.strptime(model.modified_at[:19], "%Y-%m-%dT%H:%M:%S")),
        "owned_by": setup.flavour.owner,
    }
    window = setup.fixed_launch(model)["num_ctx"]
    if setup.flavour.name in ("vllm", "sglang"):
        entry |= {"root": model.name, "parent": None, "max_model_len": window}
    elif setup.flavour.name == "llamacpp":
        entry["meta"] = {
            "n_ctx": window,
            "n_ctx_train": model.context_length,
            "n_params": model.parameter_count,
            "size": model.size,
            "ftype": model.quantisation,
        }
    elif setup.flavour.name == "lmstudio":
        del entry["created"]
    return entry


def _studio_model(model: catalog.Model, loaded: dict[str, int]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": model.name,
        "object": "model",
        "type": "llm" if "completion" in model.capabilities else "embeddings",
        "arch": model.family,
        "quantization": model.quantisation,
        "state": "loaded" if model.name in loaded else "not-loaded",
        "max_context_length": model.context_length,
        "capabilities": ["tool_use"] if "tools" in model.capabilities else [],
    }
    return {**entry, "loaded_context_length": loaded[model.name]} if model.name in loaded else entry


def _props(setup: Setup) -> dict[str, Any]:
    model = setup.models[0]
    return {
        "default_generation_settings": {"n_ctx": setup.fixed_launch(model)["num_ctx"]},
        "total_slots": setup.flavour.parallel,
        "model_path": f"/models/{model.name}.gguf",
        "build_info": setup.flavour.fingerprint,
        "chat_template": "{{ enable_thinking }}" if "thinking" in model.capabilities else "",
        "chat_template_caps": {"supports_tools": "tool-parser" not in setup.lacks},
        "modalities": {"vision": "vision" in model.capabilities, "video": False, "audio": False},
    }


def _embeddings(world: World, connection: Connection, body: bytes) -> dict[str, Any]:
    data = ask.read_json(body, "EmbedRequest")
    texts = embed.texts_of(data.get("input"))
    if not texts:
        raise ApiError(400, "invalid input")
    model = openai_ask.served(data.get("model"), world.setup)
    made = embed.embedded(world, connection, {**data, "model": model.name, "options": {}}, texts, truncate=False)
    vectors = [{"object": "embedding", "embedding": vector, "index": n} for n, vector in enumerate(made.vectors)]
    usage = {"prompt_tokens": made.tokens, "total_tokens": made.tokens}
    return {"object": "list", "data": vectors, "model": data.get("model") or model.name, "usage": usage}
