"""The standard set: how fast a model loads, reads and writes here, and whether it calls a tool.

Each prompt begins with a salt that no prompt before had, so that nothing of it can come out of the
server's prefix cache; one is sent twice, to see what that cache is worth.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec

from jetbox.engine.clock import monotonic
from jetbox.engine.context.wire import Wanted
from jetbox.engine.errors import CallGarbled, CountsRefused, ModelError
from jetbox.engine.models.base import CACHED, ChatModel, LoadedModel, ModelInfo
from jetbox.engine.models.choose import options_for
from jetbox.engine.models.figures import COLD_NS, LEAST_WRITTEN, Figures, sample, writing_ns
from jetbox.engine.models.manage import unload, warm
from jetbox.engine.models.mendlines import UNREADABLE
from jetbox.engine.options import ModelOptions

SEED = 1
GONE_S = 1.0
"""What nobody else uses is out of memory by then."""
LOOK_S = 0.1
OTHERS = "not kept: another client uses the model, and its turn cannot be told from a load"
READ_LINES = 160
"""Of code in the prompt that measures reading: about 2,000 tokens."""
WRITE_TOKENS = 128
CALL_TOKENS = 512
TOOL: dict[str, object] = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds two whole numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    },
}
Shapes = tuple[dict[str, object], ...]


class Taken(msgspec.Struct, frozen=True):
    """One request of the set; durations in ns, tokens as the server counted them."""

    what: str
    """`load`, `wake`, `read cold`, `read again`, `write` or `call`."""
    wall_ns: int
    ttft_ns: int = -1
    metrics: dict[str, int] = {}
    ok: bool = True
    said: str = ""
    """What went wrong, or how a call came."""


class Asked(msgspec.Struct, frozen=True):
    """What is measured, with which options."""

    name: str
    info: ModelInfo
    options: ModelOptions
    num_ctx: int
    repeats: int = 3
    cold: bool = True
    """Unload it before, so that the load is measured too."""


async def measure(model: ChatModel, asked: Asked, figures: Figures) -> AsyncIterator[Taken]:
    """Send the set; each request is told as it ends, and its figures are added.

    Raises:
        ModelError: the server is not there, or the model does not answer.
    """
    if model.manages and asked.cold:
        yield await _load(model, asked, figures)
    elif not model.manages:
        try:
            yield await _wake(model, asked)
        except CountsRefused:  # nobody asks for them any more
            yield await _wake(model, asked)
    for _ in range(asked.repeats):
        prompt = _reading()
        yield await _take(model, asked, "read cold", prompt, 8, figures)
        yield await _take(model, asked, "read again", prompt, 8, figures)
        yield await _take(model, asked, "write", _writing(), WRITE_TOKENS, figures)
        if "tools" in asked.info.capabilities or not asked.info.capabilities:
            yield await _call(model, asked, figures)


async def _load(model: ChatModel, asked: Asked, figures: Figures) -> Taken:
    await unload(model, asked.name, asked.options)
    alone = await _gone(model, asked.name)
    seen: set[int] = set()
    watch = asyncio.create_task(_windows(model, asked.name, seen))
    start = monotonic()
    try:
        last = await warm(model, asked.name, asked.options, asked.num_ctx)
    finally:
        watch.cancel()
    # Servers tell it differently for a request without messages; what was waited for is the same.
    took = last.metrics.get("load_duration", 0) or monotonic() - start
    held = await _held(model, asked.name)
    alone = alone and seen <= {asked.num_ctx, held.window if held is not None else 0}
    if alone:
        figures.load.append(took)
    return Taken("load", took, metrics=last.metrics, said="" if alone else OTHERS)


async def _gone(model: ChatModel, name: str) -> bool:
    """Whether what was to be unloaded is: the server keeps what another client's request is at work on."""
    end = monotonic() + GONE_S * 1e9
    while await _held(model, name) is not None:
        if monotonic() > end:
            return False
        await asyncio.sleep(LOOK_S)
    return True


async def _windows(model: ChatModel, name: str, seen: set[int]) -> None:
    """Note with which windows the server holds the model, until cancelled."""
    while True:
        if held := await _held(model, name):
            seen.add(held.window)
        await asyncio.sleep(LOOK_S)


async def _held(model: ChatModel, name: str) -> LoadedModel | None:
    with suppress(ModelError):
        return next((one for one in await model.running() if one.serves(name)), None)
    return None


async def _wake(model: ChatModel, asked: Asked) -> Taken:
    """Have a server that may load what it is asked for do so now: else its load would count as reading."""
    return await _take(model, asked, "wake", f"{_salt()}Say yes.", 1, Figures())


async def _take(
    model: ChatModel, asked: Asked, what: str, prompt: str, most: int, figures: Figures, tools: Shapes = ()
) -> Taken:
    body = _body(model, asked, prompt, most, tools)
    start, first, last, pieces, text, calls, form = monotonic(), -1, -1, 0, "", 0, ""
    metrics: dict[str, int] = {}
    async with model.chat(body) as chunks:
        async for chunk in chunks:
            if chunk.text or chunk.thinking or chunk.calls:
                last, pieces = monotonic() - start, pieces + 1
                first = last if first < 0 else first
            text += chunk.text
            calls += sum(call.function.name == "add" and _adds(bytes(call.function.arguments)) for call in chunk.calls)
            metrics = chunk.metrics or metrics
    wall = monotonic() - start
    clocked = _clocked(what, metrics, first, last if pieces >= LEAST_WRITTEN else -1)
    figures.clocked = figures.clocked or clocked != metrics
    if model.manages and asked.cold and clocked.get("load_duration", 0) >= COLD_NS:
        # It was there: another client's turn came first.
        sample(figures, clocked | {"load_duration": 0}, -1, fresh=what == "read cold")
    else:
        sample(figures, clocked, first, fresh=what == "read cold")
    if tools and not calls and text.strip():
        form = _recovered(text)
    ok = not tools or bool(calls) or bool(form)
    said = form or ("" if ok else "no call, or not the one that was asked for")
    return Taken(what, wall, first, metrics, ok, said)


def _clocked(what: str, metrics: dict[str, int], first: int, last: int) -> dict[str, int]:
    """The server's figures, with durations as they were seen here where it tells none.

    `last`: when the last piece of an answer came that did come in pieces; negative for any other.
    """
    seen = dict(metrics)
    if what == "read cold" and first > 0 and "prompt_eval_duration" not in metrics:
        seen["prompt_eval_duration"] = first
        seen.setdefault(CACHED, 0)  # of a prompt that nothing can know
    written = metrics.get("eval_count", 0)
    if what == "write" and "eval_duration" not in metrics:
        seen["eval_duration"] = writing_ns(first, last, written)
    return seen


async def _call(model: ChatModel, asked: Asked, figures: Figures) -> Taken:
    try:
        taken = await _take(model, asked, "call", _calling(), CALL_TOKENS, figures, (TOOL,))
    except CallGarbled as error:
        figures.garbled += 1
        return Taken("call", 0, ok=False, said=error.message)
    figures.calls += 1
    figures.calls_ok += taken.ok
    if taken.ok:
        figures.call.append(taken.wall_ns)
    figures.recovered += bool(taken.ok and taken.said)
    return taken


def _body(model: ChatModel, asked: Asked, prompt: str, most: int, tools: Shapes) -> bytes:
    wire = model.wire()
    head = msgspec.json.encode(wire.head(asked.name, options_for(asked.info, asked.options)))[:-1]
    if tools:
        head += b',"tools":' + msgspec.json.encode(tools)
    message = msgspec.json.encode({"role": "user", "content": prompt})
    return head + b',"messages":[' + message + wire.tail(Wanted(asked.num_ctx, most, 0.0, SEED))


def _salt() -> str:
    return f"# {secrets.token_hex(16)}\n"


def _reading() -> str:
    lines = "\n".join(f"def step_{n}(value: int) -> int:  # {secrets.token_hex(4)}" for n in range(READ_LINES))
    return f"{_salt()}{lines}\n\nHow many functions are above? Answer with the number alone."


def _writing() -> str:
    return f"{_salt()}Write the numbers from one to two hundred in words, separated by commas."


def _calling() -> str:
    return f"{_salt()}Add 17 and 25 with the tool `add`."


def _adds(arguments: bytes) -> bool:
    try:
        return bool(msgspec.json.decode(arguments) == {"a": 17, "b": 25})
    except UNREADABLE:
        return False


def _recovered(text: str) -> str:
    """The form in which the call stands in the text; empty where it does not."""
    from jetbox.engine.models.repair import recover

    found = recover(text, "", lambda name, arguments: name == "add")
    if found is None or not any(_adds(bytes(call.function.arguments)) for call in found.calls):
        return ""
    return f"recovered ({found.form})"
