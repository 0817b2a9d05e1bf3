"""The ruff probe: one run over the whole workspace that changes nothing and trusts no cache."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from pathlib import Path

from jetbox.engine.options import ProbeOptions
from jetbox.engine.probes.base import Scope, Verdict, Whole
from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.interpreter import Interpreters
from jetbox.engine.probes.report import bounded
from jetbox.engine.safety.process import Finished, Limits, ProcessRunner

# ruff's own cache misses that a new package makes imports of untouched files first-party.
ARGUMENTS = ("check", "--no-fix", "--no-cache", "--force-exclude", "--output-format", "concise", ".")
SUFFIXES = (".py", ".pyi", ".ipynb", ".pyw")
KEPT = 1_000_000
"""Bytes of output that are counted; only head and tail of them are shown."""

FINDING = r"(?P<where>.+?:\d+:\d+): (?P<code>[A-Z]+[0-9]+|[A-Za-z-]+):? (?:\[\*\] )?(?P<what>.*)$"
TOTAL = r"Found (\d+) errors?"


class RuffProbe(Whole):
    """Runs the workspace's own ruff, else ours, else the one on the path."""

    name = "ruff"

    def __init__(
        self, root: Path, processes: ProcessRunner, options: ProbeOptions, tree: Tree, interpreters: Interpreters
    ) -> None:
        self._root = root
        self._processes = processes
        self._options = options
        self._tree = tree
        self._interpreters = interpreters

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
        )
        return self._verdict(done)

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
            lines = "\n".join(f"{f['where']} {f['code']} {f['what']}" for f in findings)
            return Verdict(
                self.name, "failed", _counted(done.output, findings), bounded(lines, limit), done.duration_ns
            )
        durable = "Failed to parse" in done.output
        return Verdict(
            self.name, "error", _cause(done), bounded(done.output.strip(), limit), done.duration_ns, durable=durable
        )


def _counted(output: str, findings: list[re.Match[str]]) -> str:
    totals = [int(found[1]) for found in (re.match(TOTAL, text) for text in output.splitlines()) if found]
    number = max(len(findings), *totals) if totals else len(findings)
    codes = Counter(found["code"] for found in findings).most_common()
    shown = ", ".join(code if n == 1 else f"{code} ×{n}" for code, n in codes[:4])
    more = ", …" if len(codes) > 4 else ""
    return f"{number} problem{'' if number == 1 else 's'}: {shown}{more}"


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
