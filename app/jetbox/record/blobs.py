"""Content-addressed files beside a journal: `blobs/<ab>/<sha256>`."""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from pathlib import Path

from jetbox.engine.errors import RecordingError
from jetbox.record.disk import private_folder, storage_error, sync_folder

_HEX = frozenset("0123456789abcdef")


def digest(data: bytes) -> str:
    """SHA-256 in hex."""
    import hashlib

    return hashlib.sha256(data).hexdigest()


class BlobStore:
    """The blobs of one session; what is there once is never written again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root = os.fspath(folder)
        self._names = itertools.count()
        self._made, self._kept = 1, 0
        """How often a folder was made here, and how many of these names are on the disk: at first it is not known."""

    def path(self, sha: str) -> Path:
        """Where the blob lies, there or not."""
        return Path(self._path(sha))

    def _path(self, sha: str) -> str:
        return f"{self._root}/{sha[:2]}/{sha}"

    def write(self, data: bytes, *, durable: bool) -> str:
        """Keep the bytes; `durable`: they are on the disk when this returns.

        Raises:
            StorageError: they cannot be written; nothing is left behind.
        """
        sha = digest(data)
        target = self._path(sha)
        try:
            if not self._there(target, len(data)):
                self._put(target, data, durable)
            elif durable:
                self.sync(sha)
        except OSError as error:
            raise storage_error("write", target, error) from error
        return sha

    def _there(self, target: str, size: int) -> bool:
        # A file of another size is what a power failure left of an earlier one.
        try:
            return os.stat(target).st_size == size
        except FileNotFoundError:
            return False

    def _put(self, target: str, data: bytes, durable: bool) -> None:
        temporary = f"{self._root}/tmp-{os.getpid()}-{next(self._names)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            fd = os.open(temporary, flags, 0o600)
        except FileNotFoundError:
            private_folder(self.folder)
            fd = os.open(temporary, flags, 0o600)
        try:
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(fd, view) :]
                if durable:
                    os.fsync(fd)
            finally:
                os.close(fd)
            self._rename(temporary, target)
        except BaseException:
            # Re-raised: half a blob must not stay, whatever interrupted it.
            with suppress(OSError):
                os.unlink(temporary)
            raise
        if durable:
            self._keep_names(target)

    def _rename(self, temporary: str, target: str) -> None:
        try:
            os.rename(temporary, target)
        except FileNotFoundError:
            private_folder(Path(target).parent)
            self._made += 1
            os.rename(temporary, target)

    def _keep_names(self, target: str) -> None:
        """Make the names of a blob and of its folder durable. Raises OSError."""
        sync_folder(os.path.dirname(target))
        made = self._made
        if self._kept < made:
            sync_folder(self._root)
            self._kept = made

    def sync(self, sha: str) -> None:
        """Make an earlier, not durable write durable. Raises OSError."""
        target = self._path(sha)
        fd = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        self._keep_names(target)

    def read(self, sha: str) -> bytes:
        """The bytes, checked against their name.

        Raises:
            RecordingError: the blob is missing, unreadable or damaged.
        """
        if len(sha) != 64 or not set(sha) <= _HEX:
            raise RecordingError(f"{sha!r} names no blob")
        path = self.path(sha)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise RecordingError(
                f"blob {sha} is missing from {self.folder}",
                "copy the whole session folder, with its blobs, not the journal alone",
            ) from None
        except OSError as error:
            raise RecordingError(f"cannot read blob {path}: {error.strerror or error}") from error
        if digest(data) != sha:
            raise RecordingError(f"blob {path} is damaged: its content does not match its name")
        return data

    def sweep(self) -> None:
        """Remove what a killed writer left half written; for the holder of the session's lock."""
        with suppress(OSError):
            for entry in os.scandir(self._root):
                if entry.name.startswith("tmp-"):
                    with suppress(OSError):
                        os.unlink(entry.path)


class MemoryBlobs:
    """Keeps nothing, and names it as the store would."""

    def write(self, data: bytes, *, durable: bool) -> str:
        return digest(data)

    def read(self, sha: str) -> bytes:
        raise RecordingError("nothing is recorded: what was there before was not kept")
