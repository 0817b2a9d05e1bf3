"""Probes besides ruff and pytest: the checkers that are known, and the commands of the user."""

from __future__ import annotations

from pathlib import Path

from jetbox.engine.options import ProbeOptions
from jetbox.engine.probes.base import Probe
from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.interpreter import Interpreters
from jetbox.engine.safety.process import ProcessRunner


def ready_made(
    root: Path, processes: ProcessRunner, options: ProbeOptions, tree: Tree, interpreters: Interpreters
) -> list[Probe]:
    """Those that the options switch on, the checkers first; what is off is not imported."""
    probes: list[Probe] = []
    if options.mypy:
        from jetbox.engine.probes.mypy import MypyProbe

        probes.append(MypyProbe(root, processes, options, tree, interpreters))
    if options.pyright:
        from jetbox.engine.probes.pyright import PyrightProbe

        probes.append(PyrightProbe(root, processes, options, tree, interpreters))
    if options.commands:
        from jetbox.engine.probes.command import CommandProbe

        probes += (CommandProbe(root, processes, options, command, tree, interpreters) for command in options.commands)
    return probes
