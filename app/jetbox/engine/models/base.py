"""The contract of a chat model: a request as bytes, an answer as chunks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from jetbox.engine.context.wire import Wire


class CallFunction(msgspec.Struct, frozen=True):
    """Name and arguments of a call; `arguments` are kept as the bytes that came."""

    name: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")
    index: int = 0


class Call(msgspec.Struct, frozen=True):
    """A call as the server sends it."""

    function: CallFunction
    id: str = ""


class Chunk(msgspec.Struct, frozen=True):
    """A piece of an answer."""

    text: str = ""
    thinking: str = ""
    calls: tuple[Call, ...] = ()
    done: bool = False
    done_reason: str = ""
    metrics: dict[str, int] = {}


class ModelInfo(msgspec.Struct, frozen=True):
    """What the server says about a model."""

    name: str
    max_ctx: int = 0
    capabilities: tuple[str, ...] = ()
    size: int = 0
    digest: str = ""


class ChatModel(Protocol):
    """A model behind a server."""

    host: str
    product: str
    """What the server is, for people."""

    def wire(self) -> Wire:
        """How messages and options are written for it; one for each session."""
        ...

    async def info(self, name: str) -> ModelInfo:
        """What the server knows of the model.

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

    def chat(self, body: bytes) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """Send the body; leaving the context closes the stream for real.

        Raises:
            ModelError: one of its kinds, before or while chunks come.
        """
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...
