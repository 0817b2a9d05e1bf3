"""Keeps the workspace's files of each round in a shadow repository of the session.

Beside the pre-images in the blobs, and best effort: it never holds up a round, never
touches the workspace's own repository, and runs nothing that the workspace configures.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from jetbox.engine.safety.starting import end, spawn

FILE_BYTES = 5 * 1024**2
"""Larger files are left out."""
REPOSITORY_BYTES = 512 * 1024**2
"""No more commits once the repository is larger."""
MOST_FILES = 20_000
"""No commits of a workspace with more files."""
LIMIT_S = 20.0
"""No more commits once one takes longer."""

_CONFIG = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.autocrlf": "false",
    "core.safecrlf": "false",
    "core.quotePath": "false",
    "core.excludesFile": "/dev/null",
    "core.attributesFile": "/dev/null",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "commit.gpgSign": "false",
}
# Above the workspace's own .gitattributes: bytes are kept as they are, and no filter runs.
_ATTRIBUTES = "* -text -eol -ident -filter -working-tree-encoding\n"


class _GitError(Exception):
    """A git command failed."""


class Snapshots:
    """A commit a round of what the workspace's ignore rules let through."""

    def __init__(
        self,
        session_folder: Path,
        workspace: Path,
        *,
        file_bytes: int = FILE_BYTES,
        repository_bytes: int = REPOSITORY_BYTES,
        limit_s: float = LIMIT_S,
    ) -> None:
        self.folder = session_folder / "files.git"
        self.workspace = workspace
        self.reason = ""
        """Why there are no more snapshots; empty while there are."""
        self._file_bytes = file_bytes
        self._repository_bytes = repository_bytes
        self._limit_s = limit_s
        self._git = ""
        self._lock = asyncio.Lock()

    async def commit(self, round_number: int) -> str | None:
        """Commit the files as they are now, and return the commit's id; None where that is not possible.

        `refs/rounds/N` leads to it. Calls wait for each other. `reason` says why there are none any more.
        """
        async with self._lock:
            if self.reason:
                return None
            try:
                async with asyncio.timeout(self._limit_s):
                    return await self._commit(round_number)
            except TimeoutError:
                self.reason = f"no file snapshots: one took longer than {self._limit_s:g} s"
            except (_GitError, OSError) as error:
                self.reason = f"no file snapshots: {error}"
            return None

    async def _commit(self, round_number: int) -> str | None:
        if not self._git and not await self._prepare():
            return None
        listed = await self._run("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        names = {name for name in listed.split(b"\0") if name and not name.endswith(b"/")}
        if len(names) > MOST_FILES:
            self.reason = f"no file snapshots: the workspace has more than {MOST_FILES} files"
            return None
        keep, drop = await asyncio.to_thread(self._sort, names)
        if drop:
            await self._run("update-index", "-z", "--force-remove", "--stdin", stdin=_lines(drop))
        if keep:
            await self._run("update-index", "-z", "--add", "--replace", "--stdin", stdin=_lines(keep))
        tree = (await self._run("write-tree")).strip().decode()
        parent = await self._parent()
        arguments = ["commit-tree", tree, "-m", f"round {round_number}", *(["-p", parent] if parent else [])]
        commit = (await self._run(*arguments)).strip().decode()
        updates = f"update refs/heads/rounds {commit}\nupdate refs/rounds/{round_number} {commit}\n"
        await self._run("update-ref", "--stdin", stdin=updates.encode())
        await self._weigh()
        return commit

    async def _prepare(self) -> bool:
        from shutil import which

        git = which("git")
        if git is None:
            self.reason = "no file snapshots: git is not installed"
            return False
        self._git = git
        if not (self.folder / "HEAD").is_file():
            await self._run("init", "--quiet", "--bare", "--shared=0600", "--template=", str(self.folder), bare=True)
        info = self.folder / "info"
        info.mkdir(mode=0o700, exist_ok=True)
        (info / "attributes").write_text(_ATTRIBUTES)
        with suppress(OSError):
            (info / "exclude").write_bytes((self.workspace / ".git" / "info" / "exclude").read_bytes())
        with suppress(FileNotFoundError):  # of a process that was killed
            (self.folder / "index.lock").unlink()
        return True

    def _sort(self, names: Iterable[bytes]) -> tuple[list[bytes], list[bytes]]:
        """Which files to take in, and which to leave out: gone, too large, or no files at all."""
        root = os.fsencode(self.workspace)
        keep: list[bytes] = []
        drop: list[bytes] = []
        for name in sorted(names):
            try:
                found = os.lstat(os.path.join(root, name))
            except OSError:
                drop.append(name)
                continue
            small_file = stat.S_ISREG(found.st_mode) and found.st_size <= self._file_bytes
            readable = stat.S_ISLNK(found.st_mode) or (small_file and os.access(os.path.join(root, name), os.R_OK))
            (keep if readable else drop).append(name)
        return keep, drop

    async def _parent(self) -> str:
        listed = await self._run("for-each-ref", "--format=%(objectname)", "refs/heads/rounds")
        return listed.strip().decode()

    async def _weigh(self) -> None:
        counts = await self._run("count-objects", "-v")
        for line in counts.decode().splitlines():
            name, _, value = line.partition(": ")
            if name == "size" and int(value) * 1024 > self._repository_bytes:
                limit = self._repository_bytes // 1024**2
                self.reason = f"no more file snapshots: {self.folder} has grown beyond {limit} MiB"

    async def _run(self, *arguments: str, stdin: bytes = b"", bare: bool = False) -> bytes:
        options = [text for key, value in _CONFIG.items() for text in ("-c", f"{key}={value}")]
        process = await spawn(
            self._git,
            *options,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.workspace,
            env=self._environment(bare),
            start_new_session=True,
        )
        try:
            out, err = await process.communicate(stdin)
        finally:
            await end(process)  # a cancelled snapshot leaves no git behind
        if process.returncode:
            lines = err.decode(errors="replace").strip().splitlines()
            raise _GitError(f"git {arguments[0]}: {lines[-1] if lines else f'exit code {process.returncode}'}")
        return out

    def _environment(self, bare: bool) -> dict[str, str]:
        """Nothing of the user's or the workspace's configuration gets in."""
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder.parent),
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_SYSTEM": "/dev/null",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_NAME": "jetbox",
            "GIT_AUTHOR_EMAIL": "jetbox@localhost",
            "GIT_COMMITTER_NAME": "jetbox",
            "GIT_COMMITTER_EMAIL": "jetbox@localhost",
        }
        if not bare:
            environment |= {
                "GIT_DIR": str(self.folder),
                "GIT_WORK_TREE": str(self.workspace),
                "GIT_INDEX_FILE": str(self.folder / "index"),
            }
        return environment


def _lines(names: list[bytes]) -> bytes:
    return b"".join(name + b"\0" for name in names)
