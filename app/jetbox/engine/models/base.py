"""The contract of a chat model: a request as bytes, an answer as chunks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

if TYPE_CHECKING:
    from jetbox.engine.context.wire import Wire


EVALUATED = "prompt_eval_uncached_count"
"""A figure of servers that count the part of a prompt that they evaluated, and not the whole: it stands instead."""
CACHED = "prompt_eval_cached_count"
"""How many tokens of a prompt a server had in its cache, where it counts that."""
LLAMA_CPP = "llamacpp"
"""What llama.cpp's server names as the owner of its models."""
OLLAMA = "library"
"""What Ollama does."""


class CallFunction(msgspec.Struct, frozen=True):
    """Name and arguments of a call; `arguments` are kept as the bytes that came."""

    name: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")
    index: int = 0


class Call(msgspec.Struct, frozen=True, omit_defaults=True):
    """A call as the server sends it; without an id, none is sent back."""

    function: CallFunction
    id: str = ""


class Coming(msgspec.Struct, frozen=True):
    """A call that is not whole yet."""

    name: str
    arguments: dict[str, str]
    """Those of its arguments that are, as far as they are texts."""


class Reading(msgspec.Struct, frozen=True):
    """How far the server has read a prompt; tokens."""

    total: int
    processed: int
    """Those from its cache are among them."""
    cached: int = 0
    spent_ns: int = 0
    """What the others took so far."""

    @property
    def whole_ns(self) -> int:
        """How long reading should take in all, at the rate so far; 0 where that is not known yet."""
        read = self.processed - self.cached
        return self.spent_ns * (self.total - self.cached) // read if read > 0 else 0


class Exchange(msgspec.Struct):
    """What one chat request took on the wire."""

    received: int = 0
    """Bytes of the answer, as far as they came."""
    connection: Literal["", "new", "kept"] = ""
    """Whether the connection had served others before; empty where that is not known."""


class Chunk(msgspec.Struct, frozen=True):
    """A piece of an answer."""

    text: str = ""
    thinking: str = ""
    calls: tuple[Call, ...] = ()
    coming: Coming | None = None
    """What is known of a call before it is whole; but for `piece` it stands alone in its chunk."""
    piece: int = 0
    """Characters of a call that is not whole yet; of such a chunk nothing else is to be heard."""
    reading: Reading | None = None
    """Nothing of the answer yet: how far the prompt is; it stands alone in its chunk."""
    done: bool = False
    done_reason: str = ""
    metrics: dict[str, int] = {}
    logprobs: tuple[float, ...] = ()
    """Of the tokens in it, where they were asked for and the server tells."""

    @property
    def says(self) -> bool:
        """Whether it brings the answer any further: a line may be empty but for its form."""
        return bool(self.text or self.thinking or self.calls or self.coming or self.piece or self.logprobs or self.done)


class ModelInfo(msgspec.Struct, frozen=True):
    """What the server says about a model."""

    name: str
    max_ctx: int = 0
    capabilities: tuple[str, ...] = ()
    size: int = 0
    digest: str = ""
    family: str = ""
    parameters: str = ""
    """Number of weights in words, such as `20.9B`."""
    quantisation: str = ""
    remote: str = ""
    """Where it really runs, unless on the server."""
    kv_bytes: int = 0
    """Memory that each token of the window takes; 0 where unknown."""
    own_ctx: int = 0
    """Tokens of the window that its own file asks for; 0 where it does not."""
    own_temperature: float | None = None
    """That its own file asks for; None where it does not."""
    levels: tuple[str, ...] = ()
    """Levels of thinking that it knows, as words; empty where the server does not say."""
    moves_tools: bool = False
    """Its template shows the tools with the newest message alone, and only where that is the user's."""


class LoadedModel(msgspec.Struct, frozen=True):
    """A model that the server holds in memory."""

    name: str
    size: int = 0
    """Bytes in all."""
    size_vram: int = 0
    """Bytes of them on the GPU."""
    window: int = 0
    """Tokens of the window that it really has."""
    expires_at: str = ""
    """RFC 3339; empty where it does not say."""
    digest: str = ""
    also: tuple[str, ...] = ()
    """Other names of the same weights: what is asked of one of them is answered without a load too."""

    def serves(self, name: str) -> bool:
        """Whether it is what answers under this name."""
        return name == self.name or name in self.also


class PullStep(msgspec.Struct, frozen=True):
    """A word about the progress of a download; sizes in bytes."""

    status: str = ""
    total: int = 0
    completed: int = 0


class ChatModel(Protocol):
    """A model behind a server."""

    host: str
    product: str
    """What the server is, for people."""
    manages: bool
    """True where models can be loaded, unloaded and pulled through the server."""

    @property
    def owner(self) -> str:
        """Whom the server names as the owner of its models, which tells servers apart; empty where it does not."""
        ...

    @property
    def exchange(self) -> Exchange:
        """Of the newest chat request."""
        ...

    def wire(self) -> Wire:
        """How messages and options are written for it; one for each session."""
        ...

    def full_name(self, name: str) -> str:
        """The model's name as the server lists it; a user may leave out parts of it."""
        ...

    async def info(self, name: str) -> ModelInfo:
        """What the server knows of the model, under its full name.

        Raises:
            ServerUnreachable, ModelNotFound
        """
        ...

    async def installed(self) -> list[ModelInfo]:
        """What the server has."""
        ...

    async def version(self) -> str:
        """The server's version; empty where it does not say."""
        ...

    async def running(self) -> list[LoadedModel]:
        """What the server holds in memory; nothing where it does not say. Held back while it loads a model."""
        ...

    def pull(self, name: str) -> AsyncIterator[PullStep]:
        """Let the server fetch a model.

        Raises:
            ServerUnreachable, ModelNotFound, BadAnswer, ModelUnfit: it cannot do that.
        """
        ...

    def chat(self, body: bytes) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """Send the body; leaving the context closes the stream for real.

        Raises:
            ModelError: one of its kinds, before or while chunks come.
        """
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...
