"""Runs with nothing of ours around them, to measure against: plain commands, and pytest alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PYTEST = (sys.executable, "-m", "pytest", "-q")


def timed(argv: Sequence[str], root: Path) -> tuple[float, float]:
    """A command from start to end, in ms, and to the first byte that it says."""
    began = time.perf_counter()
    with subprocess.Popen(argv, cwd=root, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
        assert run.stdout is not None
        run.stdout.read(1)
        first = time.perf_counter()
        run.stdout.read()
    return (time.perf_counter() - began) * 1e3, (first - began) * 1e3


class Alone:
    """pytest with nothing around it, for some test files: a fork that has read its options already."""

    def __init__(self, root: Path, tests: Sequence[str]) -> None:
        program = [sys.executable, str(Path(__file__).with_name("bare_pytest.py")), str(root), *tests]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(program, stdin=pipe, stdout=pipe, text=True, env=_environment())

    def run(self) -> float:
        """One run, in ms."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.communicate("")


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
