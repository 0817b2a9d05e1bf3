"""No confinement: for a machine where no sandbox works, and for users who turn it off."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from jetbox.engine.safety.sandbox import Launch
from jetbox.engine.safety.supervised import supervised


class NoSandbox:
    """Runs commands with all the user's rights; it still ends what they leave behind."""

    name = "none"
    confines = False
    guards_git = False
    readable = ("/",)

    def __init__(self, reasons: Sequence[str] = ()) -> None:
        """`reasons` say why no sandbox works here."""
        self.cannot: tuple[str, ...] = ("anything: commands run with all your rights", *reasons)

    def wrap(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Launch:
        folder = os.path.realpath(cwd)
        return supervised(argv, folder, {**env, "PWD": folder})

    async def close(self) -> None:
        return
