"""What the user allowed for good, workspace by workspace; kept outside the workspaces."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from jetbox.folders import state_folder

FILE = "allowed.json"


def granted(workspace: Path) -> tuple[str, ...]:
    """Entries for `permissions.allow` of this workspace; none where the file cannot be read."""
    return tuple(_read().get(str(workspace), ()))


def grant(workspace: Path, entry: str) -> None:
    """Keep an entry.

    Raises:
        OSError: the state folder cannot be written.
    """
    grants = _read()
    entries = grants.setdefault(str(workspace), [])
    if entry in entries:
        return
    entries.append(entry)
    path = _path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(grants)) + b"\n")
    temporary.chmod(0o600)
    temporary.replace(path)


def _path() -> Path:
    return Path(state_folder()) / FILE


def _read() -> dict[str, list[str]]:
    try:
        return msgspec.json.decode(_path().read_bytes(), type=dict[str, list[str]])
    except (OSError, msgspec.DecodeError):
        return {}
