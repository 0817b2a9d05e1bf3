"""A command of the user's as a probe: its exit code is the verdict."""

from __future__ import annotations

import os
import re
import signal
import stat
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from jetbox.engine.options import ProbeCommand, ProbeOptions
from jetbox.engine.probes.base import Scope, Verdict, Whole, confines
from jetbox.engine.probes.bytecode import sources_only
from jetbox.engine.probes.cmdline import Runs, runs
from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.interpreter import MOST_NOTICED, Answers, Interpreters
from jetbox.engine.probes.narrowing import Narrowing, Patterns
from jetbox.engine.probes.report import bounded
from jetbox.engine.probes.snapshot import Snapshot
from jetbox.engine.safety.environment import candidates, clean_environment, find_program
from jetbox.engine.safety.process import Finished, Limits, ProcessRunner
from jetbox.engine.safety.terminal import safe_text

SHELLS_OWN = frozenset(
    """
    . : [ [[ alias break case cd command continue declare echo eval exec exit export false for function getopts hash if
    let local popd printf pushd pwd read readonly return set shift shopt source test time times trap true type typeset
    ulimit umask unalias unset until wait while { ( !
    """.split()  # noqa: SIM905 a list of words is easier to read so
)
"""Words that begin a command of the shell without naming a program."""

MANIFESTS = frozenset(
    """
    .yarn-integrity .modules.yaml .package-lock.json Cargo.lock Cargo.toml CMakeLists.txt Gemfile Gemfile.lock
    GNUmakefile Justfile Makefile Rakefile Taskfile.yml build.gradle build.gradle.kts bun.lock bun.lockb composer.json
    composer.lock deno.json deno.lock go.mod go.sum go.work gradle.properties justfile makefile meson.build mix.exs
    mix.lock noxfile.py package-lock.json package.json pnpm-lock.yaml poetry.lock pom.xml pyproject.toml
    rust-toolchain rust-toolchain.toml setup.cfg setup.py tox.ini tsconfig.json uv.lock yarn.lock
    """.split()  # noqa: SIM905
)
"""Files that say what a command does or with what: they count whatever its scope, tools of packages included."""

NOT_KEYED = frozenset(("HOME", "TMPDIR", "LOGNAME", "USER", "SHELL"))
"""Variables that the sandbox replaces, or that name who is at work; no verdict is kept by them."""

SUMMARY = 200
"""Most characters of a summary."""


class CommandProbe(Whole):
    """Passed where the command ends with 0, failed where it ends with another code."""

    def __init__(
        self,
        root: Path,
        processes: ProcessRunner,
        options: ProbeOptions,
        command: ProbeCommand,
        tree: Tree,
        interpreters: Interpreters,
    ) -> None:
        self.name = command.name
        self._root = root
        self._processes = processes
        self._command = command
        self._seconds = command.time_s or options.time_s
        self._kept = command.output_bytes or options.output_bytes
        self._memory = options.memory
        self._tree = tree
        self._interpreters = interpreters
        self._words = _words(command.command)
        self._patterns = Patterns(command.scope)

    async def skip(self, answers: Answers) -> str:
        """No file in its scope, or no such program."""
        if self._command.scope:
            files = self.narrow(self._tree.last).files
            names = (path.removesuffix("/") for path, (mode, _) in files.items() if not stat.S_ISDIR(mode))
            if not any(map(self._patterns.match, names)):
                return f"no file matches {', '.join(self._command.scope)}"
        first = self._first()
        _, trouble = find_program(first, self._variables()["PATH"], str(self._root)) if first else ("", "")
        if not trouble:
            return ""
        cure = f"chmod +x {first}" if "not executable" in trouble else "install it, or change probes.commands"
        return f"{trouble}; cure: {cure}"

    async def scope(self, answers: Answers) -> Scope:
        """The words, the programs that they name, and the variables that the command sees."""
        command = self._command.command
        arguments = ("sh", command) if isinstance(command, str) else command
        env = self._variables()
        programs = {word: found for word in self._words if (found := _program(word, env["PATH"], str(self._root)))}
        versions = {f"program {word}": identity(found) for word, found in programs.items()}
        beside = ((place, word) for place in self._runs.places for word in self._words)
        named = {_program(word, place, str(self._root)) for place, word in beside} - {"", *programs.values()}
        versions.update({f"program {found}": identity(found) for found in named})
        interpreter = self._interpreters.find()
        outside: tuple[str, ...] | None = self._places(env["PATH"])
        if os.path.dirname(interpreter.path) in map(os.path.dirname, programs.values()):
            facts = await self._interpreters.facts(interpreter, answers)
            versions["packages"] = facts.packages
            versions.update({f"folder {path}": digest for path, digest in facts.outside.items()})
            outside = (*outside, *facts.noticed) if outside is not None and facts.noticed is not None else None
        keyed = {name: value for name, value in env.items() if name not in NOT_KEYED - {*self._processes.pass_env}}
        bounds = confines(self._processes.sandbox, self._tree.root, memory=self._memory, seconds=self._seconds)
        return Scope(tuple(arguments), versions, keyed, outside, bounds)

    def narrow(self, files: Snapshot) -> Snapshot:
        """The files that match its scope, and those that it runs; all of them where that cannot be told."""
        narrowing = self._narrowing
        return narrowing(files) if narrowing is not None else files

    def minds(self, path: str) -> bool:
        """What its scope takes, and what may have held such."""
        narrowing = self._narrowing
        return narrowing is None or narrowing.minds(path)

    async def run(self, *, behind: bool = False) -> Verdict:
        """Run it; what it prints is kept, its last line is the summary."""
        command = self._command.command
        alone = await sources_only(self._tree, self._processes.pass_env)
        done = await self._processes.run(
            ["/bin/sh", "-c", command] if isinstance(command, str) else command,
            limits=Limits(self._seconds, self._kept, self._memory),
            cwd=self._root,
            env={**self._environment(), **alone},
            background=behind,
        )
        return judged(self.name, done, self._seconds, self._kept)

    def _counts(self, path: str, folder: bool) -> bool:
        name = path.rpartition("/")[2]
        manifest = name in MANIFESTS and ("node_modules/" not in path or path == f"node_modules/{name}")
        return manifest or self._runs.takes(path) or self._patterns.match(path)

    @cached_property
    def _narrowing(self) -> Narrowing | None:
        """None where its verdict can depend on any file."""
        return Narrowing(self._tree.root, self._counts) if self._command.scope and self._runs.clear else None

    @cached_property
    def _runs(self) -> Runs:
        return runs(self._command.command, str(self._root))

    def _places(self, path: str) -> tuple[str, ...] | None:
        """Every path whose change can make it other programs, or other variables; None where they are too many."""
        found = [*self._interpreters.places(), os.path.join(os.environ.get("HOME") or "/", ".rustup")]
        first = self._first()
        for word in self._words:
            if word == first or _names_program(word):
                found += candidates(word, os.pathsep.join((path, *self._runs.places)), str(self._root))
        return tuple(found) if len(found) <= MOST_NOTICED else None

    def _first(self) -> str:
        """The program that has to be there; empty where only the shell can tell."""
        if not isinstance(self._command.command, str):
            return self._command.command[0]
        for word, after in pairwise((*self._words, "")):
            if re.match(r"PATH\+?=", word) or after.startswith("("):
                return ""  # It may lie anywhere, or be a function.
            if not re.fullmatch(r"\w+=.*", word, re.DOTALL):
                return word if word not in SHELLS_OWN and not re.search(r"[^\w@%+=:,./-]", word) else ""
        return ""

    def _environment(self) -> Mapping[str, str]:
        """What is added to the clean variables."""
        return environment(self._root, self._interpreters, self._processes.pass_env)

    def _variables(self) -> dict[str, str]:
        """What the command sees, but for what the sandbox replaces."""
        passed = self._processes.pass_env
        clean = clean_environment(os.environ, passed)
        return {**clean, **environment(self._root, self._interpreters, passed, clean["PATH"])}


def environment(root: Path, interpreters: Interpreters, passed: Sequence[str], path: str = "") -> dict[str, str]:
    """Variables that let a command find the workspace's own programs and packages, as `run_cmd` does.

    `path`: the clean one, where it is known.
    """
    env = {}
    if "PATH" not in passed:
        beside = os.path.dirname(interpreters.find().path)
        folders = (path or clean_environment(os.environ)["PATH"]).split(os.pathsep)
        env["PATH"] = os.pathsep.join(dict.fromkeys([beside, *folders]))
    if "PYTHONPATH" not in passed:
        env["PYTHONPATH"] = str(root)
    return env


def identity(program: str) -> str:
    """What changes when a program is replaced; empty where it is not there."""
    try:
        seen = os.stat(program)
    except OSError:
        return ""
    return f"{os.path.realpath(program)} {seen.st_size} {seen.st_mtime_ns} {seen.st_ctime_ns} {seen.st_ino}"


def judged(name: str, done: Finished, seconds: float, kept: int) -> Verdict:
    """The verdict of an exit code; what stands for trouble with the command itself is an error."""
    output = bounded(safe_text(done.output).strip(), kept)
    if done.state == "timeout":
        return Verdict(name, "timeout", f"no result after {seconds:g} s", output, done.duration_ns, durable=False)
    if trouble := broken(done):
        return Verdict(name, "error", trouble, output, done.duration_ns, durable=False)
    last = last_line(output)
    if done.code == 0:
        return Verdict(name, "passed", last, output, done.duration_ns)
    return Verdict(name, "failed", last or f"exit code {done.code}", output, done.duration_ns)


def broken(done: Finished) -> str:
    """Why a command came to no result of its own, in words; empty where it did."""
    last = last_line(safe_text(done.output))
    if done.state == "missing":
        return last or "it cannot be started"
    if done.code in (126, 127):
        words = "it cannot be run" if done.code == 126 else "a program is missing"
        return f"{words}: {last}" if last else f"{words} (exit code {done.code})"
    number = -done.code if done.code < 0 else done.code - 128
    if number > 0 and number in {int(known) for known in signal.Signals}:
        return f"killed by {signal.Signals(number).name}"
    return ""


def last_line(text: str) -> str:
    """The last line that says something: with a letter or a digit in it."""
    for line in reversed(text.splitlines()):
        shown = line.strip()
        if re.search(r"\w", shown):
            return shown[:SUMMARY]
    return ""


def _program(word: str, path: str, folder: str) -> str:
    """Where the program of a word is; empty where the word names none."""
    return find_program(word, path, folder)[0] if _names_program(word) else ""


def _names_program(word: str) -> bool:
    return not word.startswith("-") and re.search(r"\w", word) is not None


def _words(command: str | tuple[str, ...]) -> tuple[str, ...]:
    """All words that can name a program or a file; none where only the shell can tell them apart."""
    if not isinstance(command, str):
        return tuple(dict.fromkeys(command))
    import shlex

    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return tuple(dict.fromkeys(lexer))
    except ValueError:
        return ()
