"""A prompt as the model's template would render it, counted in tokens of about four characters.

The rendering is a list of blocks: a head (thinking level, all system texts, tools), then one
block a message. Two renderings are compared block by block, so that the cost of a request is
linear in what is new.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

CHARS_PER_TOKEN = 4
MARKERS = 4
"""Tokens of the template around each block."""

Blocks = tuple[str, ...]


def tokens(text: str) -> int:
    """Number of tokens of a text."""
    return -(-len(text) // CHARS_PER_TOKEN)


def block_tokens(block: str) -> int:
    """Number of tokens of a block with its markers."""
    return MARKERS + tokens(block)


def count(blocks: Sequence[str]) -> int:
    """Number of tokens of a prompt."""
    return sum(block_tokens(block) for block in blocks)


def call_text(name: str, arguments: Any) -> str:
    """A tool call as the model writes it."""
    return json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False, separators=(",", ":"))


def assistant_block(content: str, thinking: str, calls: Sequence[tuple[str, Any]]) -> str:
    """The block of an answer; identifiers of calls are not rendered."""
    return "\x1f".join(("assistant", thinking, content, *(call_text(*call) for call in calls)))


def render(
    messages: list[dict[str, Any]], tools: list[Any], think: Any, *, thinking: bool, tools_last: bool = False
) -> Blocks:
    """Render a conversation.

    A `system` message anywhere goes into the head, as most templates do it. A model that thinks
    (`thinking`) is shown the thinking of the running tool loop, and none from before the newest
    user message; any other model is shown none. With `tools_last` the tools stand in the newest
    message, where that is the user's, and nowhere else.
    """
    system = "\n".join(_text(message) for message in messages if message.get("role") == "system")
    offered = json.dumps(tools, ensure_ascii=False)
    head = "\x1f".join((f"think={think}" if thinking else "", system, "" if tools_last else offered))
    newest_user = max((i for i, message in enumerate(messages) if message.get("role") == "user"), default=-1)
    blocks = [head]
    for i, message in enumerate(messages):
        role = message.get("role")
        if role == "assistant":
            thought = str(message.get("thinking") or "") if thinking and i > newest_user else ""
            blocks.append(assistant_block(_text(message), thought, _calls(message)))
        elif role != "system":
            shown = offered if tools_last and role == "user" and i == len(messages) - 1 else ""
            blocks.append("\x1f".join((str(role), str(message.get("tool_name") or ""), shown + _text(message))))
    return tuple(blocks)


def as_text(blocks: Sequence[str]) -> str:
    """A rendered prompt as text."""
    return "".join(f"<|start|>{block.replace(chr(0x1F), '<|part|>')}<|end|>" for block in blocks)


def shuffled(tools: list[Any], salt: int) -> list[Any]:
    """The tools with the extra keys of each property in an order that depends on the salt.

    So it goes where a renderer walks over a map: a property with two or more keys besides `type`
    and `description` comes out differently from request to request. What lies deeper is written in
    the order of its keys.
    """
    return [_reordered(tool, salt) for tool in tools]


def shared_tokens(cached: Sequence[str], wanted: Sequence[str]) -> int:
    """Tokens of the longest common prefix, at most all but one of the wanted ones."""
    shared = 0
    for have, want in zip(cached, wanted, strict=False):
        if have != want:
            shared += _common_chars(have, want) // CHARS_PER_TOKEN
            break
        shared += block_tokens(want)
    return min(shared, count(wanted) - 1)


def cut_messages(
    messages: list[dict[str, Any]], limit: int, tools: list[Any], think: Any, **how: bool
) -> tuple[Blocks, list[dict[str, Any]]]:
    """Drop the oldest messages, except system ones and the newest, until the prompt fits; it, and what was kept."""
    kept = list(messages)
    blocks = render(kept, tools, think, **how)
    while count(blocks) > limit:
        oldest = next((i for i, m in enumerate(kept[:-1]) if m.get("role") != "system"), None)
        if oldest is None:
            break
        del kept[oldest]
        blocks = render(kept, tools, think, **how)
    return blocks, kept


def _reordered(tool: Any, salt: int) -> Any:
    path: list[dict[str, Any]] = []
    value = tool
    for key in ("function", "parameters", "properties"):
        if not isinstance(value, dict) or not isinstance(value.get(key), dict):
            return tool
        path.append(value)
        value = value[key]
    turned = {name: _turned(field, salt) if isinstance(field, dict) else field for name, field in value.items()}
    outer, function, schema = path
    return {**outer, "function": {**function, "parameters": {**schema, "properties": turned}}}


def _turned(field: dict[str, Any], salt: int) -> dict[str, Any]:
    extra = [key for key in field if key not in ("type", "description")]
    turn = salt % len(extra) if len(extra) > 1 else 0
    return {key: field[key] for key in (*(k for k in field if k not in extra), *extra[turn:], *extra[:turn])}


def _common_chars(a: str, b: str) -> int:
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[:middle] == b[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else ""


def _calls(message: dict[str, Any]) -> list[tuple[str, Any]]:
    functions = [call.get("function") or {} for call in message.get("tool_calls") or [] if isinstance(call, dict)]
    return [(str(function.get("name", "")), function.get("arguments")) for function in functions]
