"""The user's own editor over the screen, on a text."""

from __future__ import annotations

import asyncio
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from jetbox.engine.errors import JetboxError

if TYPE_CHECKING:
    from jetbox.ui.app import JetboxApp

USUAL = "vi"


def editor() -> list[str]:
    """The command of the user's editor: $VISUAL, $EDITOR, or what every system has."""
    for variable in ("VISUAL", "EDITOR"):
        try:
            words = shlex.split(os.environ.get(variable, ""))
        except ValueError:
            continue
        if words:
            return words
    return [USUAL]


async def edit(app: JetboxApp, text: str) -> str:
    """Let the user change the text.

    Raises:
        JetboxError: there is no such editor, it has failed, or the terminal cannot be lent to it.
    """
    import tempfile

    from textual.app import SuspendNotSupported

    words = editor()
    with tempfile.TemporaryDirectory(prefix="jetbox-") as folder:
        path = Path(folder) / "prompt.md"
        path.write_text(text, encoding="utf-8")
        try:
            # Nothing is drawn meanwhile: the terminal is the editor's.
            with app.batch_update(), app.suspend(), app.lend():
                process = await asyncio.create_subprocess_exec(*words, str(path))
                code = await process.wait()
        except SuspendNotSupported:
            raise JetboxError("this terminal cannot be lent to an editor") from None
        except OSError as error:
            raise JetboxError(f"{words[0]}: {error.strerror}", "set EDITOR") from None
        if code != 0:
            raise JetboxError(f"{words[0]} ended with {code}")
        return path.read_text(encoding="utf-8", errors="replace")
