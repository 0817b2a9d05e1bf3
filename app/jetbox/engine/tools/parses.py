"""Whether a text that is about to be written parses; asked where no linter has said anything of it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from jetbox.engine.safety.starting import end, spawn

WORKER = Path(__file__).with_name("parse_worker.py")
DIRECT_CHARS = 4_000
"""A text of this length is parsed in about 2 ms; longer ones in a process of their own."""
MOST_CHARS = 1_000_000
SECONDS = 5.0
"""So long the process is waited for; then nothing is said."""
KINDS = {".py": "py", ".pyi": "py", ".json": "json", ".toml": "toml"}
LOOSE = ("tsconfig", "jsconfig", ".vscode/", "devcontainer", ".eslintrc", ".babelrc")
"""In the paths of files that are called JSON and may hold comments and trailing commas."""


async def parse_words(path: str, text: str) -> str:
    """What stands in the way of parsing it, in words for the one who writes; empty where nothing does."""
    from posixpath import splitext

    kind = KINDS.get(splitext(path)[1].lower(), "")
    if not kind or len(text) > MOST_CHARS or (kind == "json" and any(part in path.lower() for part in LOOSE)):
        return ""
    if len(text) <= DIRECT_CHARS:
        from jetbox.engine.tools.parse_worker import problem

        said = problem(kind, text)
    else:
        said = await _elsewhere(kind, text)
    return f"parse: this is {said}" if said else ""


async def _elsewhere(kind: str, text: str) -> str:
    """The same from a process, which is gone when this returns or is cancelled."""
    pipe = asyncio.subprocess.PIPE
    argv = (sys.executable, "-I", "-X", "utf8", "-S", str(WORKER), kind)
    try:
        process = await spawn(*argv, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, cwd="/")
    except OSError:
        return ""
    try:
        async with asyncio.timeout(SECONDS):
            said, _ = await process.communicate(text.encode("utf-8", "surrogatepass"))
    except TimeoutError:
        return ""
    finally:
        await end(process)
    return said.decode() if process.returncode == 0 else ""
