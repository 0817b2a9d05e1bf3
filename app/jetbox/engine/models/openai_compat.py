"""The adapter to servers that speak OpenAI's chat protocol: vLLM, SGLang, llama.cpp, LM Studio, Ray Serve.

They differ in names and in what they count; all of it is read where it is there and missed in
silence where it is not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from jetbox.engine.context.wire import OpenAIWire, Wishes
from jetbox.engine.errors import (
    BadAnswer,
    CountsRefused,
    KeyWanted,
    ModelError,
    ModelNotFound,
    ModelUnfit,
    OtherProtocol,
    StillLoading,
)
from jetbox.engine.errors import ServerUnreachable as Unreachable
from jetbox.engine.models.address import authorization, bare
from jetbox.engine.models.base import LLAMA_CPP, Chunk, Exchange, LoadedModel, ModelInfo, PullStep
from jetbox.engine.models.http import ASK_S, client_for, never_began, refused
from jetbox.engine.models.hushed import Hushed
from jetbox.engine.models.keys import Unset
from jetbox.engine.models.lean import import_httpx
from jetbox.engine.models.mendlines import REFUSED, UNREADABLE, EventLines
from jetbox.engine.models.openai_lists import Models, Props, capabilities, described, models_of
from jetbox.engine.models.openai_stream import ABORTED, Stream

if TYPE_CHECKING:
    import httpx


CHAT = "/v1/chat/completions"
PRODUCTS = {LLAMA_CPP: "llama.cpp's server", "vllm": "vLLM", "sglang": "SGLang"}
"""Servers, by whom they name as the owner of their models."""


class OpenAIModel:
    """A `ChatModel` over `/v1/chat/completions`."""

    def __init__(self, host: str, key: str = "") -> None:
        """`host` is a URL with or without `/v1`; `key` is sent as a bearer token."""
        self.host = bare(host).rstrip("/").removesuffix("/v1")
        self._authorization, self._hushed = authorization(host, key), Hushed(host, key).hushed
        self.product = "a server with OpenAI's protocol"
        self.exchange = Exchange()
        self.manages = False
        self.key = key
        self.owner = ""
        """Whom it names as the owner of its models, which tells servers apart."""
        self._wishes = Wishes()
        self._spoke = False
        """True once it was heard to speak OpenAI's protocol."""
        self._names: set[str] = set()
        self._client: httpx.AsyncClient | None = None

    def wire(self) -> OpenAIWire:
        """OpenAI's, with llama.cpp's own wish where what was listed shows that it is that server.

        No wish is written any more that the server refused.
        """
        return OpenAIWire(self._wishes)

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client, _ = client_for(self.host, self._authorization)
        return self._client

    @asynccontextmanager
    async def chat(self, body: bytes) -> AsyncIterator[AsyncIterator[Chunk]]:
        """Send the body as it is; leaving the context closes the stream for real.

        Raises:
            ServerUnreachable, ServerBusy, ModelNotFound, ModelUnfit, ContextOverflow, BadAnswer
        """
        httpx = import_httpx()
        client = self._http()
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        request = client.build_request("POST", CHAT, content=body, headers=headers)
        request.extensions["timeout"] = {"connect": 3.0, "write": 30.0, "pool": 5.0, "read": None}
        self.exchange = Exchange()
        try:
            response = await client.send(request, stream=True)
        except httpx.HTTPError as error:
            broken = self._broke_off(type(error).__name__)
            raise (self._unreached(error) if never_began(error) else broken) from error
        self.exchange.connection = response.extensions.get("connection", "")
        try:
            if response.status_code >= 300:
                raise self._refusal(response, await self._refused(response), CHAT)
            yield self._chunks(response)
        finally:
            await response.aclose()

    async def _chunks(self, response: httpx.Response) -> AsyncIterator[Chunk]:
        httpx = import_httpx()
        stream = Stream()
        lines = EventLines(whole=response.headers.get("content-type", "").lower().startswith("application/json"))
        try:
            async for data in response.aiter_raw():
                self.exchange.received += len(data)
                for line in lines.feed(data):
                    for chunk in stream.feed(line):
                        yield chunk
        except ModelError as error:
            raise self._hushed(error) from error.__cause__
        except httpx.HTTPError as error:
            if not stream.said_why:
                raise self._broke_off(type(error).__name__) from error
        try:
            last = (*stream.feed(lines.rest()), *stream.end())
        except ModelError as error:
            raise self._hushed(error) from error.__cause__
        for chunk in last:
            yield chunk

    def full_name(self, name: str) -> str:
        """The same; Ollama takes one without its tag over this protocol too."""
        full = f"{name}:latest"
        return full if full in self._names and name not in self._names else name

    async def info(self, name: str) -> ModelInfo:
        """What `/v1/models` lists of the model.

        Raises:
            ServerUnreachable, ModelNotFound
            StillLoading: the server has listened before it knows its model, and says less of it than it will.
        """
        listed = await self._listed(whole=True)
        name = self.full_name(name)
        for model in listed:
            if model.name == name:
                return model
        raise ModelNotFound(f"the server does not serve {name}", "see what it serves with `jetbox-tui models list`")

    async def installed(self) -> list[ModelInfo]:
        """What `/v1/models` lists; what a model can do is told by llama.cpp's server alone, at `/props`."""
        return await self._listed()

    async def _listed(self, *, whole: bool = False) -> list[ModelInfo]:
        """The list; one that is to be `whole` waits until the server has loaded its model.

        Raises:
            StillLoading
        """
        try:
            listed = msgspec.json.decode(await self._ask("/v1/models"), type=Models)
        except UNREADABLE as error:
            raise OtherProtocol(
                f"what answers at {self.host} does not speak OpenAI's protocol", "check --host; does it end with /v1?"
            ) from error
        self._spoke, models = True, models_of(listed)
        self.owner = next((model.owned_by for model in models if model.owned_by), "")
        infos = [described(model) for model in models]
        self._names = {info.name for info in infos}
        self.product = PRODUCTS.get(self.owner, self.product)
        if any(model.owned_by == LLAMA_CPP for model in models):
            self._wishes.progress = True
            if len(infos) == 1:  # of one among several it says nothing
                try:
                    props = await self._props()
                except StillLoading:
                    if whole:
                        raise
                    return infos
                if whole and models[0].meta is None:  # the model came between the two questions
                    return await self._listed()
                infos = [msgspec.structs.replace(infos[0], capabilities=capabilities(props))]
        return infos

    async def _props(self) -> Props:
        try:
            return msgspec.json.decode(await self._ask("/props"), type=Props)
        except StillLoading:
            raise
        except (ModelError, *UNREADABLE):
            return Props()

    async def version(self) -> str:
        """What llama.cpp says at `/props`, vLLM and SGLang at `/version`; empty elsewhere."""
        if self.owner == LLAMA_CPP:
            return (await self._props()).build_info
        try:
            return str(msgspec.json.decode(await self._ask("/version")).get("version") or "")
        except (ModelNotFound, BadAnswer, AttributeError, *UNREADABLE):
            return ""

    async def running(self) -> list[LoadedModel]:
        """Nothing: such a server does not tell what it holds."""
        return []

    async def pull(self, name: str) -> AsyncIterator[PullStep]:
        """Not to be had over this protocol.

        Raises:
            ModelUnfit
        """
        raise ModelUnfit(f"{self.product} serves what it was started with and fetches nothing", "see its manual")
        yield PullStep()

    async def _ask(self, path: str) -> bytes:
        httpx = import_httpx()
        try:
            response = await self._http().get(path, timeout=ASK_S)
        except httpx.HTTPError as error:
            raise self._unreached(error) from error
        if response.status_code >= 300:
            raise self._refusal(response, response.content, path)
        content: bytes = response.content
        return content

    def _unreached(self, error: Exception) -> ModelError:
        from jetbox.engine.models.unreached import unreached

        nobody = Unreachable(f"no server answers at {self.host}", "start it, or name another with --host", away=True)
        return self._hushed(unreached(error, self.host, nobody))

    def _broke_off(self, how: str) -> BadAnswer:
        return BadAnswer(f"the server at {self.host} broke off ({how})", ABORTED)

    async def _refused(self, response: httpx.Response) -> bytes:
        """The body of a refusal, as far as anybody would read it; what came of one that breaks off."""
        said = b""
        with suppress(import_httpx().HTTPError):
            async for data in response.aiter_bytes():
                said += data
                if len(said) > REFUSED:
                    break
        return said

    def _refusal(self, response: httpx.Response, body: bytes, path: str) -> ModelError:
        from jetbox.engine.models.refusals import by_openai, refusal

        said = refused(response.status_code, body, path, response.headers.raw)
        error = self._hushed(refusal(self.host, said, by_openai, known=self._spoke))
        self._wishes.counts = self._wishes.counts and not isinstance(error, CountsRefused)
        if self.key and isinstance(error, KeyWanted):
            words = f"the server at {self.host}/v1 does not take the key that it is sent ({said.status})"
            return KeyWanted(words, "see what model.api_key_env or model.api_key names")
        if isinstance(error, KeyWanted) and isinstance(self.key, Unset):
            return KeyWanted(
                error.message, f"put it into {self.key.variable}, which model.api_key_env names: it is not set"
            )
        return error

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None
