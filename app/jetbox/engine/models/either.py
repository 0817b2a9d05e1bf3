"""The adapter for a server whose protocol is to be found out: Ollama's own, unless it has none of its endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from jetbox.engine.context.wire import Wire
from jetbox.engine.errors import (
    BadAnswer,
    ForeignServer,
    KeyWanted,
    ModelError,
    OtherProtocol,
    ServerBusy,
    ServerUnreachable,
)
from jetbox.engine.models.base import ChatModel, Chunk, Exchange, LoadedModel, ModelInfo, PullStep
from jetbox.engine.models.ollama import OllamaModel

T = TypeVar("T")


class EitherModel:
    """A `ChatModel` that goes over to OpenAI's protocol where the first question shows that to be the server's.

    That is found out once, by what is asked before a session's first request.
    """

    def __init__(self, host: str, key: Callable[[], Awaitable[str]]) -> None:
        """`key` finds the one that is configured for servers that want one."""
        self._model: ChatModel = self._take(OllamaModel(host))
        self._address = host
        """With the user in it."""
        self._find_key = key
        self._settled = False
        self.key = ""
        """What is sent along, where the protocol knows keys."""

    def _take(self, model: ChatModel) -> ChatModel:
        self.host, self.product, self.manages = model.host, model.product, model.manages
        return model

    @property
    def exchange(self) -> Exchange:
        """Of the newest chat request."""
        return self._model.exchange

    @property
    def owner(self) -> str:
        """Whom a server with OpenAI's protocol names as the owner of its models."""
        return self._model.owner

    def wire(self) -> Wire:
        """That of the protocol found."""
        return self._model.wire()

    def chat(self, body: bytes) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """Send the body as it is."""
        return self._model.chat(body)

    async def pull(self, name: str) -> AsyncIterator[PullStep]:
        """Let the server fetch a model; whatever key or protocol that takes is found out before."""
        if not self._settled:
            await self.installed()
        async for step in self._model.pull(name):
            yield step

    def full_name(self, name: str) -> str:
        """The name as the server lists it."""
        return self._model.full_name(name)

    async def info(self, name: str) -> ModelInfo:
        """What the server knows of the model."""
        return await self._ask(lambda model: model.info(name))

    async def installed(self) -> list[ModelInfo]:
        """What the server has."""
        return await self._ask(lambda model: model.installed())

    async def version(self) -> str:
        """The server's version; empty where it does not say."""
        return await self._ask(lambda model: model.version())

    async def running(self) -> list[LoadedModel]:
        """What the server holds in memory."""
        return await self._ask(lambda model: model.running())

    async def close(self) -> None:
        """Close all connections."""
        await self._model.close()

    async def _ask(self, question: Callable[[ChatModel], Awaitable[T]]) -> T:
        try:
            answer = await question(self._model)
        except (ForeignServer, KeyWanted) as error:
            if self._settled or not await self._go_over(error):
                raise
            return await question(self._model)
        self._settled = True
        return answer

    async def _opens(self, key: str) -> bool:
        """Whether the server speaks Ollama's protocol to whoever has the key; it is taken then."""
        other = OllamaModel(self._address, key)
        try:
            await other.installed()
        except ModelError:
            await other.close()
            return False
        await self._go_on_with(other, key)
        return True

    async def _go_on_with(self, other: ChatModel, key: str) -> None:
        await self._model.close()
        self._model, self.key = self._take(other), key

    async def _go_over(self, error: ModelError) -> bool:
        """Take OpenAI's protocol, where `/v1/models` is there; True too where that wants a key.

        Raises:
            OtherProtocol: it speaks neither; `error` is what was said to Ollama's.
            SettingsError: the configured key is not where it should be.
            ServerUnreachable, ServerBusy: which it is will be found out by a later question.
        """
        from jetbox.engine.models.openai_compat import OpenAIModel

        self._settled = True
        key = await self._find_key()
        if key and await self._opens(key):
            return True
        other = OpenAIModel(self._address, key)
        try:
            await other.installed()
        except KeyWanted:
            pass  # the question itself says so, with what to do about it
        except (ServerUnreachable, ServerBusy):
            self._settled = False
            await other.close()
            raise
        except ModelError as refused:
            await other.close()
            led_on = isinstance(refused, ForeignServer) and not isinstance(refused, OtherProtocol)
            if isinstance(error, OtherProtocol) and isinstance(refused, BadAnswer) and not led_on:
                self._settled = False
                raise _neither(self.host, error) from refused
            return False
        await self._go_on_with(other, key)
        return True


def _neither(host: str, error: OtherProtocol) -> OtherProtocol:
    _, found, status = error.message.partition(" (status ")
    return OtherProtocol(
        f"what answers at {host} is neither Ollama nor a server with OpenAI's protocol{found}{status}",
        "check address and port in --host and OLLAMA_HOST: Ollama listens on 11434, vLLM on 8000, llama.cpp on 8080; "
        "one below another path is named with that",
    )
