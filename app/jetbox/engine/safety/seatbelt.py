"""Confinement on macOS by `sandbox-exec` and a profile in its own language."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from jetbox.engine.safety.private import PrivateFolder
from jetbox.engine.safety.readable import Readable
from jetbox.engine.safety.sandbox import Launch

_SYSTEM = (
    "/usr", "/bin", "/sbin", "/opt", "/nix", "/System", "/Library", "/Applications/Xcode.app", "/private/etc",
    "/private/var/db/timezone", "/private/var/db/dyld", "/private/var/select", "/dev",
)  # fmt: skip
_SECRETS = ("/private/etc/master.passwd", "/private/etc/sudoers", "/private/etc/ssh", "/Library/Keychains")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/dtracehelper", "/dev/random", "/dev/urandom")


class Seatbelt:
    """Reads the system, toolchains and the workspace; writes the workspace and a private folder."""

    name = "sandbox-exec"
    confines = True
    guards_git = True

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
        self.cannot: tuple[str, ...] = ("a process that leaves its process group outlives the command",)
        if network:
            self.cannot += ("use of the network",)
        self._private = private
        self._env = private.environment()
        self._readable = Readable(root, environ, readable)
        self._root = root
        self._network = network
        self._program = program

    @property
    def readable(self) -> tuple[str, ...]:
        return tuple(map(str, self._readable.now()))

    def wrap(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Launch:
        folder = os.path.realpath(cwd)
        rules = profile(self._root, self._private.writable, self._readable.now(), self._network)
        return Launch((self._program, "-p", rules, *argv), {**env, **self._env, "PWD": folder}, folder)

    async def own_folder(self, root: Path) -> str:
        return ""

    async def close(self) -> None:
        await asyncio.to_thread(self._private.delete)


def profile(root: Path, private: Sequence[Path], readable: Sequence[Path], network: bool) -> str:
    """The rules; where several match, the last one holds."""
    read = [*_SYSTEM, *map(str, readable), *map(str, private), str(root)]
    lines = [
        "(version 1)",
        "(deny default)",
        "(allow process-fork process-exec sysctl-read)",
        "(allow signal process-info* (target same-sandbox))",
        "(allow file-read-metadata)",
        '(allow mach-lookup (global-name "com.apple.system.opendirectoryd.libinfo"))',
        "(allow ipc-posix-sem ipc-posix-shm)",
        '(allow file-read* (literal "/"))',
        f"(allow file-read* file-map-executable {_subpaths(read)})",
        f"(deny file-read* {_subpaths(_SECRETS)})",
        f"(allow file-write* {_subpaths([*map(str, private), str(root)])})",
        f"(allow file-write-data {' '.join(f'(literal {_quoted(d)})' for d in _DEVICES)})",
        f"(deny file-write* {_subpaths([str(root / '.git'), str(root / '.jetbox')])})",
    ]
    if network:
        lines.append("(allow network* system-socket)")
        lines.append('(allow mach-lookup (global-name "com.apple.SystemConfiguration.configd"))')
    else:
        lines.append('(allow network* (local ip "localhost:*") (remote ip "localhost:*"))')
    return "\n".join(lines)


def _subpaths(paths: Sequence[str]) -> str:
    return " ".join(f"(subpath {_quoted(path)})" for path in paths)


def _quoted(path: str) -> str:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
