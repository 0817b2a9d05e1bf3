"""Loads and unloads models, with the same options as every other request: others would load them again."""

from __future__ import annotations

from jetbox.engine.context.wire import Wanted
from jetbox.engine.errors import BadAnswer, ModelUnfit
from jetbox.engine.models.base import ChatModel, Chunk
from jetbox.engine.options import ModelOptions


async def warm(model: ChatModel, name: str, options: ModelOptions, num_ctx: int) -> Chunk:
    """Have the model loaded; what the server says of it.

    Raises:
        ModelError: it cannot be loaded, or the server manages no models.
    """
    _require(model, "load")
    head = _without_end(model, name, options)
    return await last(model, head + b"[" + model.wire().tail(Wanted(num_ctx, 1)))


async def unload(model: ChatModel, name: str, options: ModelOptions) -> Chunk:
    """Have the model taken out of memory.

    Raises:
        ModelError: the server does not know it, or manages no models.
    """
    import msgspec

    _require(model, "unload")
    brief = msgspec.structs.replace(options, keep_alive="0")
    return await last(model, _without_end(model, name, brief) + b"[]}")


def _without_end(model: ChatModel, name: str, options: ModelOptions) -> bytes:
    """A request up to its messages; a level of thinking has no part in loading."""
    import msgspec

    head = model.wire().head(name, msgspec.structs.replace(options, think=""))
    return msgspec.json.encode(head)[:-1] + b',"messages":'


async def last(model: ChatModel, body: bytes) -> Chunk:
    """Send a request and wait for the last chunk of its answer."""
    newest = Chunk()
    async with model.chat(body) as chunks:
        async for chunk in chunks:
            newest = chunk
    if not newest.done:
        raise BadAnswer("the answer ended without the server's word that it is done", "see the server's log")
    return newest


def _require(model: ChatModel, what: str) -> None:
    if not model.manages:
        raise ModelUnfit(
            f"{model.product} has its models loaded for as long as it runs: there is nothing to {what}",
            "Ollama's own protocol can do that; see model.protocol",
        )
