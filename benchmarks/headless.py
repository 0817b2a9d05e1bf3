"""Whole sessions of `jetbox-tui run` against the embedded server, read back from their journals."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from jetbox.engine.events import ProbeEnded, RoundEnded
from jetbox.record.recording import read_journal
from jetbox.sim.launch import ServerProcess

LLM = ("queue and load", "prompt eval", "thinking", "decode")
"""Phases in which a round waits for the model."""
GLYPHS = {"ran": "⚡", "hit": "↻", "partial": "◐", "none": "⏭"}
TIME_LIMIT_S = 300


class Round(msgspec.Struct):
    """A round as its journal tells it; times in ms."""

    number: int
    wall: float = 0.0
    llm: float = 0.0
    exposed: float = 0.0
    """What the round waited for probes and for nothing else."""
    verdicts: list[ProbeEnded] = []

    @property
    def given(self) -> list[ProbeEnded]:
        """Verdicts that the round came to, without runs that were cut off and those of the state before."""
        return [v for v in self.verdicts if v.state != "cancelled" and not v.baseline]

    @property
    def hit(self) -> bool:
        """Every probe that applies was served without a run."""
        applying = [v for v in self.given if v.state != "skipped"]
        return bool(applying) and all(v.cache == "hit" for v in applying)

    @property
    def idle(self) -> bool:
        """No probe had to run: verdicts were served, or none was asked for."""
        return not any(v.cache in ("ran", "partial") for v in self.given)

    @property
    def first(self) -> float:
        """How long the verdicts took that a request waits for: of each probe its first, side by side."""
        firsts: dict[str, float] = {}
        for verdict in self.given:
            firsts.setdefault(verdict.name, verdict.duration_ns / 1e6)
        return max(firsts.values(), default=0.0)

    @property
    def glyphs(self) -> str:
        """One sign for each verdict."""
        return "".join(GLYPHS[v.cache] + ("?" if v.unproven else "") for v in self.given)


def session(script: str, goal: str, **words: Any) -> list[Round]:
    """The rounds of one run, as `recorded` makes it."""
    with recorded(script, goal, **words) as journal:
        return rounds_of(journal)


@contextmanager
def recorded(
    script: str,
    goal: str,
    *,
    model: str,
    options: Sequence[str] = (),
    prepare: Callable[[Path], None] | None = None,
    speed: float = 1.0,
) -> Iterator[Path]:
    """The journal of one run in a fresh folder with a fresh home, on a server that has the model still to load.

    Raises:
        SystemExit: it did not end well; says what it printed.
    """
    program = str(Path(sys.executable).with_name("jetbox-tui"))
    place = Path(tempfile.mkdtemp(prefix="jetbox-bench-"))
    folder, home = place / "work", place / "home"
    folder.mkdir()
    home.mkdir()
    if prepare is not None:
        prepare(folder)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("JETBOX_", "OLLAMA_", "PYTHON", "XDG_"))}
    try:
        with ServerProcess(scripts=[script], speed=speed) as server:
            command = [program, "run", "--mode", "auto", "-m", model, "-C", str(folder), *options, goal]
            done = subprocess.run(
                command,
                check=False,
                env=environment | {"HOME": str(home), "OLLAMA_HOST": server.url},
                capture_output=True,
                text=True,
                timeout=TIME_LIMIT_S,
            )
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        (journal,) = home.glob(".local/share/jetbox/sessions/*/journal.jsonl")
        yield journal
    finally:
        shutil.rmtree(place, ignore_errors=True)


def rounds_of(journal: Path) -> list[Round]:
    """The rounds of a recording; a verdict stands in the round whose files it judges."""
    rounds: dict[int, Round] = {}
    for stamped in read_journal(journal).events:
        event = stamped.event
        if isinstance(event, ProbeEnded):
            number = event.of_round or stamped.round
            rounds.setdefault(number, Round(number, verdicts=[])).verdicts.append(event)
        elif isinstance(event, RoundEnded):
            ended = rounds.setdefault(stamped.round, Round(stamped.round, verdicts=[]))
            ended.wall = event.wall_ns / 1e6
            ended.llm = sum(event.phases.get(phase, 0) for phase in LLM) / 1e6
            ended.exposed = event.phases.get("probe", 0) / 1e6
    return [rounds[number] for number in sorted(rounds) if number]


def spread(values: Sequence[float]) -> str:
    """Median, and the range where there is more than one."""
    if not values:
        return "–"
    middle = f"{statistics.median(values):.0f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.0f}-{max(values):.0f})"
