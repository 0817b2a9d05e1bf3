"""Confinement by bubblewrap: namespaces, with only what is needed mounted inside."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from jetbox.engine.safety.private import PrivateFolder
from jetbox.engine.safety.readable import SYSTEM, Readable, secrets_in
from jetbox.engine.safety.sandbox import Launch

GUARDED = (".git", ".jetbox")
"""Folders of the workspace that are read-only inside."""

# Process 1 inside is this shell, not the command: when it exits, the kernel has ended every
# process of the namespace before anyone is told; and a command keeps ordinary signal rules.
# Its own remarks ("Killed") would stand in the command's output.
_INIT = 'exec 3>&2 2>/dev/null; (exec 2>&3 3>&-; exec "$@"); exit $?'


TEMPORARY = ("/tmp", "/var/tmp")
KERNEL = ("/proc/sys", "/proc/sysrq-trigger", "/proc/fs", "/proc/scsi", "/proc/acpi", "/proc/mtrr")
"""Files of the kernel that act when they are written."""


class Bubblewrap:
    """Sees the system, toolchains and the workspace; the rest of the disk is not there."""

    name = "bubblewrap"
    confines = True

    def __init__(
        self,
        program: str,
        root: Path,
        private: PrivateFolder,
        *,
        network: bool,
        environ: Mapping[str, str],
        readable: Sequence[Path] = (),
    ) -> None:
        self.cannot: tuple[str, ...] = ("use of the network",) if network else ()
        self._root = root
        self._private = private
        self._env = private.environment()
        self._network = network
        self._readable = Readable(root, environ, readable)
        self._begin = (program, *_isolation(network))
        self._mounts: tuple[tuple[Path, ...], list[str]] = ((), [])

    @property
    def guards_git(self) -> bool:
        """What is not there cannot be mounted read-only, and a link can be replaced."""
        paths = [self._root / name for name in GUARDED]
        return all(os.path.exists(path) and not os.path.islink(path) for path in paths)

    @property
    def readable(self) -> tuple[str, ...]:
        return tuple(map(str, self._readable.now()))

    def _mounted(self) -> list[str]:
        """Options for what is to be seen, made anew where that is something else."""
        now = self._readable.now()
        if now != self._mounts[0] or not self._mounts[1]:
            self._clear(set(self._mounts[0]).difference(now))
            self._mounts = (now, _mounts(self._root, self._private, now, self._network))
        return self._mounts[1]

    def _clear(self, gone: set[Path]) -> None:
        """Delete what was put where a temporary file or folder was mounted: it would pass for that."""
        for folder in TEMPORARY:
            for path in gone:
                if path.is_relative_to(folder) and str(path) != folder:
                    with suppress(OSError):
                        _delete_empty(self._private.shared, path.relative_to(folder).parts)

    def wrap(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Launch:
        guards: list[str] = []
        for name in GUARDED:
            path = os.path.realpath(self._root / name)
            if os.path.lexists(path) and Path(path).is_relative_to(self._root):
                guards += ("--ro-bind", path, path)
        folder = os.path.realpath(cwd)
        inside = ("--remount-ro", "/", "--chdir", folder, "--", "/bin/sh", "-c", _INIT, "sh", *argv)
        return Launch(
            (*self._begin, *self._mounted(), *guards, *inside),
            {**env, **self._env, "PWD": folder},
            "/",
            supervised=True,
        )

    async def own_folder(self, root: Path) -> str:
        return ""

    async def close(self) -> None:
        await asyncio.to_thread(self._private.delete)


def _delete_empty(folder: Path, parts: Sequence[str]) -> None:
    """Delete an empty file or folder below; no link on the way is followed, for commands can make them.

    Raises:
        OSError: there is none.
    """
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        for part in parts[:-1]:
            within = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = within
        found = os.stat(parts[-1], dir_fd=at, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            os.rmdir(parts[-1], dir_fd=at)
        elif stat.S_ISREG(found.st_mode) and not found.st_size:
            os.unlink(parts[-1], dir_fd=at)
    finally:
        os.close(at)


def _isolation(network: bool) -> list[str]:
    flags = ["--unshare-user-try", "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"]
    if not network:
        flags.append("--unshare-net")
    # Root keeps its capabilities otherwise, and could mount what is read-only again.
    return [*flags, "--die-with-parent", "--as-pid-1", "--cap-drop", "ALL"]


def _mounts(root: Path, private: PrivateFolder, readable: Sequence[Path], network: bool) -> list[str]:
    """Options of every mount, a folder before what lies in it."""
    mounts: dict[str, tuple[str, ...]] = {
        "/proc": ("--proc", "/proc"),
        "/dev": ("--dev", "/dev"),
        **{name: ("--bind", str(private.shared), name) for name in TEMPORARY},
    }
    # Root could change the kernel's settings through them, whatever its capabilities.
    for name in filter(os.path.exists, KERNEL):
        mounts[name] = ("--ro-bind", name, name)
    seen = [
        *SYSTEM,
        "/etc",
        "/sys/devices/system/cpu",
        *(["/run/systemd/resolve"] if network else []),
        *map(str, readable),
    ]
    for name in filter(os.path.exists, seen):
        link = os.path.islink(name) and name in SYSTEM
        if name in mounts or (link and "/" in seen):
            continue  # what a command has of its own is not opened by the name of the system's
        if link:
            mounts[name] = ("--symlink", os.readlink(name), name)
        elif not any(str(parent) in mounts and str(parent) not in TEMPORARY for parent in Path(name).parents):
            mounts[name] = ("--ro-bind", name, name)
    for path in (root, *private.writable):
        mounts[str(path)] = ("--bind", str(path), str(path))
    for name in secrets_in("/etc"):
        if os.access(name, os.R_OK):
            mounts[name] = ("--tmpfs", name) if os.path.isdir(name) else ("--ro-bind", "/dev/null", name)
    ordered = sorted(mounts, key=lambda name: name.split("/"))
    return [word for name in ordered for word in mounts[name]]
