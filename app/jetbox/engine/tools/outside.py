"""Reading outside the workspace: when it has to be asked for."""

from __future__ import annotations

from pathlib import Path

from jetbox.engine.tools.base import ToolContext
from jetbox.engine.workspace.root import Located


def needs_permission(located: Located, context: ToolContext) -> bool:
    """True for a place outside that the configuration does not open."""
    if not located.outside:
        return False
    allowed = (Path(folder).expanduser().resolve() for folder in context.read_outside)
    return not any(located.absolute.is_relative_to(folder) for folder in allowed)


def reading(tool: str, located: Located) -> str:
    """What an answer for the session allows: the tool inside, one folder outside."""
    if not located.outside:
        return tool
    folder = located.absolute if located.absolute.is_dir() else located.absolute.parent
    return f"{tool} {folder}"
