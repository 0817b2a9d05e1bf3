"""A chat request, read and checked as Ollama checks it."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from jetbox.sim import catalog, player
from jetbox.sim.durations import keep_alive_seconds
from jetbox.sim.http import ApiError

LAUNCH = ("num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread", "draft_num_predict")
INTEGERS = ("num_ctx", "num_predict", "num_keep", "seed", "top_k", "num_batch", "num_gpu", "main_gpu", "num_thread")
LEVELS = ("low", "medium", "high", "max")


class Asked(NamedTuple):
    """A checked request."""

    model: catalog.Model
    messages: list[dict[str, Any]]
    tools: list[Any]
    think: Any
    stream: bool
    truncate: bool
    options: dict[str, Any]
    launch: dict[str, Any]
    keep_alive: float | None

    @property
    def thinking(self) -> bool:
        """True where the model is to think."""
        return "thinking" in self.model.capabilities and self.think is not False


def parse(body: bytes, default_ctx: int) -> Asked:
    """Check a request.

    Raises:
        ApiError: with the status and the words that Ollama has for it.
    """
    data = read_json(body)
    model = require_model(data)
    think = data.get("think")
    if think is not None and not isinstance(think, bool) and think not in LEVELS:
        raise ApiError(400, f'invalid think value: "{think}" (must be "high", "medium", "low", "max", true, or false)')
    if think and "thinking" not in model.capabilities:
        raise ApiError(400, f'"{model.name}" does not support thinking')
    tools = _list(data, "tools")
    if tools and "tools" not in model.capabilities:
        raise ApiError(400, f"registry.ollama.ai/library/{model.name} does not support tools")
    options = data.get("options") or {}
    if not isinstance(options, dict):
        raise ApiError(400, "json: cannot unmarshal options into Go struct field ChatRequest.options")
    for name in INTEGERS:
        if name in options and (not isinstance(options[name], (int, float)) or isinstance(options[name], bool)):
            raise ApiError(500, f'option "{name}" must be of type integer')
    window = min(int(options.get("num_ctx") or default_ctx), model.context_length)
    launch = {"num_ctx": window, "shift": data.get("shift"), **{n: options[n] for n in LAUNCH if n in options}}
    return Asked(
        model=model,
        messages=player.as_messages(_list(data, "messages")),
        tools=tools,
        think=think,
        stream=data.get("stream") is not False,
        truncate=data.get("truncate") is not False,
        options=options,
        launch=launch,
        keep_alive=keep_alive_seconds(data.get("keep_alive")),
    )


def read_json(body: bytes) -> dict[str, Any]:
    """The object in a request body.

    Raises:
        ApiError: there is none.
    """
    if not body.strip():
        raise ApiError(400, "missing request body")
    try:
        data = json.loads(body)
    except ValueError as error:
        raise ApiError(400, f"invalid JSON: {error}") from error
    if not isinstance(data, dict):
        raise ApiError(400, "json: cannot unmarshal the body into a Go struct")
    return data


def require_model(data: dict[str, Any]) -> catalog.Model:
    """The model that a request names.

    Raises:
        ApiError: none is named, or it is not installed.
    """
    name = data.get("model") or data.get("name")
    if not isinstance(name, str):
        raise ApiError(400, "model is required")
    model = catalog.find(name)
    if model is None:
        raise ApiError(404, f"model '{name}' not found")
    return model


def _list(data: dict[str, Any], key: str) -> list[Any]:
    value = data.get(key) or []
    if not isinstance(value, list):
        raise ApiError(400, f"json: cannot unmarshal value into Go struct field ChatRequest.{key}")
    return value
