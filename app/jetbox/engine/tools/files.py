"""read_file and write_file."""

from __future__ import annotations

import os
from typing import Any, BinaryIO, ClassVar

from jetbox.engine.errors import ToolError
from jetbox.engine.sizes import size_words
from jetbox.engine.tools.base import Access, Output, Plan, ToolContext, ToolResult
from jetbox.engine.tools.change import (
    change_plan,
    in_thread,
    lint,
    look,
    refuse_secret_marks,
    unchanged_plan,
    writable,
)
from jetbox.engine.tools.diff import compare
from jetbox.engine.tools.outside import Linked, check_links, content_plan, look_at_links
from jetbox.engine.tools.reading import Reading, read_lines, read_long
from jetbox.engine.workspace.names import check_new_name, shown
from jetbox.engine.workspace.root import Located
from jetbox.engine.workspace.text import Undecodable, decode, encode, normalise, source_encoding


class ReadFile:
    """Shows a text file, whole or in part."""

    name: ClassVar[str] = "read_file"
    description: ClassVar[str] = "Read a text file, whole or a range of lines."
    parameters: ClassVar[dict[str, Any]] = {
        "properties": {
            "path": {"type": "string"},
            "offset": {"type": "integer", "description": "first line, from 1"},
            "limit": {"type": "integer", "description": "number of lines"},
        },
        "required": ["path"],
    }

    def access(self, arguments: dict[str, Any], context: ToolContext) -> Access:
        """It reads one file."""
        return Access(reads=frozenset([context.workspace.locate(arguments["path"]).path]))

    async def plan(self, arguments: dict[str, Any], context: ToolContext, output: Output) -> Plan:
        """Find the file."""
        located = context.workspace.locate(arguments["path"])
        offset, limit = arguments.get("offset", 1), arguments.get("limit", 0)
        linked = await look_at_links(located, context)

        async def perform() -> ToolResult:
            return await _read(located, linked, max(offset, 1), max(limit, 0), context)

        return content_plan(self.name, f"read_file {located.path}", located, linked, context, perform)


async def _read(located: Located, linked: Linked | None, offset: int, limit: int, context: ToolContext) -> ToolResult:
    name = shown(located.path)
    budget, most = context.options.read_bytes, context.options.file_bytes
    with _open(located, context) as file:
        status = os.fstat(file.fileno())
        check_links(status, located, linked)
        size = status.st_size
        if size > most:
            found = await in_thread(size, lambda: read_long(file, offset, limit, budget))
            head = f"[{name}, {size_words(size)}: {found.head}]\n" if found.head else ""
            return ToolResult(head + found.text)
        return await in_thread(size, lambda: _whole(file.read(most + 1), located, offset, limit, context))


def _whole(data: bytes, located: Located, offset: int, limit: int, context: ToolContext) -> ToolResult:
    """What is shown of a file of which all bytes are here."""
    name = shown(located.path)
    note = ""
    try:
        text = decode(data, located.path).text
    except Undecodable as error:
        if b"\0" in data[:8192]:
            return ToolResult(f"[{name} is not shown: {error}, {size_words(len(data))}]")
        text = data.decode("utf-8", errors="replace")
        note = f"{error}; shown with \ufffd, it cannot be changed by file tools"
    found = read_lines(normalise(text), offset, limit, context.options.read_bytes)
    if not note and not located.outside:
        _remember(located.path, data, found, context)
    if not data:
        return ToolResult(f"[{name} is empty]", said="")
    heads = "; ".join(part for part in (note, found.head) if part)
    return ToolResult(f"[{name}: {heads}]\n{found.text}" if heads else found.text)


def _remember(path: str, data: bytes, found: Reading, context: ToolContext) -> None:
    if not found.head or not data:
        context.ledger.read(path, data)
    elif found.last >= found.first:
        context.ledger.read(path, data, (found.first, found.last), found.total)


def _open(located: Located, context: ToolContext) -> BinaryIO:
    workspace = context.workspace
    try:
        return workspace.open_outside(located) if located.outside else workspace.open(located.path)
    except ToolError as error:
        near = "" if located.outside else _near(located.path, context)
        raise ToolError(f"{error}{near}") from None


def _near(path: str, context: ToolContext) -> str:
    """Names in the same folder that are much like the missing one."""
    from difflib import get_close_matches

    folder, _, name = path.rpartition("/")
    try:
        if context.workspace.status(path) is not None:
            return ""
        descriptor = context.workspace.open_folder(context.workspace.locate(folder))
    except ToolError:
        return ""
    try:
        names = os.listdir(descriptor)[:2000]
    finally:
        os.close(descriptor)
    close = [f"{folder}/{n}" if folder else n for n in get_close_matches(name, names, 3)]
    return f"; near it: {', '.join(map(shown, close))}" if close else ""


class WriteFile:
    """Makes a file, or replaces all of one that the model knows."""

    name: ClassVar[str] = "write_file"
    description: ClassVar[str] = "Create a file or replace all of it. Read an existing file first."
    parameters: ClassVar[dict[str, Any]] = {
        "properties": {
            "path": {"type": "string"},
            "content": {"type": "string", "description": "the whole new content"},
        },
        "required": ["path", "content"],
    }
    refused: ClassVar[dict[str, str]] = {
        "append": "the whole file is written; add to an existing file with edit_file",
        "dry_run": "the file would be written",
    }

    def access(self, arguments: dict[str, Any], context: ToolContext) -> Access:
        """It writes one file."""
        return Access(writes=frozenset([writable(arguments, context)]))

    async def plan(self, arguments: dict[str, Any], context: ToolContext, output: Output) -> Plan:
        """Compare what would be written with what is there."""
        path = writable(arguments, context)
        content: str = arguments["content"]
        refuse_secret_marks(content)
        before = await look(path, context)
        if before.decoded is not None and not context.ledger.whole(path):
            raise ToolError(f"{path} was read only in part; read the rest before you replace it, or use edit_file")
        if before.data is None:
            check_new_name(path.rpartition("/")[2])
        old = before.decoded
        if old is not None and "\r\n" in old.text and old.text.count("\n") == old.text.count("\r\n"):
            content = normalise(content).replace("\n", "\r\n")
        try:
            # Python takes the encoding from the new first lines; other files keep theirs.
            encoding = "utf-8" if old is None else old.encoding
            if path.endswith(".py") and not (old and old.mark):
                encoding = source_encoding(content[:512].encode("utf-8", errors="replace"))
            data = (old.mark if old else b"") + encode(content, encoding)
        except Undecodable as error:
            raise ToolError(f"{path}: {error}") from None
        if len(data) > context.options.file_bytes:
            raise ToolError(
                f"{path}: {size_words(len(data))} are too much; at most {size_words(context.options.file_bytes)}"
            )
        if data == before.data:
            return unchanged_plan(self.name, path)
        diff = await compare(path, old.text if old else None, content)
        linted = await lint(path, content, context)
        return change_plan(self.name, before, data, diff, context, "wrote", linted)
