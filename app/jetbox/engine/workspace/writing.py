"""Atomic writes inside the workspace: the old file, or the new one, and nothing in between."""

from __future__ import annotations

import os
from contextlib import suppress
from stat import S_IMODE, S_ISLNK

import msgspec

from jetbox.engine.errors import FileMoved
from jetbox.engine.workspace.failures import explain, explain_write
from jetbox.engine.workspace.names import TEMPORARY, check_new_name, check_writable, shown
from jetbox.engine.workspace.root import Fingerprint, Workspace, check_regular, open_regular

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LISTING = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Written(msgspec.Struct, frozen=True):
    """What became of a write."""

    fingerprint: Fingerprint
    unlinked: bool
    """The file had other hard links, which keep the old content."""


def write_file(workspace: Workspace, path: str, data: bytes, *, expected: bytes | None) -> Written:
    """Put `data` at a resolved path if it still holds `expected` (None: nothing).

    Missing folders are made; mode and owner of a file that was there are kept.

    Raises:
        FileMoved: something else is there by now.
        ToolError: it may not or cannot be written; nothing was changed then.
    """
    check_writable(path)
    if expected is None:
        check_new_name(path.rpartition("/")[2])
    try:
        with workspace.parent(path, create=True) as (folder, name):
            old = _still(folder, name, path, expected)
            written = _replace(folder, name, path, data, old)
            if name.endswith(".py"):
                _drop_bytecode(folder, name)
            return written
    except NotADirectoryError as error:
        if _linked(workspace, path):
            raise FileMoved(f"a folder of {shown(path)} was replaced by a symbolic link just now") from None
        raise explain(error, path) from None
    except OSError as error:
        raise explain_write(error, path, workspace.root) from None


def remove_file(workspace: Workspace, path: str, *, expected: bytes) -> None:
    """Remove the file at a resolved path if it still holds `expected`.

    Raises:
        FileMoved: something else is there by now, or nothing.
        ToolError: it may not or cannot be removed.
    """
    check_writable(path)
    try:
        with workspace.parent(path) as (folder, name):
            _still(folder, name, path, expected)
            os.unlink(name, dir_fd=folder)
            if name.endswith(".py"):
                _drop_bytecode(folder, name)
    except OSError as error:
        raise explain_write(error, path, workspace.root) from None


def _still(folder: int, name: str, path: str, expected: bytes | None) -> os.stat_result | None:
    """The status of the file, when it is what the plan saw."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        if expected is None:
            return None
        raise FileMoved(f"{shown(path)} was deleted in the meantime") from None
    if expected is None or S_ISLNK(status.st_mode):
        raise FileMoved(f"{shown(path)} was created or replaced in the meantime")
    check_regular(status.st_mode, path)
    same = status.st_size == len(expected)
    if same:
        with open_regular(folder, name, path) as file:
            status = os.fstat(file.fileno())
            same = file.read(len(expected) + 1) == expected
    if not same:
        raise FileMoved(f"{shown(path)} changed in the meantime")
    return status


def _replace(folder: int, name: str, path: str, data: bytes, old: os.stat_result | None) -> Written:
    temporary = f".{os.urandom(6).hex()}{TEMPORARY}"
    descriptor = os.open(temporary, _NEW, 0o666 if old is None else 0o600, dir_fd=folder)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            if old is not None:
                _keep(descriptor, old)
        finally:
            os.close(descriptor)
        if old is None:
            _create(folder, temporary, name, path)
        else:
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except BaseException:
        # Re-raised: also a write that is interrupted leaves no temporary file.
        _remove(folder, temporary)
        raise
    return Written(Fingerprint.of(status), unlinked=old is not None and old.st_nlink > 1)


def _keep(descriptor: int, old: os.stat_result) -> None:
    """Give the new file the old one's owner and mode."""
    mode = S_IMODE(old.st_mode)
    now = os.fstat(descriptor)
    if (now.st_uid, now.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.fchown(descriptor, old.st_uid, old.st_gid)
        except PermissionError:
            # Somebody else's file in a folder of ours: it becomes ours, without rights of theirs.
            mode &= 0o777
    os.fchmod(descriptor, mode)


def _create(folder: int, temporary: str, name: str, path: str) -> None:
    """Give the new file its name, unless somebody else took it."""
    try:
        os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        raise FileMoved(f"{shown(path)} was created in the meantime") from None
    except OSError:
        # A file system without hard links; the look at the name was a moment ago.
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    else:
        os.unlink(temporary, dir_fd=folder)


def _remove(folder: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def _drop_bytecode(folder: int, name: str) -> None:
    """Remove the compiled forms of a source file.

    Python takes them for current when size and second of the source are the same.
    """
    try:
        cache = os.open("__pycache__", _LISTING, dir_fd=folder)
    except OSError:
        return
    try:
        stem = name.removesuffix("py")
        for compiled in os.listdir(cache):
            if compiled.startswith(stem) and compiled.endswith(".pyc"):
                _remove(cache, compiled)
    finally:
        os.close(cache)


def _linked(workspace: Workspace, path: str) -> bool:
    """True where a folder of a resolved path is a link by now."""
    return workspace.locate(path).path != path
