"""The adapter to Ollama: what a session asks is sent raw, over the transport of `transport.py` or httpx.

Ollama's own package drops what we live on (call ids, the cached-token count, `truncate`) and splits its stream at
U+0085, which a reply may hold; so it is not used: lines are split on b"\\n" here and decoded from bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from jetbox.engine.context.wire import OllamaWire
from jetbox.engine.errors import BadAnswer, ModelError, ModelNotFound, OtherProtocol, ServerUnreachable
from jetbox.engine.models.address import authorization, bare
from jetbox.engine.models.base import (
    CACHED,
    EVALUATED,
    Call,
    CallFunction,
    Chunk,
    Exchange,
    LoadedModel,
    ModelInfo,
    PullStep,
)
from jetbox.engine.models.entries import entry
from jetbox.engine.models.http import CONNECT_S, Fields, client_for, never_began, refused
from jetbox.engine.models.hushed import Hushed
from jetbox.engine.models.lean import import_httpx
from jetbox.engine.models.mendlines import REFUSED, UNREADABLE, Lines, decoded
from jetbox.engine.models.nested import unreadable
from jetbox.engine.models.ollama_lists import Ps, Pulled, Show, Tags, full_name, held, installed, shown
from jetbox.engine.models.weights import Weights

if TYPE_CHECKING:
    import httpx

    from jetbox.engine.models.transport import PlainTransport

CHAT = "/api/chat"
PULLED = "success"
"""The last word about a model that has been fetched."""
JSON = {"Content-Type": "application/json"}
COUNTS_CACHED = (0, 33, 3)
"""The version from which answers count what of a prompt was cached; a zero is absent there."""
UNCOUNTED = (0, 30, 0)
"""The version that counts the part of a prompt that it evaluated, and not the rest."""
NOTHING = msgspec.Raw(b"{}")
VERSION_S = 1.0
"""An answer waits so long at most for the version that tells what its figures mean."""


class _Function(msgspec.Struct):
    name: str
    arguments: msgspec.Raw = NOTHING
    index: int | None = None


class _Call(msgspec.Struct):
    function: _Function
    id: str | int | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None


class _Logprob(msgspec.Struct):
    logprob: float | None = None


class _Line(msgspec.Struct):
    message: _Message | None = None
    done: bool | None = False
    done_reason: str | None = ""
    error: str | dict[str, Any] | None = None
    logprobs: list[_Logprob] | None = None


class _Version(msgspec.Struct):
    version: str
    """Always there: an answer without it is another server's."""


T = TypeVar("T")

_decode_line = msgspec.json.Decoder(_Line).decode


class OllamaModel:
    """A `ChatModel` over Ollama's own protocol; one client for the life of the session."""

    def __init__(self, host: str, key: str = "") -> None:
        """`host` is a URL with its port, with or without `/api`; `key` is sent as a bearer token."""
        self.key = key
        self.host = bare(host).rstrip("/").removesuffix("/api")
        self._authorization, self._hushed = authorization(host, key), Hushed(host, key).hushed
        self.product, self.owner = "Ollama", ""
        self.exchange = Exchange()
        self.manages = True
        self._release: tuple[int, ...] | None = None
        """The server's version as numbers, empty where it does not say; None until it was asked."""
        self._spoke = False
        """True once it was heard to speak Ollama's protocol."""
        self._names: set[str] = set()
        """Of what it has, when it was asked last."""
        self._weights = Weights()
        self._client: httpx.AsyncClient | None = None
        self._plain: PlainTransport | None = None

    def wire(self) -> OllamaWire:
        """Ollama's own."""
        return OllamaWire()

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client, self._plain = client_for(self.host, self._authorization)
        return self._client

    @asynccontextmanager
    async def chat(self, body: bytes) -> AsyncIterator[AsyncIterator[Chunk]]:
        """Send the body as it is; leaving the context closes the stream for real.

        Raises:
            ServerUnreachable, ServerBusy, ModelNotFound, ModelUnfit, ContextOverflow, BadAnswer
        """
        status, stream, fields = await self._sent(body)
        try:
            if status >= 300:
                raise self._refusal(status, await self._whole(stream), CHAT, fields)
            yield self._chunks(stream)
        finally:
            await stream.aclose()

    async def _sent(self, body: bytes) -> tuple[int, httpx.AsyncByteStream, Fields]:
        """Send a chat request; the status, the raw body and the head's fields of its answer."""
        httpx = import_httpx()
        client = self._http()
        self.exchange = Exchange()
        try:
            if self._plain is not None:
                status, stream, fields = await self._plain.chat(client.base_url, body, CONNECT_S, self._authorization)
                self.exchange.connection = stream.connection
                return status, stream, fields
            request = client.build_request("POST", CHAT, content=body, headers=JSON)
            request.extensions["timeout"] = {"connect": CONNECT_S, "write": 30.0, "pool": 5.0, "read": None}
            response = await client.send(request, stream=True)
            assert isinstance(response.stream, httpx.AsyncByteStream)
            return response.status_code, response.stream, response.headers.raw
        except httpx.HTTPError as error:
            self._release = None  # it may come back as another
            raise (self._unreached(error) if never_began(error) else self._broke_off(error)) from error

    async def _whole(self, stream: httpx.AsyncByteStream) -> bytes:
        """The body of a refusal, as far as anybody would read it."""
        said = b""
        try:
            async for data in stream:
                said += data
                if len(said) > REFUSED:
                    break
            return said
        except import_httpx().HTTPError as error:
            raise self._broke_off(error) from error

    def _broke_off(self, error: Exception) -> ModelError:
        return BadAnswer(
            f"the server at {self.host} broke off before it answered ({type(error).__name__})",
            "see the server's log; the session can be continued with --continue",
        )

    async def _chunks(self, stream: httpx.AsyncByteStream) -> AsyncIterator[Chunk]:
        httpx = import_httpx()
        lines, exchange = Lines(), self.exchange
        done = False
        try:
            async for data in stream:
                exchange.received += len(data)
                if done:
                    continue  # to the end of the body: only then the connection can be used again
                for line in filter(bytes.strip, lines.feed(data)):
                    chunk = await self._counted(line)
                    yield chunk
                    if done := chunk.done:
                        break  # what follows the last word is nobody's
            if not done and (rest := lines.rest()).strip():
                chunk = await self._counted(rest)
                done = chunk.done
                yield chunk
        except ModelError as error:
            raise self._hushed(error) from error.__cause__
        except httpx.HTTPError as error:
            self._release = None
            if not done:
                raise BadAnswer(
                    "the server broke off in mid-answer",
                    "it may have been stopped or killed; the session can be continued with --continue",
                ) from error
        if not done:
            raise BadAnswer(
                "the answer ended without the server's word that it is done", "try again; see the server's log"
            )

    async def _counted(self, line: bytes) -> Chunk:
        """A line, with the zero that a server which counts cached tokens leaves out; an older one is taken as it is.

        Where a server counts what it evaluated alone, that count has another name: it is nobody's size of a prompt.
        """
        chunk = _chunk(line)
        metrics = chunk.metrics
        if not metrics.get("prompt_eval_count") or CACHED in metrics or b'"remote_host"' in line:
            return chunk
        if self._release is None:
            self._release = ()
            with suppress(ModelError, TimeoutError):
                async with asyncio.timeout(VERSION_S):
                    await self.version()
        if self._release == UNCOUNTED:
            metrics = {EVALUATED if name == "prompt_eval_count" else name: n for name, n in metrics.items()}
            return msgspec.structs.replace(chunk, metrics=metrics)
        return (
            msgspec.structs.replace(chunk, metrics=metrics | {CACHED: 0}) if self._release >= COUNTS_CACHED else chunk
        )

    def full_name(self, name: str) -> str:
        """With its tag, and in the case in which the server lists it, as far as that is known."""
        full = full_name(name)
        alike = (each for each in self._names if each.casefold() == full.casefold())
        return full if full in self._names else next(alike, full)

    async def info(self, name: str) -> ModelInfo:
        """What `/api/show` says of the model."""
        show = await self._show(name)
        if full_name(name) not in self._names:
            with suppress(ModelError):
                await self.installed()
        full = self.full_name(name)
        self._weights.told(full, show.modelfile or "")
        return shown(full, show)

    async def installed(self) -> list[ModelInfo]:
        """What `/api/tags` lists."""
        tags = self._decode(await self._ask("GET", "/api/tags"), Tags)
        models = installed(tags)
        self._names = {model.name for model in models}
        return models

    async def version(self) -> str:
        """What `/api/version` says."""
        version = self._decode(await self._ask("GET", "/api/version"), _Version).version
        self._release = tuple(int(part) for part in version.lstrip("v").split("-")[0].split(".") if part.isdigit())
        return version

    async def running(self) -> list[LoadedModel]:
        """What `/api/ps` lists. The server holds this back while it loads a model."""
        listed = held(self._decode(await self._ask("GET", "/api/ps"), Ps))
        return await self._weights.named(listed, self._modelfile)

    async def _modelfile(self, name: str) -> str:
        with suppress(ModelError):
            return (await self._show(name)).modelfile or ""
        return ""

    async def _show(self, name: str) -> Show:
        raw = await self._ask("POST", "/api/show", msgspec.json.encode({"model": name}))
        return entry(self._decode(raw, dict), Show) or Show()

    async def pull(self, name: str) -> AsyncIterator[PullStep]:
        """What `/api/pull` says while it works.

        Raises:
            ServerUnreachable, ModelNotFound, BadAnswer
        """
        httpx = import_httpx()
        body = msgspec.json.encode({"model": name, "stream": True})
        timeout = httpx.Timeout(None, connect=CONNECT_S, write=30.0, pool=5.0)
        try:
            async with self._http().stream("POST", "/api/pull", content=body, timeout=timeout) as response:
                if response.status_code >= 300:
                    body = await response.aread()
                    raise self._refusal(response.status_code, body, "/api/pull", response.headers.raw)
                lines, said = Lines(), PullStep()
                async for data in response.aiter_raw():
                    for line in filter(None, lines.feed(data)):
                        said = self._pulled(name, line)
                        yield said
                if (rest := lines.rest()).rstrip().endswith(b"}"):  # an error that was the last word has no end of line
                    said = self._pulled(name, rest)
                    yield said
                if said.status != PULLED:
                    raise _half_fetched(name)
        except httpx.HTTPError as error:
            raise (self._unreached(error) if never_began(error) else _half_fetched(name)) from error

    def _pulled(self, name: str, line: bytes) -> PullStep:
        said = self._decode(line, Pulled)
        if "does not exist" in (said.error or ""):
            nobody = ModelNotFound(f"nobody has a model {name}: {said.error}", "see https://ollama.com/library")
            raise self._hushed(nobody)
        if said.error:
            raise self._hushed(BadAnswer(f"the server could not fetch {name}: {said.error}", "see the server's log"))
        return PullStep(said.status or "", said.total or 0, said.completed or 0)

    async def _ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        httpx = import_httpx()
        try:
            response = await self._http().request(method, path, content=body)
        except httpx.HTTPError as error:
            raise self._unreached(error) from error
        if response.status_code >= 300:
            raise self._refusal(response.status_code, response.content, path, response.headers.raw)
        content: bytes = response.content
        return content

    def _decode(self, raw: bytes, kind: type[T]) -> T:
        try:
            if raw[:40].lstrip(b" \r\n{").startswith(b'"error"') and kind is not Pulled:
                raise self._refusal(404, b"", "")  # LM Studio says so with status 200
            said = msgspec.json.decode(raw, type=kind)
            self._spoke = True
            return said
        except UNREADABLE as error:
            raise OtherProtocol(
                f"what answers at {self.host} does not speak Ollama's protocol", "check --host and OLLAMA_HOST"
            ) from error

    def _unreached(self, error: Exception) -> ModelError:
        from jetbox.engine.models.unreached import unreached

        nobody = ServerUnreachable(
            f"no Ollama server answers at {self.host}",
            "start it with `ollama serve`, name another with --host, or try `jetbox-tui --demo`",
            away=True,
        )
        return self._hushed(unreached(error, self.host, nobody))

    def _refusal(self, status: int, raw: bytes, path: str, fields: Fields = ()) -> ModelError:
        from jetbox.engine.models.refusals import by_ollama, refusal

        return self._hushed(refusal(self.host, refused(status, raw, path, fields), by_ollama, known=self._spoke))

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = self._plain = None


def _half_fetched(name: str) -> BadAnswer:
    return BadAnswer(
        f"the server broke off while it fetched {name}",
        "see the server's log; fetched again, it goes on from what it has",
    )


def _chunk(raw: bytes) -> Chunk:
    try:
        line = decoded(_decode_line, raw)
        if line.message is not None and line.message.tool_calls:
            raw.decode()  # arguments are kept as they are, and so were not looked at
    except UNREADABLE as error:
        from jetbox.engine.models.refusals import garbage

        deep = isinstance(error, RecursionError) and b'"tool_calls"' in raw
        raise (unreadable() if deep else garbage(raw)) from error
    if line.error is not None:
        from jetbox.engine.models.refusals import reported

        raise reported(line.error if isinstance(line.error, str) else msgspec.json.encode(line.error).decode())
    message = line.message or _Message()
    return Chunk(
        text=message.content or "",
        thinking=message.thinking or "",
        calls=tuple(map(_call, message.tool_calls or ())),
        done=bool(line.done),
        done_reason=line.done_reason or "",
        metrics=_metrics(raw) if line.done else {},
        logprobs=tuple(each.logprob for each in line.logprobs or () if each.logprob is not None),
    )


def _call(call: _Call) -> Call:
    """A call as it came; `null` stands for what is not there."""
    function = call.function
    arguments = NOTHING if bytes(function.arguments) == b"null" else function.arguments
    return Call(CallFunction(function.name, arguments, function.index or 0), str(call.id or ""))


def _metrics(raw: bytes) -> dict[str, int]:
    """Every number of the last line: the server's figures, of whatever version; some write them with a fraction."""
    fields = decoded(msgspec.json.decode, raw)
    return {name: int(n) for name, n in fields.items() if isinstance(n, int | float) and not isinstance(n, bool)}
