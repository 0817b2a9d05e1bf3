"""Looks on at a session that another process writes: a `SessionSource` over a growing journal."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from jetbox.engine.clock import Clock, monotonic
from jetbox.engine.commands import AnyCommand
from jetbox.engine.errors import RecordingError
from jetbox.engine.events import SessionClosed, SessionOpened, Stamped
from jetbox.engine.session import Batch
from jetbox.record.blobs import BlobStore
from jetbox.record.decode import BAD_LINE, Deferred, decode, resolve
from jetbox.record.journal import BLOBS
from jetbox.record.lock import is_held
from jetbox.record.recording import damaged, journal_path, read_header

POLL_S = 0.05
"""How often the file's size is looked at while nothing comes."""
CHUNK_BYTES = 512 * 1024
"""Most that one drain reads."""
SILENT_POLLS = 10
"""After so many looks in vain it is asked whether the writer still lives."""


class Follower:
    """Reads a journal as it grows; `ready` is False once its writer is gone and all is read."""

    def __init__(self, path: Path, *, clock: Clock = monotonic) -> None:
        """Open the session's folder or its journal.

        Raises:
            RecordingError: there is none.
        """
        self.path = journal_path(path)
        self.header: SessionOpened | None = None
        """Known after the drain that read it."""
        self._blobs = BlobStore(self.path.parent / BLOBS)
        self._clock = clock
        self._read = 0
        """Bytes up to the end of the last whole line that was decoded."""
        self._lines = 0
        self._last_t = self._now = 0
        self._seen_at = clock()
        self._ended = False
        self._first = True
        self._writing = True
        self._closed = asyncio.Event()
        try:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise RecordingError(f"cannot read {self.path}: {error.strerror or error}") from error

    def now(self) -> int:
        """The session's time, ns: of the last event, and on from there while it is written."""
        if not self._ended and self._writing:
            # Lines arrive late by turns; the time that is shown never steps back for that.
            self._now = max(self._now, self._last_t + self._clock() - self._seen_at)
        return max(self._now, self._last_t)

    def drain(self) -> Batch:
        """What was written since the last drain, up to `CHUNK_BYTES`.

        Raises:
            RecordingError: the journal is damaged, or a blob is missing.
        """
        events: list[Stamped] = []
        data = b"" if self._closed.is_set() else self._next_lines()
        for line in data.split(b"\n")[:-1]:
            events += self._decode(line)
        self._read += len(data)
        if events:
            self._last_t = max(self._last_t, events[-1].t)
            self._seen_at = self._clock()
            self._ended = isinstance(events[-1].event, SessionClosed)
        batch = Batch(tuple(events), self._first)
        self._first = False
        return batch

    def _next_lines(self) -> bytes:
        """Whole lines that were not read yet."""
        size = CHUNK_BYTES
        while True:
            data = os.pread(self._fd, size, self._read)
            end = data.rfind(b"\n") + 1
            if end or len(data) < size:
                return data[:end]
            size *= 2  # a line longer than a chunk

    def _decode(self, line: bytes) -> list[Stamped]:
        self._lines += 1
        if self.header is None:
            self.header = read_header(line, self.path)
        try:
            items = decode(line)
        except BAD_LINE as error:
            raise damaged(self.path, self._lines, error) from error
        return [resolve(item, self._blobs.read) if isinstance(item, Deferred) else item for item in items]

    async def ready(self) -> bool:
        """Wait until a whole line came; False once the writer is gone, or after `close`."""
        silent = 0
        while not self._closed.is_set():
            if self._has_line():
                return True
            silent += 1
            if self._ended or silent % SILENT_POLLS == 0:
                # Asked before the last look, so that nothing written in between is missed.
                self._writing = is_held(self.path)
                if not self._writing:
                    return self._has_line()
            try:
                async with asyncio.timeout(POLL_S):
                    await self._closed.wait()
            except TimeoutError:
                continue
        return False

    def _has_line(self) -> bool:
        if os.fstat(self._fd).st_size <= self._read:
            return False
        return bool(self._next_lines())

    def submit(self, command: AnyCommand) -> None:
        """Whoever looks on takes no part."""

    def close(self) -> None:
        """Let `ready` end, and close the file; harmless when repeated."""
        if not self._closed.is_set():
            self._closed.set()
            os.close(self._fd)
            self._fd = -1
