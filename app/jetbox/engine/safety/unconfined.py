"""No confinement: for a machine where no sandbox works, and for users who turn it off."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from jetbox.engine.safety.private import PrivateFolder
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
        self._making: asyncio.Future[PrivateFolder | None] | None = None

    def wrap(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Launch:
        folder = os.path.realpath(cwd)
        return supervised(argv, folder, {**env, "PWD": folder})

    async def own_folder(self, root: Path) -> str:
        """Made when it is first asked for: commands have the system's."""
        if self._making is None:
            self._making = asyncio.ensure_future(asyncio.to_thread(_made, root))
        private = await asyncio.shield(self._making)
        return str(private.tmp) if private is not None else ""

    async def close(self) -> None:
        making, self._making = self._making, None
        private = await making if making is not None else None
        if private is not None:
            await asyncio.to_thread(private.delete)


def _made(root: Path) -> PrivateFolder | None:
    try:
        return PrivateFolder.create(Path(os.path.realpath(root)))
    except OSError:
        return None
