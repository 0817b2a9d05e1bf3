"""Trust in project files: what a stranger's repository may not set until the user says so.

A file is trusted as it is, by the hash of its content: an edited one must be trusted again.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec

from jetbox.engine.errors import StorageError
from jetbox.folders import state_folder
from jetbox.settings.profiles import BUILT_IN

_GUARDED_SECTIONS = ("permissions", "keys", "telemetry")
_GUARDED_OPTIONS = (
    "probes.python",
    "probes.commands",
    "model.host",
    "model.tokenizers",
    "session.folder",
    "session.record",
)


class _Store(msgspec.Struct):
    files: dict[str, str] = {}
    """SHA-256 of trusted content, in hex, by path."""


def is_guarded(option: str, value: Any, current: Any) -> bool:
    """True where a project file may set this only when it is trusted.

    That is what can run a program, widen rights, send data elsewhere, or lift a limit of tools,
    probes or the loop above `current`, which holds without the file.
    """
    section = option.partition(".")[0]
    if section in _GUARDED_SECTIONS or option in _GUARDED_OPTIONS:
        return True
    if option == "profile":
        return value not in BUILT_IN
    limit = section in ("tools", "probes", "loop") and isinstance(value, int | float) and not isinstance(value, bool)
    return limit and current != 0 and (value == 0 or value > current)


def store_path() -> str:
    """Where the hashes are kept."""
    return os.path.join(state_folder(), "trust.json")


def is_trusted(path: str, data: bytes) -> bool:
    """True where the user trusted the file with exactly this content."""
    return _load().files.get(os.path.realpath(path)) == _hash(data)


def trust(path: str, data: bytes) -> None:
    """Remember the file as trusted with this content.

    Raises:
        StorageError: the state folder cannot be written.
    """
    store = _load()
    store.files[os.path.realpath(path)] = _hash(data)
    _save(store)


def distrust(path: str) -> bool:
    """Forget the trust in a file; False where there was none.

    Raises:
        StorageError: the state folder cannot be written.
    """
    store = _load()
    if store.files.pop(os.path.realpath(path), None) is None:
        return False
    _save(store)
    return True


def _hash(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def _load() -> _Store:
    try:
        with open(store_path(), "rb") as file:
            return msgspec.json.decode(file.read(), type=_Store)
    except (OSError, msgspec.DecodeError):
        return _Store()  # no store, or one that is damaged: nothing is trusted


def _save(store: _Store) -> None:
    path = store_path()
    temporary = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            file.write(msgspec.json.encode(store))
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except OSError as failure:
        raise StorageError(f"{path}: cannot be written: {failure.strerror}", "make the folder writable") from None
