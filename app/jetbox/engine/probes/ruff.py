"""The ruff probe: one run over the whole workspace that changes nothing and trusts no cache.

Between such runs a `ruff server` judges single files: a text before it is written, and the files
of a change as long as the set of files, their modes and the configuration are as they were.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
import sys
from collections import Counter
from hashlib import blake2b
from pathlib import Path

from jetbox.engine.clock import monotonic
from jetbox.engine.options import ProbeOptions
from jetbox.engine.probes.base import Change, Scope, Verdict, Whole
from jetbox.engine.probes.configuration import OF_RUFF
from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.interpreter import Interpreters
from jetbox.engine.probes.report import bounded
from jetbox.engine.probes.ruff_server import RuffServer
from jetbox.engine.safety.process import Finished, Limits, ProcessRunner

# ruff's own cache misses that a new package makes imports of untouched files first-party.
ARGUMENTS = ("check", "--no-fix", "--no-cache", "--force-exclude", "--output-format", "concise", ".")
SUFFIXES = (".py", ".pyi", ".ipynb", ".pyw")
TEXTS = (".py", ".pyi")
"""Those whose text the server judges."""
SETTINGS = OF_RUFF | {".gitignore", ".ignore"}
MOST_EARLY = 50
"""Changed files above which a run from scratch is as quick."""
CANDIDATE_S = 0.05
"""Longest time that a write waits for what ruff says of it."""
WORDS_BYTES = 1_000
KEPT = 1_000_000
"""Bytes of output that are counted; only head and tail of them are shown."""

FINDING = r"(?P<where>.+?:\d+:\d+): (?P<code>[A-Z]+[0-9]+|[A-Za-z-]+):? (?:\[\*\] )?(?P<what>.*)$"
TOTAL = r"Found (\d+) errors?"


class RuffProbe(Whole):
    """Runs the workspace's own ruff, else ours, else the one on the path."""

    name = "ruff"

    def __init__(
        self,
        root: Path,
        processes: ProcessRunner,
        options: ProbeOptions,
        tree: Tree,
        interpreters: Interpreters,
        *,
        server: bool = True,
    ) -> None:
        """`server`: keep one that judges single files."""
        self._root = root
        self._processes = processes
        self._options = options
        self._tree = tree
        self._interpreters = interpreters
        self._server = RuffServer(root, processes, self.program) if server else None

    def prepare(self) -> None:
        """Start the server."""
        if self._server is not None:
            self._server.prepare()

    async def close(self) -> None:
        """End the server."""
        if self._server is not None:
            await self._server.close()

    async def skip(self) -> str:
        """Nothing to check, or nothing to check it with."""
        if not any(path.endswith(SUFFIXES) for path in self._tree.last.files):
            return "no Python files"
        if self.program() is None:
            return "ruff is not installed; cure: pip install ruff"
        return ""

    async def scope(self) -> Scope:
        """The program's identity stands for its version."""
        program = self.program() or ""
        seen = os.stat(program) if program else None
        identity = f"{os.path.realpath(program)} {seen.st_size} {seen.st_mtime_ns} {seen.st_ino}" if seen else ""
        return Scope(ARGUMENTS, {"ruff": identity})

    async def run(self, *, behind: bool = False) -> Verdict:
        """Check everything; a rule broken is failed, a configuration broken is an error."""
        program = self.program()
        if program is None:
            return Verdict(self.name, "skipped", await self.skip(), cache="none", durable=False)
        done = await self._processes.run(
            [program, *ARGUMENTS],
            limits=Limits(self._options.time_s, KEPT, self._options.memory),
            cwd=self._root,
            env={"NO_COLOR": "1"},
            background=behind,
        )
        return self._verdict(done)

    async def candidate(self, path: str, text: str) -> Verdict | None:
        """What ruff says of a text that is to be written there; None where the server cannot tell."""
        if self._server is None or not path.endswith(TEXTS):
            return None
        began = monotonic()
        found = await self._server.check(path, text)
        if found is None:
            return None
        return self._partial([finding.line(path) for finding in found], monotonic() - began)

    async def words(self, path: str, text: str) -> str:
        """The same in words for the one who writes; empty where there is no answer within a moment."""
        if self._server is None or not path.endswith(TEXTS):
            return ""
        self._server.prepare()
        try:
            async with asyncio.timeout(CANDIDATE_S):
                verdict = await self.candidate(path, text)
        except TimeoutError:
            return ""
        if verdict is None:
            return ""
        if verdict.state == "passed":
            return "ruff: clean"
        return f"ruff: {verdict.summary}\n{bounded(verdict.output, WORDS_BYTES)}"

    async def early(self, change: Change) -> Verdict | None:
        """The last whole verdict, with what the server says of the files that changed since."""
        if self._server is None:
            return None
        if any(_settings(path) for path in change.paths):
            await self._server.forget()
            return None
        began = monotonic()
        paths = _lone(change)
        known = change.verdict.state == "passed" or (change.verdict.state == "failed" and change.verdict.failing)
        if paths is None or not known:
            return None
        lines = [line for line in change.verdict.failing if line.partition(":")[0] not in paths]
        for path in sorted(paths):
            text = _text(self._root / path, change.now.files[path][1])
            found = await self._server.check(path, text) if text is not None else None
            if found is None:
                return None
            lines += [finding.line(path) for finding in found]
        return self._partial(sorted(lines, key=_place), monotonic() - began)

    def _partial(self, lines: list[str], duration: int) -> Verdict:
        if not lines:
            return Verdict(self.name, "passed", "0 problems", duration_ns=duration, cache="partial")
        codes = Counter(line.split(" ", 2)[1] for line in lines)
        return Verdict(
            self.name,
            "failed",
            _summed(len(lines), codes),
            bounded("\n".join(lines), self._options.output_bytes),
            duration,
            cache="partial",
            failing=tuple(lines),
        )

    def program(self) -> str | None:
        """Path of the ruff to run."""
        beside = (Path(self._interpreters.find().path).parent, Path(sys.prefix) / "bin")
        for folder in beside:
            if os.access(folder / "ruff", os.X_OK):
                return str(folder / "ruff")
        import shutil

        return shutil.which("ruff")

    def _verdict(self, done: Finished) -> Verdict:
        limit = self._options.output_bytes
        if done.state == "timeout":
            words = f"no result after {self._options.time_s:g} s"
            return Verdict(self.name, "timeout", words, bounded(done.output, limit), done.duration_ns, durable=False)
        if done.state == "missing":
            return Verdict(self.name, "error", "ruff cannot be started", done.output, durable=False)
        if done.code == 0:
            if "No Python files found" in done.output:
                return Verdict(self.name, "skipped", "no Python files", duration_ns=done.duration_ns)
            return Verdict(self.name, "passed", "0 problems", duration_ns=done.duration_ns)
        findings = [found for found in (re.match(FINDING, text) for text in done.output.splitlines()) if found]
        if done.code == 1 and findings:
            lines = tuple(f"{f['where']} {f['code']} {f['what']}" for f in findings)
            number = _number(done.output, len(findings))
            return Verdict(
                self.name,
                "failed",
                _summed(number, Counter(f["code"] for f in findings)),
                bounded("\n".join(lines), limit),
                done.duration_ns,
                failing=lines if number == len(lines) else (),
            )
        durable = "Failed to parse" in done.output
        return Verdict(
            self.name, "error", _cause(done), bounded(done.output.strip(), limit), done.duration_ns, durable=durable
        )


def _number(output: str, found: int) -> int:
    """How many there are, though some lines were cut."""
    totals = [int(total[1]) for total in (re.match(TOTAL, text) for text in output.splitlines()) if total]
    return max(found, *totals) if totals else found


def _summed(number: int, codes: Counter[str]) -> str:
    shown = ", ".join(code if n == 1 else f"{code} ×{n}" for code, n in codes.most_common(4))
    more = ", …" if len(codes) > 4 else ""
    return f"{number} problem{'' if number == 1 else 's'}: {shown}{more}"


def _settings(path: str) -> bool:
    return path.rpartition("/")[2] in SETTINGS


def _lone(change: Change) -> set[str] | None:
    """The Python files whose text alone changed; None where something else did that ruff looks at."""
    paths = set()
    for path in change.paths:
        if path.endswith((".ipynb", ".pyw")):
            return None
        if not path.endswith(TEXTS):
            continue
        old, new = change.before.files.get(path), change.now.files.get(path)
        if old is None or new is None or old[0] != new[0] or not stat.S_ISREG(new[0]) or path.startswith("../"):
            return None
        paths.add(path)
    return paths if len(paths) <= MOST_EARLY else None


def _text(path: Path, content: str) -> str | None:
    """The text on the disk, if it is the one that the files were proved with."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if blake2b(data, digest_size=16).hexdigest() != content:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _place(line: str) -> tuple[str, int, int]:
    """Where a finding stands, for the order in which the command line tells."""
    path, _, rest = line.partition(":")
    row, _, rest = rest.partition(":")
    column = rest.partition(" ")[0]
    return path, int(row), int(column)


def _cause(done: Finished) -> str:
    """ruff's own words in one line: what it could not do, and why."""
    lines = [text.strip() for text in done.output.splitlines() if text.strip()]
    causes = [text.removeprefix("Cause: ") for text in lines if text.startswith("Cause: ")]
    last = next((text for text in reversed(lines) if not text.startswith("|")), "")
    if causes:
        words = "; ".join(dict.fromkeys([*causes, last.removeprefix("Cause: ")]))
    elif done.code < 0 or done.code > 128:
        words = f"killed by signal {-done.code if done.code < 0 else done.code - 128}"
    else:
        words = last.removeprefix("error: ") or f"exit code {done.code}"
    return words[:300]
