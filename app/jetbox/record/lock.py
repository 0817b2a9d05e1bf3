"""One writer: of a session (a lock on its journal) and of a workspace (a file that names its owner)."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR

import msgspec

from jetbox.engine.errors import StorageError, WorkspaceBusy
from jetbox.engine.times import ago
from jetbox.folders import state_folder
from jetbox.record.disk import private_folder, storage_error

_TRIES = 10
_PAUSE_S = 0.005


def take(fd: int) -> bool:
    """Lock an open file for writing; False where someone else holds it. Raises OSError.

    Tried for 50 ms: `is_held` of another process takes the lock for an instant.
    """
    for attempt in range(_TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if attempt + 1 < _TRIES:
                time.sleep(_PAUSE_S)
    return False


def is_held(path: Path | str) -> bool:
    """Whether some process writes this file under its lock."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks: nobody can hold one
        return False
    finally:
        os.close(fd)
    return False


class Owner(msgspec.Struct, frozen=True):
    """Who holds a workspace."""

    pid: int
    session: str
    host: str
    since: float
    """Seconds since the epoch."""
    root: str = ""
    """The workspace."""


def spare_folder() -> Path:
    """Where locks lie when the state folder cannot be written: the same for all of a user's processes."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and os.access(runtime, os.W_OK | os.X_OK):
        return Path(runtime, "jetbox", "locks")
    import tempfile

    return Path(tempfile.gettempdir(), f"jetbox-{os.getuid()}", "locks")


class WorkspaceLock:
    """Held while a session writes to a workspace; the system releases it when the process dies."""

    def __init__(self, root: Path, folder: Path | None = None) -> None:
        """`folder` is where lock files lie; by default below the user's state folder."""
        self.root = Path(os.path.realpath(root))
        self._folder = folder
        self._fd = -1
        self.notice = ""
        """Said where the lock does not lie in its usual place."""

    def path(self, root: Path | None = None) -> Path:
        """The lock's file, keyed by the resolved path of the workspace."""
        key = _sha256(os.fsencode(root or self.root))[:32]
        return (self._folder or Path(state_folder(), "locks")) / f"{key}.json"

    def owner(self, path: Path | None = None) -> Owner | None:
        """Who holds it now, as far as its file says."""
        path = path or self.path()
        if not is_held(path):
            return None
        with suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            return msgspec.json.decode(path.read_bytes(), type=Owner)
        return None

    def acquire(self, session_id: str) -> None:
        """Become the one writer. Where the state folder cannot be written, a temporary one holds the lock.

        Raises:
            WorkspaceBusy: another session is; says which, and how to look on.
            StorageError: the lock's file cannot be written.
        """
        try:
            self._acquire(session_id)
        except WorkspaceBusy:
            raise
        except StorageError as error:
            if self._folder is not None:
                raise
            self._refuse_if_held()
            self._folder = spare = spare_folder()
            try:
                private_folder(spare)
                _check_private(spare.parent)
                self._acquire(session_id)
            except WorkspaceBusy:
                raise
            except StorageError as second:
                hint = "let XDG_STATE_HOME, XDG_RUNTIME_DIR or TMPDIR name a folder that can be written"
                raise StorageError(f"{error.message}; {second.message}", hint) from second
            self.notice = f"{error.message}; the lock of the workspace is in {spare} meanwhile"

    def _refuse_if_held(self) -> None:
        """A folder that cannot be written may still say who holds the workspace."""
        path = self.path()
        owner = self.owner(path)
        with suppress(OSError):
            owner = owner or self._overlapping(path)
        if owner is not None:
            raise self._busy(owner)

    def _acquire(self, session_id: str) -> None:
        path = self.path()
        private_folder(path.parent)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise storage_error("lock the workspace with", path, error) from error
        try:
            if not take(fd):
                raise self._busy(self.owner())
            overlapping = self._overlapping(path)
            if overlapping is not None:
                raise self._busy(overlapping)
            owner = Owner(os.getpid(), session_id, os.uname().nodename, time.time(), str(self.root))
            os.ftruncate(fd, 0)
            os.pwrite(fd, msgspec.json.encode(owner) + b"\n", 0)
        except OSError as error:
            os.close(fd)
            raise storage_error("lock the workspace with", path, error) from error
        except WorkspaceBusy:
            os.close(fd)
            raise
        self._fd = fd

    def _overlapping(self, own: Path) -> Owner | None:
        """Who holds a folder above this one, or below it."""
        for parent in self.root.parents:
            owner = self.owner(self.path(parent))
            if owner is not None:
                return owner
        with os.scandir(own.parent) as entries:
            for entry in entries:
                # A lock that was let go is empty.
                if entry.name == own.name or not entry.stat().st_size:
                    continue
                owner = self.owner(Path(entry.path))
                if owner is not None and owner.root and Path(owner.root).is_relative_to(self.root):
                    return owner
        return None

    def _busy(self, owner: Owner | None) -> WorkspaceBusy:
        if owner is None:
            return WorkspaceBusy(f"another session works in {self.root}", "wait until it ends, or end it")
        where = "" if owner.host == os.uname().nodename else f" on {owner.host}"
        since = ago(time.time() - owner.since)
        return WorkspaceBusy(
            f"session {owner.session} (process {owner.pid}{where}, started {since}) works in {owner.root or self.root}",
            f"look on with: jetbox-tui replay {owner.session}",
        )

    def close(self) -> None:
        """Let go; harmless when not held."""
        if self._fd >= 0:
            with suppress(OSError):
                os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1


def _check_private(folder: Path) -> None:
    """In a folder that everybody can write, ours may be someone else's."""
    found = os.lstat(folder)
    if found.st_uid != os.getuid() or found.st_mode & 0o022 or not S_ISDIR(found.st_mode):
        raise StorageError(f"{folder} is not yours alone", "delete it")


def _sha256(data: bytes) -> str:
    """As `hashlib` has it, which takes longer to load than all else that a lock needs."""
    try:
        if sys.version_info >= (3, 12):
            from _sha2 import sha256
        else:
            from _sha256 import sha256  # type: ignore[import-not-found]
    except ImportError:
        from hashlib import sha256
    return str(sha256(data).hexdigest())
