"""The interpreter that the workspace's tests run with, and what is installed in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.inscope import out_of_scope
from jetbox.engine.probes.installed import Installed, installed
from jetbox.engine.safety.process import Limits, ProcessRunner
from jetbox.engine.workspace.ignore import ENVIRONMENT_MARK

LOOK = """\
import sys
sys.path[:] = [p for p in sys.path if p]
import importlib.util, json, site
roots = set()
for finder in sys.meta_path:
    module = sys.modules.get(getattr(finder, "__module__", ""))
    mapping = getattr(module, "MAPPING", None)
    if isinstance(mapping, dict):
        roots.update(str(path) for path in mapping.values())
print("\\n" + {nonce!r} + json.dumps({{
    "version": "%d.%d.%d" % sys.version_info[:3],
    "implementation": sys.implementation.name,
    "path": sys.path + ([site.getusersitepackages()] if site.ENABLE_USER_SITE else []),
    "prefixes": [sys.prefix, sys.base_prefix],
    "editable": sorted(roots),
    "pytest": importlib.util.find_spec("pytest") is not None,
}}))
"""
"""Run by the interpreter itself; the workspace is taken off its path before anything is imported."""


MOST_NOTICED = 3_000
"""Files and folders above which asking again is as quick as watching them."""


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
    noticed: tuple[str, ...] | None = None
    """Every file and folder whose change can change any of this, or which interpreter it is; None where it
    has to be asked each time. Of a folder that is what happens to its own entries."""


Answers = dict[str, Facts]
"""What interpreters said of themselves, by path."""


class LookUp:
    """What interpreters said in one turn over all probes: each is asked once, and again where that may be outdated."""

    def __init__(self) -> None:
        self._answers: Answers = {}
        self._state: tuple[int, ...] = ()

    def answers(self, state: tuple[int, ...]) -> Answers:
        """Those that were given under this state, to be added to."""
        if state != self._state:
            self._answers, self._state = {}, state
        return self._answers


class _Look(msgspec.Struct, frozen=True):
    identity: tuple[object, ...]
    files: str
    version: str
    has_pytest: bool
    folders: tuple[str, ...]
    outside: tuple[str, ...]
    ways: dict[str, str]
    """Every place on its path, and what it really is; empty where there is nothing yet."""


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
        self._inside = os.path.join(root, "")
        self._processes = processes
        self._configured = str(root / Path(configured).expanduser()) if configured else ""
        self._environment = os.environ if environment is None else environment
        self._looks: dict[str, _Look] = {}
        self._found: dict[str, Installed] = {}
        """What was installed at the latest look, by interpreter."""
        self._trees: dict[str, Tree] = {}
        self._known: dict[str, tuple[int, Facts]] = {}
        self.moves: Callable[[tuple[str, ...]], int | None] | None = None
        """A count of all that has happened to these places; None where something may go uncounted."""
        self.lookups = 0
        """How many times an interpreter was started to ask it."""

    def find(self) -> Interpreter:
        """The configured one, `.venv`, `venv`, `VIRTUAL_ENV`, else ours."""
        if self._configured:
            return Interpreter(self._configured, "configured")
        for name in (".venv", "venv"):
            path = f"{self._inside}{name}/bin/python"
            if os.path.lexists(path):
                return Interpreter(path, name)
        active = self._environment.get("VIRTUAL_ENV", "")
        if active and os.path.realpath(active) != os.path.realpath(sys.prefix):
            path = os.path.join(active, "bin", "python")
            if os.path.lexists(path):
                return Interpreter(path, "VIRTUAL_ENV")
        return Interpreter(sys.executable, "own")

    def environments(self) -> tuple[str, ...]:
        """Interpreters that `find` looks for before ours."""
        active = self._environment.get("VIRTUAL_ENV", "")
        folders = (f"{self._inside}.venv", f"{self._inside}venv", os.path.abspath(active) if active else "")
        return tuple(f"{folder}/bin/python" for folder in folders if folder)

    def places(self) -> tuple[str, ...]:
        """Every path whose change can make `find` come to another result."""
        return (*dict.fromkeys((self.find().path, *self.environments(), sys.executable)),)

    async def facts(self, interpreter: Interpreter, answers: Answers) -> Facts:
        """What it is and has, with a `problem` where it does not run; as of now, unless that is among the answers."""
        if interpreter.path not in answers:
            answers[interpreter.path] = await self._now(interpreter)
        return answers[interpreter.path]

    async def _now(self, interpreter: Interpreter) -> Facts:
        moves, path = self.moves, interpreter.path
        if moves is None:
            return await self._facts(interpreter)
        if path in self._known:
            count, facts = self._known[path]
            if facts.noticed is not None and moves(facts.noticed) == count:
                return facts
        before = moves(())
        facts = await self._facts(interpreter)
        # What happened since, or is not noticed yet, gives another count.
        if before is not None and facts.noticed is not None and moves(facts.noticed) == before:
            self._known[path] = (before, facts)
        return facts

    async def _facts(self, interpreter: Interpreter) -> Facts:
        identity = _identity(interpreter.path)
        own = (*self.places(), interpreter.path, _mark(interpreter.path))
        if identity is None:
            return Facts(problem=f"{self.shown(interpreter)} does not exist or leads nowhere", noticed=own)
        look = self._looks.get(interpreter.path)
        known = self._found.get(interpreter.path)
        found = installed(look.folders, known) if look is not None else None
        # Places that cannot be read are left out of its path by the interpreter itself.
        identity = (*identity, *self._processes.sandbox.readable)
        if look is None or found is None or not _holds(look, identity, found):
            asked = await self._ask(interpreter, identity)
            if isinstance(asked, Facts):
                return asked
            self._looks[interpreter.path] = look = asked
            found = installed(look.folders)
        self._found[interpreter.path] = found
        pytest = found.versions.get("pytest", "unknown version") if look.has_pytest else ""
        own = (*own, *look.folders, *look.ways, *found.folders)
        outside, noticed = await self.swept((*look.outside, *self._beyond(found.linked)), own)
        return Facts(look.version, pytest, "", found.digest, outside, noticed)

    def shown(self, interpreter: Interpreter) -> str:
        """Its path, relative to the workspace where it lies in it."""
        return interpreter.path.removeprefix(self._inside)

    async def swept(
        self, paths: Iterable[str], noticed: tuple[str, ...] | None = ()
    ) -> tuple[dict[str, str], tuple[str, ...] | None]:
        """Digests of these, and what has to be noticed besides `noticed`; None where that cannot be proved."""
        digests: dict[str, str] = {}
        for path in paths:
            digests[path], places = await self._swept(path)
            noticed = (*noticed, *places) if noticed is not None and places is not None else None
        told = tuple(dict.fromkeys(noticed)) if noticed is not None else None
        return digests, told if told is not None and len(told) <= MOST_NOTICED else None

    async def _swept(self, path: str) -> tuple[str, tuple[str, ...] | None]:
        """A digest of what is there, and what has to be noticed of it; None where it cannot be proved."""
        if not os.path.isdir(path):
            return str(_identity(path)), (path,)
        tree = self._trees.get(path)
        if tree is None:
            tree = self._trees[path] = Tree(Path(path), out_of_scope)
            if sys.platform == "linux":
                from jetbox.engine.probes.inotify import Devices

                tree.trusts = Devices().sound
        seen = await tree.sweep()
        # What cannot be proved gets a value that no later look-up has.
        return (seen.digest, tree.places()) if seen.proved else (os.urandom(8).hex(), None)

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
        named = (*said["path"], *said["editable"], *_named_in(p for p in said["path"] if p.endswith("-packages")))
        paths = [os.path.join(self._root, p) for p in named if p and "\0" not in p]
        ways = {path: _real(path) for path in paths}
        known = {real: None for real in ways.values() if real}
        own = tuple(p for p in known if p.startswith(prefixes) and os.path.isdir(p))
        outside = self._beyond(p for p in known if not p.startswith(prefixes))
        folders = tuple(p for p in own if p.endswith("-packages"))
        rest = tuple(p for p in outside if not p.endswith("-packages"))
        folders += tuple(p for p in outside if p.endswith("-packages"))
        files = installed(folders).files
        version, has_pytest = said["version"], bool(said["pytest"])
        return _Look((identity, *_times(folders)), files, version, has_pytest, folders, rest, ways)

    def _beyond(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Those that are not in the workspace, whose files are known anyway."""
        root = os.path.realpath(self._root)
        return tuple(path for path in paths if path != root and not path.startswith(root + os.sep))


def _holds(look: _Look, identity: tuple[object, ...], found: Installed) -> bool:
    """True where the interpreter would say the same again."""
    same = look.identity == (identity, *_times(look.folders)) and look.files == found.files
    return same and all(_real(path) == real for path, real in look.ways.items())


def _named_in(folders: Iterable[str]) -> Iterator[str]:
    """What is put on the path by files in folders of packages, whether or not it can be read in the sandbox."""
    for folder in folders:
        for file in Path(folder).glob("*.pth"):
            try:
                lines = file.read_text(errors="replace").splitlines()
            except OSError:
                continue
            places = (line.strip() for line in lines if not line.startswith(("#", "import ", "import\t")))
            yield from (os.path.join(folder, place) for place in places if place)


def _real(path: str) -> str:
    return os.path.realpath(path) if os.path.exists(path) else ""


def _mark(path: str) -> str:
    """What makes the folder of an interpreter an environment."""
    return os.path.join(os.path.dirname(os.path.dirname(path)), ENVIRONMENT_MARK)


def _identity(path: str) -> tuple[object, ...] | None:
    try:
        seen = os.stat(path)
    except OSError:
        return None
    parts: list[object] = [os.path.realpath(path), seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino]
    try:
        mark = os.stat(_mark(path))
        parts += [mark.st_mtime_ns, mark.st_ctime_ns, mark.st_size]
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
