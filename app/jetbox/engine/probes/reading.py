"""Reads what files import without holding up the event loop."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

from jetbox.engine.probes.imports import Module
from jetbox.engine.probes.rescan import Rescan
from jetbox.engine.probes.scan import content_of
from jetbox.engine.safety.starting import end, spawn

T = TypeVar("T")

AT_ONCE_BYTES = 3_000
"""Text that is parsed sooner than a thread is reached."""
THREAD_FILES = 50
THREAD_BYTES = 200_000
"""Above either it is for another process: a parser does not let go of the interpreter's lock."""

Rows = list[Module | None]


async def read_modules(root: str, paths: Collection[str], rescan: Rescan) -> dict[str, Module]:
    """What these files, relative to the root, are; one that cannot be read imports nothing.

    Few of them are read by way of `rescan`, which nobody else may use meanwhile.
    """
    whole = [os.path.join(root, path) for path in paths]
    size = sum(_size(path) for path in whole)
    if size <= AT_ONCE_BYTES:
        rows = _scan(whole, rescan)
    elif len(whole) <= THREAD_FILES and size <= THREAD_BYTES:
        rows = await in_thread(lambda: _scan(whole, rescan))
    else:
        elsewhere = await _in_process(whole)
        rows = elsewhere if elsewhere is not None else await in_thread(lambda: _scan(whole, rescan))
    missing = Module("", parsed=False)
    return {path: row or missing for path, row in zip(paths, rows, strict=True)}


async def in_thread(work: Callable[[], T]) -> T:
    """Run it in a thread to its end, also where the caller is cancelled: nobody else touches its data then."""
    thread = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        await asyncio.wait([thread])
        raise


def _scan(paths: list[str], rescan: Rescan) -> Rows:
    collects = gc.isenabled()
    gc.disable()  # trees hold no cycles, and looking for some takes a fifth of the time
    try:
        read = ((path, content_of(path)) for path in paths)
        return [None if data is None else Module(*rescan.scan(path, data)) for path, data in read]
    finally:
        if collects:
            gc.enable()


async def _in_process(paths: list[str]) -> Rows | None:
    """By an interpreter that takes nothing from the environment; None where that did not work."""
    import json

    import msgspec

    program = str(Path(__file__).with_name("scan.py"))
    try:
        process = await spawn(
            *(sys.executable, "-I", "-S", program),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return None
    try:
        # `json`: names that are no UTF-8 hold surrogates, which msgspec does not write.
        answer, _ = await process.communicate(json.dumps(paths).encode())
    finally:
        await end(process)
    try:
        rows = msgspec.json.decode(answer, type=Rows)
    except msgspec.DecodeError:
        return None
    return rows if len(rows) == len(paths) else None


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
