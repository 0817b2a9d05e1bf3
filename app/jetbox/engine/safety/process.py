"""Runs a command in the sandbox: limits, live output, and the whole process group ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jetbox.engine.safety.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Limits:
    """What a command may use."""

    seconds: float
    output_bytes: int
    memory: int = 0
    """Bytes of address space; 0 for no limit."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended."""

    state: Literal["exited", "timeout", "missing"]
    """`missing`: there is no such program."""
    code: int
    """Exit code; negative: the signal that ended it."""
    output: str
    """Standard output and error together, head and tail within the limit."""
    total_bytes: int
    duration_ns: int


class ProcessRunner:
    """Starts confined processes and leaves none behind."""

    def __init__(self, sandbox: Sandbox, root: Path, *, pass_env: Sequence[str] = ()) -> None:
        self.sandbox = sandbox
        self.root = root
        self.pass_env = tuple(pass_env)

    async def run(
        self,
        argv: Sequence[str],
        *,
        limits: Limits,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        on_output: Callable[[str], None] | None = None,
    ) -> Finished:
        """Run to the end; cancelling it ends the whole process group first."""
        raise NotImplementedError
