"""The interpreter that the workspace's tests run with, and what is installed in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

import msgspec

from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.inscope import out_of_scope
from jetbox.engine.safety.process import Limits, ProcessRunner

LOOK = """\
import sys
sys.path[:] = [p for p in sys.path if p]
import importlib.util, json
roots = set()
for finder in sys.meta_path:
    module = sys.modules.get(getattr(finder, "__module__", ""))
    mapping = getattr(module, "MAPPING", None)
    if isinstance(mapping, dict):
        roots.update(str(path) for path in mapping.values())
print("\\n" + {nonce!r} + json.dumps({{
    "version": "%d.%d.%d" % sys.version_info[:3],
    "implementation": sys.implementation.name,
    "path": sys.path,
    "prefixes": [sys.prefix, sys.base_prefix],
    "editable": sorted(roots),
    "pytest": importlib.util.find_spec("pytest") is not None,
}}))
"""
"""Run by the interpreter itself; the workspace is taken off its path before anything is imported."""


class Interpreter(msgspec.Struct, frozen=True):
    """Which interpreter, and why this one."""

    path: str
    """As it is started: a virtual environment is known by this name, not by what it links to."""
    origin: str
    """`configured`, `.venv`, `venv`, `VIRTUAL_ENV` or `own`."""

    @property
    def foreign(self) -> bool:
        """True where it belongs to the workspace or was named by the user."""
        return self.origin != "own"


class Facts(msgspec.Struct, frozen=True):
    """What an interpreter says of itself."""

    version: str = ""
    pytest: str = ""
    """Version of pytest; empty where it has none."""
    problem: str = ""
    """Why it cannot be used, in words."""
    packages: str = ""
    """Digest of what is installed."""
    outside: dict[str, str] = {}
    """Digests of folders on its path that are neither its own nor the workspace's."""


class _Look(msgspec.Struct, frozen=True):
    identity: tuple[object, ...]
    version: str
    has_pytest: bool
    folders: tuple[str, ...]
    outside: tuple[str, ...]


class Interpreters:
    """Finds the workspace's interpreter; asks it, in the sandbox, once for each state of it."""

    def __init__(
        self,
        root: Path,
        processes: ProcessRunner,
        configured: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._root = root
        self._processes = processes
        self._configured = configured
        self._environment = os.environ if environment is None else environment
        self._looks: dict[str, _Look] = {}
        self._trees: dict[str, Tree] = {}
        self.lookups = 0
        """How many times an interpreter was started to ask it."""

    def find(self) -> Interpreter:
        """The configured one, `.venv`, `venv`, `VIRTUAL_ENV`, else ours."""
        if self._configured:
            return Interpreter(str(self._root / Path(self._configured).expanduser()), "configured")
        for name in (".venv", "venv"):
            path = self._root / name / "bin" / "python"
            if os.path.lexists(path):
                return Interpreter(str(path), name)
        active = self._environment.get("VIRTUAL_ENV", "")
        if active and os.path.realpath(active) != os.path.realpath(sys.prefix):
            path = Path(active) / "bin" / "python"
            if os.path.lexists(path):
                return Interpreter(str(path), "VIRTUAL_ENV")
        return Interpreter(sys.executable, "own")

    async def facts(self, interpreter: Interpreter) -> Facts:
        """What it is and has, as of now; a `problem` where it does not run."""
        identity = _identity(interpreter.path)
        if identity is None:
            return Facts(problem=f"{self.shown(interpreter)} does not exist or leads nowhere")
        look = self._looks.get(interpreter.path)
        if look is None or look.identity != (identity, *_times(look.folders)):
            found = await self._ask(interpreter, identity)
            if isinstance(found, Facts):
                return found
            self._looks[interpreter.path] = look = found
        names, packages = _installed(look.folders)
        pytest = names.get("pytest", "unknown version") if look.has_pytest else ""
        return Facts(look.version, pytest, "", packages, {path: await self._swept(path) for path in look.outside})

    def shown(self, interpreter: Interpreter) -> str:
        """Its path, relative to the workspace where it lies in it."""
        path = Path(interpreter.path)
        return str(path.relative_to(self._root)) if path.is_relative_to(self._root) else str(path)

    async def _swept(self, path: str) -> str:
        if os.path.isfile(path):
            return str(_identity(path))
        tree = self._trees.setdefault(path, Tree(Path(path), out_of_scope))
        seen = await tree.sweep()
        # What cannot be proved gets a value that no later look-up has.
        return seen.digest if seen.proved else os.urandom(8).hex()

    async def _ask(self, interpreter: Interpreter, identity: tuple[object, ...]) -> _Look | Facts:
        self.lookups += 1
        nonce = os.urandom(8).hex()
        name = self.shown(interpreter)
        try:
            done = await self._processes.run(
                [interpreter.path, "-c", LOOK.format(nonce=nonce)],
                limits=Limits(seconds=30, output_bytes=64_000),
                cwd=self._root,
            )
        except OSError as error:
            return Facts(problem=f"{name} cannot be started: {error.strerror or error}")
        if done.state != "exited" or nonce not in done.output:
            last = (done.output.strip().splitlines() or [f"{done.state}, exit code {done.code}"])[-1]
            return Facts(problem=f"{name} does not run: {last[:200]}")
        said = msgspec.json.decode(done.output.rpartition(nonce)[2].partition("\n")[0])
        prefixes = tuple(os.path.realpath(p) + os.sep for p in said["prefixes"])
        root = os.path.realpath(self._root)
        known = {os.path.realpath(p): None for p in (*said["path"], *said["editable"]) if os.path.exists(p)}
        own = tuple(p for p in known if p.startswith(prefixes) and os.path.isdir(p))
        outside = tuple(
            p for p in known if not p.startswith(prefixes) and p != root and not p.startswith(root + os.sep)
        )
        folders = tuple(p for p in own if p.endswith("-packages"))
        rest = tuple(p for p in outside if not p.endswith("-packages"))
        folders += tuple(p for p in outside if p.endswith("-packages"))
        return _Look((identity, *_times(folders)), said["version"], bool(said["pytest"]), folders, rest)


def _identity(path: str) -> tuple[object, ...] | None:
    try:
        seen = os.stat(path)
    except OSError:
        return None
    parts: list[object] = [os.path.realpath(path), seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino]
    try:
        parts.append(os.stat(os.path.join(os.path.dirname(os.path.dirname(path)), "pyvenv.cfg")).st_mtime_ns)
    except OSError:
        parts.append(0)
    return tuple(parts)


def _times(folders: tuple[str, ...]) -> list[int]:
    times = []
    for folder in folders:
        try:
            times.append(os.stat(folder).st_mtime_ns)
        except OSError:
            times.append(0)
    return times


def _installed(folders: tuple[str, ...]) -> tuple[dict[str, str], str]:
    """Versions by distribution, and a digest of every entry's name and times."""
    versions: dict[str, str] = {}
    digest = blake2b(digest_size=16)
    for folder in folders:
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if entry.name == "__pycache__":
                continue
            name, dot, kind = entry.name.rpartition(".")
            if dot and kind in ("dist-info", "egg-info"):
                distribution, _, version = name.partition("-")
                versions.setdefault(distribution.lower().replace("_", "-"), version.partition("-py")[0])
            try:
                seen = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            digest.update(f"{folder}/{entry.name}\0{seen.st_mtime_ns}\0{seen.st_size}\0".encode(errors="replace"))
    return versions, digest.hexdigest()
