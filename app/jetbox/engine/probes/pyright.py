"""The pyright probe: the whole project in one run."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path

import msgspec

from jetbox.engine.probes.base import Scope, Verdict
from jetbox.engine.probes.checkers import CheckerProbe, Finding, text_of
from jetbox.engine.probes.command import identity
from jetbox.engine.probes.configuration import OF_PYRIGHT
from jetbox.engine.probes.interpreter import Answers
from jetbox.engine.safety.environment import candidates, clean_environment, find_program
from jetbox.engine.safety.process import Finished
from jetbox.engine.safety.terminal import safe_text

NPM = "node_modules/.bin/pyright"
NETWORK = "use of the network"
"""How a sandbox says that commands may use the network."""

PLACE = re.compile(r"\s+(?P<path>/.+?):(?P<place>\d+:\d+) - (?P<kind>error|warning|information): (?P<what>.*)")
EXTENDS = re.compile(r"""\bextends["']?\s*[:=]\s*(["'])(.*?)\1""")
QUOTED = re.compile(r"""(["'])([^"'\n]*)\1""")
ANYWHERE = re.compile(r"~|[A-Za-z]:|\$\{(?!workspaceFolder)")
OUT = re.compile(r"/|(?:.*/)?\.\.(?:/|\Z)")
"""How a place is written that may lie outside of the folder of its configuration."""
PLACES = re.compile(r"""["']?\b(?:extraPaths|stubPath|typeshedPath|venvPath|include|root)["']?\s*[:=]""")
MOST_EXTENDED = 50
RULE = re.compile(r".* (?P<rule>\(report\w+\))")
TOTAL = re.compile(r"(?P<errors>\d+) errors?, (?P<warnings>\d+) warnings?, \d+ informations?\s*")


class PyrightProbe(CheckerProbe):
    """Runs the workspace's own pyright, installed by npm or by pip, else the one on the path."""

    name = "pyright"
    cure = "npm install --save-dev pyright"
    configuration = OF_PYRIGHT | {"py.typed", ".package-lock.json"}

    async def skip(self, answers: Answers) -> str:
        """No Python files, no pyright, or nothing that can run it."""
        if words := await super().skip(answers):
            return words
        head = _head(self.program())
        if "node" in head.partition("\n")[0]:
            if not self._node():
                return "pyright needs node, which is not on PATH; cure: install Node.js"
        elif "from pyright" in head and self._offline():
            return (
                "the pyright of pip fetches its program from the network, which the sandbox does not allow; "
                "cure: npm install --save-dev pyright, or permissions.network = true"
            )
        return ""

    async def scope(self, answers: Answers) -> Scope:
        """That of every checker, and the node that runs it."""
        scope = await super().scope(answers)
        outside = scope.outside
        extended = [path for path in self._extended() if not self._inside(path)]
        if outside is not None:
            outside = (*outside, str(self._root / NPM), *candidates("node", self._path(), str(self._root)), *extended)
        versions = {**scope.versions, "node": identity(self._node())}
        versions.update({path: identity(path) for path in extended})
        return msgspec.structs.replace(scope, versions=versions, outside=outside)

    def program(self) -> str:
        """Path of the pyright to run; empty where there is none."""
        own = Path(self._root, NPM)
        return str(own) if os.access(own, os.X_OK) else super().program()

    def arguments(self) -> tuple[str, ...]:
        """The project's configuration holds; imports are those of the workspace's interpreter."""
        return ("--pythonpath", self._interpreters.find().path)

    async def run(self, *, behind: bool = False) -> Verdict:
        """Check everything; a type error is failed, a configuration that cannot be read an error."""
        program = self.program()
        if not program:
            return Verdict(self.name, "skipped", await self.skip({}), cache="none", durable=False)
        leads_out = await asyncio.to_thread(self._leads_out)
        verdict = self._verdict(await self._ran([program, *self.arguments()], behind=behind))
        # Nobody notices what changes there.
        return msgspec.structs.replace(verdict, durable=False) if leads_out else verdict

    def _counts(self, path: str, folder: bool) -> bool:
        # Configuration can take in other files of its kind, and compiled modules are looked for by name.
        return super()._counts(path, folder) or path.endswith((".json", ".so", ".pyd"))

    def _reads_more(self) -> bool:
        """Configuration can be taken in from a file of any name."""
        return any(self._inside(path) and not self._counts(path, False) for path in self._extended())

    def _leads_out(self) -> bool:
        """True where its configuration may name places that are no part of the workspace. Blocks."""
        for path in (*(str(path) for path in self._configured() if path.name in OF_PYRIGHT), *self._extended()):
            text = text_of(Path(path))
            # What is taken in is watched by its name.
            text = EXTENDS.sub("", _section(text) if path.endswith(".toml") else text)
            if not self._inside(path) and PLACES.search(text):
                return True
            for _, place in QUOTED.findall(text):
                written = place.replace("\\/", "/")
                there = os.path.normpath(os.path.join(os.path.dirname(path), written))
                if ANYWHERE.match(written) or (OUT.match(written) and not self._inside(f"{there}/")):
                    return True
        return False

    def _inside(self, path: str) -> bool:
        return path.startswith(f"{self._tree.root}/")

    def _extended(self) -> list[str]:
        """Files whose configuration is taken in, by their paths."""
        found: list[str] = []
        waiting = [str(path) for path in self._configured() if path.name in OF_PYRIGHT]
        while waiting and len(found) < MOST_EXTENDED:
            path = waiting.pop()
            for _, name in EXTENDS.findall(text_of(Path(path))):
                target = os.path.normpath(os.path.join(os.path.dirname(path), name.replace("\\/", "/")))
                if target not in found:
                    found.append(target)
                    waiting.append(target)
        return found

    def _node(self) -> str:
        return find_program("node", self._path(), str(self._root))[0]

    def _path(self) -> str:
        return self._variables().get("PATH") or clean_environment(os.environ)["PATH"]

    def _offline(self) -> bool:
        return self._processes.sandbox.confines and NETWORK not in self._processes.sandbox.cannot

    def _verdict(self, done: Finished) -> Verdict:
        if (verdict := self._no_result(done)) is not None:
            return verdict
        lines = [line for line in safe_text(done.output).splitlines() if line.strip()]
        total = next((found for found in map(TOTAL.fullmatch, reversed(lines)) if found), None)
        if done.code == 1 and total and int(total["errors"]):
            findings, shown = _read(lines, self._tree.root)
            return self._failed(done, findings, shown, whole=len(findings) == int(total["errors"]))
        if done.code == 0 and total and not int(total["errors"]):
            warnings = int(total["warnings"])
            summary = f"0 errors, {warnings} warning{'' if warnings == 1 else 's'}" if warnings else "0 errors"
            return Verdict(self.name, "passed", summary, duration_ns=done.duration_ns)
        said = [line.strip() for line in lines if not TOTAL.fullmatch(line)]
        words = said[-1] if said else f"exit code {done.code}"
        return self._error(done, words, durable=done.code == 3)


def _read(lines: list[str], root: str) -> tuple[list[Finding], list[str]]:
    """The errors, and each with what follows it as it is shown."""
    findings: list[Finding] = []
    shown: list[str] = []
    within = False
    for line in lines:
        found = PLACE.fullmatch(line)
        if found is not None:
            path = os.path.relpath(found["path"], root)
            within = found["kind"] == "error"
            if within:
                findings.append(Finding(path, found["place"], found["what"].strip()))
                shown.append(str(findings[-1]))
        elif within and re.match(r"\s{4}", line):  # some of them no-break spaces
            shown.append(f"  {line.strip()}")
            rule = RULE.fullmatch(line)
            if rule is not None:
                last = findings[-1]
                findings[-1] = Finding(last.path, last.place, f"{last.what} {rule['rule']}")
        else:
            within = False
    return findings, shown


def _section(text: str) -> str:
    """What a project's file has for pyright, as JSON; all of it where that cannot be read."""
    import tomllib

    try:
        return json.dumps(tomllib.loads(text).get("tool", {}).get("pyright"), ensure_ascii=False, default=str)
    except (tomllib.TOMLDecodeError, AttributeError, RecursionError):
        return text


def _head(program: str) -> str:
    try:
        with open(program, "rb") as file:
            return file.read(1000).decode("utf-8", "replace")
    except OSError:
        return ""
