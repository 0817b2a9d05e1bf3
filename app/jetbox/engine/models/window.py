"""How large the window of a session is, and why: decided in one place, for everyone who sends a request.

Two requests that name different windows make the server load the model again, so the answer is
found once for each model and holds for the session. It is the one that is set; else what the model's own file or
the server's configuration asks for; else what the server holds the model with already; else the
largest rung of a ladder that fits the memory there is; and never more than the model was made for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from jetbox.engine.context.budget import ANOTHER, RAISE
from jetbox.engine.errors import ModelError
from jetbox.engine.models.base import LLAMA_CPP, ChatModel, ModelInfo
from jetbox.engine.options import ContextOptions

SMALL_WINDOW = 16_000
"""Tokens; below this an agent forgets its goal, and the user is told."""
LARGER = {"vllm": "--max-model-len", "sglang": "--context-length", LLAMA_CPP: "--ctx-size"}
"""What servers are started with for a larger window, by whom they name as the owner of their models."""
DEFAULT = 16_384
"""Tokens where nothing else is known: enough for an agent, and little memory on most models."""
LADDER = (8_192, 16_384, 32_768, 65_536, 131_072)
GIB = 1024**3
SPARE = int(1.5 * GIB)
"""Bytes that a server needs beside weights and window."""
ASK_S = 0.5
"""A server that takes longer to say what it holds is loading; its word is not waited for."""
VARIABLE = "OLLAMA_CONTEXT_LENGTH"
SMALLER = f"choose a smaller model; --num-ctx {LADDER[0]} needs a little less and leaves an agent little room"
"""What helps where the memory does not do."""
NO_ROOM = "choose a smaller model, which leaves the memory more room for a window"
"""What helps where the memory does for a small window alone."""


class Window(msgspec.Struct, frozen=True):
    """The window of a session."""

    tokens: int
    why: str
    """In words for people."""
    spills: str = ""
    """What it means that the memory does not do for model and window; empty where it does, or nobody knows."""
    cure: str = ""
    """What helps where that is too small an answer; empty where a larger one may be asked for."""
    lowered: str = ""
    """That it is less than somebody has written down; empty where it is not."""


async def choose_window(
    model: ChatModel, info: ModelInfo, options: ContextOptions, environ: Mapping[str, str], *, least: int = 0
) -> Window:
    """The window for this model on its server.

    `least`: tokens that it has to have room for; one that is smaller is not taken over from another client.

    Raises:
        ModelError: the server went away while it was asked.
    """
    asked = _asked_for(info, options, environ)
    if asked is not None:
        window = within(asked, info.max_ctx)
        if window is asked:
            return window
        most = f"{window.tokens:,} are {info.name}'s most and will be used"
        said = f"a window of {asked.tokens:,} tokens asked for ({asked.why}), {most}"
        return msgspec.structs.replace(window, lowered=said)
    if not model.manages or info.remote:
        if info.max_ctx:
            return Window(info.max_ctx, "what the model has where it runs" if info.remote else "what the server has")
        return Window(DEFAULT, "the server does not say how large it is; this is the default")
    return within(await _found(model, info, options, least), info.max_ctx)


def _asked_for(info: ModelInfo, options: ContextOptions, environ: Mapping[str, str]) -> Window | None:
    """What somebody has written down, in the order that Ollama goes by."""
    if options.num_ctx:
        return Window(options.num_ctx, "as it is set")
    if info.own_ctx:
        return Window(info.own_ctx, "as the model's own file asks for")
    text = environ.get(VARIABLE, "").strip()
    if text.isdigit() and int(text):
        return Window(int(text), f"as {VARIABLE} says")
    return None


def within(window: Window, most: int) -> Window:
    """The window, lowered to the model's maximum where that is known."""
    if not most or window.tokens <= most:
        return window
    return Window(most, f"the model's most; {window.tokens:,} were wanted, {window.why}", window.spills)


async def _found(model: ChatModel, info: ModelInfo, options: ContextOptions, least: int) -> Window:
    """What the server holds the model with, or what its memory has room for."""
    from jetbox.engine.models.memory import model_memory

    try:
        async with asyncio.timeout(ASK_S):
            running = await model.running()
    except (TimeoutError, ModelError):
        running = []
    held = next((m for m in running if m.serves(info.name) and m.window), None)
    least = max(SMALL_WINDOW, least)
    if held is not None and held.window >= min(least, info.max_ctx or least):
        return Window(held.window, "the server has the model loaded with it")
    enough = "an agent" if least == SMALL_WINDOW else "what was said"
    again = f"; another client had it loaded with {held.window:,}, too few for {enough}" if held is not None else ""
    memory = await model_memory(model.host, options.gpu_gib)
    if memory is None:
        return _default(least, f"how much memory the server has is not known{again}")
    free = memory.free + (0 if memory.whole else sum(m.size_vram for m in running))
    return await _fitting(model, info, free, least, again)


def _default(least: int, why: str) -> Window:
    """Where nobody knows what there is room for: the default, or the rung that has room for what was said."""
    if least <= DEFAULT:
        return Window(DEFAULT, f"the default: {why}")
    return Window(next((rung for rung in LADDER if rung >= least), least), f"what was said needs it; {why}")


async def _fitting(model: ChatModel, info: ModelInfo, free: int, least: int, again: str) -> Window:
    """The largest rung for which weights and window fit into `free` bytes."""
    if not info.kv_bytes:
        info = msgspec.structs.replace(info, kv_bytes=(await model.info(info.name)).kv_bytes)
    if not info.size:
        listed = next((m for m in await model.installed() if m.name == info.name), info)
        info = msgspec.structs.replace(info, size=listed.size)
    if not (info.size and info.kv_bytes):
        return _default(least, f"how much memory the model needs is not told{again}")
    memory = f"{free / GIB:.1f} GiB of memory for models"
    fits = [rung for rung in LADDER if info.size + rung * info.kv_bytes + SPARE < free]
    # Where none does, the smallest would save little and leave an agent no room.
    tokens = fits[-1] if fits else min(DEFAULT, info.max_ctx or DEFAULT)
    need = info.size + tokens * info.kv_bytes + SPARE
    if need >= free:
        spills = (
            f"{info.name} with a window of {tokens:,} tokens needs about {need / GIB:.1f} GiB, and there are {memory}: "
            "the CPU will work on a part of it, which makes every answer slow, or it does not load"
        )
        return Window(tokens, f"the default: the model does not fit into {memory}{again}", spills)
    if info.max_ctx and tokens >= info.max_ctx:
        return Window(info.max_ctx, f"the model's most, and there are {memory}{again}")
    return Window(tokens, f"the most that fits into {memory}{again}", cure=NO_ROOM)


def larger_elsewhere(model: ChatModel, info: ModelInfo, num_ctx: int) -> str:
    """What to do for a larger window than these tokens where the server was started with it; empty where it can be
    asked for."""
    if model.manages or not info.max_ctx or num_ctx < info.max_ctx:
        return ""
    return f"start the server with a larger {LARGER.get(model.owner, 'window')}"


def wider(model: ChatModel, info: ModelInfo, num_ctx: int) -> str:
    """What to do for a larger window than these tokens."""
    most = ANOTHER if info.max_ctx and num_ctx >= info.max_ctx else RAISE
    return larger_elsewhere(model, info, num_ctx) or most


def too_small(model: ChatModel, info: ModelInfo, window: Window) -> tuple[str, str]:
    """What a window below 16k means for an agent, and what helps; both empty for a larger one."""
    if window.tokens >= SMALL_WINDOW:
        return "", ""
    said = f"{window.tokens:,} tokens" + (f" ({window.why})" if window.why else "")
    how = wider(model, info, window.tokens)
    return (
        f"the window is {said}; below 16k an agent soon has no room left for the files that it reads",
        window.cure or (how if how == ANOTHER else f"{how}, or {ANOTHER}"),
    )


def fitting_one(window: Window) -> str:
    """What to do about one that was lowered."""
    return f"--num-ctx {window.tokens}, or context.num_ctx, asks for no more than that"


def rung_below(window: int) -> int:
    """The next smaller window of the ladder; 0 where there is none."""
    return max((rung for rung in LADDER if rung < window), default=0)
