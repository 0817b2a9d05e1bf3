"""The user's own editor over the screen, on a text."""

from __future__ import annotations

import asyncio
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

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


async def edit(app: JetboxApp, text: str, say: Callable[[str], None]) -> str | None:
    """Let the user change the text; None where that failed, which `say` tells."""
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
            say("this terminal cannot be lent to an editor")
            return None
        except OSError as error:
            say(f"{words[0]}: {error.strerror}; set EDITOR")
            return None
        if code != 0:
            say(f"{words[0]} ended with {code}: the text stays as it was")
            return None
        return path.read_text(encoding="utf-8", errors="replace")
