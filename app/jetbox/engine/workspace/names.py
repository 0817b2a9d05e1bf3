"""Which names a tool may use, and which it may write."""

from __future__ import annotations

import os
import re

from jetbox.engine.errors import ToolError

PROTECTED = (".git", ".jetbox")
"""Folders (or files) that file tools never write, at any depth and in any case."""
TEMPORARY = ".jetbox-tmp"
"""Suffix of a file that is being written; what a crash leaves behind is ignored by it."""

NAME_BYTES = 255
PATH_BYTES = 4000

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]")
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{port}{n}" for port in ("com", "lpt") for n in (*"0123456789", "¹", "²", "³")]
)
# File systems that ignore these when they compare names would let `.g\u200cit` through.
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")


def shown(path: str) -> str:
    """The path as text that can be printed and encoded, whatever bytes its name has."""
    if path.isprintable():
        return path
    safe = os.fsencode(path).decode("utf-8", errors="replace")
    return safe if safe.isprintable() else safe.encode("unicode_escape").decode("ascii")


def check_argument(path: str) -> str:
    """The path of a tool's argument, made plain; empty means the workspace itself.

    Raises:
        ToolError: no path can be meant by it.
    """
    if not path:
        return "."
    if _CONTROL.search(path):
        raise ToolError(f"{path[:200]!r} is no path: it contains control characters")
    if path.startswith("~"):
        raise ToolError(f"{path[:200]}: ~ is not expanded; give a path relative to the project folder")
    if "\\" in path or _DRIVE.match(path):
        raise ToolError(f"{path[:200]}: give a path relative to the project folder, with / between names")
    try:
        raw = os.fsencode(path)
    except UnicodeEncodeError:
        raise ToolError(f"{path[:200]!r} is no path: it contains half a surrogate pair") from None
    if len(raw) > PATH_BYTES or any(len(name) > NAME_BYTES for name in raw.split(b"/")):
        raise ToolError(f"{path[:60]}… is too long: a name may have {NAME_BYTES} bytes, a path {PATH_BYTES}")
    return path


def is_protected(name: str) -> bool:
    """True for a name that some file system takes for `.git` or `.jetbox`."""
    plain = _INVISIBLE.sub("", name).partition(":")[0].rstrip(" .").casefold()
    return plain in PROTECTED or plain in ("git~1", "jetbox~1")


def check_writable(path: str) -> None:
    """Refuse what file tools never write; `path` is relative and resolved.

    Raises:
        ToolError: it is the workspace itself, or protected.
    """
    if path == ".":
        raise ToolError("the path is the project folder itself; name a file in it")
    for name in path.split("/"):
        if is_protected(name):
            raise ToolError(f"{shown(path)}: nothing below {' or '.join(PROTECTED)} is written by file tools")


def check_new_name(name: str) -> None:
    """Refuse to make what other systems could not hold; what is there already may be changed.

    Raises:
        ToolError: the name of a file or folder is reserved.
    """
    if name.endswith((" ", ".")) or name.partition(".")[0].rstrip().casefold() in _DEVICES:
        raise ToolError(f"the name {name!r} is reserved on Windows; choose another")
