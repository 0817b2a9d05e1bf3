"""Which probes a workspace has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from jetbox.engine.options import PerformanceOptions, ProbeOptions
from jetbox.engine.probes.base import Probe
from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.interpreter import Interpreters
from jetbox.engine.probes.pytest import PytestProbe
from jetbox.engine.probes.ready import ready_made
from jetbox.engine.probes.ruff import RuffProbe
from jetbox.engine.safety.process import ProcessRunner


class Chosen(msgspec.Struct, frozen=True):
    """The probes, and the one that can judge a text before it is written."""

    probes: tuple[Probe, ...]
    ruff: RuffProbe | None
    interpreters: Interpreters


def choose_probes(
    root: Path,
    processes: ProcessRunner,
    options: ProbeOptions,
    performance: PerformanceOptions,
    tree: Tree,
    python: Path | None,
    store: Path | None,
    notice: Callable[[str], None],
) -> Chosen:
    """The probes that the options switch on; `python` goes before the configured interpreter."""
    interpreters = Interpreters(root, processes, str(python or options.python))
    probes: list[Probe] = []
    ruff: RuffProbe | None = None
    if options.ruff:
        server = performance.ruff_server
        ruff = RuffProbe(root, processes, options, tree, interpreters, server=server, store=store, notice=notice)
        probes.append(ruff)
    if options.pytest:
        probes.append(
            PytestProbe(root, processes, options, performance, tree, interpreters, store=store, notice=notice)
        )
    probes += ready_made(root, processes, options, tree, interpreters)
    return Chosen(tuple(probes), ruff, interpreters)
