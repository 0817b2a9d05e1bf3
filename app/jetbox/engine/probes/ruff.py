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
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path

from jetbox.engine.clock import monotonic
from jetbox.engine.options import ProbeOptions
from jetbox.engine.probes.base import Change, Scope, Verdict, Whole, confines
from jetbox.engine.probes.command import identity
from jetbox.engine.probes.fingerprint import Snapshot, Tree
from jetbox.engine.probes.interpreter import Answers, Interpreters
from jetbox.engine.probes.report import bounded
from jetbox.engine.probes.ruff_ahead import Ahead
from jetbox.engine.probes.ruff_aside import Aside
from jetbox.engine.probes.ruff_files import RuffListing
from jetbox.engine.probes.ruff_server import RuffServer
from jetbox.engine.probes.ruff_settings import NAMES, Look, RuffSettings
from jetbox.engine.safety.process import Finished, Limits, ProcessRunner

# ruff's own cache misses that a new package makes imports of untouched files first-party.
ARGUMENTS = ("check", "--no-fix", "--no-cache", "--force-exclude", "--output-format", "concise", ".")
SUFFIXES = (".py", ".pyi", ".ipynb", ".pyw")
TEXTS = (".py", ".pyi")
"""Those whose text the server judges."""
MOST_EARLY = 50
"""Changed files above which a run from scratch is as quick."""
MOST_FINDINGS = 5_000
"""Problems above which a run from scratch is as quick."""
MOST_TEXT = 1_000_000
"""Characters of a file."""
CANDIDATE_S = 0.05
"""Longest time that a write waits for what ruff says of it."""
WORDS_BYTES = 1_000
KEPT = 1_000_000
"""Bytes of output that are counted; only head and tail of them are shown."""

FINDING = r"(?P<where>.+?:\d+:\d+): (?P<code>[A-Za-z][A-Za-z0-9-]*):? (?:\[\*\] )?(?P<what>.*)$"
PLACE = r"(?P<path>[^:]+):(?P<row>\d+):(?P<column>\d+) "
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
        store: Path | None = None,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        """`server`: keep one that judges single files; `notice` gets why it is not used any more.

        `store` keeps between sessions what it got wrong.
        """
        self._root = root
        self._processes = processes
        self._options = options
        self._tree = tree
        self._interpreters = interpreters
        self._settings = RuffSettings(tree)
        self._listing = RuffListing(tree, self._settings, processes, self.program, _alike)
        aside = Aside(store, notice)
        made = RuffServer(root, processes, self.program, self._settings, aside, options.memory)
        self._server = made if server else None
        self._ahead = Ahead(self._server) if self._server is not None else None
        self._prepared = False
        self._said: tuple[str, Look | None, tuple[str, ...]] = ("", None, ())
        """The files of the latest early verdict, by their digest, its settings, and what it found."""

    @property
    def slow(self) -> str:
        """Why the server is not used any more; empty while it is."""
        return self._server.off if self._server is not None else ""

    def prepare(self) -> None:
        """Start the server."""
        if self._server is not None and not self._server.off:
            self._prepared = True
            self._server.prepare()
            self._listing.prepare()

    def expect(self, path: str, text: str | None) -> None:
        """This file is about to be written, with this text where that is known: begin with what will be asked."""
        self.prepare()
        if self._ahead is not None and text is not None and not self.slow and _plain(path, text):
            self._ahead.begin(path, text)

    def wrote(self) -> None:
        """Files were written: what is said of texts that are on their way is to be found out anew."""
        if self._ahead is not None:
            self._ahead.forget()

    async def close(self) -> None:
        """End the server."""
        if self._ahead is not None:
            await self._ahead.close()
        await self._listing.close()
        if self._server is not None:
            await self._server.close()

    async def skip(self, answers: Answers) -> str:
        """Nothing to check, or nothing to check it with."""
        if not any(path.endswith(SUFFIXES) for path in self._tree.last.files):
            return "no Python files"
        if self.program() is None:
            return "ruff is not installed; cure: pip install ruff"
        return ""

    async def scope(self, answers: Answers) -> Scope:
        """The program's identity stands for its version."""
        program = self.program()
        outside = self._settings.outside()
        versions = {"ruff": identity(program) if program else ""}
        versions.update((f"settings {path}", " ".join(map(str, sign))) for path, sign in outside.items() if sign)
        noticed = (*outside, *self._places())
        return Scope(ARGUMENTS, versions, outside=noticed, confines=confines(self._processes.sandbox, self._tree.root))

    def _places(self) -> list[str]:
        """Every path whose change can make it another program."""
        found = self._interpreters.find().path
        folders = [os.path.dirname(found), os.path.join(sys.prefix, "bin"), *os.get_exec_path()]
        return [found, *self._interpreters.environments(), *(os.path.join(folder, "ruff") for folder in folders)]

    async def run(self, *, behind: bool = False) -> Verdict:
        """Check everything; a rule broken is failed, a configuration broken is an error."""
        program = self.program()
        if program is None:
            return Verdict(self.name, "skipped", await self.skip({}), cache="none", durable=False)
        done = await self._processes.run(
            [program, *ARGUMENTS],
            limits=Limits(self._options.time_s, KEPT, self._options.memory),
            cwd=self._root,
            env={"NO_COLOR": "1"},
            background=behind,
        )
        if self._prepared and self._server is not None:
            # What early verdicts need, which start from this one, is there when they are asked for.
            self._listing.prepare()
            await self._server.renew()
        return self._verdict(done)

    async def candidate(self, path: str, text: str) -> Verdict | None:
        """What ruff says of a text that is to be written there; None where the server cannot tell. Never raises."""
        if self._server is None or self._server.off or not _plain(path, text):
            return None
        began = monotonic()
        if not await self._looks_at(path):
            return None
        found = await self._ahead.check(path, text) if self._ahead is not None else None
        if found is None:
            return None
        return self._partial([finding.line(path) for finding in found], monotonic() - began)

    async def words(self, path: str, text: str) -> str:
        """The same in words for the one who writes; empty where there is no answer within a moment."""
        try:
            async with asyncio.timeout(CANDIDATE_S):
                verdict = await self.candidate(path, text)
        except TimeoutError:
            return ""
        return in_words(verdict) if verdict is not None else ""

    async def _looks_at(self, path: str) -> bool:
        """True where a run would judge a file of this name."""
        listed = await self._listing.under(path)
        if listed is None or listed.look.renames:
            return False
        if path in listed.names:
            return True
        if path in listed.files.files or listed.look.includes:
            return False
        # Not there yet when ruff was asked.
        from jetbox.engine.workspace.ignore import IgnoreRules

        return not IgnoreRules(self._root).ignored(path)

    async def early(self, change: Change) -> Verdict | None:
        """The last whole verdict, with what the server says of the files that changed since."""
        began = monotonic()
        old, server = change.verdict, self._server
        if server is None or server.off or not self._agreed(change):
            return None
        known = old.state == "passed" or (old.state == "failed" and 0 < len(old.failing) <= MOST_FINDINGS)
        paths = texts_alone(change.before, change.now, change.paths) if known else None
        if paths is None:
            return None
        listed = await self._listing.about(change.before, change.now)
        if listed is None or listed.linked:
            return None
        paths &= listed.names
        lines = _without(old.failing, paths)
        if lines is None or len(paths) > MOST_EARLY:
            return None
        for path in sorted(paths):
            text = _text(self._root / path, change.now.files[path][1])
            found = await server.check(path, text) if text is not None and _plain(path, text) else None
            if found is None:
                return None
            lines += [finding.line(path) for finding in found]
        verdict = self._partial(sorted(lines, key=_place), monotonic() - began)
        self._said = (change.now.digest, server.look if paths else None, verdict.failing)
        return verdict

    def _agreed(self, change: Change) -> bool:
        """False once a run from scratch said otherwise of files that the server had judged."""
        assert self._server is not None
        digest, look, failing = self._said
        whole = change.verdict
        same = digest == change.before.digest and look is not None and look is self._server.look
        if same and self._server.current and whole.state in ("passed", "failed"):
            complete = whole.state == "passed" or bool(whole.failing)
            # Some versions word what they have found otherwise in the server.
            if complete and Counter(map(_what, whole.failing)) != Counter(map(_what, failing)):
                self._server.give_up("its server disagreed with a run from scratch", lasting=True)
        return not self._server.off

    def _partial(self, lines: list[str], duration: int) -> Verdict:
        if not lines:
            return Verdict(self.name, "passed", "0 problems", duration_ns=duration, cache="partial")
        codes = Counter(_what(line)[1] for line in lines)
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
        for folder in (os.path.dirname(self._interpreters.find().path), os.path.join(sys.prefix, "bin")):
            path = os.path.join(folder, "ruff")
            if os.access(path, os.X_OK):
                return path
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
        findings = [found for found in (re.match(FINDING, text) for text in done.output.split("\n")) if found]
        if done.code == 1 and findings:
            codes = ["invalid-syntax" if f["code"] == "SyntaxError" else f["code"] for f in findings]
            lines = tuple(
                f"{f['where']} {code} {' '.join(f['what'].split())}" for f, code in zip(findings, codes, strict=True)
            )
            number = _number(done.output, len(findings))
            return Verdict(
                self.name,
                "failed",
                _summed(number, Counter(codes)),
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


def in_words(verdict: Verdict) -> str:
    """A verdict on a text that is about to be written, for the result of the call that writes it."""
    if verdict.state == "passed":
        return "ruff: clean"
    return f"ruff: {verdict.summary}\n{bounded(verdict.output, WORDS_BYTES)}"


def texts_alone(before: Snapshot, now: Snapshot, changed: frozenset[str]) -> set[str] | None:
    """The files that changed; None where more did than the content of files that settings are not read from."""
    for path in changed:
        if path.startswith(("../", ".git/")) or _odd(path) or path.rpartition("/")[2] in NAMES:
            return None
        old, new = before.files.get(path), now.files.get(path)
        if old is None or new is None or old[0] != new[0] or not stat.S_ISREG(new[0]):
            return None
    return set(changed)


def _alike(before: Snapshot, now: Snapshot) -> bool:
    return texts_alone(before, now, now.changed(before)) is not None


def _plain(path: str, text: str) -> bool:
    """True where server and command line have one idea of the name, the language and the columns."""
    return path.endswith(TEXTS) and not _odd(path) and not text.startswith("\ufeff") and len(text) <= MOST_TEXT


def _odd(path: str) -> bool:
    """True for a name that cannot be told from what is said of it."""
    return any(letter in path for letter in ":\r\n\0")


def _without(lines: Sequence[str], paths: set[str]) -> list[str] | None:
    """Those that are not about these files; None where one cannot be read."""
    kept = []
    for line in lines:
        place = re.match(PLACE, line)
        if place is None:
            return None
        if place["path"] not in paths:
            kept.append(line)
    return kept


def _text(path: Path, content: str) -> str | None:
    """The text on the disk, if it is the one that the files were proved with."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        seen = os.fstat(handle)
        if not stat.S_ISREG(seen.st_mode) or seen.st_size > 4 * MOST_TEXT:
            return None
        try:
            data = file.read()
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
    place = re.match(PLACE, line)
    assert place is not None
    return place["path"], int(place["row"]), int(place["column"])


def _what(line: str) -> tuple[str, str]:
    """Place and code of a finding."""
    place = re.match(PLACE, line)
    at = place.end() if place is not None else 0
    return line[:at], line[at:].partition(" ")[0]


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
