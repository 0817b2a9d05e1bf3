"""The private folder of a session: home, temporary files and caches of its confined commands, and of our own."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

_PREFIX = "jetbox-box-"
_LOCK = "lock"


class PrivateFolder:
    """A folder of its own for one session, gone when it ends; parts of it are writable inside a sandbox.

    Layout: `lock` (held while the owner lives), `tmp/`, `home/`, `shared/`. The folder itself is not
    writable inside the sandbox.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.tmp = path / "tmp"
        self.home = path / "home"
        self.shared = path / "shared"
        """What a sandbox may show in place of the system's folders for temporary files.

        Not `tmp`: a workspace can lie in the system's folder, and what clears its own temporary files away would find
        it among them.
        """
        self._lock = lock

    @classmethod
    def create(cls, root: Path) -> PrivateFolder:
        """Make one outside `root`, after deleting those whose owner died.

        Raises:
            OSError: no folder for temporary files can be written.
        """
        import tempfile

        parent = _parent(root)
        _sweep(parent)
        lock = -1
        while lock < 0:
            path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
            lock = _locked(path)
        private = cls(path, lock)
        for folder in (private.tmp, private.shared, private.home, private.home / ".cache", private.home / ".run"):
            folder.mkdir(mode=0o700)
        return private

    @property
    def writable(self) -> tuple[Path, Path]:
        return self.tmp, self.home

    def environment(self) -> dict[str, str]:
        """Variables that point home, temporary files and caches of tools into the folder."""
        home, cache = str(self.home), self.home / ".cache"
        return {
            "HOME": home,
            "TMPDIR": str(self.tmp),
            "TMP": str(self.tmp),
            "TEMP": str(self.tmp),
            "XDG_CONFIG_HOME": f"{home}/.config",
            "XDG_DATA_HOME": f"{home}/.local/share",
            "XDG_STATE_HOME": f"{home}/.local/state",
            "XDG_CACHE_HOME": str(cache),
            "XDG_RUNTIME_DIR": f"{home}/.run",
            "RUFF_CACHE_DIR": str(cache / "ruff"),
            "MYPY_CACHE_DIR": str(cache / "mypy"),
            "UV_CACHE_DIR": str(cache / "uv"),
            "PIP_CACHE_DIR": str(cache / "pip"),
            "npm_config_cache": str(cache / "npm"),
            "YARN_CACHE_FOLDER": str(cache / "yarn"),
            "GOCACHE": str(cache / "go-build"),
        }

    def delete(self) -> None:
        """Remove it with all that commands left there; calling it again does nothing."""
        if self._lock < 0:
            return
        _remove(self.path)
        os.close(self._lock)
        self._lock = -1


def _parent(root: Path) -> Path:
    """A folder for temporary files that is not inside the workspace."""
    import tempfile

    candidates = [tempfile.gettempdir(), os.environ.get("XDG_RUNTIME_DIR", ""), os.path.expanduser("~")]
    for candidate in candidates:
        path = Path(os.path.realpath(candidate)) if candidate else None
        if path is not None and not path.is_relative_to(root) and os.access(path, os.W_OK):
            return path
    raise OSError(f"no folder for temporary files lies outside {root}")


def _locked(path: Path) -> int:
    """Hold the lock of a new folder; -1 where a session that starts now took the folder for a dead one's.

    Nobody holds a lock while it is being made, so `_sweep` may take it, and the folder with it.
    """
    import fcntl

    lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_nlink:
            return lock
    except BlockingIOError:
        pass
    os.close(lock)
    return -1


def _sweep(parent: Path) -> None:
    """Delete folders of this user whose owner no longer holds the lock."""
    import fcntl

    for entry in os.scandir(parent):
        if not entry.name.startswith(_PREFIX):
            continue
        try:
            if entry.stat(follow_symlinks=False).st_uid != os.getuid():
                continue
            lock = os.open(f"{entry.path}/{_LOCK}", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        else:
            _remove(Path(entry.path))
        finally:
            os.close(lock)


def _remove(path: Path) -> None:
    import shutil

    def allow(function: Callable[..., Any], name: str, _info: object) -> None:
        """A command may have taken away its own rights; the folder is ours, so give them back."""
        try:
            os.chmod(os.path.dirname(name), 0o700)
            os.chmod(name, 0o700, follow_symlinks=os.chmod not in os.supports_follow_symlinks)
            if function in (os.open, os.scandir, os.lstat):
                shutil.rmtree(name, ignore_errors=True)
            else:
                function(name)
        except OSError:
            return

    # The lock last: what is left where this process is killed meanwhile, or where one that is being killed still
    # writes, is swept by a later one.
    with suppress(FileNotFoundError):
        for entry in list(os.scandir(path)):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, onerror=allow)
        shutil.rmtree(path, onerror=allow)
        if path.is_dir():
            (path / _LOCK).touch(mode=0o600)
