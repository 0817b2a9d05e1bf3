"""What is installed in an interpreter's folders of packages."""

from __future__ import annotations

import os
import stat
from hashlib import blake2b

import msgspec


class Installed(msgspec.Struct, frozen=True):
    """Folders of packages as they are."""

    versions: dict[str, str]
    """Version by distribution."""
    digest: str
    """Of every entry's name and times."""
    files: str
    """Of the entries that are files: what the path is made of (`.pth`) is among them."""
    folders: tuple[str, ...]
    """The packages, and what tells of them."""
    linked: tuple[str, ...]
    """Where links among the entries lead."""


def installed(folders: tuple[str, ...]) -> Installed:
    """Look at every entry of these folders."""
    versions: dict[str, str] = {}
    every, files = blake2b(digest_size=16), blake2b(digest_size=16)
    below: list[str] = []
    linked: list[str] = []
    for folder in folders:
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            every.update(f"{folder}\0none\0".encode(errors="replace"))
            continue
        for entry in entries:
            if entry.name == "__pycache__":
                continue
            _version(versions, entry.name)
            try:
                seen = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            said = f"{folder}/{entry.name}\0{seen.st_mtime_ns}\0{seen.st_size}\0{seen.st_ino}\0"
            every.update(said.encode(errors="replace"))
            if stat.S_ISDIR(seen.st_mode):
                below.append(entry.path)
            else:
                files.update(f"{said}{seen.st_ctime_ns}\0".encode(errors="replace"))
            if stat.S_ISLNK(seen.st_mode):
                linked.append(os.path.realpath(entry.path))
    return Installed(versions, every.hexdigest(), files.hexdigest(), tuple(below), tuple(linked))


def _version(versions: dict[str, str], name: str) -> None:
    stem, dot, kind = name.rpartition(".")
    if dot and kind in ("dist-info", "egg-info"):
        distribution, _, version = stem.partition("-")
        versions.setdefault(distribution.lower().replace("_", "-"), version.partition("-py")[0])
