"""The system's clipboard, for terminals that do not hand text on to it themselves."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import suppress

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


async def copy_natively(text: str) -> str:
    """Hand the text to the system's own tool, where there is one; its name where it fails."""
    command = tool(os.environ, sys.platform)
    if not command:
        return ""
    quiet = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=quiet, stderr=quiet
        )
    except FileNotFoundError:
        return ""  # not installed: the terminal may do it
    except OSError:
        return command[0]
    try:
        async with asyncio.timeout(WAIT_S):
            await process.communicate(text.encode())
    except (OSError, TimeoutError):
        return command[0]
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return command[0] if process.returncode else ""
