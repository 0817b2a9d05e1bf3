"""Failures of the file system in words."""

from __future__ import annotations

import errno
import os

from jetbox.engine.errors import DiskFailed, ToolError
from jetbox.engine.workspace.names import shown

_WORDS = {
    errno.ENOENT: "there is no such file or folder",
    errno.ENOTDIR: "a part of the path is not a folder",
    errno.EISDIR: "it is a folder",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
    errno.ENOSPC: "the disk is full; nothing was written",
    errno.EDQUOT: "the disk quota is used up; nothing was written",
    errno.EFBIG: "the file would be too large for the file system; nothing was written",
    errno.ELOOP: "it is a symbolic link that leads nowhere",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EMFILE: "too many files are open",
    errno.ENFILE: "too many files are open",
}


_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def explain_write(error: OSError, path: str, root: str | os.PathLike[str]) -> ToolError:
    """The failure of a write; one of the disk, or of a workspace that cannot be written at all, ends the goal."""
    words = explain(error, path)
    closed = error.errno in (errno.EACCES, errno.EPERM) and not os.access(root, os.W_OK)
    return DiskFailed(str(words)) if closed or error.errno in _OF_THE_DISK else words


def explain(error: OSError, path: str) -> ToolError:
    """The failure as a result for the model."""
    words = _WORDS.get(error.errno or 0) or (error.strerror or type(error).__name__).lower()
    return ToolError(f"{shown(path)}: {words}")
