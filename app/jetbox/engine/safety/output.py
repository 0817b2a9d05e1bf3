"""A command's output: what is kept of it for the model, and what is shown of it while it runs."""

from __future__ import annotations

import asyncio
from codecs import getincrementaldecoder
from collections.abc import Callable

_MARK_ROOM = 48
_FLUSH_S = 1 / 30
_FLUSH_BYTES = 8 * 1024
_SHOWN_BYTES = 256 * 1024


class KeptOutput:
    """Head and tail of a stream of bytes, within a limit; the memory used is bounded by it."""

    def __init__(self, limit: int) -> None:
        self.total = 0
        self._limit = max(limit, 2 * _MARK_ROOM)
        self._half = (self._limit - _MARK_ROOM) // 2
        self._head = bytearray()
        self._tail = bytearray()

    def feed(self, data: bytes) -> None:
        self.total += len(data)
        room = self._limit - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if data:
            self._tail += data[-self._half :]
            if len(self._tail) > 4 * self._half:
                del self._tail[: -self._half]

    def text(self) -> str:
        """All of it, or head and tail around a line that says how many bytes are left out."""
        if self.total <= self._limit:
            whole = self._head.decode("utf-8", "replace")
            if len(whole.encode()) <= self._limit:
                return whole
            return _joined(whole, whole, self._half, self.total)
        last = bytes((self._head + self._tail)[-self._half :])
        while last and last[0] & 0xC0 == 0x80:
            last = last[1:]
        head = _whole_characters(bytes(self._head[: self._half]))
        return _joined(head, last.decode("utf-8", "replace"), self._half, self.total)


def _whole_characters(data: bytes) -> str:
    """The text without a character that is cut at its end."""
    return getincrementaldecoder("utf-8")("replace").decode(data)


def _joined(head: str, tail: str, half: int, total: int) -> str:
    """Both ends around the mark, at line ends where that costs little.

    What cannot be decoded grows when it is replaced, so the limit is kept on the text as well.
    """
    head = head.encode()[:half].decode("utf-8", "ignore")
    tail = tail.encode()[-half:].decode("utf-8", "ignore")
    if (end := head.rfind("\n") + 1) * 2 > len(head):
        head = head[:end]
    if 0 < (start := tail.find("\n") + 1) * 2 < len(tail):
        tail = tail[start:]
    left_out = max(total - len(head.encode()) - len(tail.encode()), 0)
    gap = "" if not head or head.endswith("\n") else "\n"
    return f"{head}{gap}[... {left_out} bytes left out ...]\n{tail}"


class LiveOutput:
    """Hands decoded pieces on: about 30 calls a second, and bounded in volume."""

    def __init__(self, show: Callable[[str], None], failed: Callable[[Exception], None]) -> None:
        self._show = show
        self._failed = failed
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._waiting = bytearray()
        self._skipped = 0
        self._shown = 0
        self._next = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def feed(self, data: bytes) -> None:
        if self._shown >= _SHOWN_BYTES:
            return
        self._waiting += data
        if len(self._waiting) > 2 * _FLUSH_BYTES:
            self._skip(len(self._waiting) - _FLUSH_BYTES)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            if loop.time() >= self._next:
                self._flush()
            else:
                self._timer = loop.call_at(self._next, self._flush)

    def finish(self) -> None:
        """Hand on what is held back; nothing comes after it."""
        if self._timer is not None:
            self._timer.cancel()
        if self._shown < _SHOWN_BYTES:
            self._flush(final=True)

    def _skip(self, count: int) -> None:
        del self._waiting[:count]
        self._skipped += count
        self._decoder.reset()

    def _flush(self, *, final: bool = False) -> None:
        self._timer = None
        self._next = asyncio.get_running_loop().time() + _FLUSH_S
        if len(self._waiting) > _FLUSH_BYTES:
            self._skip(len(self._waiting) - _FLUSH_BYTES)
        text = self._decoder.decode(bytes(self._waiting), final)
        if self._skipped:
            text = f"\n[... {self._skipped} bytes not shown ...]\n{text}"
        self._shown += len(self._waiting)
        self._waiting.clear()
        self._skipped = 0
        if self._shown >= _SHOWN_BYTES:
            text += "\n[... more output is not shown ...]\n"
        if text:
            try:
                self._show(text)
            except Exception as error:
                # The pipe must still be emptied, or the command would hang.
                self._shown = _SHOWN_BYTES
                self._failed(error)
