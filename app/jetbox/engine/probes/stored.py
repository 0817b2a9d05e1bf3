"""Small files that outlive a session: whole or not there, and read as nothing where they are damaged."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")

MOST_BYTES = 32 * 1024 * 1024
"""Larger files are none of ours."""


def load(path: Path, kind: type[T]) -> T | None:
    """What the file holds; None where there is none, or it is not of this kind. Blocks."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def save(path: Path, value: msgspec.Struct) -> bool:
    """Replace the file, for the owner's eyes alone; False where the disk did not let us. Blocks.

    It is not synced: what it holds can be found out anew.
    """
    temporary = f"{path}.{os.urandom(6).hex()}.tmp"
    try:
        data = msgspec.json.encode(value)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            with open(handle, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except BaseException:
            # Re-raised: half a file must not stay, whatever interrupted it.
            with suppress(OSError):
                os.unlink(temporary)
            raise
    except (OSError, UnicodeEncodeError):
        return False
    return True
