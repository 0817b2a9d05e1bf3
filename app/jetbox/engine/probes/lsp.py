"""A small client of the Language Server Protocol over a confined process."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import msgspec

from jetbox.engine.safety.service import Service

MOST = 16 * 1024 * 1024
"""Bytes of a message above which the server is taken for broken."""

ERROR = 1
"""The type of a message that tells of an error."""


class ServerGone(Exception):
    """The server ended, or says what nobody can read."""


class _Message(msgspec.Struct):
    id: int | str | None = None
    method: str | None = None
    params: msgspec.Raw = msgspec.Raw(b"null")
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: Any = None


class _Shown(msgspec.Struct):
    type: int = 0
    message: str = ""


_decode = msgspec.json.Decoder(_Message).decode


class LspClient:
    """Requests and notifications; what the server asks of us is answered with nothing."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._number = 0
        self._waiting: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self.complaint = ""
        """The latest error that the server showed, which is about no request in particular."""
        self.words = ""
        """How it ended; empty while it runs."""
        self._reading = asyncio.create_task(self._read())

    @property
    def gone(self) -> bool:
        """True where no answer will come any more."""
        return self._reading.done()

    async def request(self, method: str, params: Any, seconds: float) -> msgspec.Raw:
        """The result as JSON.

        Raises:
            ServerGone: the server ended or reported an error.
            TimeoutError: it did not answer in time.
        """
        if self.gone:
            raise ServerGone(self.words)
        self._number += 1
        number = self._number
        future: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
            async with asyncio.timeout(seconds):
                await self._service.drain()
                return await future
        finally:
            self._waiting.pop(number, None)

    def notify(self, method: str, params: Any) -> None:
        """Tell it something that has no answer."""
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def _send(self, message: Any) -> None:
        data = msgspec.json.encode(message)
        self._service.write(b"Content-Length: %d\r\n\r\n%b" % (len(data), data))

    async def _read(self) -> None:
        words = "it has ended"
        try:
            while True:
                self._take(_decode(await self._frame()))
        except (asyncio.IncompleteReadError, ConnectionError):
            words = self._service.errors.strip()[-200:] or words
        except (ValueError, msgspec.MsgspecError, asyncio.LimitOverrunError) as error:
            words = f"it says what is no message: {error}"
        finally:
            self.words = words
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ServerGone(words))

    async def _frame(self) -> bytes:
        head = await self._service.reader.readuntil(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length" and 0 <= int(value) <= MOST:
                return await self._service.reader.readexactly(int(value))
        raise ValueError(f"no length in {head[:60]!r}")

    def _take(self, message: _Message) -> None:
        if message.method is not None:
            if message.method == "window/showMessage":
                shown = msgspec.json.decode(message.params, type=_Shown)
                if shown.type == ERROR:
                    self.complaint = shown.message
            if message.id is not None:
                self._send({"jsonrpc": "2.0", "id": message.id, "result": None})
            return
        future = self._waiting.get(message.id) if isinstance(message.id, int) else None
        if future is None or future.done():
            return
        if message.error is not None:
            future.set_exception(ServerGone(f"it reports an error: {message.error}"))
        else:
            future.set_result(message.result)

    async def close(self) -> None:
        """End the server."""
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading
        await self._service.close()
