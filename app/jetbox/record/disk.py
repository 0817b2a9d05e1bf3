"""The disk as the record sees it: private folders, failures in words, and a thread for what is slow."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jetbox.engine.errors import StorageError

if TYPE_CHECKING:
    from queue import SimpleQueue

T = TypeVar("T")

HINTS = {
    errno.ENOSPC: "free some space, then go on with: jetbox-tui --continue",
    errno.EDQUOT: "free some of your quota, then go on with: jetbox-tui --continue",
    errno.EFBIG: "the file may not grow any more (ulimit -f); raise the limit, then: jetbox-tui --continue",
    errno.EROFS: "the file system is read-only; set session.folder to another one, or run with --no-session",
    errno.EACCES: "make the folder writable, set session.folder to another one, or run with --no-session",
    errno.EPERM: "make the folder writable, set session.folder to another one, or run with --no-session",
    errno.EIO: "the disk fails; look at the system's log, and set session.folder to another disk",
}
OTHER_HINT = "set session.folder to another folder, or run with --no-session"


def storage_error(action: str, path: Path | str, error: OSError) -> StorageError:
    """The failure in one line, with what to do about it."""
    why = error.strerror or str(error)
    return StorageError(f"cannot {action} {path}: {why}", HINTS.get(error.errno or 0, OTHER_HINT))


def private_folder(path: Path) -> None:
    """Make the folder and its missing parents, for the owner's eyes alone.

    Raises:
        StorageError: it cannot be made, or something else stands there.
    """
    missing = []
    here = path
    while not here.is_dir():
        missing.append(here)
        if here == here.parent:
            break
        here = here.parent
    try:
        for folder in reversed(missing):
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except OSError as error:
        raise storage_error("make the folder", path, error) from error


def replace_file(path: Path, data: bytes, *, only_new: bool = False) -> None:
    """Write a file anew in one step, for its owner's eyes. Raises OSError; `FileExistsError` where it has to be new."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
        if only_new:
            _name_anew(temporary, path)
        else:
            os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        # The name that was asked for is told, not the one beside it.
        error.filename, error.filename2 = str(path), None
        raise


def _name_anew(file: Path, path: Path) -> None:
    """Give a file this name in place of its own, unless that is taken."""
    try:
        os.link(file, path, follow_symlinks=False)
    except FileExistsError as error:
        raise FileExistsError(error.errno, error.strerror, str(path)) from None
    except OSError:
        # A file system without hard links.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        os.replace(file, path)
    else:
        # To replace one of two names of a file by the other leaves both.
        file.unlink()


def sync_folder(path: Path | str) -> None:
    """Make the names in a folder durable. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        # Some file systems (FUSE, SMB) cannot sync a folder; the data itself is safe there.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(fd)


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _serve(queue: SimpleQueue[Any]) -> None:
    while (job := queue.get()) is not None:
        loop, future, work = job
        result: Any = None
        failure: Exception | None = None
        try:
            result = work()
        except Exception as error:  # handed to whoever waits for the future
            failure = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, future, result, failure)


class DiskThread:
    """Runs work one piece after another in a thread that starts at first use.

    A daemon: a hanging disk must not hold up the end of the process.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._queue: SimpleQueue[Any] | None = None

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Hand over `work`; the future gets its result or its exception."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if self._queue is None:
            from queue import SimpleQueue

            self._queue = SimpleQueue()
            threading.Thread(target=_serve, args=(self._queue,), name=self._name, daemon=True).start()
        self._queue.put((loop, future, work))
        return future

    def stop(self) -> None:
        """Let the thread end after what it was given."""
        if self._queue is not None:
            self._queue.put(None)
            self._queue = None
