"""The system's clipboard, for terminals that do not hand text on to it themselves."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping

from jetbox.engine.errors import JetboxError
from jetbox.engine.safety.starting import end, spawn

WAIT_S = 2.0


def tool(environ: Mapping[str, str], platform: str) -> tuple[str, ...]:
    """The command that takes text for the clipboard here; none over ssh or where there is no desktop."""
    if environ.get("TMUX"):
        return ("tmux", "load-buffer", "-w", "-")
    if environ.get("SSH_CONNECTION"):
        return ()
    if platform == "darwin":
        return ("pbcopy",)
    if environ.get("WAYLAND_DISPLAY"):
        return ("wl-copy",)
    if environ.get("DISPLAY"):
        return ("xclip", "-selection", "clipboard")
    return ("clip.exe",) if environ.get("WSL_DISTRO_NAME") else ()


async def copy_natively(text: str) -> None:
    """Hand the text to the system's own tool, where there is one.

    Raises:
        JetboxError: it did not take the text.
    """
    command = tool(os.environ, sys.platform)
    if not command:
        return
    refused = JetboxError(f"`{command[0]}` did not take it")
    quiet = asyncio.subprocess.DEVNULL
    try:
        process = await spawn(*command, stdin=asyncio.subprocess.PIPE, stdout=quiet, stderr=quiet)
    except FileNotFoundError:
        return  # not installed: the terminal may do it
    except OSError:
        raise refused from None
    try:
        async with asyncio.timeout(WAIT_S):
            await process.communicate(text.encode())
    except (OSError, TimeoutError):
        raise refused from None
    finally:
        await end(process)
    if process.returncode:
        raise refused
