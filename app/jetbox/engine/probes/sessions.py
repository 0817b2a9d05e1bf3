"""Sessions of pytest: forked from a server that has it loaded, or made from scratch where that could mean
something else."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Set
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from jetbox.engine.clock import monotonic
from jetbox.engine.options import ProbeOptions
from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.interpreter import Facts, Interpreters
from jetbox.engine.probes.refusing import Refusals
from jetbox.engine.probes.zygote import Ahead, Request, Said, Surroundings, Zygote, decoded
from jetbox.engine.safety.environment import clean_environment
from jetbox.engine.safety.process import Limits, ProcessRunner
from jetbox.engine.workspace.names import PROTECTED

LOADER = (
    "import sys; sys.path[:] = [p for p in sys.path if p]; "
    'space = {"__name__": "jetbox"}; '
    '[exec(compile(text, "<jetbox>", "exec"), space) for text in sys.stdin.read().split(chr(0))]'
)
"""The workspace is off the path until pytest is imported: a `json.py` in it must not end up there."""
ROOM = 8
"""Room for the noise of tests around what pytest says at the end, in what is kept of a verdict's output."""

AGAIN = 3
"""How often at most a session is made again in which the kernel may have miscounted links."""


class Ended(msgspec.Struct, frozen=True):
    """A session that has ended, however it was made."""

    state: Literal["exited", "timeout", "missing"]
    code: int
    output: str
    duration_ns: int
    said: Said | None
    forked: bool = False
    first_ms: float | None = None
    """Until the first test was decided, where that is known."""
    ahead: bool = False
    """Its options had been read before it was asked for."""
    at: str = ""
    """What it was at when its time was over, where that is known."""

    @property
    def broke(self) -> str:
        """What kept a forked one from coming to its end."""
        return self.said.broke if self.said is not None else ""


class Sessions:
    """Runs them, one for which somebody waits and one behind at a time."""

    def __init__(
        self,
        root: Path,
        processes: ProcessRunner,
        options: ProbeOptions,
        tree: Tree,
        interpreters: Interpreters,
        *,
        forks: bool,
        off: Callable[[], str],
        notice: Callable[[str], None] | None,
    ) -> None:
        """`off` says why runs are not to be forked any more, `notice` gets why one was made the slow way."""
        self._root = root
        self._processes = processes
        self._options = options
        self._tree = tree
        self._interpreters = interpreters
        self._front = Zygote(root, processes, ahead=True) if forks else None
        self._back = Zygote(root, processes, ahead=False) if forks else None
        self._refusals = Refusals(root)
        self._off = off
        self._notice = notice
        self._told: set[str] = set()
        self._paths: frozenset[str] = frozenset()
        self._names: tuple[str, ...] = ()
        self._packages: tuple[str, ...] = ()
        self._ahead: Ahead = "session"

    @property
    def refused(self) -> str:
        """Why runs are not forked in this workspace as it is; empty where they are, or where that is switched off."""
        if self._front is None or self._back is None:
            return ""
        return self._unasked() or self._front.refused or self._back.refused

    def _unasked(self) -> str:
        """Why no server is asked at all."""
        return self._refusals.asked(self._tree.last, self._processes.pass_env).refusal or self._off()

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """Places outside of the workspace that its configuration has tests or modules found in."""
        return self._refusals.asked(self._tree.last, self._processes.pass_env).elsewhere

    @property
    def forks(self) -> bool:
        """True while there is a server to fork from."""
        return self._front is not None and self._front.alive

    async def prepare(self) -> None:
        """Start the server that runs are forked from."""
        if self._front is not None and not self._unasked():
            await self._front.prepare(self._surroundings(await self._facts()), self._importable()[1])

    async def refuse(self, words: str) -> None:
        """Fork no more; the servers are of no use then."""
        for zygote in (self._front, self._back):
            if zygote is not None:
                await zygote.refuse(words)

    def compile(self, names: Iterable[str]) -> None:
        """A run is likely to import these sources: have them compiled until it is asked for."""
        if self._front is not None:
            self._front.compile(names)

    async def run(self, files: tuple[str, ...], *, behind: bool = False) -> Ended:
        """One session, of these files or of all."""
        return await _counted_right(lambda: self._run(files, behind))

    async def watched(self, files: tuple[str, ...]) -> Ended | None:
        """One session behind that tells what each test file uses; None where there was no server to fork it from."""
        return await self._forked(files, behind=True, touched=True)

    async def plain(self, files: tuple[str, ...], *, behind: bool = False) -> Ended:
        """One session in a process of its own, from scratch."""
        return await _counted_right(lambda: self._plain(files, behind))

    async def _run(self, files: tuple[str, ...], behind: bool) -> Ended:
        forked = await self._forked(files, behind, touched=False)
        if forked is not None and not forked.broke:
            return forked
        self.tell()
        plain = await self._plain(files, behind)
        zygote = self._back if behind else self._front
        if zygote is not None and forked is not None and plain.said is not None:
            await zygote.refuse(f"a forked run broke off: {forked.broke}")
            self.tell()
        return plain

    async def _forked(self, files: tuple[str, ...], behind: bool, touched: bool) -> Ended | None:
        """None where there was no server to fork it from, or none any more at its end."""
        zygote = self._back if behind else self._front
        if zygote is None or self._unasked():
            return None
        options = self._options
        keep = ROOM * options.output_bytes
        names, ahead = self._importable()
        ahead = "" if touched or behind else ahead
        facts = await self._facts()
        surroundings, outside = self._surroundings(facts), self._outside(facts)
        request = Request(
            files,
            options.time_s,
            options.memory,
            keep,
            behind,
            touched,
            names,
            self._packages,
            outside,
            ahead,
            opened=bool(files) and not behind,
        )
        began = monotonic()
        async with self._processes.watching(["pytest"]):
            answer = await zygote.run(surroundings, request)
        if answer is None or answer.state == "cancelled":
            return None
        spent = monotonic() - began
        told = (answer.first_ms, answer.ahead, answer.at)
        return Ended(answer.state, answer.code, answer.output, spent, answer.said, True, *told)

    def _importable(self) -> tuple[tuple[str, ...], Ahead]:
        """Names of the workspace that an import could find first, if some folder of it comes onto the path; and
        how far pytest comes to the same whichever files it is to run, with no code of the workspace."""
        files = self._tree.last.files
        if files.keys() != self._paths:
            self._paths = frozenset(files)
            self._names = tuple(sorted(top_names(self._paths)))
            self._packages = tuple(sorted(filter(None, map(package, self._paths))))
            last = {path.rpartition("/")[2] for path in files if not path.startswith("../") and "/" in path}
            code = any(path.endswith("conftest.py") for path in files)
            self._ahead = "" if "setup.py" in last else "conftests" if code else "session"
        return self._names, self._ahead

    async def _plain(self, files: tuple[str, ...], behind: bool) -> Ended:
        mark = f"[{os.urandom(8).hex()}] "
        self._importable()
        outside = self._outside(await self._facts())
        places = None if outside is None else list(outside)
        own = await self._processes.own_folder()
        words = f"main({mark!r}, {list(files)!r}, {list(self._packages)!r}, {places!r}, {own!r})"
        done = await self._processes.run(
            [self._interpreters.find().path, "-c", LOADER],
            limits=Limits(self._options.time_s, ROOM * self._options.output_bytes, self._options.memory),
            cwd=self._root,
            stdin="\0".join((*_sources(), words)).encode(),
            background=behind,
        )
        before, found, after = done.output.rpartition("\n" + mark)
        said = decoded(after.partition("\n")[0]) if found else None
        output = before + after.partition("\n")[2] if found else done.output
        return Ended(done.state, done.code, output, done.duration_ns, said)

    async def close(self) -> None:
        """End the servers and whatever they run."""
        for zygote in (self._front, self._back):
            if zygote is not None:
                await zygote.close()

    async def _facts(self) -> Facts:
        return await self._interpreters.facts(self._interpreters.find(), {})

    def _outside(self, facts: Facts) -> tuple[str, ...] | None:
        """Where byte code is to be looked at beside the workspace; None where none is to be believed."""
        return None if self._tree.turned else (*facts.outside, *self.elsewhere)

    def _surroundings(self, facts: Facts) -> Surroundings:
        """What has to be the same for a loaded pytest to be used."""
        processes = self._processes
        interpreter = self._interpreters.find()
        environment = clean_environment(os.environ, processes.pass_env)
        # What a sandbox keeps read-only, and what it lets be read, is settled when a process is started in it:
        # another file that takes the name of one, or another folder, is not seen there.
        readable = processes.sandbox.readable
        guarded = tuple(_identity(self._root / name) for name in ("", *PROTECTED, *readable))
        return Surroundings(
            interpreter.path,
            (facts.version, facts.pytest, facts.packages),
            tuple(sorted(environment.items())),
            (processes.sandbox.name, *guarded, *readable),
            self._refusals.asked(self._tree.last, processes.pass_env).blocked,
        )

    def tell(self) -> None:
        """Say once why runs are not forked."""
        refused = self.refused
        if refused and refused not in self._told and self._notice is not None:
            self._told.add(refused)
            self._notice(f"pytest runs from scratch: {refused}")


async def _counted_right(made: Callable[[], Awaitable[Ended]]) -> Ended:
    """A session, made again where something through many links could not be collected, until two in a row say the same.

    Linux looks a path up anew where something is renamed meanwhile or not in its cache, and goes on counting from
    the links that it had followed by then. Where none says what the one before it said, the last may not be kept.
    """
    ended = await made()
    for _ in range(AGAIN):
        before = ended.said
        if before is None or not before.many_links:
            break
        ended = await made()
        if ended.said is not None and (ended.said.failed, ended.said.more) == (before.failed, before.more):
            return msgspec.structs.replace(ended, said=msgspec.structs.replace(ended.said, many_links=False))
    return ended


def top_names(paths: Set[str]) -> set[str]:
    """Names of the modules and packages among these files that are part of no other package."""
    found = set()
    for path in paths:
        folder, _, file = path.rpartition("/")
        name, dot, kind = file.partition(".")
        if not dot or not (kind == "py" or kind.endswith("so")):
            continue
        if name == "__init__":
            folder, _, name = folder.rpartition("/")
        while folder and f"{folder}/__init__.py" in paths:
            folder, _, name = folder.rpartition("/")
        found.add(name)
    return found - {"", "__main__", ".."}


def package(path: str) -> str:
    """The package or module by which this file is meant to be imported from the workspace; empty for others."""
    parts = path.split("/")
    if parts[0] in ("src", "lib"):
        del parts[0]
    name = parts[0].removesuffix(".py") if len(parts) == 1 and path.endswith(".py") else ""
    name = parts[0] if len(parts) == 2 and parts[1] == "__init__.py" else name
    return "" if name in sys.stdlib_module_names else name


def _identity(path: Path) -> tuple[int, ...]:
    try:
        seen = path.lstat()
    except OSError:
        return ()
    return (seen.st_ino, seen.st_dev, seen.st_mode)


@cache
def _sources() -> tuple[str, ...]:
    return tuple(Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("inside.py", "program.py"))
