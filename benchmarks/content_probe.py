"""A probe in the process whose verdict is what the files hold, and an engine that runs it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from jetbox.engine.options import PerformanceOptions, ProbeCommand, ProbeOptions
from jetbox.engine.probes.base import Scope, Verdict, Whole
from jetbox.engine.probes.configuration import CONFIGURATION
from jetbox.engine.probes.interpreter import Answers
from jetbox.engine.probes.runner import ProbeEngine
from jetbox.engine.safety.process import ProcessRunner
from jetbox.engine.safety.unconfined import NoSandbox

SKIPPED = {".git", "__pycache__"}


def read_everything(root: Path) -> dict[str, str]:
    """Every file, folder and link below the root with mode and content, and what counts around it.

    Knows nothing of fingerprints, so that it can judge them.
    """
    found: dict[str, str] = {}
    _folder(found, str(root), "")
    for folder, prefix in ((root.parent, "../"), (root / ".git", ".git/")):
        for name in (*CONFIGURATION, "HEAD"):
            _file(found, str(folder / name), prefix + name)
    return found


def _folder(found: dict[str, str], folder: str, prefix: str) -> None:
    for name in os.listdir(folder):
        real, path = os.path.join(folder, name), prefix + name
        try:
            mode = os.lstat(real).st_mode
            if stat.S_ISLNK(mode):
                found[path] = os.readlink(real)
                if os.path.isdir(real):
                    _folder(found, real, path + "/")
                else:
                    _file(found, real, path + "/")
                continue
        except OSError:
            continue
        if stat.S_ISDIR(mode):
            if name not in SKIPPED:
                found[path] = f"{mode:o}"
                _folder(found, real, path + "/")
        else:
            _file(found, real, path)


def _file(found: dict[str, str], real: str, path: str) -> None:
    try:
        with open(real, "rb") as file:
            content = file.read()
            found[path] = (
                f"{os.fstat(file.fileno()).st_mode:o} {hashlib.sha1(content, usedforsecurity=False).hexdigest()}"
            )
    except OSError:
        return


def shown(files: dict[str, str]) -> str:
    """The same for the same files."""
    return hashlib.sha1(repr(sorted(files.items())).encode(), usedforsecurity=False).hexdigest()


class ContentProbe(Whole):
    """Its verdict is what the files hold."""

    name = "content"

    def __init__(self, look: Callable[[], str]) -> None:
        self._look = look
        self.runs = 0
        self.during: Callable[[], None] | None = None
        """Called once, in the midst of the next run."""

    async def skip(self, answers: Answers) -> str:
        """It always applies."""
        return ""

    async def scope(self, answers: Answers) -> Scope:
        """Nothing else matters."""
        return Scope(outside=())

    async def run(self, *, behind: bool = False) -> Verdict:
        """Look at the files."""
        self.runs += 1
        seen = self._look()
        if self.during is not None:
            during, self.during = self.during, None
            during()
        return Verdict(self.name, "passed", output=seen, duration_ns=1)


def real_engine(
    root: Path, name: str, *, inotify: bool = True, servers: bool = True, python: Path | None = None
) -> ProbeEngine:
    """The same with `ruff`, `pytest`, `both`, a `command` of the user, or `all` of them, each as in a session but
    for its sandbox and its store."""
    commands = (ProbeCommand(name="command", command="cat pyproject.toml"),)
    return ProbeEngine(
        root,
        ProcessRunner(NoSandbox(), root),
        ProbeOptions(
            ruff=name in ("ruff", "both", "all"),
            pytest=name in ("pytest", "both", "all"),
            commands=commands if name in ("command", "all") else (),
        ),
        PerformanceOptions(probe_inotify=inotify, pytest_server=servers),
        on_start=lambda name, why: None,
        on_end=lambda verdict: None,
        python=python,
    )


def engine_on(root: Path, probe: ContentProbe, *, inotify: bool) -> ProbeEngine:
    """A probe engine as a session has it, with this probe alone."""
    return ProbeEngine(
        root,
        ProcessRunner(NoSandbox(), root),
        ProbeOptions(),
        PerformanceOptions(probe_inotify=inotify),
        on_start=lambda name, why: None,
        on_end=lambda verdict: None,
        probes=[probe],
    )
