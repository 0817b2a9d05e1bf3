"""What a server with OpenAI's protocol leaves out of what a session can use, found out by asking for one small call."""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec

from jetbox.engine.context.wire import Wanted
from jetbox.engine.errors import CallGarbled, CountsRefused, ModelUnfit
from jetbox.engine.models.base import CACHED, OLLAMA, ChatModel, Chunk
from jetbox.engine.options import ModelOptions

TOKENS = 256
"""As long as the answer may be, its thinking included."""
TOOL = {
    "type": "function",
    "function": {
        "name": "finish",
        "description": "Say that you are done.",
        "parameters": {"type": "object", "properties": {"summary": {"type": "string"}}, "required": ["summary"]},
    },
}
QUESTION = 'Call the tool `finish` with the summary "yes". Say nothing else.'
START_WITH_PARSER = (
    "start it with the parser for this model's calls: vLLM and SGLang take --tool-call-parser (vLLM "
    "--enable-auto-tool-choice too), llama.cpp's server --jinja; in LM Studio take a model that it lists for tool use"
)


class Lack(msgspec.Struct, frozen=True):
    """One thing that is missing or could not be found out, what that means, and what to start the server with."""

    what: str
    cure: str
    kind: Literal["missing", "refused", "unknown"] = "missing"
    """`refused`: nothing can be done with such a server; `unknown`: it may be there all the same."""


class _Heard(msgspec.Struct):
    """What came in answer to the question."""

    text: str = ""
    thinking: str = ""
    calls: int = 0
    last: Chunk | None = None
    late: bool = False
    """It was still answering when the time was over."""


async def lacks(model: ChatModel, name: str, max_ctx: int, seconds: float) -> list[Lack]:
    """Ask the model for a call; `max_ctx` is the window that the server told, 0 for none.

    Raises:
        ServerUnreachable, ServerBusy, ModelNotFound, BadAnswer
        TimeoutError: not a word came within `seconds`.
    """
    heard = _Heard()
    try:
        async with asyncio.timeout(seconds):
            try:
                await _ask(model, name, heard)
            except CountsRefused:  # nobody asks for them any more
                await _ask(model, name, heard)
    except TimeoutError:
        if not (heard.text or heard.thinking or heard.calls):
            raise
        heard.late = True
    except ModelUnfit as error:
        return [Lack(f"tool calls: {error.message}", error.hint, "refused")]
    except CallGarbled as error:
        return [Lack(f"whether it parses calls of tools: {error.message}", error.hint, "unknown")]
    return [*_calls(heard, seconds), *_figures(heard), *_window(max_ctx, model.owner)]


async def _ask(model: ChatModel, name: str, heard: _Heard) -> None:
    wire = model.wire()
    head = wire.head(name, ModelOptions()) | {"tools": [TOOL], "messages": []}
    question = msgspec.json.encode({"role": "user", "content": QUESTION})
    body = msgspec.json.encode(head).removesuffix(b"]}") + question + wire.tail(Wanted(0, TOKENS))
    async with model.chat(body) as chunks:
        async for chunk in chunks:
            heard.text += chunk.text
            heard.thinking += chunk.thinking
            heard.calls += len(chunk.calls)
            if chunk.done:
                heard.last = chunk


def _calls(heard: _Heard, seconds: float) -> list[Lack]:
    from jetbox.engine.models.repair import recover

    if heard.calls:
        return []
    found = recover(heard.text, heard.thinking, lambda name, arguments: name == "finish")
    if found is not None:
        text = f"they come as text ({found.form}), and are repaired where possible"
        return [Lack(f"a parser for the calls of this model: {text}", START_WITH_PARSER)]
    if heard.late:
        why = f"it was still answering after {seconds:g} s"
    elif heard.last is not None and heard.last.done_reason == "length":
        why = f"its answer had no end within {TOKENS} tokens"
    else:
        why = "asked for one, the model answered with none that can be read"
    cure = "`jetbox-tui models measure` asks for calls several times"
    return [Lack(f"whether it parses calls of tools: {why}", cure, "unknown")]


def _figures(heard: _Heard) -> list[Lack]:
    """What the server's last words do not tell; nothing is known of them where they did not come."""
    if heard.last is None:
        return []
    metrics, found = heard.last.metrics, []
    if not metrics.get("prompt_eval_count"):
        found.append(Lack("counts of tokens: the room in the window is guessed", "let it answer `include_usage`"))
    elif CACHED not in metrics:
        found.append(
            Lack(
                "cached tokens: the reuse of a prompt is unknown",
                "for vLLM --enable-prompt-tokens-details, for SGLang --enable-cache-report",
            )
        )
    if "prompt_eval_duration" not in metrics:
        found.append(
            Lack(
                "timings: queue, load and prompt evaluation are shown as one",
                "for vLLM --enable-per-request-metrics; llama.cpp's server has them",
            )
        )
    return found


def _window(max_ctx: int, owner: str) -> list[Lack]:
    if max_ctx:
        return []
    if owner == OLLAMA:
        here = "Ollama gives what OLLAMA_CONTEXT_LENGTH says over this protocol, else 4,096 tokens or what it chooses"
        return [Lack(f"its window: {here}, and cuts longer prompts in silence", "name it without /v1")]
    return [Lack("its window: a prompt that is too long is refused", "say it with --num-ctx")]
