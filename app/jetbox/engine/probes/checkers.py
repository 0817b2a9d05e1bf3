"""What mypy and pyright have in common: where they are found, what their verdict depends on, what they print."""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from pathlib import Path

import msgspec

from jetbox.engine.options import ProbeOptions
from jetbox.engine.probes.base import Scope, Verdict, Whole, confines
from jetbox.engine.probes.bytecode import sources_only
from jetbox.engine.probes.command import broken, environment, identity
from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.interpreter import Answers, Interpreters
from jetbox.engine.probes.narrowing import Narrowing
from jetbox.engine.probes.report import bounded
from jetbox.engine.probes.snapshot import Snapshot
from jetbox.engine.safety.environment import candidates, clean_environment, find_program
from jetbox.engine.safety.process import Finished, Limits, ProcessRunner
from jetbox.engine.safety.terminal import safe_text

SOURCES = (".py", ".pyi")
KEPT = 1_000_000
"""Bytes of output that are read; only head and tail of the findings are shown."""

FINDING = re.compile(r"(?P<path>[^:\n]+):(?P<place>\d+:\d+(?::\d+:\d+)?): error: (?P<what>.*)")


class Finding(msgspec.Struct, frozen=True):
    """An error that a checker tells of."""

    path: str
    """Relative to the workspace."""
    place: str
    """Line and column, both from 1."""
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.place}: {self.what}"


class CheckerProbe(Whole):
    """A type checker in a process of its own, with the project's configuration and the workspace's interpreter."""

    name: str
    cure: str
    """How to install it into an interpreter, which stands for `{}`."""
    configuration: frozenset[str]
    """Names of the files that it reads its configuration from."""

    def __init__(
        self, root: Path, processes: ProcessRunner, options: ProbeOptions, tree: Tree, interpreters: Interpreters
    ) -> None:
        self._root = root
        self._processes = processes
        self._options = options
        self._tree = tree
        self._interpreters = interpreters
        self._narrowing = Narrowing(tree.root, self._counts)
        self._open = True
        """Its verdict can depend on any file of the workspace; settled whenever the scope is asked for."""

    async def skip(self, answers: Answers) -> str:
        """Nothing to check, or nothing to check it with."""
        if not any(path.endswith(SOURCES) for path in self._tree.last.files):
            return "no Python files"
        if not self.program():
            cure = self.cure.format(self._interpreters.shown(self._interpreters.find()))
            return f"{self.name} is not installed; cure: {cure}"
        return ""

    async def scope(self, answers: Answers) -> Scope:
        """The program, the interpreter with what is installed in it, and configuration above the workspace."""
        self._open = self._reads_more()
        interpreter = self._interpreters.find()
        facts = await self._interpreters.facts(interpreter, answers)
        versions = {
            self.name: identity(self.program()),
            "python": f"{interpreter.path} {facts.version}",
            "packages": facts.packages,
            **self._above(),
        }
        versions.update({f"folder {path}": digest for path, digest in facts.outside.items()})
        variables = clean_environment(os.environ, self._processes.pass_env)
        noticed = facts.noticed
        if noticed is not None:
            noticed = (*noticed, *self._places())
        return Scope(self.arguments(), versions, variables, noticed, confines(self._processes.sandbox, self._tree.root))

    def narrow(self, files: Snapshot) -> Snapshot:
        """Program text, folders (which can be packages), and configuration; all where that is not all it reads."""
        return files if self._open else self._narrowing(files)

    def minds(self, path: str) -> bool:
        """The same of what is gone again."""
        return self._open or self._narrowing.minds(path)

    def program(self) -> str:
        """Path of the checker beside the workspace's interpreter, else on the path; empty where there is none."""
        beside = Path(self._interpreters.find().path).parent / self.name
        if os.access(beside, os.X_OK):
            return str(beside)
        return find_program(self.name, clean_environment(os.environ)["PATH"], str(self._root))[0]

    @abstractmethod
    def arguments(self) -> tuple[str, ...]:
        """Words after the program."""

    @abstractmethod
    def _reads_more(self) -> bool:
        """True where its configuration lets it read files of the workspace that are not counted by their names."""

    def _counts(self, path: str, folder: bool) -> bool:
        return folder or path.endswith(SOURCES) or path.rpartition("/")[2] in self.configuration

    def _places(self) -> list[str]:
        """Every path outside the tree whose change can make it another program, or give it other settings."""
        beside = os.path.join(os.path.dirname(self._interpreters.find().path), self.name)
        above = [str(folder / name) for folder in Path(self._tree.root).parents for name in self.configuration]
        return [beside, *candidates(self.name, clean_environment(os.environ)["PATH"], str(self._root)), *above]

    def _above(self) -> dict[str, str]:
        """Identity of configuration in the folders above, which is looked for there too."""
        found = {}
        for folder in Path(self._tree.root).parents:
            for name in sorted(self.configuration):
                if seen := identity(str(folder / name)):
                    found[f"{folder}/{name}"] = seen
        return found

    def _configured(self) -> list[Path]:
        """Where its configuration may lie, in the workspace and above it."""
        root = Path(self._tree.root)
        return [folder / name for folder in (root, *root.parents) for name in self.configuration]

    async def _ran(self, argv: list[str], *, behind: bool) -> Finished:
        # What a checker loads of the workspace is code like any other.
        alone = await sources_only(self._tree, self._processes.pass_env)
        return await self._processes.run(
            argv,
            limits=Limits(self._options.time_s, KEPT, self._options.memory),
            cwd=self._root,
            env={"NO_COLOR": "1", **self._variables(), **alone},
            background=behind,
        )

    def _variables(self) -> dict[str, str]:
        return environment(self._root, self._interpreters, self._processes.pass_env)

    def _no_result(self, done: Finished) -> Verdict | None:
        """The verdict of a run that came to no result of its own; None where it did."""
        output = bounded(safe_text(done.output).strip(), self._options.output_bytes)
        if done.state == "timeout":
            words = f"no result after {self._options.time_s:g} s"
            return Verdict(self.name, "timeout", words, output, done.duration_ns, durable=False)
        if trouble := broken(done):
            return Verdict(self.name, "error", trouble, output, done.duration_ns, durable=False)
        return None

    def _error(self, done: Finished, words: str, *, durable: bool = False) -> Verdict:
        output = bounded(safe_text(done.output).strip(), self._options.output_bytes)
        return Verdict(self.name, "error", words[:200], output, done.duration_ns, durable=durable)

    def _failed(self, done: Finished, findings: list[Finding], lines: list[str], *, whole: bool = True) -> Verdict:
        """`whole`: the findings are all that there is to find."""
        files = len({finding.path for finding in findings})
        summary = f"{_number(len(findings), 'error')} in {_number(files, 'file')}"
        complete = whole and done.total_bytes <= KEPT
        return Verdict(
            self.name,
            "failed",
            summary,
            bounded("\n".join(lines), self._options.output_bytes),
            done.duration_ns,
            failing=tuple(map(str, findings)) if complete else (),
        )


def findings_in(lines: list[str]) -> list[Finding]:
    """The errors among lines of the form `path:line:column: error: what`."""
    found = (FINDING.fullmatch(line) for line in lines)
    return [Finding(f["path"], f["place"], f["what"].strip()) for f in found if f]


def text_of(path: Path) -> str:
    """The beginning of a file; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(1_000_000).decode("utf-8", "replace")
    except OSError:
        return ""


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
