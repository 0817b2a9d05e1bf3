"""Reads a journal back into the events that were recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

import msgspec

from jetbox.engine.errors import RecordingError
from jetbox.engine.events import FORMAT, SessionOpened, Stamped
from jetbox.record.blobs import BlobStore
from jetbox.record.decode import BAD_LINE, Deferred, decode, resolve
from jetbox.record.journal import BLOBS, JOURNAL


class Events(Sequence[Stamped]):
    """The events of a recording; blobs are read when an event that needs one is asked for.

    Access raises RecordingError where such a blob is missing or damaged.
    """

    def __init__(self, items: list[Stamped | Deferred], blobs: BlobStore) -> None:
        self._items = items
        self._blobs = blobs

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, at: int) -> Stamped: ...

    @overload
    def __getitem__(self, at: slice) -> list[Stamped]: ...

    def __getitem__(self, at: int | slice) -> Stamped | list[Stamped]:
        if isinstance(at, slice):
            return [self[n] for n in range(*at.indices(len(self)))]
        item = self._items[at]
        if isinstance(item, Deferred):
            item = self._items[at] = resolve(item, self._blobs.read)
        return item

    def __iter__(self) -> Iterator[Stamped]:
        for n, item in enumerate(self._items):
            yield self[n] if isinstance(item, Deferred) else item


class Recording(msgspec.Struct, frozen=True):
    """A journal that was read."""

    path: Path
    """The journal's file."""
    header: SessionOpened
    events: Events
    problems: tuple[str, ...]
    """What was dropped or skipped, one line each."""

    def blob(self, sha: str) -> bytes:
        """A blob of the session, such as a file's content before a change.

        Raises:
            RecordingError: it is missing or damaged.
        """
        return BlobStore(self.path.parent / BLOBS).read(sha)


def journal_path(path: Path) -> Path:
    """The journal of a session's folder; a file stands for itself."""
    return path / JOURNAL if path.is_dir() else path


def read_journal(path: Path) -> Recording:
    """Read a session's folder or a journal's file.

    A torn last line is dropped and reported, as are events of known types that are not understood.

    Raises:
        RecordingError: there is no journal, it is damaged, or a later version wrote it.
    """
    file = journal_path(path)
    data = _read(file)
    lines = data.split(b"\n")
    last = lines.pop()
    problems: list[str] = []
    items: list[Stamped | Deferred] = []
    if lines:
        header = read_header(lines[0], file)
    elif last and _decodes(last):
        header = read_header(last, file)
    else:
        raise RecordingError(f"{file} is empty: its session ended before anything was recorded")
    for number, line in enumerate(lines, 1):
        try:
            items += decode(line, problems)
        except BAD_LINE as error:
            raise damaged(file, number, error) from error
    if last:
        if _decodes(last):
            items += decode(last, problems)
        else:
            problems.append(
                f"the last line of {file} is torn and was dropped ({len(last)} bytes): "
                "the process ended while it was writing"
            )
    _check_order(items, file, problems)
    return Recording(file, header, Events(items, BlobStore(file.parent / BLOBS)), tuple(problems))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise RecordingError(f"there is no recording at {file}", "jetbox-tui sessions lists what there is") from None
    except OSError as error:
        raise RecordingError(f"cannot read {file}: {error.strerror or error}") from error


def _decodes(line: bytes) -> bool:
    try:
        decode(line)
    except BAD_LINE:
        return False
    return True


def damaged(file: Path, number: int, error: BaseException | str) -> RecordingError:
    """The error for a line that cannot be read."""
    return RecordingError(
        f"{file}, line {number} is damaged: {error}",
        f"what stands before it can be kept with: head -n {number - 1} {file}" if number > 1 else "",
    )


class _Peek(msgspec.Struct, frozen=True):
    type: str
    format: int = 0
    app: str = ""


class _PeekLine(msgspec.Struct, frozen=True):
    event: _Peek


def read_header(line: bytes, file: Path) -> SessionOpened:
    """The header in a journal's first line.

    Raises:
        RecordingError: it is none, or one of a later format.
    """
    try:
        peek = msgspec.json.decode(line, type=_PeekLine).event
        if peek.type != "session.opened":
            raise RecordingError(f"{file} is no journal of a session: its first line is {peek.type}")
        if peek.format > FORMAT:
            raise RecordingError(
                f"{file} has format {peek.format}, written by jetbox-tui {peek.app or 'of a later version'}; "
                f"this version reads up to format {FORMAT}",
                "update jetbox-tui to read it",
            )
        event = decode(line)[0]
    except BAD_LINE as error:
        raise RecordingError(f"{file} is no journal of a session: line 1: {error}") from error
    if isinstance(event, Deferred):
        event = resolve(event, BlobStore(file.parent / BLOBS).read)
    if not isinstance(event.event, SessionOpened):
        raise RecordingError(f"{file}, line 1 is damaged: the header lacks something")
    return event.event


def _check_order(items: list[Stamped | Deferred], file: Path, problems: list[str]) -> None:
    """Numbers are dense: a gap is reported, a step back is damage."""
    expected = 0
    for item in items:
        if item.seq != expected:
            if item.seq < expected:
                raise RecordingError(f"{file} is damaged: event {item.seq} comes after event {expected - 1}")
            problems.append(f"events {expected} to {item.seq - 1} are missing from {file}")
        expected = item.seq + 1
