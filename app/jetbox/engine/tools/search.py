"""list_dir, glob and grep."""

from __future__ import annotations

import asyncio
import os
import time
from heapq import nsmallest
from typing import Any, ClassVar

from jetbox.engine.errors import ToolError
from jetbox.engine.sizes import size_words
from jetbox.engine.tools.base import Access, Output, Plan, ToolContext, ToolResult
from jetbox.engine.tools.grep import MatchLimits, Wish, grep
from jetbox.engine.tools.outside import configured, content_plan, look_at_links, needs_permission, reading
from jetbox.engine.workspace.globs import Globs
from jetbox.engine.workspace.ignore import IgnoreRules
from jetbox.engine.workspace.names import shown
from jetbox.engine.workspace.root import Located

LIST_ENTRIES = 300
IGNORED_NAMED = 12
GLOB_PATHS = 200
GREP_MATCHES = 200
LINE_CHARS = 240
SECONDS = 10.0
"""A search that takes longer is ended; what it found until then is shown."""


class ListDir:
    """Names what one folder holds."""

    name: ClassVar[str] = "list_dir"
    description: ClassVar[str] = "List a folder."
    parameters: ClassVar[dict[str, Any]] = {"properties": {"path": {"type": "string"}}}

    def access(self, arguments: dict[str, Any], context: ToolContext) -> Access:
        """It reads a folder: what is written in it before counts."""
        return Access(below=frozenset([context.workspace.locate(arguments.get("path", "")).path]))

    async def plan(self, arguments: dict[str, Any], context: ToolContext, output: Output) -> Plan:
        """Find the folder."""
        located = context.workspace.locate(arguments.get("path", ""))

        async def perform() -> ToolResult:
            return ToolResult(await asyncio.to_thread(_list, located, context))

        outside = needs_permission(located, context)
        return Plan("read", f"list_dir {located.path}", perform, outside=outside, scope=reading(self.name, located))


def _list(located: Located, context: ToolContext) -> str:
    descriptor = context.workspace.open_folder(located)
    try:
        with os.scandir(descriptor) as found:
            entries = [_row(entry, descriptor) for entry in found]
    finally:
        os.close(descriptor)
    root, path = (located.absolute, ".") if located.outside else (context.workspace.root, located.path)
    ignored = IgnoreRules(root).inside(path)
    rows: list[tuple[int, str, str]] = []
    hidden: list[tuple[int, str, str]] = []
    for entry in entries:
        (hidden if ignored(entry[1], entry[0] == 0) else rows).append(entry)
    more = len(rows) - LIST_ENTRIES
    # Not sorted whole: that would hold the interpreter, and with it the screen, for as long as it takes.
    lines = [row for _, _, row in nsmallest(LIST_ENTRIES, rows)] or ["[no files]" if hidden else "[empty folder]"]
    if more > 0:
        lines.append(f"[{more} more entries; use glob with a pattern]")
    if hidden:
        named = ", ".join(row.partition("  ")[0] for _, _, row in nsmallest(IGNORED_NAMED, hidden))
        lines.append(f"[ignored: {named}{', ...' if len(hidden) > IGNORED_NAMED else ''}]")
    return "\n".join(lines)


def _row(entry: os.DirEntry[str], folder: int) -> tuple[int, str, str]:
    """Folders come before files."""
    name = shown(entry.name)
    try:
        if entry.is_symlink():
            return 1, entry.name, f"{name} -> {shown(os.readlink(entry.name, dir_fd=folder))}"
        if entry.is_dir(follow_symlinks=False):
            return 0, entry.name, name + "/"
        return 1, entry.name, f"{name}  {size_words(os.stat(entry.name, dir_fd=folder, follow_symlinks=False).st_size)}"
    except OSError:
        return 1, entry.name, name


class Glob:
    """Finds files by name."""

    name: ClassVar[str] = "glob"
    description: ClassVar[str] = "Find files by pattern, such as *.py or src/**/*.md."
    parameters: ClassVar[dict[str, Any]] = {
        "properties": {
            "pattern": {"type": "string"},
            "path": {"type": "string", "description": "folder to search"},
            "newest": {"type": "boolean", "description": "newest first"},
        },
        "required": ["pattern"],
    }

    def access(self, arguments: dict[str, Any], context: ToolContext) -> Access:
        """It searches below a folder."""
        return Access(below=frozenset([context.workspace.locate(arguments.get("path", "")).path]))

    async def plan(self, arguments: dict[str, Any], context: ToolContext, output: Output) -> Plan:
        """Find the folder; understand the pattern."""
        located = context.workspace.locate(arguments.get("path", ""))
        pattern = _relative(arguments["pattern"], located)
        newest = arguments.get("newest", False)

        async def perform() -> ToolResult:
            return ToolResult(await asyncio.to_thread(_glob, located, pattern, newest, context))

        outside = needs_permission(located, context)
        return Plan("read", f"glob {shown(pattern)}", perform, outside=outside, scope=reading(self.name, located))


def _relative(pattern: str, located: Located) -> str:
    """The pattern below the folder.

    Raises:
        ToolError: it cannot match anything there.
    """
    text = pattern.strip().removeprefix(f"{located.absolute}/")
    if not text:
        raise ToolError("glob: pattern is empty; for example *.py or src/**/*.py")
    if text.startswith(("/", "~")) or ".." in text.split("/"):
        raise ToolError(f"glob: {text[:200]} leads out of the folder; give a pattern below it, and the folder as path")
    return text


def _glob(located: Located, pattern: str, newest: bool, context: ToolContext) -> str:
    os.close(context.workspace.open_folder(located))
    until = time.monotonic() + SECONDS
    wanted = Globs(pattern)
    root, below = (located.absolute, ".") if located.outside else (context.workspace.root, located.path)
    skip = 0 if below == "." else len(below) + 1
    found: list[tuple[int, str]] = []
    late = False
    for entry in IgnoreRules(root).walk(below, status=newest):
        if wanted.match(entry.path[skip:]):
            found.append((-entry.status.st_mtime_ns if entry.status else 0, entry.path))
        if time.monotonic() > until:
            late = True
            break
    prefix = f"{located.path}/" if located.outside else ""
    lines = [prefix + shown(path) for _, path in nsmallest(GLOB_PATHS, found)]
    if not lines:
        lines = [f"[no file matches {pattern}]"]
    if len(found) > GLOB_PATHS:
        lines.append(f"[{len(found) - GLOB_PATHS} more of {len(found)}; narrow the pattern or the path]")
    if late:
        lines.append(f"[stopped after {SECONDS:g} s; there may be more]")
    return "\n".join(lines)


class Grep:
    """Finds lines by regular expression."""

    name: ClassVar[str] = "grep"
    description: ClassVar[str] = "Search file contents by regular expression (Python)."
    parameters: ClassVar[dict[str, Any]] = {
        "properties": {
            "pattern": {"type": "string"},
            "path": {"type": "string", "description": "file or folder"},
            "glob": {"type": "string", "description": "only these files, such as *.py"},
            "ignore_case": {"type": "boolean"},
        },
        "required": ["pattern"],
    }

    def access(self, arguments: dict[str, Any], context: ToolContext) -> Access:
        """It searches below a folder, or one file."""
        return Access(below=frozenset([context.workspace.locate(arguments.get("path", "")).path]))

    async def plan(self, arguments: dict[str, Any], context: ToolContext, output: Output) -> Plan:
        """Find the place."""
        located = context.workspace.locate(arguments.get("path", ""))
        pattern: str = arguments["pattern"]
        if not pattern:
            raise ToolError("grep: pattern is empty")
        wanted = arguments.get("glob", "")
        limits = MatchLimits(
            matches=GREP_MATCHES,
            line_chars=LINE_CHARS,
            output_bytes=context.options.output_bytes,
            file_bytes=context.options.file_bytes,
            seconds=SECONDS,
        )

        linked = await look_at_links(located, context)
        everything = located.outside or (linked is not None and linked.out) or configured(located, context)

        async def perform() -> ToolResult:
            wish = Wish(pattern, wanted, arguments.get("ignore_case", False), everything)
            return ToolResult(await grep(located, wish, context.workspace, limits))

        return content_plan(self.name, f"grep {shown(pattern)}", located, linked, context, perform)
