"""The one sandbox for everything that executes code of the workspace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec


class Launch(msgspec.Struct, frozen=True):
    """What is really started."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    supervised: bool = False
    """The started process stands above the command: it outlives it, ends whatever the
    command leaves behind, and tells a signal as 128 + its number."""


class Sandbox(Protocol):
    """Confines a process to the workspace and a private temporary folder."""

    name: str
    """`bubblewrap`, `landlock`, `sandbox-exec` or `none`."""
    cannot: tuple[str, ...]
    """What it cannot enforce, in words for the screen."""
    confines: bool
    """False for `none`."""

    @property
    def readable(self) -> tuple[str, ...]:
        """What a command that is started now may read besides the system and the workspace."""
        ...

    @property
    def guards_git(self) -> bool:
        """Whether it keeps `.git` and `.jetbox` of the workspace, as they are now, from being written."""
        ...

    def wrap(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Launch:
        """The confined form of a command."""
        ...

    async def own_folder(self, root: Path) -> str:
        """For temporary files of what we start in `root` ourselves, gone with the sandbox; empty: where its
        commands have theirs."""
        ...

    async def close(self) -> None:
        """Delete the private folder; no command may run any more."""
        ...
