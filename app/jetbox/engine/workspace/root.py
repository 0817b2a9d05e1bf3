"""The workspace as a boundary: every path of a tool goes through here.

A path is resolved once, links included, and afterwards opened name by name without
following any link, so that a folder swapped for a link in between leads nowhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import BinaryIO

import msgspec

from jetbox.engine.errors import StorageError, ToolError
from jetbox.engine.sizes import size_words
from jetbox.engine.workspace.failures import explain
from jetbox.engine.workspace.names import check_argument, check_new_name, shown

_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PASSING = _FOLDER | getattr(os, "O_PATH", os.O_RDONLY)
# A pipe or a device that takes the place of a file must neither block nor become our terminal.
_READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Located(msgspec.Struct, frozen=True):
    """Where a tool's argument leads."""

    path: str
    """Relative to the workspace with `/`; absolute where it is outside."""
    absolute: Path
    outside: bool


class Fingerprint(msgspec.Struct, frozen=True):
    """What tells cheaply that a file is not the same any more."""

    mtime_ns: int
    ctime_ns: int
    size: int
    inode: int
    mode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Fingerprint:
        return cls(status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_mode)


class Snapshot(msgspec.Struct, frozen=True):
    """A whole file as it was read."""

    data: bytes
    fingerprint: Fingerprint
    links: int
    """How many names the file has."""


class Workspace:
    """A folder; nothing outside it is reached by accident."""

    def __init__(self, root: Path) -> None:
        """Resolve the root, once and for all.

        Raises:
            StorageError: it is no folder that can be entered.
        """
        self.root = Path(os.path.realpath(root))
        self._base = str(self.root)
        self._prefix = self._base.rstrip("/") + "/"
        if not self.root.is_dir():
            raise StorageError(f"{self._base} is no folder", "give an existing folder with --cwd")

    def locate(self, path: str) -> Located:
        """Follow the argument, links included, to a place inside or outside.

        Raises:
            ToolError: no path can be meant by it.
        """
        text = check_argument(path)
        real = os.path.realpath(text if text.startswith("/") else self._prefix + text)
        if real == self._base:
            return Located(".", self.root, outside=False)
        if real.startswith(self._prefix):
            return Located(real[len(self._prefix) :], Path(real), outside=False)
        return Located(real, Path(real), outside=True)

    def resolve(self, path: str) -> str:
        """The relative path of an argument, with `/`; `.` is the workspace itself.

        Raises:
            ToolError: it leads out of the workspace.
        """
        located = self.locate(path)
        if located.outside:
            raise ToolError(
                f"{shown(path)} is outside the project folder; give a path relative to it, such as src/a.py"
            )
        return located.path

    def status(self, path: str) -> os.stat_result | None:
        """What lies at the resolved path itself, links not followed; None where nothing does.

        Raises:
            ToolError: it cannot be looked at.
        """
        try:
            with self.parent(path) as (folder, name):
                return os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise explain(error, path) from None

    def fingerprint(self, path: str) -> Fingerprint | None:
        """The fingerprint of what lies at the resolved path; None where nothing does."""
        status = self.status(path)
        return None if status is None else Fingerprint.of(status)

    @contextmanager
    def parent(self, path: str, *, create: bool = False) -> Iterator[tuple[int, str]]:
        """A descriptor of the folder that holds the resolved path, and the last name.

        Raises:
            OSError: a part is missing, or is no folder any more.
        """
        names = path.split("/")
        folder = _enter(self._base, names[:-1], create=create)
        try:
            yield folder, names[-1]
        finally:
            os.close(folder)

    def open(self, path: str) -> BinaryIO:
        """Open the regular file at a resolved path for reading; the caller closes it.

        Raises:
            ToolError: it is missing, no regular file, or cannot be read.
        """
        return self._open(self._base, path, path)

    def open_outside(self, located: Located) -> BinaryIO:
        """The same for a place outside: to be called when that was permitted."""
        return self._open("/", located.path.lstrip("/") or ".", located.path)

    def _open(self, base: str, path: str, name: str) -> BinaryIO:
        names = path.split("/")
        try:
            folder = _enter(base, names[:-1])
            try:
                return open_regular(folder, names[-1], name)
            finally:
                os.close(folder)
        except OSError as error:
            raise explain(error, name) from None

    def read(self, path: str, limit: int) -> Snapshot | None:
        """The whole file at a resolved path; None where there is none.

        Raises:
            ToolError: it is larger than `limit` bytes, or cannot be read.
        """
        if self.status(path) is None:
            return None
        with self.open(path) as file:
            status = os.fstat(file.fileno())
            if status.st_size > limit:
                raise ToolError(
                    f"{shown(path)} is too large: {size_words(status.st_size)}, at most {size_words(limit)}"
                )
            data = file.read(limit + 1)
            if len(data) > limit:
                raise ToolError(f"{shown(path)} is too large: more than {size_words(limit)}")
            return Snapshot(data, Fingerprint.of(status), status.st_nlink)

    def open_folder(self, located: Located) -> int:
        """A descriptor for listing a folder; the caller closes it.

        Raises:
            ToolError: it is missing or no folder.
        """
        base, path = ("/", located.path.lstrip("/")) if located.outside else (self._base, located.path)
        names = [] if path in (".", "") else path.split("/")
        try:
            folder = _enter(base, names[:-1])
            try:
                return os.open(names[-1] if names else ".", os.O_RDONLY | _FOLDER, dir_fd=folder)
            finally:
                os.close(folder)
        except NotADirectoryError:
            raise ToolError(f"{shown(located.path)} is not a folder") from None
        except OSError as error:
            raise explain(error, located.path) from None


def _enter(base: str, names: list[str], *, create: bool = False) -> int:
    """Walk down without following links; returns a descriptor of the last folder."""
    folder = os.open(base, _PASSING)
    try:
        for name in names:
            try:
                below = os.open(name, _PASSING, dir_fd=folder)
            except FileNotFoundError:
                if not create:
                    raise
                check_new_name(name)
                # Another call may make it in the meantime; whether it is a folder is seen next.
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=folder)
                below = os.open(name, _PASSING, dir_fd=folder)
            os.close(folder)
            folder = below
    except BaseException:
        # Re-raised: a descriptor that is not handed out has no other owner.
        os.close(folder)
        raise
    return folder


def open_regular(folder: int, name: str, path: str) -> BinaryIO:
    """Open a regular file of a folder for reading, whatever may have taken its place.

    Raises:
        OSError: it cannot be opened.
        ToolError: it is no regular file.
    """
    # Looking before opening keeps the hands off devices, for which opening alone may do something.
    check_regular(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode, path)
    descriptor = os.open(name, _READING, dir_fd=folder)
    try:
        check_regular(os.fstat(descriptor).st_mode, path)
        return open(descriptor, "rb")
    except BaseException:
        # Re-raised: as long as no file object has taken it over, the descriptor is ours.
        os.close(descriptor)
        raise


def check_regular(mode: int, path: str) -> None:
    """Refuse everything but regular files.

    Raises:
        ToolError: with what it is.
    """
    if S_ISREG(mode):
        return
    if S_ISDIR(mode):
        raise ToolError(f"{shown(path)} is a folder; list it with list_dir")
    if S_ISLNK(mode):
        raise ToolError(f"{shown(path)} is a symbolic link that leads nowhere, or was changed just now")
    raise ToolError(f"{shown(path)} is no regular file (a pipe, socket or device)")
