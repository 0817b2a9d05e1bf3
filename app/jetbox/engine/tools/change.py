"""Changing a file: what write_file and edit_file have in common."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import msgspec

from jetbox.engine.errors import NotAsRead, ToolError
from jetbox.engine.events import FileChange
from jetbox.engine.safety.secrets import MARK
from jetbox.engine.tools.base import Plan, ToolContext, ToolResult
from jetbox.engine.tools.diff import Diff
from jetbox.engine.workspace.names import check_writable, shown
from jetbox.engine.workspace.text import Decoded, Undecodable, decode
from jetbox.engine.workspace.writing import Written, write_file

DIRECT_BYTES = 256_000
"""Up to this many bytes a file is read or written at once; a thread would cost more."""

T = TypeVar("T")


class Before(msgspec.Struct, frozen=True):
    """A file as it is before the change."""

    path: str
    data: bytes | None
    """None where there is no file."""
    decoded: Decoded | None


async def in_thread(size: int, work: Callable[[], T]) -> T:
    """Do disk work of so many bytes: small at once, large in a thread that is waited for even when cancelled."""
    if size <= DIRECT_BYTES:
        return work()
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        # What the thread does cannot be stopped half way; nobody may go on before it has ended.
        await asyncio.wait([task])
        raise


def writable(arguments: dict[str, Any], context: ToolContext) -> str:
    """The file that a call wants to write.

    Raises:
        ToolError: it is outside the workspace, or may not be written.
    """
    path = context.workspace.resolve(arguments["path"])
    check_writable(path)
    return path


async def look(path: str, context: ToolContext) -> Before:
    """Read the file that is to be changed.

    Raises:
        ToolError: it is too large, no text, or (NotAsRead) not known to the model as it is.
    """
    status = context.workspace.status(path)
    if status is None:
        return Before(path, None, None)
    return await in_thread(status.st_size, lambda: _look(path, context))


def _look(path: str, context: ToolContext) -> Before:
    snapshot = context.workspace.read(path, context.options.file_bytes)
    if snapshot is None:
        return Before(path, None, None)
    try:
        decoded = decode(snapshot.data, path)
    except Undecodable as error:
        raise ToolError(f"{shown(path)} cannot be changed by file tools: {error}") from None
    known = context.ledger.check(path, snapshot.data)
    if known == "unread":
        raise NotAsRead(f"{shown(path)} exists and was not read yet; call read_file first")
    if known == "changed":
        raise NotAsRead(
            f"{shown(path)} has changed since it was last read (a command, a formatter or the user); read it again"
        )
    return Before(path, snapshot.data, decoded)


def refuse_secret_marks(text: str) -> None:
    """A stand-in for a secret must never replace the secret in a file.

    Raises:
        ToolError: the text holds one.
    """
    found = MARK.search(text)
    if found:
        raise ToolError(
            f"the text contains {found[0]}, which stands for a hidden secret; "
            "it is never written: change the other lines with edit_file, or read the value from the environment"
        )


async def lint(path: str, text: str, context: ToolContext) -> str:
    """What a linter says of the text before it is written, else whether it parses; empty where all is well."""
    said = await context.lint(path, text) if context.lint is not None else ""
    if said or not context.parse:
        return said
    from jetbox.engine.tools.parses import parse_words

    return await parse_words(path, text)


def change_plan(
    tool: str,
    before: Before,
    data: bytes,
    diff: Diff,
    context: ToolContext,
    seen: Literal["wrote", "edited"],
    linted: str = "",
) -> Plan:
    """The plan of putting `data` in the place of what was there; `linted` is what a linter says of it."""
    path = before.path
    created = before.data is None

    def deed() -> tuple[Written, str]:
        written = write_file(context.workspace, path, data, expected=before.data)
        note = context.ledger.wrote if seen == "wrote" else context.ledger.edited
        note(path, data)
        return written, hashlib.sha256(data).hexdigest()

    async def perform() -> ToolResult:
        digest = await context.put_blob(before.data) if before.data is not None else ""
        written, after = await in_thread(len(data) + len(before.data or b""), deed)
        change = FileChange(
            path=path,
            kind="created" if created else "modified",
            added=diff.added,
            removed=diff.removed,
            before=digest,
            after=after,
        )
        words = f"{'created' if created else 'edited' if seen == 'edited' else 'wrote'} {path}: {counts(diff)}"
        if written.unlinked:
            words += " (it had other hard links; those keep the old content)"
        if linted:
            words += f"\n{linted}"
        return ToolResult(words, changes=(change,), diff=diff.text)

    return Plan("write", f"{tool} {path} {counts(diff)}", perform, diff=diff.text, scope=tool)


def unchanged_plan(tool: str, path: str) -> Plan:
    """The plan of a change that changes nothing."""

    async def perform() -> ToolResult:
        return ToolResult(f"{path} is unchanged: it already has this content")

    return Plan("none", f"{tool} {path} unchanged", perform)


def counts(diff: Diff) -> str:
    """`+3 -1`."""
    return " ".join(part for part in (f"+{diff.added}", f"-{diff.removed}" if diff.removed else "") if part)
