"""How much memory there is for models where the server runs, as far as that can be found out."""

from __future__ import annotations

import os
import sys

import msgspec

from jetbox.engine.models.address import on_this_machine
from jetbox.engine.safety.starting import end, spawn

GIB = 1024**3
ASK_S = 1.0
"""The driver's own program may take so long."""
UNIFIED = 0.7
"""The share of an Apple machine's memory that its GPU may take."""
DRM = "/sys/class/drm"
NVIDIA = ("nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits")


class Memory(msgspec.Struct, frozen=True):
    """Memory that models can have."""

    free: int
    """Bytes that nobody uses."""
    whole: bool = False
    """`free` counts what models take that are loaded now."""


async def model_memory(host: str, told_gib: float) -> Memory | None:
    """Of the GPUs behind a server (a URL): what the settings tell, else what this machine says.

    None where the server runs elsewhere, or here without a GPU that can be asked.
    """
    if told_gib > 0:
        return Memory(int(told_gib * GIB), whole=True)
    if not on_this_machine(host):
        return None
    if sys.platform == "darwin":
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return Memory(int(total * UNIFIED), whole=True)
    free = _amd(DRM) or await _nvidia(NVIDIA)
    return Memory(free) if free else None


def _amd(folder: str) -> int:
    """Bytes that AMD's driver says are free on all its cards."""
    free = 0
    try:
        cards = [name for name in os.listdir(folder) if name.startswith("card") and "-" not in name]
    except OSError:
        return 0
    for card in cards:
        total, used = (_number(f"{folder}/{card}/device/mem_info_vram_{what}") for what in ("total", "used"))
        free += max(0, total - used)
    return free


def _number(path: str) -> int:
    try:
        with open(path) as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


async def _nvidia(command: tuple[str, ...]) -> int:
    """Bytes that NVIDIA's program says are free on all cards."""
    import asyncio
    from asyncio.subprocess import DEVNULL, PIPE

    try:
        process = await spawn(*command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL)
    except OSError:
        return 0
    try:
        output, _ = await asyncio.wait_for(process.communicate(), ASK_S)
    except TimeoutError:
        return 0
    finally:
        await end(process)
    return sum(int(line) for line in output.decode(errors="replace").split() if line.isdigit()) * 1024**2
