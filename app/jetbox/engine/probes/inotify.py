"""The kernel's queue of changes, read without waiting.

The kernel puts an event into the queue inside the system call that changes a file, so once that
call has returned, a look into the queue sees it: an empty queue proves that nothing that is
watched has changed. What it cannot tell: stores through a memory map before the file is closed,
and writes through a hard link that was made after the file was last looked at.

The libraries for Python either hide that an event was lost, or deliver with a delay, or miss
what is put into a folder that was just made; hence this one.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import struct
from collections.abc import Iterator
from contextlib import suppress

MODIFY, ATTRIB, CLOSE_WRITE, MOVED_FROM, MOVED_TO = 0x2, 0x4, 0x8, 0x40, 0x80
CREATE, DELETE, DELETE_SELF, MOVE_SELF = 0x100, 0x200, 0x400, 0x800
UNMOUNT, OVERFLOW, IGNORED = 0x2000, 0x4000, 0x8000
ONLYDIR, DONT_FOLLOW, EXCL_UNLINK, MASK_ADD, ISDIR = 0x1000000, 0x2000000, 0x4000000, 0x20000000, 0x40000000

SELF = DELETE_SELF | MOVE_SELF
ENTRIES = CREATE | DELETE | MOVED_FROM | MOVED_TO | SELF
CONTENT = MODIFY | ATTRIB | CLOSE_WRITE | SELF
"""The close of a writer also tells of what it stored through a memory map."""

SOUND = frozenset(
    {
        0xEF53,  # ext2, ext3, ext4
        0x58465342,  # xfs
        0x9123683E,  # btrfs
        0xCA451A4E,  # bcachefs
        0x2FC12FC1,  # zfs
        0xF2F52010,  # f2fs
        0x01021994,  # tmpfs
        0x858458F6,  # ramfs
        0x3153464A,  # jfs
        0x52654973,  # reiserfs
        0x3434,  # nilfs2
    }
)
"""File systems on which every change goes through this kernel, and is told: on network and
FUSE file systems others write, below an overlay a layer changes unseen."""

_HEAD = struct.Struct("iIII")
_BUFFER = 1 << 18

Event = tuple[int, int, str]
"""Watch, what happened, and the name in the folder; the name is empty for the watched thing itself."""


class Unwatchable(Exception):
    """The kernel does not watch this; the message says why, in words."""


class Inotify:
    """One queue, and the watches that feed it; also notices when something is mounted."""

    def __init__(self) -> None:
        """Raises `Unwatchable` where the kernel gives none."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        try:
            self._fd = int(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        except AttributeError:
            self._fd = -1
            raise Unwatchable("this system has no inotify") from None
        if self._fd < 0:
            raise Unwatchable(_words(ctypes.get_errno()))
        self._mounts = -1
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        # A folder that something is mounted on stays watched below, and hides what is seen.
        with suppress(OSError):
            self._mounts = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
            self._poll.register(self._mounts, select.POLLPRI)
            self._poll.poll(0)

    def add(self, path: str, mask: int) -> int:
        """Watch a file or folder; the same number again for what is watched already.

        Raises `OSError` where it is gone or may not be read, `Unwatchable` where no more can be watched.
        """
        watch = int(self._libc.inotify_add_watch(self._fd, os.fsencode(path), mask))
        if watch >= 0:
            return watch
        code = ctypes.get_errno()
        if code in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG):
            raise OSError(code, os.strerror(code), path)
        raise Unwatchable(_words(code))

    def remove(self, watch: int) -> None:
        """End a watch; one that is gone already is no error."""
        self._libc.inotify_rm_watch(self._fd, watch)

    def pending(self) -> tuple[bool, bool]:
        """Whether there are events, and whether something was mounted since the last call."""
        found = self._poll.poll(0)
        if not found:
            return False, False
        return any(fd == self._fd for fd, _ in found), any(fd == self._mounts for fd, _ in found)

    def drain(self) -> Iterator[Event]:
        """Every event that is in the queue by now."""
        while True:
            try:
                data = os.read(self._fd, _BUFFER)
            except BlockingIOError:
                return
            at = 0
            while at < len(data):
                watch, mask, _, length = _HEAD.unpack_from(data, at)
                at += _HEAD.size
                name = data[at : at + length].rstrip(b"\0")
                at += length
                yield watch, mask, os.fsdecode(name)

    def close(self) -> None:
        """End every watch; a second time does nothing."""
        for handle in (self._fd, self._mounts):
            if handle >= 0:
                os.close(handle)
        self._fd = self._mounts = -1

    def __del__(self) -> None:
        if hasattr(self, "_mounts"):
            self.close()


class Devices:
    """Which file systems tell of every change, and keep the times of their folders right."""

    def __init__(self) -> None:
        self._known: dict[int, bool] = {}

    def sound(self, path: str, device: int = -1) -> bool:
        """True for the one that holds the path; a path that is gone has nothing to hide."""
        try:
            if device < 0:
                device = os.stat(path).st_dev
            known = self._known.get(device)
            if known is None:
                known = self._known[device] = file_system(path) in SOUND
        except OSError:
            return True
        return known

    def forget(self) -> None:
        """Something was mounted: look again."""
        self._known.clear()


def file_system(path: str) -> int:
    """The magic number of the file system that holds the path; raises `OSError`."""
    libc = ctypes.CDLL(None, use_errno=True)
    # `struct statfs` begins with the type as a long on every architecture that matters here.
    buffer = ctypes.create_string_buffer(512)
    if libc.statfs(os.fsencode(path), buffer) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    return ctypes.c_ulong.from_buffer(buffer).value & 0xFFFFFFFF


def _words(code: int) -> str:
    if code == errno.ENOSPC:
        return "no more watches (fs.inotify.max_user_watches)"
    if code == errno.EMFILE:
        return "no more queues (fs.inotify.max_user_instances)"
    return f"inotify: {os.strerror(code)}"
