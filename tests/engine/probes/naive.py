"""What the files of a workspace are, found by reading everything; knows nothing of what was before."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from jetbox.engine.probes.configuration import CONFIGURATION
from jetbox.engine.probes.inscope import out_of_scope

Files = dict[str, tuple[int, str]]


def read_everything(root: Path) -> Files:
    """The same as a snapshot's `files`."""
    files: Files = {}
    top = os.path.realpath(root)
    seen: set[tuple[int, int]] = set()
    waiting = [("", top)]
    while waiting:
        beyond: list[tuple[str, str]] = []
        for prefix, folder in sorted(waiting):
            if not prefix or _identity(folder) not in seen:
                seen.add(_identity(folder))
                _folder(files, top, folder, prefix, beyond)
        waiting = beyond
    for name in ("HEAD", "info/exclude"):
        _plain(files, f".git/{name}", os.path.join(top, ".git", name))
    folder, prefix = top, ""
    while folder != "/":
        folder, prefix = os.path.dirname(folder), prefix + "../"
        for name in CONFIGURATION:
            _plain(files, prefix + name, os.path.join(folder, name))
    return files


def _folder(files: Files, top: str, folder: str, prefix: str, beyond: list[tuple[str, str]]) -> None:
    for name in os.listdir(folder):
        real, path = os.path.join(folder, name), prefix + name
        mode = os.lstat(real).st_mode
        if out_of_scope(folder, name, stat.S_ISDIR(mode)):
            continue
        if stat.S_ISREG(mode):
            _plain(files, path, real)
        elif stat.S_ISLNK(mode):
            files[path] = (mode, os.readlink(real))
            _link(files, top, real, path, beyond)
        else:
            files[path] = (mode, "")
            if stat.S_ISDIR(mode):
                _folder(files, top, real, path + "/", beyond)


def _link(files: Files, top: str, real: str, path: str, beyond: list[tuple[str, str]]) -> None:
    if not os.path.exists(real):
        return
    final = os.path.realpath(real)
    if (final + "/").startswith(top + "/"):
        return
    if os.path.isfile(final):
        _plain(files, path + "/", final)
    elif os.path.isdir(final) and not any(
        out_of_scope(os.path.dirname(way), os.path.basename(way), True) for way in (real, final)
    ):
        beyond.append((path + "/", final))


def _plain(files: Files, path: str, real: str) -> None:
    if os.path.isfile(real):
        with open(real, "rb") as file:
            content = hashlib.blake2b(file.read(), digest_size=16).hexdigest()
        files[path] = (os.stat(real).st_mode, content)


def _identity(path: str) -> tuple[int, int]:
    seen = os.stat(path)
    return seen.st_dev, seen.st_ino
