"""A transport for httpx: plain HTTP/1.1 over asyncio's streams, parsed by h11.

httpx's own transport brings a second asynchronous framework with it, which takes 55 ms to
import and a good part of each round's request. Servers of models are reached by plain HTTP on
this machine or the next, so that is what is done here; TLS and proxies are left to httpx.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, NamedTuple

import h11

from jetbox.engine.models.http import Fields
from jetbox.engine.models.lean import import_httpx

if TYPE_CHECKING:
    import httpx
else:
    httpx = import_httpx()

READ_BYTES = 16_384
"""Of an answer at once: what is read is also parsed and shown before anything else gets its turn."""
FIRST = 64
"""Bytes of an answer that are kept to tell what it is, where it is no HTTP."""
IDLE = 4
"""Most connections that are kept for the next request."""


class Limits(NamedTuple):
    """Seconds for each step; None for no limit."""

    connect: float | None
    write: float | None
    read: float | None


class NoHttp(httpx.RemoteProtocolError):
    """What came in an answer's place is no HTTP."""

    def __init__(self, message: str, first: bytes) -> None:
        """`first` is the beginning of what came."""
        super().__init__(message)
        self.first = first


class Silent(httpx.RemoteProtocolError):
    """The connection was closed before anything of an answer came."""

    def __init__(self) -> None:
        super().__init__("the server closed the connection before it answered")


class _Connection:
    """One connection to the server, used by one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)
        self.used = False
        """True once an answer came over it."""
        self.first = b""
        """The beginning of the newest answer."""

    @property
    def alive(self) -> bool:
        """False where the server has closed it, as far as is known."""
        return not (self._reader.at_eof() or self._writer.is_closing())

    async def send(self, head: h11.Request, body: bytes, seconds: float | None) -> None:
        data = [self._http.send(head)]
        if body:
            data.append(self._http.send(h11.Data(data=body)))
        data.append(self._http.send(h11.EndOfMessage()))
        self._writer.write(b"".join(part for part in data if part))
        if self._writer.transport.get_write_buffer_size():
            async with asyncio.timeout(seconds):
                await self._writer.drain()

    def ready(self) -> object:
        """The next part of the answer, as far as it has been read; None where that is not."""
        event = self._http.next_event()
        return None if event is h11.NEED_DATA else event

    async def event(self, seconds: float | None) -> object:
        """The next part of the answer."""
        while True:
            event = self.ready()
            if event is not None:
                return event
            # What is there already is returned without a pause; others must get their turn all the same.
            await asyncio.sleep(0)
            async with asyncio.timeout(seconds):
                data = await self._reader.read(READ_BYTES)
            if not self.used:
                self.used, self.first = bool(data), data[:FIRST]
            self._http.receive_data(data)

    def reusable(self) -> bool:
        """Make it ready for another request, where both sides are through with this one."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE or not self.alive:
            return False
        self._http.start_next_cycle()
        self.used = False
        return True

    def abort(self) -> None:
        """Close it at once: the server sees that nobody listens any more."""
        self._writer.transport.abort()


class Body(httpx.AsyncByteStream):
    """The body of an answer; closing it early closes the connection."""

    def __init__(
        self, transport: PlainTransport, connection: _Connection, seconds: float | None, *, fresh: bool
    ) -> None:
        self.connection: Literal["new", "kept"] = "new" if fresh else "kept"
        """Whether it had served other requests."""
        self._transport = transport
        self._connection: _Connection | None = connection
        self._seconds = seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        connection = self._connection
        if connection is None:
            return
        with _as_httpx():
            while True:
                event = await connection.event(self._seconds)
                if isinstance(event, h11.Data):
                    data = bytes(event.data)
                    while isinstance(event := connection.ready(), h11.Data):
                        data += event.data
                    yield data
                if isinstance(event, h11.EndOfMessage):
                    return
                if isinstance(event, h11.ConnectionClosed):
                    raise httpx.RemoteProtocolError("the server closed the connection in mid-answer")

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._transport.release(connection)


class PlainTransport(httpx.AsyncBaseTransport):
    """Keeps connections alive from request to request; belongs to one event loop."""

    def __init__(self) -> None:
        self._idle: list[_Connection] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request of httpx's and return when the head of its answer is there.

        Raises:
            httpx.TransportError: one of its kinds, as httpx's own transport raises them.
        """
        seconds = request.extensions.get("timeout", {})
        limits = Limits(seconds.get("connect"), seconds.get("write"), seconds.get("read"))
        url = request.url
        where = (url.raw_host.decode("ascii").strip("[]"), url.port or 80)
        head = h11.Request(method=request.method, target=url.raw_path, headers=request.headers.raw)
        answer, body = await self._exchange(where, head, await request.aread(), limits)
        return httpx.Response(
            status_code=answer.status_code,
            headers=list(answer.headers),
            stream=body,
            extensions={
                "http_version": b"HTTP/1.1",
                "reason_phrase": bytes(answer.reason),
                "connection": body.connection,
            },
        )

    async def chat(
        self, base: httpx.URL, body: bytes, connect_s: float, authorization: str = ""
    ) -> tuple[int, Body, Fields]:
        """Post a chat request, and return with the head of its answer: status, body and fields.

        Each round goes through here; making httpx's own request and answer for it takes as long as the rest.

        Raises:
            httpx.TransportError: one of its kinds, as httpx's own transport raises them.
        """
        where = (base.raw_host.decode("ascii").strip("[]"), base.port or 80)
        fields = [
            (b"Host", base.netloc),
            (b"Accept", b"application/x-ndjson"),
            (b"Accept-Encoding", b"identity"),
            (b"Content-Type", b"application/json"),
            (b"Content-Length", b"%d" % len(body)),
        ]
        if authorization:
            fields.append((b"Authorization", authorization.encode()))
        head = h11.Request(method="POST", target=base.raw_path.rstrip(b"/") + b"/api/chat", headers=fields)
        answer, stream = await self._exchange(where, head, body, Limits(connect_s, 30.0, None))
        return answer.status_code, stream, answer.headers

    async def _exchange(
        self, where: tuple[str, int], head: h11.Request, body: bytes, limits: Limits
    ) -> tuple[h11.Response, Body]:
        """Send a request to a host and port, and return when the head of its answer is there.

        Raises:
            httpx.TransportError: one of its kinds, as httpx's own transport raises them.
        """
        while True:
            connection = self._take()
            fresh = connection is None
            if connection is None:
                connection = await self._open(where, limits.connect)
            try:
                with _as_httpx():
                    await connection.send(head, body, limits.write)
                    answer = await self._head(connection, limits.read)
                return answer, Body(self, connection, limits.read, fresh=fresh)
            except httpx.TransportError as error:
                stale = not fresh and not connection.used
                connection.abort()
                if not stale:
                    raise _named(error, connection.first) from error
                # The server had closed an idle connection: the request never reached it.
            except BaseException:
                # Cancelled, or a fault of ours: raised again, but never with the connection left open.
                connection.abort()
                raise

    async def _head(self, connection: _Connection, seconds: float | None) -> h11.Response:
        while True:
            event = await connection.event(seconds)
            if isinstance(event, h11.Response):
                return event
            if isinstance(event, h11.ConnectionClosed):
                raise Silent

    def _take(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.alive:
                return connection
            connection.abort()
        return None

    async def _open(self, where: tuple[str, int], seconds: float | None) -> _Connection:
        try:
            async with asyncio.timeout(seconds):
                reader, writer = await asyncio.open_connection(*where)
        except TimeoutError as error:
            raise httpx.ConnectTimeout("no connection in time") from error
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error
        return _Connection(reader, writer)

    def release(self, connection: _Connection) -> None:
        """Keep a connection whose answer was read to its end; close any other."""
        if len(self._idle) < IDLE and connection.reusable():
            self._idle.append(connection)
        else:
            connection.abort()

    async def aclose(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            with suppress(OSError):
                connection.abort()


def _named(error: httpx.TransportError, first: bytes) -> httpx.TransportError:
    """The error, by what came before it."""
    if not isinstance(error, httpx.RemoteProtocolError) or first.startswith(b"HTTP/"):
        return error
    return NoHttp(str(error), first) if first else Silent()


class _as_httpx:
    """Turns what asyncio and h11 raise into httpx's errors."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, TimeoutError):
            raise httpx.ReadTimeout("nothing came in time") from error
        if isinstance(error, h11.RemoteProtocolError):
            raise httpx.RemoteProtocolError(str(error)) from error
        if isinstance(error, OSError):
            raise httpx.ReadError(str(error)) from error
