"""A request of OpenAI's protocol, read into what the generation knows."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from jetbox.sim import ask, catalog
from jetbox.sim.http import ApiError
from jetbox.sim.setup import Setup

OPTIONS = ("temperature", "seed", "top_p", "frequency_penalty", "presence_penalty", "stop")
EFFORTS = ("none", "minimal", *ask.LEVELS)


class Wishes(NamedTuple):
    """What concerns the form of the answer alone."""

    usage: bool
    """Usage as a last chunk of a stream."""
    running_usage: bool
    """Usage in every chunk as well."""


def parse(body: bytes, setup: Setup) -> tuple[ask.Asked, Wishes]:
    """Check a chat completion request.

    Raises:
        ApiError: what is wrong with it.
    """
    data = ask.read_json(body, "ChatCompletionRequest")
    model = served(data.get("model"), setup)
    if not isinstance(data.get("messages"), list) or not data["messages"]:
        raise ApiError(400, "[] is too short - 'messages'")
    messages = [_message(message, number) for number, message in enumerate(data["messages"])]
    tools = data.get("tools") or []
    if data.get("tool_choice") == "none":
        tools = []
    send = _sending(setup, model, tools)
    if setup.flavour.no_logprobs and tools and data.get("logprobs") is True and data.get("stream") is True:
        raise ApiError(400, setup.flavour.no_logprobs)
    if "tools" not in model.capabilities:
        if tools and setup.flavour.name == "ollama":
            raise ApiError(400, f"registry.ollama.ai/library/{model.name} does not support tools")
        tools = []
    limit = data.get("max_completion_tokens") or data.get("max_tokens")
    options = {name: data[name] for name in OPTIONS if data.get(name) is not None}
    if limit is not None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise ApiError(400, f"max_tokens must be at least 1, got {limit}.", param="max_tokens")
        options["num_predict"] = limit
    native = setup.flavour.name == "ollama"
    stream_options = data.get("stream_options") or {}
    asked = ask.Asked(
        model=model,
        named=data.get("model") or model.name,
        messages=messages,
        tools=tools,
        think=_think(data),
        stream=data.get("stream") is True,
        truncate=native,
        options=options,
        launch=setup.fixed_launch(model),
        keep_alive=None,
        logprobs=data.get("logprobs") is True and setup.tells_logprobs,
        top_logprobs=int(data.get("top_logprobs") or 0),
        format=_format(data.get("response_format")),
        deltas=setup.flavour.deltas,
        progress=setup.flavour.timings and data.get("return_progress") is True and data.get("stream") is True,
        fixed_window=not native,
        send=send,
    )
    wishes = Wishes(stream_options.get("include_usage") is True, stream_options.get("continuous_usage_stats") is True)
    return asked, wishes


def served(name: Any, setup: Setup) -> catalog.Model:
    """The model that a request means.

    Raises:
        ApiError: the server does not have it.
    """
    if setup.flavour.any_name:
        return setup.models[0]
    if name is not None and not isinstance(name, str):
        raise ApiError(400, "model must be a string")
    if setup.flavour.name == "ollama":
        return ask.require_model(name, setup.models)
    model = next((model for model in setup.models if model.name == name), None)
    if model is None:
        if setup.flavour.name == "lmstudio":
            raise ApiError(404, f'Model "{name}" not found')
        raise ApiError(404, f"The model `{name}` does not exist.", param="model")
    return model


def _sending(setup: Setup, model: catalog.Model, tools: list[Any]) -> str:
    """How calls are sent: as text without the parser that the model needs; without any, some refuse tools."""
    if not tools or not setup.lacks.intersection(("tool-parser", "fitting-parser")):
        return ""
    if "tool-parser" in setup.lacks and setup.flavour.no_tools is not None:
        status, message = setup.flavour.no_tools
        raise ApiError(status, message)
    return "hermes"


def _message(message: Any, number: int) -> dict[str, Any]:
    """A message as Ollama has it: arguments are an object, content is a text."""
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise ApiError(400, f"messages[{number}] must be an object with a role")
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if content is not None and not isinstance(content, str):
        raise ApiError(400, f"messages[{number}].content must be a string or a list")
    made: dict[str, Any] = {"role": message["role"], "content": content or ""}
    if thinking := message.get("reasoning") or message.get("reasoning_content"):
        made["thinking"] = str(thinking)
    if message.get("tool_call_id"):
        made["tool_call_id"] = message["tool_call_id"]
    if message.get("tool_calls"):
        made["tool_calls"] = [_call(call, number) for call in message["tool_calls"]]
    return made


def _call(call: Any, number: int) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    arguments = function.get("arguments") if isinstance(function, dict) else None
    if not isinstance(function, dict) or not isinstance(arguments, str):
        raise ApiError(400, f"messages[{number}].tool_calls: arguments must be a string of JSON")
    try:
        value = json.loads(arguments or "{}")
    except ValueError as error:
        raise ApiError(400, "invalid tool call arguments") from error
    extra = {key: value for key, value in call.items() if key not in ("id", "function")}
    inner = {key: value for key, value in function.items() if key not in ("name", "arguments")}
    return {"id": call.get("id"), **extra, "function": {"name": function.get("name"), "arguments": value, **inner}}


def _think(data: dict[str, Any]) -> Any:
    effort = data.get("reasoning_effort") or (data.get("reasoning") or {}).get("effort")
    if effort is not None and effort not in EFFORTS:
        raise ApiError(400, f"invalid reasoning value: '{effort}' (must be {', '.join(EFFORTS)})")
    template = data.get("chat_template_kwargs") or {}
    if effort == "none" or template.get("enable_thinking") is False:
        return False
    return effort


def _format(wanted: Any) -> Any:
    if not isinstance(wanted, dict) or wanted.get("type") in (None, "text"):
        return None
    return (wanted.get("json_schema") or {}).get("schema") or "json"
