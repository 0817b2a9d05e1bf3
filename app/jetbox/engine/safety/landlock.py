"""Confinement by Landlock: an allow-list of paths that the kernel holds a process to."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from jetbox.engine.safety.private import PrivateFolder
from jetbox.engine.safety.readable import SYSTEM, Readable, secrets_in, without
from jetbox.engine.safety.sandbox import Launch
from jetbox.engine.safety.supervised import supervised

_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_STATE = ("/proc", "/sys/devices/system/cpu")


class Landlock:
    """Reads the system, toolchains and the workspace; writes the workspace and a private folder."""

    name = "landlock"
    confines = True
    guards_git = False

    def __init__(
        self,
        root: Path,
        private: PrivateFolder,
        *,
        version: int,
        network: bool,
        environ: Mapping[str, str],
        readable: Sequence[Path] = (),
    ) -> None:
        """`version` is what the kernel offers, from 1."""
        self.cannot = _gaps(version, network)
        self._private = private
        self._env = private.environment()
        self._readable = Readable(root, environ, readable)
        read = [*SYSTEM, *_STATE, *_etc()]
        if network:
            read.append("/run/systemd/resolve")
        write = [str(root), *map(str, private.writable), *_DEVICES, "/dev/shm"]
        self._options = [
            "--landlock",
            *([] if network else ["--no-network"]),
            *(f"--read={path}" for path in read if os.path.exists(path)),
            *(f"--write={path}" for path in write),
        ]

    @property
    def readable(self) -> tuple[str, ...]:
        return tuple(map(str, self._readable.now()))

    def wrap(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Launch:
        folder = os.path.realpath(cwd)
        # Of /etc what everybody may read is open already.
        options = [*self._options, *(f"--read={path}" for path in self.readable if path != "/etc")]
        return supervised(argv, folder, {**env, **self._env, "PWD": folder}, options)

    async def own_folder(self, root: Path) -> str:
        return ""

    async def close(self) -> None:
        await asyncio.to_thread(self._private.delete)


def _etc() -> list[str]:
    return list(without("/etc", [name for name in secrets_in("/etc") if os.access(name, os.R_OK)]))


def _gaps(version: int, network: bool) -> tuple[str, ...]:
    gaps = [
        "writes to .git and .jetbox of the workspace",
        "changes of mode, owner and times of your files outside it",
        "shared memory in /dev/shm",
    ]
    if version < 3:
        gaps.append("truncating your files outside it")
    if network:
        gaps.append("use of the network")
    elif version < 4:
        gaps.append("use of the network: this kernel cannot forbid it")
    else:
        gaps.append("network other than TCP, such as UDP")
    gaps.append("Unix sockets, such as Docker's" if version >= 6 else "Unix sockets and signals to your processes")
    return tuple(gaps)
