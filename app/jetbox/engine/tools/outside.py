"""Reading outside the workspace: when it has to be asked for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from stat import S_ISREG

import msgspec

from jetbox.engine.errors import FileMoved, ToolError
from jetbox.engine.tools.base import Plan, ToolContext, ToolResult
from jetbox.engine.workspace.links import Links
from jetbox.engine.workspace.names import shown
from jetbox.engine.workspace.root import Located

Perform = Callable[[], Awaitable[ToolResult]]


def needs_permission(located: Located, context: ToolContext) -> bool:
    """True for a place outside that the configuration does not open."""
    return located.outside and not configured(located, context)


def configured(located: Located, context: ToolContext) -> bool:
    """True where the configuration opens a folder that holds the place."""
    allowed = (Path(folder).expanduser().resolve() for folder in context.read_outside)
    return any(located.absolute.is_relative_to(folder) for folder in allowed)


def reading(tool: str, located: Located) -> str:
    """What an answer for the session allows: the tool inside, one folder outside."""
    if not located.outside:
        return tool
    folder = located.absolute if located.absolute.is_dir() else located.absolute.parent
    return f"{tool} {folder}"


class Linked(msgspec.Struct, frozen=True):
    """A file with several names, as it was looked at."""

    file: tuple[int, int, int]
    """Device, inode and number of names."""
    out: bool
    """It has a name outside the workspace, and the configuration does not open its folder."""


async def look_at_links(located: Located, context: ToolContext) -> Linked | None:
    """What is to be known of a regular file inside that has several names; None for anything else."""
    if located.outside:
        return None
    try:
        status = context.workspace.status(located.path)
    except ToolError:
        return None  # whoever opens it says what is wrong
    if status is None or status.st_nlink < 2 or not S_ISREG(status.st_mode):
        return None
    out = not configured(located, context) and await asyncio.to_thread(
        Links(str(context.workspace.root)).lead_out, located.path, status
    )
    return Linked(_identity(status), out)


def check_links(status: os.stat_result, located: Located, seen: Linked | None) -> None:
    """See that an open file is the one that was looked at, where it has several names.

    Raises:
        FileMoved: it took the other's place, and has to be looked at.
    """
    if status.st_nlink > 1 and not located.outside and (seen is None or _identity(status) != seen.file):
        raise FileMoved(f"{shown(located.path)} was replaced just now; try again")


def content_plan(
    tool: str, title: str, located: Located, linked: Linked | None, context: ToolContext, perform: Perform
) -> Plan:
    """The plan of showing what a file holds: a hard link out of the workspace counts as outside it."""
    if linked is not None and linked.out:
        return Plan("read", title, perform, outside=True, linked=True, scope=f"{tool} {located.absolute}")
    outside = needs_permission(located, context)
    return Plan("read", title, perform, outside=outside, scope=reading(tool, located))


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_dev, status.st_ino, status.st_nlink
