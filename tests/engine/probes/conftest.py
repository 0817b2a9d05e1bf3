"""Real folders, real processes: what the tests of probes share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.moving import Clock
from engine.probes.proved import Proved, workspace
from jetbox.engine.options import PerformanceOptions, ProbeOptions
from jetbox.engine.probes.base import Probe, Verdict
from jetbox.engine.probes.pytest import PytestProbe
from jetbox.engine.probes.runner import ProbeEngine
from jetbox.engine.safety.process import ProcessRunner
from jetbox.engine.safety.sandbox import Launch


class Unconfined:
    """Starts a command as it is, with temporary files of its own."""

    name = "none"
    cannot: tuple[str, ...] = ()
    guards_git = False
    confines = False
    readable = ("/",)

    def __init__(self, private: Path) -> None:
        self._private = private

    def wrap(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Launch:
        # Installed plugins of this suite have no say in the sessions that it starts.
        quiet = {"TMPDIR": str(self._private), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        return Launch(tuple(argv), {**env, **quiet}, str(cwd))

    async def own_folder(self, root: Path) -> str:
        return str(self._private)

    async def close(self) -> None:
        return


def uncompared(engine: ProbeEngine) -> ProbeEngine:
    """No comparison of a forked run is due for long."""
    for probe in engine.probes:
        if isinstance(probe, PytestProbe):
            probe._shadows.compared(agreed := Verdict("pytest", "passed"), agreed)
    return engine


class Bench:
    """A probe engine on a folder, and what it told."""

    def __init__(self, root: Path, private: Path) -> None:
        self.root = root
        self.processes = ProcessRunner(Unconfined(private), root)
        self.told: list[tuple[str, str, str]] = []
        self.ended: list[Verdict] = []
        self.notices: list[str] = []
        self.noticed = asyncio.Event()
        """There is a notice."""
        self.engines: list[ProbeEngine] = []
        self.on_start: Callable[[str], None] = lambda name: None

    def write(self, path: str, text: str) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def engine(
        self,
        *,
        performance: PerformanceOptions | None = None,
        probes: Sequence[Probe] | None = None,
        read_outside: Sequence[str] = (),
        store: Path | None = None,
        **options: Any,
    ) -> ProbeEngine:
        def started(name: str, why: str) -> None:
            self.told.append(("start", name, why))
            self.on_start(name)

        def ended(verdict: Verdict) -> None:
            self.told.append(("end", verdict.name, verdict.state))
            self.ended.append(verdict)

        def noticed(words: str) -> None:
            self.notices.append(words)
            self.noticed.set()

        engine = ProbeEngine(
            self.root,
            self.processes,
            ProbeOptions(**options),
            performance or PerformanceOptions(),
            on_start=started,
            on_end=ended,
            on_notice=noticed,
            read_outside=read_outside,
            store=store,
            probes=probes,
        )
        self.engines.append(engine)
        return engine

    async def out_of_time(self, engine: ProbeEngine, name: str, clock: Clock) -> Verdict:
        """The verdict of a probe whose time of 100 s is over once its command has made the file `begun`."""
        verdict = asyncio.create_task(self.one(engine, name))
        while not self.begun.exists() and not verdict.done():
            await asyncio.sleep(0.005)
        clock.forward(101)
        return await verdict

    @property
    def begun(self) -> Path:
        """A file beside the workspace, for a command that tells that it runs."""
        return self.root.parent / "private" / "begun"

    async def one(self, engine: ProbeEngine, name: str) -> Verdict:
        return next(verdict for verdict in await engine.verdicts() if verdict.name == name)

    @staticmethod
    def running(words: str) -> list[int]:
        """Processes whose command line holds the words."""
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                line = Path(f"/proc/{name}/cmdline").read_bytes()
            except OSError:
                continue
            if words.encode() in line:
                found.append(int(name))
        return found


@pytest.fixture
async def proved(tmp_path: Path) -> AsyncIterator[Proved]:
    made = Proved(workspace(tmp_path))
    await made.proof.now()
    assert made.proof.how == "inotify"
    yield made
    made.proof.close()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    (tmp_path / "ws").mkdir()
    (tmp_path / "private").mkdir()
    made = Bench(tmp_path / "ws", tmp_path / "private")
    yield made
    for engine in made.engines:
        await engine.close()
