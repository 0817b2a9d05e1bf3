"""The adapter to servers that speak OpenAI's chat protocol: vLLM, SGLang, llama.cpp, LM Studio, Ray Serve.

They differ in names and in what they count; all of it is read where it is there and missed in
silence where it is not. A call's arguments come in pieces: a call is handed on when it is whole,
and told of as soon as its arguments are, one by one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from jetbox.engine.context.wire import OpenAIWire, Wishes
from jetbox.engine.errors import BadAnswer, CountsRefused, ForeignServer, ModelError, ModelNotFound, ModelUnfit
from jetbox.engine.errors import ServerUnreachable as Unreachable
from jetbox.engine.models.address import authorization, bare
from jetbox.engine.models.base import (
    CACHED,
    LLAMA_CPP,
    Call,
    CallFunction,
    Chunk,
    Coming,
    Exchange,
    LoadedModel,
    ModelInfo,
    PullStep,
    Reading,
)
from jetbox.engine.models.http import ASK_S, client_for, never_began, refused
from jetbox.engine.models.lean import import_httpx
from jetbox.engine.models.members import Members
from jetbox.engine.models.mendlines import EventLines, decoded
from jetbox.engine.models.openai_lines import CallPiece, Delta, Function, Line, decode_line
from jetbox.engine.models.openai_lists import Models, Props, capabilities, described

if TYPE_CHECKING:
    import httpx


CHAT = "/v1/chat/completions"
ABORTED = "see the server's log; go on with --continue"
ABORT = "abort"
"""The reason for an end that is none: vLLM and SGLang gave the request up."""
LONGEST_EVENT = 4 * 1024**2
"""Bytes; whoever sends more without an event that can be read is no server of this protocol."""


class OpenAIModel:
    """A `ChatModel` over `/v1/chat/completions`."""

    def __init__(self, host: str, key: str = "") -> None:
        """`host` is a URL with or without `/v1`; `key` is sent as a bearer token."""
        self.host = bare(host).rstrip("/").removesuffix("/v1")
        self._authorization = authorization(host, key)
        self.product = "a server with OpenAI's protocol"
        self.exchange = Exchange()
        self.manages = False
        self.key = key
        self.owner = ""
        """Whom it names as the owner of its models, which tells servers apart."""
        self._wishes = Wishes()
        self._spoke = False
        """True once it was heard to speak OpenAI's protocol."""
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
                await response.aread()
                raise self._refusal(response, CHAT)
            yield self._chunks(response)
        finally:
            await response.aclose()

    async def _chunks(self, response: httpx.Response) -> AsyncIterator[Chunk]:
        httpx = import_httpx()
        stream = _Stream()
        lines = EventLines(whole=response.headers.get("content-type", "").startswith("application/json"))
        try:
            async for data in response.aiter_raw():
                self.exchange.received += len(data)
                for line in lines.feed(data):
                    for chunk in stream.feed(line):
                        yield chunk
        except httpx.HTTPError as error:
            if not stream.said_why:
                raise self._broke_off(type(error).__name__) from error
        for chunk in (*stream.feed(lines.rest()), *stream.end()):
            yield chunk

    def full_name(self, name: str) -> str:
        """The same: such a server takes no other."""
        return name

    async def info(self, name: str) -> ModelInfo:
        """What `/v1/models` lists of the model.

        Raises:
            ServerUnreachable, ModelNotFound
        """
        for model in await self.installed():
            if model.name == name:
                return model
        raise ModelNotFound(f"the server does not serve {name}", "see what it serves with `jetbox-tui models list`")

    async def installed(self) -> list[ModelInfo]:
        """What `/v1/models` lists; what a model can do is told by llama.cpp's server alone, at `/props`."""
        try:
            listed = msgspec.json.decode(await self._ask("/v1/models"), type=Models)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ForeignServer(
                f"what answers at {self.host} does not speak OpenAI's protocol", "check --host; does it end with /v1?"
            ) from error
        self._spoke = True
        self.owner = next((model.owned_by for model in listed.data if model.owned_by), "")
        infos = [described(model) for model in listed.data]
        if any(model.owned_by == LLAMA_CPP for model in listed.data):
            self._wishes.progress, self.product = True, "llama.cpp's server"
            if len(infos) == 1:  # of one among several it says nothing
                infos = [msgspec.structs.replace(infos[0], capabilities=capabilities(await self._props()))]
        return infos

    async def _props(self) -> Props:
        try:
            return msgspec.json.decode(await self._ask("/props"), type=Props)
        except (ModelError, msgspec.DecodeError, UnicodeDecodeError):
            return Props()

    async def version(self) -> str:
        """What llama.cpp says at `/props`, vLLM and SGLang at `/version`; empty elsewhere."""
        if self.owner == LLAMA_CPP:
            return (await self._props()).build_info
        try:
            return str(msgspec.json.decode(await self._ask("/version")).get("version", ""))
        except (ModelNotFound, BadAnswer, msgspec.DecodeError, AttributeError):
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
            raise self._refusal(response, path)
        content: bytes = response.content
        return content

    def _unreached(self, error: Exception) -> ModelError:
        from jetbox.engine.models.unreached import unreached

        nobody = Unreachable(f"no server answers at {self.host}", "start it, or name another with --host")
        return unreached(error, self.host, nobody)

    def _broke_off(self, how: str) -> BadAnswer:
        return BadAnswer(f"the server at {self.host} broke off ({how})", ABORTED)

    def _refusal(self, response: httpx.Response, path: str) -> ModelError:
        from jetbox.engine.models.refusals import by_openai, refusal

        said = refused(response.status_code, response.content, path, response.headers.raw)
        error = refusal(self.host, said, by_openai, known=self._spoke)
        self._wishes.counts = self._wishes.counts and not isinstance(error, CountsRefused)
        return error

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


class _Stream:
    """Server-sent events of one answer, into chunks."""

    def __init__(self) -> None:
        self._calls: dict[int, tuple[str, str, list[str]]] = {}
        """Id, name and pieces of arguments of the calls that are not whole yet, by their index."""
        self._next = 0
        """An index that no call of the answer has had."""
        self._members: dict[int, Members] = {}
        """What of their arguments is whole."""
        self._begun: list[bytes] = []
        """The lines of an event of which the first is not the whole."""
        self._size = 0
        """Bytes of them."""
        self._reason = ""
        self._metrics: dict[str, int] = {}
        self.finished = False

    @property
    def said_why(self) -> bool:
        """Why the answer ends has been said: it is whole, whatever follows."""
        return bool(self._reason)

    def feed(self, line: bytes) -> list[Chunk]:
        """Take one line; an empty one ends an event, comments and other fields than `data` say nothing.

        Raises:
            BadAnswer: an event cannot be read, or is an error.
        """
        if self.finished:
            return []
        if not line:
            return self._joined()
        if line.startswith(b"<") and not self._reason:
            raise _garbage(line)  # which fields of events are passed over, a page is not
        data = line[5:].strip() if line.startswith(b"data:") else b""
        if data == b"[DONE]":
            return self.end()
        if not data:
            return []
        read = _event(data) if not self._begun else None
        if read is not None:
            return self._told(read)
        self._begun.append(data)
        self._size += len(data)
        if self._size > LONGEST_EVENT:
            raise _garbage(self._begun[0])
        return []

    def _joined(self, *, cut: bool = False) -> list[Chunk]:
        """What an event in several lines says, now that it has ended; one that was `cut` may say nothing."""
        begun, self._begun, self._size = b"".join(self._begun), [], 0
        read = _event(begun) if begun else None
        if read is not None:
            return self._told(read)
        if begun and not cut:
            raise _garbage(begun)
        return []

    def _told(self, read: Line) -> list[Chunk]:
        if read.error is not None:
            from jetbox.engine.models.refusals import reported_by_openai

            raise reported_by_openai(read.error)
        self._count(read)
        chunks: list[Chunk] = []
        if told := read.prompt_progress:
            spent = int(told.time_ms * 1e6)
            chunks.append(Chunk(reading=Reading(told.total, told.processed, told.cache, spent)))
        for choice in read.choices or ():
            delta = choice.delta or choice.message
            if delta is not None:
                chunks += self._delta(delta)
            if choice.logprobs is not None and choice.logprobs.content:
                chunks.append(Chunk(logprobs=tuple(each.logprob for each in choice.logprobs.content)))
            if choice.finish_reason == ABORT:
                raise BadAnswer("the server broke the answer off (abort)", ABORTED)
            if choice.finish_reason:
                self._reason = choice.finish_reason
                chunks += self._whole(None)
        return chunks

    def end(self) -> list[Chunk]:
        """The last chunk, once.

        Raises:
            BadAnswer: the answer stopped before its end.
        """
        if self.finished:
            return []
        last = self._joined(cut=True)
        if not self._reason:
            raise BadAnswer("the answer ended before it was complete", "try again; see the server's log")
        self.finished = True
        reason = {"tool_calls": "stop", "function_call": "stop"}.get(self._reason, self._reason)
        return [*last, Chunk(done=True, done_reason=reason, metrics=self._metrics)]

    def _delta(self, delta: Delta) -> list[Chunk]:
        chunks = []
        thinking = delta.reasoning or delta.reasoning_content or ""
        text = (delta.content or "") + (delta.refusal or "")
        if thinking or text:
            chunks.append(Chunk(text=text, thinking=thinking))
        for piece in delta.tool_calls or ():
            chunks += self._piece(piece)
        return chunks

    def _piece(self, piece: CallPiece) -> list[Chunk]:
        function = piece.function or Function()
        index = piece.index
        if index is None:  # a server that does not number them sends each whole
            index = self._next
        self._next = max(self._next, index + 1)
        begun = self._whole(index) if index not in self._calls else []
        name, text, pieces = self._calls.get(index, ("", "", []))
        arguments = function.arguments
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        pieces.append(arguments or "")
        self._calls[index] = (name or piece.id or "", text or function.name or "", pieces)
        return [*begun, *self._coming(index)]

    def _coming(self, index: int) -> list[Chunk]:
        """What the latest piece adds to what can be known of the call."""
        _, function, pieces = self._calls[index]
        members = self._members.setdefault(index, Members())
        if not members.feed(pieces[-1]) or not function:
            return []
        return [Chunk(coming=Coming(function, dict(members.found)))]

    def _whole(self, before: int | None) -> list[Chunk]:
        """The calls before this index; all where there is none."""
        ready = [index for index in sorted(self._calls) if before is None or index < before]
        calls = []
        for index in ready:
            name, function, pieces = self._calls.pop(index)
            self._members.pop(index, None)
            raw = "".join(pieces).strip() or "{}"
            try:
                msgspec.json.decode(raw)
            except msgspec.DecodeError:
                # As text it stays readable in the journal, and the tool says what is wrong with it.
                raw = msgspec.json.encode(raw).decode()
            calls.append(Call(CallFunction(function, msgspec.Raw(raw.encode()), index), name))
        return [Chunk(calls=tuple(calls))] if calls else []

    def _count(self, line: Line) -> None:
        if line.usage is not None:
            self._metrics["prompt_eval_count"] = line.usage.prompt_tokens
            self._metrics["eval_count"] = line.usage.completion_tokens
            details = line.usage.prompt_tokens_details
            if details is not None and details.cached_tokens is not None:
                self._metrics[CACHED] = details.cached_tokens
        if line.timings is not None:
            timings = line.timings
            self._metrics |= {
                "prompt_eval_count": timings.prompt_n + timings.cache_n,
                CACHED: timings.cache_n,
                "prompt_eval_duration": int(timings.prompt_ms * 1e6),
                "eval_count": timings.predicted_n,
                "eval_duration": int(timings.predicted_ms * 1e6),
            }


def _event(data: bytes) -> Line | None:
    """What an event says; None where that is not the whole of it."""
    try:
        return decoded(decode_line, data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _garbage(data: bytes) -> BadAnswer:
    from jetbox.engine.models.refusals import garbage

    return garbage(data)
