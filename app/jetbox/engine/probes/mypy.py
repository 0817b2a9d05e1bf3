"""The mypy probe: incremental, without being taken in by its own cache."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from stat import S_ISREG

import msgspec

from jetbox.engine.options import ProbeOptions
from jetbox.engine.probes.base import Verdict
from jetbox.engine.probes.checkers import SOURCES, CheckerProbe, findings_in
from jetbox.engine.probes.command import identity
from jetbox.engine.probes.configuration import OF_MYPY
from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.interpreter import Interpreters
from jetbox.engine.probes.mypy_settings import NAMES, settings, users
from jetbox.engine.safety.environment import clean_environment
from jetbox.engine.safety.process import Finished, ProcessRunner
from jetbox.engine.safety.terminal import safe_text

OPTIONS = (
    *("--no-sqlite-cache", "--no-pretty", "--no-color-output", "--show-column-numbers", "--show-error-codes"),
    *("--error-summary", "--hide-absolute-path"),
)
"""The cache in single files, so that what it holds of one module can be dropped."""

DROPPED = 30
"""Changed modules above which all of the cache is dropped."""

RACY_NS = 2_000_000_000
"""A file that changed this shortly before it was looked at may have changed again within the same tick."""

# mypy takes a file for unchanged where its size and the second of its mtime are: an edit of equal
# length within one second, or with the time put back, would go unseen. So what its cache holds of every
# file that can have changed since is dropped first, in the sandbox, which is where the cache lies.
PREPARE = """
cache=${1:-${XDG_CACHE_HOME:?}/jetbox-mypy}; number=$2; shift 2
if [ "$number" = all ]; then rm -rf "$cache"
else while [ "$number" -gt 0 ]; do
    find "$cache" -path "*/$1.*" -exec rm -f {} + 2>/dev/null
    shift; number=$((number - 1))
done; fi
exec "$@" --cache-dir "$cache"
"""

TOTAL = re.compile(r"Found (\d+) errors? in \d+ files? \(.*\)")
SUCCESS = re.compile(r"Success: (no issues found in \d+ source files?)")
SETTINGS = r"\.?mypy\.ini|pyproject\.toml|setup\.cfg"
PLACES = ("mypy_path", "files", "custom_typeshed_dir")
"""Settings that name files and folders, which may lie outside of the workspace."""
NAMED = re.compile(r"[\w./:-]+")
CLOSED = frozenset(
    """
    numpy.typing.mypy_plugin pydantic.mypy pydantic.v1.mypy returns.contrib.mypy.returns_plugin
    sqlalchemy.ext.mypy.plugin strawberry.ext.mypy_plugin
    """.split()  # noqa: SIM905 a list of words is easier to read so
)
"""Plugins that go by what mypy knows of the sources; others can import them, or read other files."""
CHOOSES = frozenset({"files", "packages", "modules"})

Stat = tuple[int, int, int, int]
"""mtime_ns, ctime_ns, size, inode."""
Seen = tuple[Stat, int]
"""A stat, and when it was taken."""


class _Cached(msgspec.Struct, frozen=True):
    """What mypy's cache may be about: everything as it was before the run, or later."""

    files: dict[str, Seen]
    packages: str
    """Digest of what is installed."""

    def moved_since(self, before: _Cached | None) -> list[str] | None:
        """Patterns of what the cache must not be asked for; None for all of it."""
        if before is None or before.packages != self.packages:
            return None
        moved = {path for path, seen in self.files.items() if _moved(before.files.get(path), seen)}
        patterns = {_pattern(path) for path in moved | (before.files.keys() - self.files.keys())}
        return None if "" in patterns or len(patterns) > DROPPED else sorted(patterns)


class MypyProbe(CheckerProbe):
    """`mypy .`, or what the configuration says is to be checked."""

    name = "mypy"
    cure = "{} -m pip install mypy"
    configuration = OF_MYPY | {"py.typed", ".gitignore"}

    def __init__(
        self, root: Path, processes: ProcessRunner, options: ProbeOptions, tree: Tree, interpreters: Interpreters
    ) -> None:
        super().__init__(root, processes, options, tree, interpreters)
        self._cached: _Cached | None = None

    def arguments(self) -> tuple[str, ...]:
        """The project's configuration holds, except for how findings are written."""
        words = list(OPTIONS)
        interpreter = self._interpreters.find()
        if Path(self.program()).parent != Path(interpreter.path).parent:
            words += ["--python-executable", interpreter.path]
        return (*words,) if self._chosen() else (*words, ".")

    async def run(self, *, behind: bool = False) -> Verdict:
        """Check everything; a type error is failed, a broken configuration is an error."""
        program = self.program()
        if not program:
            return Verdict(self.name, "skipped", await self.skip({}), cache="none", durable=False)
        packages = (await self._interpreters.facts(self._interpreters.find(), {})).packages
        paths = self.narrow(self._tree.last).files
        now = await asyncio.to_thread(_stats, self._tree.root, paths, packages)
        # What mypy keeps of a module, it keeps whatever a plugin read for it.
        leads_out = await asyncio.to_thread(self._leads_out)
        dropped = None if self._open or leads_out else now.moved_since(self._cached)
        number = "all" if dropped is None else str(len(dropped))
        own = await self._processes.own_folder()
        words = ["/bin/sh", "-c", PREPARE, "sh", own and f"{own}/jetbox-mypy", number, *(dropped or ())]
        done = await self._ran([*words, program, *self.arguments()], behind=behind)
        if done.state == "exited":
            # After a run that was cut off, what was held before it is still the right thing to compare with.
            self._cached = now
        verdict = self._verdict(done)
        # Nobody notices what changes there.
        return msgspec.structs.replace(verdict, durable=False) if leads_out else verdict

    def _chosen(self) -> bool:
        """True where the configuration says what is to be checked."""
        for name in NAMES:
            if (found := settings(Path(self._root, name))) is not None:
                return not CHOOSES.isdisjoint(found)
        return False

    def _configured(self) -> list[Path]:
        return [*super()._configured(), *self._users()]

    def _users(self) -> tuple[Path, ...]:
        return users(clean_environment(os.environ, self._processes.pass_env))

    def _places(self) -> list[str]:
        return [*super()._places(), *map(str, self._users())]

    def _above(self) -> dict[str, str]:
        found = {str(path): identity(str(path)) for path in self._users()}
        return {**super()._above(), **{path: seen for path, seen in found.items() if seen}}

    def _settings(self) -> Iterator[dict[str, str]]:
        """What each file has that mypy can come to read. Blocks."""
        users = self._users()
        for path in self._configured():
            if path.name in NAMES or path in users:
                yield settings(path) or {}

    def _reads_more(self) -> bool:
        """A plugin of the workspace's can import and read whatever it likes, and a script can have any name."""
        root, files = os.path.join(self._tree.root, ""), self._tree.last.files
        for place in self._places_named():
            named = _joined(root, place).removeprefix(root)
            if not place.endswith(SOURCES) and ("*" in place or S_ISREG(files.get(named, (0, ""))[0])):
                return True
        listed = (found.get("plugins", "") for found in self._settings())
        return any(self._ours(name) for names in listed for name in NAMED.findall(names))

    def _leads_out(self) -> bool:
        """True where its configuration names a place that is no part of the workspace, or may be none. Blocks.

        So is another interpreter, with what is installed in it.
        """
        root, own = os.path.join(self._tree.root, ""), self._interpreters.find().path
        if "--python-executable" not in self.arguments() and any(
            _joined(root, found.get("python_executable", own)) != own for found in self._settings()
        ):
            return True
        return any(
            "$" in place or place.startswith("~") or not os.path.join(_joined(root, place), "").startswith(root)
            for place in self._places_named()
        )

    def _places_named(self) -> Iterator[str]:
        """Files and folders that its configuration names. Blocks."""
        for listed in (found.get(name, "") for found in self._settings() for name in PLACES):
            for place in re.split(r"[\s,:;]+", listed):
                yield re.sub(r"^\$(?:MYPY_CONFIG_FILE_DIR\b|\{MYPY_CONFIG_FILE_DIR\})", ".", place)

    def _ours(self, plugin: str) -> bool:
        """True for a plugin that is part of the workspace, or may look at it by other ways than mypy's."""
        if plugin not in CLOSED:
            return True
        package = plugin.partition(".")[0]
        beginnings = tuple(f"{folder}{package}{end}" for folder in ("", "src/", "lib/") for end in ("/", ".py"))
        return any(path.startswith(beginnings) for path in self._tree.last.files)

    def _verdict(self, done: Finished) -> Verdict:
        if (verdict := self._no_result(done)) is not None:
            return verdict
        lines = [line for line in safe_text(done.output).splitlines() if line.strip()]
        if trouble := next((line for line in lines if re.match(rf"(?:{SETTINGS}): (?!\[)", line)), ""):
            # mypy goes on without the configuration that it could not read, and may well say success.
            return self._error(done, trouble, durable=True)
        warned = next((f"; {line}" for line in lines if re.match(rf"(?:{SETTINGS}): \[", line)), "")
        findings = findings_in(lines)
        total = next((line for line in reversed(lines) if TOTAL.fullmatch(line)), "")
        if done.code in (1, 2) and findings and total:
            return self._failed(done, findings, lines[: lines.index(total)], whole="prevented" not in total)
        success = next((found for found in map(SUCCESS.fullmatch, lines) if found), None)
        if done.code == 0 and success:
            return Verdict(self.name, "passed", f"{success[1]}{warned}"[:200], duration_ns=done.duration_ns)
        last = lines[-1].strip() if lines else f"exit code {done.code}"
        if done.code == 2 and "There are no .py[i] files" in last:
            return Verdict(self.name, "skipped", "no Python files to check", duration_ns=done.duration_ns)
        return self._error(done, last.removeprefix("mypy: error: "))


def _stats(root: str, paths: Iterable[str], packages: str) -> _Cached:
    """What the system says of each source. Blocks."""
    found = {}
    for path in paths:
        if not path.removesuffix("/").endswith(SOURCES):
            continue
        asked = time.time_ns()
        try:
            seen = os.stat(os.path.join(root, path.removesuffix("/")))
        except OSError:
            continue
        found[path] = ((seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino), asked)
    return _Cached(found, packages)


def _moved(before: Seen | None, now: Seen) -> bool:
    if before is None or before[0] != now[0]:
        return True
    (mtime, ctime, _, _), asked = before
    return ctime + RACY_NS > asked or mtime + RACY_NS > asked


def _pattern(path: str) -> str:
    """The end of the path of a module in the cache; empty where a pattern cannot say it."""
    names = path.removesuffix("/").rpartition(".")[0].split("/")
    shown = "/".join(names[-2:]) if names[-1] == "__init__" else names[-1]
    return shown if re.fullmatch(r"[\w/-]+", shown) else ""


def _joined(root: str, place: str) -> str:
    return os.path.normpath(os.path.join(root, place))
