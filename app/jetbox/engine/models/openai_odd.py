"""Lines of a stream in OpenAI's protocol in which something beside the answer, or its form, is not as it should be.

Figures that cannot be read are missed, as they would be where a server sends none: they take no answer with them. What
belongs to the answer itself is read in the forms that servers give it, or the line is none.
"""

from __future__ import annotations

from typing import Any

import msgspec

from jetbox.engine.models.entries import entry
from jetbox.engine.models.mendlines import decoded
from jetbox.engine.models.openai_lines import Line, Logprobs, Measured, Progress, Timings, Usage

_BESIDE: dict[str, type[msgspec.Struct]] = {
    "usage": Usage,
    "timings": Timings,
    "metrics": Measured,
    "prompt_progress": Progress,
}
_WORDS = ("reasoning", "reasoning_content", "refusal")


def odd_line(data: bytes) -> Line:
    """What such a line says.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is no JSON, or not what an answer is made of.
    """
    said = decoded(msgspec.json.decode, data)
    if not isinstance(said, dict):
        raise msgspec.ValidationError("no object")
    read = said | {name: entry(said.get(name), kind) for name, kind in _BESIDE.items()}
    if isinstance(said.get("choices"), list):
        read["choices"] = [_choice(choice) for choice in said["choices"] if isinstance(choice, dict)]
    return msgspec.convert(read, Line)


def _choice(said: dict[str, Any]) -> dict[str, Any]:
    read = said | {"logprobs": entry(said.get("logprobs"), Logprobs)}
    for name in ("delta", "message"):
        if isinstance(said.get(name), dict):
            read[name] = _delta(said[name])
    return read


def _delta(said: dict[str, Any]) -> dict[str, Any]:
    read = said | {name: None for name in _WORDS if not isinstance(said.get(name), str)}
    if isinstance(said.get("content"), list):
        read["content"] = _joined(said["content"], "text")
        read["reasoning"] = (read.get("reasoning") or "") + _joined(said["content"], "thinking")
    if isinstance(said.get("tool_calls"), list):
        read["tool_calls"] = [_piece(piece) for piece in said["tool_calls"]]
    return read


def _joined(parts: list[Any], kind: str) -> str:
    """The words of the parts of this kind, as Mistral's own server sends them: thinking holds parts of text."""
    words = ""
    for part in parts:
        said = part.get(kind) if isinstance(part, dict) else part if kind == "text" else None
        words += _joined(said, "text") if isinstance(said, list) else said if isinstance(said, str) else ""
    return words


def _piece(said: Any) -> Any:
    """A piece of a call; its id and its index may be of another type, its arguments a list, which the tool refuses."""
    if not isinstance(said, dict):
        return said
    read = dict(said)
    if isinstance(said.get("id"), int):
        read["id"] = str(said["id"])
    if not isinstance(said.get("index"), int | None):
        read["index"] = msgspec.convert(said["index"], int, strict=False)
    function = said.get("function")
    if isinstance(function, dict) and isinstance(function.get("arguments"), list):
        read["function"] = function | {"arguments": msgspec.json.encode(function["arguments"]).decode()}
    return read
