"""Runs the search worker and words its answer."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from jetbox.engine.errors import ToolError
from jetbox.engine.safety.starting import end, spawn
from jetbox.engine.sizes import size_words
from jetbox.engine.workspace.names import shown
from jetbox.engine.workspace.root import Located, Workspace

WORKER = Path(__file__).with_name("search_worker.py")


class MatchLimits(msgspec.Struct, frozen=True):
    """How much a search may find and take."""

    matches: int
    line_chars: int
    output_bytes: int
    file_bytes: int
    seconds: float


class Wish(msgspec.Struct, frozen=True):
    """What is searched for."""

    pattern: str
    glob: str
    """Of files; empty for all."""
    ignore_case: bool
    everything: bool
    """Hard links out of the workspace are searched, too."""


async def grep(located: Located, wish: Wish, workspace: Workspace, limits: MatchLimits) -> str:
    """Lines that match, as `path:line:text`, with a word where that is not all.

    Raises:
        ToolError: the expression is wrong, or there is nothing at the place.
    """
    request = {
        **_place(located, workspace),
        **msgspec.structs.asdict(limits),
        **msgspec.structs.asdict(wish),
        "path": [path for path in sys.path if path],
    }
    output, code = await _run(msgspec.json.encode(request), limits.seconds)
    rows, found, raw = output.partition(b"\0")
    text = rows.decode("utf-8", errors="replace")
    if not found:
        if code == -signal.SIGALRM:
            return text + f"[stopped after {limits.seconds:g} s: narrow path or glob, or use a simpler expression]"
        raise ToolError(f"grep: the search ended unexpectedly (exit code {code})")
    trailer: dict[str, Any] = msgspec.json.decode(raw)
    if "error" in trailer:
        raise ToolError(_wrong(wish.pattern, trailer["error"], trailer["position"]))
    return text + _words(trailer, wish.pattern, limits)


def _place(located: Located, workspace: Workspace) -> dict[str, str]:
    """Where to search: a folder below a root, or one file.

    Raises:
        ToolError: there is nothing.
    """
    if located.outside:
        if os.path.isdir(located.absolute):
            root = str(located.absolute)
            return {"root": root, "below": ".", "file": "", "prefix": root.rstrip("/") + "/"}
        with workspace.open_outside(located):
            return {"root": "/", "below": ".", "file": located.path.lstrip("/"), "prefix": "/"}
    root = str(workspace.root)
    if located.absolute.is_dir():
        return {"root": root, "below": located.path, "file": "", "prefix": ""}
    with workspace.open(located.path):
        return {"root": root, "below": ".", "file": located.path, "prefix": ""}


async def _run(request: bytes, seconds: float) -> tuple[bytes, int]:
    """The worker's output and exit code; it is gone when this returns or is cancelled."""
    process = await spawn(
        sys.executable,
        "-I",
        "-X",
        "utf8",
        "-S",
        str(WORKER),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd="/",
    )
    try:
        # The worker's own alarm comes first; this is for one that does not even start.
        async with asyncio.timeout(seconds + 5):
            output, _ = await process.communicate(request)
    except TimeoutError:
        return b"", -signal.SIGALRM
    finally:
        await end(process)
    return output, process.returncode or 0


def _wrong(pattern: str, error: str, position: int | None) -> str:
    where = "" if position is None else f"; at: {pattern[position : position + 20]!r}"
    return f"grep: {pattern[:200]!r} is no regular expression: {error}{where}; write \\( \\[ \\. for literal characters"


def _words(trailer: dict[str, Any], pattern: str, limits: MatchLimits) -> str:
    notes = []
    if not trailer["matches"]:
        notes.append(f"no match for {shown(pattern[:200])} in {trailer['files']} files")
    if trailer["more"]:
        notes.append(f"more than {trailer['matches']} matches; narrow pattern, path or glob")
    if trailer["large"]:
        notes.append(f"{trailer['large']} files over {size_words(limits.file_bytes)} not searched")
    if trailer["linked"]:
        notes.append(
            f"{trailer['linked']} files not searched, such as {shown(trailer['linked_name'])}: "
            "hard links out of the workspace; give one as path"
        )
    return f"[{'; '.join(notes)}]" if notes else ""
