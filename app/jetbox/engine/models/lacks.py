"""What a server with OpenAI's protocol leaves out of what a session can use, found out by one short question."""

from __future__ import annotations

import msgspec

from jetbox.engine.context.wire import OpenAIWire, Wanted
from jetbox.engine.errors import ModelUnfit
from jetbox.engine.models.base import ChatModel
from jetbox.engine.options import ModelOptions

TOKENS = 16
"""As long as the answer may be."""
TOOL = {
    "type": "function",
    "function": {
        "name": "finish",
        "description": "Say that you are done.",
        "parameters": {"type": "object", "properties": {"summary": {"type": "string"}}, "required": ["summary"]},
    },
}


class Lack(msgspec.Struct, frozen=True):
    """One thing that is missing, what that means, and what to start the server with."""

    what: str
    cure: str


async def lacks(model: ChatModel, name: str, max_ctx: int) -> list[Lack]:
    """Ask the model with a tool at hand; `max_ctx` is the window that the server told, 0 for none.

    Raises:
        ServerUnreachable, ServerBusy, ModelNotFound, BadAnswer
    """
    wire = OpenAIWire()
    head = wire.head(name, ModelOptions()) | {"tools": [TOOL], "messages": []}
    question = msgspec.json.encode({"role": "user", "content": "Say yes."})
    body = msgspec.json.encode(head).removesuffix(b"]}") + question + wire.tail(Wanted(0, TOKENS))
    metrics: dict[str, int] = {}
    found: list[Lack] = []
    try:
        async with model.chat(body) as chunks:
            async for chunk in chunks:
                if chunk.done:
                    metrics = chunk.metrics
    except ModelUnfit as error:
        return [Lack(f"tool calls: {error.message}", error.hint)]
    if not metrics.get("prompt_eval_count"):
        found.append(Lack("counts of tokens: the room in the window is guessed", "let it answer `include_usage`"))
    elif "prompt_eval_cached_count" not in metrics:
        found.append(
            Lack(
                "cached tokens: the reuse of a prompt is unknown",
                "for vLLM --enable-prompt-tokens-details, for SGLang --enable-cache-report",
            )
        )
    if "prompt_eval_duration" not in metrics:
        found.append(Lack("timings: queue, load and prompt evaluation are shown as one", "llama.cpp's server has them"))
    if not max_ctx:
        found.append(Lack("its window: a prompt that is too long is refused", "say it with --num-ctx"))
    return found
