"""The types of a request's fields, checked as Go's decoder checks them, in its words."""

from __future__ import annotations

from typing import Any, NamedTuple

from jetbox.sim.http import ApiError

NOT_AN_OBJECT = "Value looks like object, but can't find closing '}' symbol"
"""What the server says of arguments of a call that are anything but an object."""


class _Kind(NamedTuple):
    """What a field may be: a JSON kind and Go's name for the type."""

    json: str
    go: str


TEXT = _Kind("string", "string")
FLAG = _Kind("bool", "bool")
NUMBER = _Kind("number", "int")

REQUEST = {
    "model": TEXT,
    "messages": _Kind("array", "[]api.Message"),
    "stream": FLAG,
    "tools": _Kind("array", "api.Tools"),
    "options": _Kind("object", "map[string]interface {}"),
    "truncate": FLAG,
    "shift": FLAG,
    "logprobs": FLAG,
    "top_logprobs": NUMBER,
}
GENERATE = {
    **{name: kind for name, kind in REQUEST.items() if name not in ("messages", "tools")},
    **dict.fromkeys(("prompt", "suffix", "system", "template"), TEXT),
    "raw": FLAG,
    "context": _Kind("array", "[]int"),
    "images": _Kind("array", "[]api.ImageData"),
}
EMBED = {"model": TEXT, "truncate": FLAG, "options": REQUEST["options"], "dimensions": NUMBER}
MESSAGE = {
    **dict.fromkeys(("role", "content", "thinking", "tool_name", "tool_call_id"), TEXT),
    "images": _Kind("array", "[]api.ImageData"),
    "tool_calls": _Kind("array", "[]api.ToolCall"),
}
CALL = {"id": TEXT, "function": _Kind("object", "api.ToolCallFunction")}
FUNCTION = {"index": NUMBER, "name": TEXT}

INTEGERS = (
    *("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "draft_num_predict"),
    *("num_keep", "seed", "num_predict", "top_k", "repeat_last_n"),
)
FLOATS = (
    *("top_p", "min_p", "typical_p", "temperature"),
    *("repeat_penalty", "presence_penalty", "frequency_penalty"),
)


def check_request(data: dict[str, Any]) -> None:
    """Check the fields of a chat request and of its messages.

    Raises:
        ApiError: 400, the first field of a wrong type.
    """
    _check(data, REQUEST, "ChatRequest")
    for message in data.get("messages") or ():
        _one(message, _Kind("object", "api.Alias"), "ChatRequest.messages")
        _check(message or {}, MESSAGE, "ChatRequest.messages")
        for call in (message or {}).get("tool_calls") or ():
            _check_call(call, "ChatRequest.messages.tool_calls")
    for tool in data.get("tools") or ():
        _one(tool, _Kind("object", "api.Tool"), "ChatRequest.tools")


def check_generate(data: dict[str, Any]) -> None:
    """Check the fields of a generate request.

    Raises:
        ApiError: 400, the first field of a wrong type.
    """
    _check(data, GENERATE, "GenerateRequest")
    for number in data.get("context") or ():
        _one(number, NUMBER, "GenerateRequest.context")


def check_embed(data: dict[str, Any]) -> None:
    """Check the fields of an embed request.

    Raises:
        ApiError: 400, the first field of a wrong type.
    """
    _check(data, EMBED, "EmbedRequest")


def check_options(options: dict[str, Any]) -> None:
    """Check the options; unknown names are let through.

    Raises:
        ApiError: 500, the first one of a wrong type.
    """
    for name, value in options.items():
        if value is None:
            continue
        kind = _kind(value)
        if name in INTEGERS and kind != "number":
            raise ApiError(500, f'option "{name}" must be of type integer')
        if name in FLOATS and kind != "number":
            raise ApiError(500, f'option "{name}" must be of type float32')
        if name == "use_mmap" and kind != "bool":
            raise ApiError(500, f'option "{name}" must be of type boolean')
        if name == "stop":
            if kind != "array":
                raise ApiError(500, f'option "{name}" must be of type array')
            if any(_kind(item) != "string" for item in value):
                raise ApiError(500, f'option "{name}" must be of an array of strings')


def check_object(data: Any, struct: str) -> None:
    """Check that a body is an object.

    Raises:
        ApiError: 400, it is not.
    """
    if not isinstance(data, dict):
        raise ApiError(400, f"json: cannot unmarshal {_kind(data)} into Go value of type api.{struct}")


def check_text(data: dict[str, Any], name: str, struct: str) -> None:
    """Check that a field is a text, or absent.

    Raises:
        ApiError: 400, it is not.
    """
    _check(data, {name: TEXT}, struct)


def _check_call(call: Any, where: str) -> None:
    _one(call, _Kind("object", "api.ToolCall"), where)
    _check(call or {}, CALL, where)
    function = (call or {}).get("function") or {}
    _check(function, FUNCTION, f"{where}.function")
    if _kind(function.get("arguments")) not in ("object", "null"):
        raise ApiError(400, NOT_AN_OBJECT)


def _check(data: dict[str, Any], kinds: dict[str, _Kind], where: str) -> None:
    for name, value in data.items():
        if name in kinds:
            _one(value, kinds[name], f"{where}.{name}")


def _one(value: Any, wanted: _Kind, where: str) -> None:
    kind = _kind(value)
    if kind not in (wanted.json, "null"):
        raise ApiError(400, f"json: cannot unmarshal {kind} into Go struct field {where} of type {wanted.go}")


def _kind(value: Any) -> str:
    """Go's word for the kind of a JSON value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, dict):
        return "object"
    return "array" if isinstance(value, list) else "number"
