"""Writes a session's journal as it happens.

Events go to the file at once, deltas within `HOLD_S`, always in whole lines and in order.
The disk is waited for in a thread, when someone asks for it with `sync`.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import os
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from jetbox.engine.clock import monotonic
from jetbox.engine.errors import StorageError, WorkspaceBusy
from jetbox.engine.events import Delta, Stamped
from jetbox.record.blobs import BlobStore, MemoryBlobs
from jetbox.record.disk import DiskThread, private_folder, storage_error, sync_folder
from jetbox.record.lines import DELTA_TYPES, Group, encode
from jetbox.record.lock import take

JOURNAL = "journal.jsonl"
BLOBS = "blobs"

HOLD_S = 0.03
"""How long a delta may be held back."""
HOLD_EVENTS = 2_000
"""How many deltas may be held back."""

Tee = Callable[[bytes], None]
"""Receives every whole line, with its newline, once it is written."""


def _datasync(fd: int) -> None:
    """Content and size; macOS has the full sync alone."""
    getattr(os, "fdatasync", os.fsync)(fd)


class _Ticket:
    """A sync that was asked for; whoever comes before it starts is served by it."""

    __slots__ = ("future", "started")

    def __init__(self) -> None:
        self.started = False
        self.future: asyncio.Future[None] | None = None


class JournalWriter:
    """The `Recorder` that keeps a session in its folder, or only passes its lines on."""

    def __init__(self, folder: Path | None, fd: int, size: int, tee: Tee | None) -> None:
        """Use `create`, `append` or `memory`."""
        self.spent_ns = 0
        self.keeps = folder is not None
        self.folder = folder
        self.path = None if folder is None else folder / JOURNAL
        self._fd = fd
        self._size = size
        self._synced = -1
        self._tee = tee
        self._blobs: BlobStore | MemoryBlobs = MemoryBlobs() if folder is None else BlobStore(folder / BLOBS)
        self._put = None if folder is None else self._put_text
        self._fresh: deque[str] = deque()
        self._thread = DiskThread("jetbox-journal")
        self._ticket: _Ticket | None = None
        self._held: list[Group] = []
        self._held_events = 0
        self._timer: asyncio.TimerHandle | None = None
        self._failure: StorageError | None = None
        self._closed = False

    @classmethod
    def create(cls, folder: Path, *, tee: Tee | None = None) -> JournalWriter:
        """Begin a session in a folder of its own, made here.

        Raises:
            StorageError: the folder or the journal cannot be made, or a journal is there already.
        """
        private_folder(folder)
        fd = _open(folder / JOURNAL, os.O_CREAT | os.O_EXCL, "create")
        return cls(folder, fd, 0, tee)

    @classmethod
    def append(cls, folder: Path, *, tee: Tee | None = None) -> JournalWriter:
        """Go on with a session; a torn last line is cut off.

        Raises:
            StorageError: the journal cannot be written.
            WorkspaceBusy: another process writes this session.
        """
        path = folder / JOURNAL
        fd = _open(path, 0, "write")
        try:
            size = _mend_end(fd)
        except OSError as error:
            os.close(fd)
            raise storage_error("write", path, error) from error
        BlobStore(folder / BLOBS).sweep()
        return cls(folder, fd, size, tee)

    @classmethod
    def memory(cls, *, tee: Tee | None = None) -> JournalWriter:
        """Write no file: lines go to `tee` alone, and blobs are named but not kept."""
        return cls(None, -1, 0, tee)

    def record(self, stamped: Stamped) -> None:
        """Take an event: deltas are held back for up to `HOLD_S`, all else is written at once.

        Raises:
            StorageError: the journal cannot be written; raised again at each later call.
        """
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        event = stamped.event
        if isinstance(event, DELTA_TYPES):
            self._hold(stamped, event)
        else:
            self._write(self._take_held(), stamped)

    def flush(self) -> None:
        """Write what is held back.

        Raises:
            StorageError: the journal cannot be written.
        """
        if self._held:
            self._write(self._take_held(), None)

    def _hold(self, stamped: Stamped, event: Delta) -> None:
        if not self._held or not self._held[-1].add(stamped, event):
            group = Group(stamped, event)
            group.add(stamped, event)
            self._held.append(group)
        self._held_events += 1
        if self._timer is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:  # nobody would wake us
                self.flush()
                return
            self._timer = loop.call_later(HOLD_S, self._time_is_up)
        if self._held_events >= HOLD_EVENTS:
            self.flush()

    def _time_is_up(self) -> None:
        self._timer = None
        # The failure is kept, and raised to the next one who records or syncs.
        with suppress(StorageError):
            self.flush()

    def _take_held(self) -> list[Group]:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        held = self._held
        if held:
            self._held = []
            self._held_events = 0
        return held

    def _write(self, held: list[Group], stamped: Stamped | None) -> None:
        if self._fd < 0 and self._tee is None:
            return
        begun = monotonic()
        try:
            self._write_lines(held, stamped)
        finally:
            self.spent_ns += monotonic() - begun

    def _write_lines(self, held: list[Group], stamped: Stamped | None) -> None:
        lines = [encode(group.line(), self._put) for group in held]
        if stamped is not None:
            lines.append(encode(stamped, self._put))
        if self._fd >= 0:
            self._append(lines[0] if len(lines) == 1 else b"".join(lines))
        if self._tee is not None:
            for line in lines:
                self._tee(line)

    def _append(self, data: bytes) -> None:
        done = 0
        try:
            while done < len(data):
                done += os.write(self._fd, data[done:] if done else data)
        except OSError as error:
            whole = data.rfind(b"\n", 0, done) + 1
            # Where even this fails, the reader drops the torn line.
            with suppress(OSError):
                os.ftruncate(self._fd, self._size + whole)
            self._size += whole
            self._fail(storage_error("write", self.path or "", error))
        self._size += done

    def _fail(self, failure: StorageError) -> None:
        if self._failure is None:
            self._failure = failure
        raise self._failure

    def _put_text(self, data: bytes) -> str:
        """Store a long string of a line; it becomes durable with the line."""
        try:
            sha = self._blobs.write(data, durable=False)
        except StorageError as failure:
            self._fail(failure)
            raise
        self._fresh.append(sha)
        return sha

    async def sync(self) -> None:
        """Return when all that was recorded is on the disk; concurrent calls share the work.

        Raises:
            StorageError: it is not.
        """
        await self.begin_sync()()

    def begin_sync(self) -> Callable[[], Awaitable[None]]:
        """Begin with what `sync` does, for all that was recorded up to now; returns what waits for it.

        Raises:
            StorageError: the journal cannot be written; what is returned raises it too.
        """
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        self.flush()
        if self._fd < 0 or self._size == self._synced:
            return _nothing
        ticket = self._ticket
        if ticket is None or ticket.started or ticket.future is None:
            ticket = self._ticket = _Ticket()
            fd = self._fd
            ticket.future = self._thread.run(lambda: self._sync_now(ticket, fd))
            ticket.future.add_done_callback(_seen)
        return functools.partial(self._synced_by, ticket.future)

    async def _synced_by(self, future: asyncio.Future[None]) -> None:
        try:
            await asyncio.shield(future)
        except StorageError as failure:
            self._fail(failure)

    def _sync_now(self, ticket: _Ticket, fd: int) -> None:
        """In the thread. What was written before `started` is set is covered."""
        ticket.started = True
        size = self._size
        try:
            while self._fresh:
                self._blobs_on_disk().sync(self._fresh.popleft())
            _datasync(fd)
            if os.fstat(fd).st_nlink == 0:
                raise FileNotFoundError(errno.ENOENT, "it was deleted while the session ran")
            if self._synced < 0 and self.folder is not None:
                sync_folder(self.folder)
                sync_folder(self.folder.parent)
        except OSError as error:
            raise storage_error("write", self.path or "", error) from error
        self._synced = size

    def _blobs_on_disk(self) -> BlobStore:
        assert isinstance(self._blobs, BlobStore)
        return self._blobs

    async def put_blob(self, data: bytes) -> str:
        """Keep the bytes durably; returns their SHA-256 in hex.

        Raises:
            StorageError: they cannot be written.
        """
        return await self._thread.run(lambda: self._blobs.write(data, durable=True))

    async def get_blob(self, sha: str) -> bytes:
        """What `put_blob` kept.

        Raises:
            RecordingError: it is missing or damaged, or nothing is recorded.
        """
        return await self._thread.run(lambda: self._blobs.read(sha))

    async def close(self) -> None:
        """Write what is held back, sync, release the lock; harmless when repeated.

        Raises:
            StorageError: the end of the journal could not be written; told once.
        """
        if self._closed:
            return
        self._closed = True
        try:
            if self._failure is None:
                await self.sync()
        finally:
            self.release()

    def release(self) -> None:
        """Close the file and so release the lock, without waiting for the disk; what is held back is dropped."""
        self._closed = True
        self._take_held()
        fd, self._fd = self._fd, -1
        if fd >= 0:
            pending = self._ticket.future if self._ticket is not None else None
            if pending is not None and not pending.done():  # cancelled in mid-sync: the thread closes it after that
                self._thread.run(lambda: os.close(fd))
            else:
                os.close(fd)
        self._thread.stop()


async def _nothing() -> None:
    """There is nothing to wait for."""


def _seen(future: asyncio.Future[None]) -> None:
    """Whoever waited may have been cancelled; a failure of the disk comes again at the next call."""
    if not future.cancelled():
        future.exception()


def _open(path: Path, flags: int, action: str) -> int:
    try:
        fd = os.open(path, flags | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise storage_error(action, path, error) from error
    try:
        free = take(fd)
    except OSError as error:
        os.close(fd)
        raise storage_error("lock", path, error) from error
    if not free:
        os.close(fd)
        name = path.parent.name
        raise WorkspaceBusy(
            f"session {name} is being written by another process", f"look on with: jetbox-tui replay {name}"
        )
    return fd


def _mend_end(fd: int) -> int:
    """Cut off a torn last line, or complete one that lacks its newline alone; returns the size."""
    from jetbox.record.decode import BAD_LINE, decode

    size = os.fstat(fd).st_size
    tail = b""
    start = size
    while start > 0 and b"\n" not in tail:
        step = min(start, 65_536)
        start -= step
        tail = os.pread(fd, step, start) + tail
    last = tail[tail.rfind(b"\n") + 1 :]
    if not last:
        return size
    try:
        decode(last)
    except BAD_LINE:
        os.ftruncate(fd, size - len(last))
        return size - len(last)
    os.write(fd, b"\n")
    return size + 1
