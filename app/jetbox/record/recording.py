"""Reads a journal back into the events that were recorded."""

from __future__ import annotations

import os
import weakref
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from jetbox.engine.errors import RecordingError
from jetbox.engine.events import FORMAT, SessionOpened, Stamped
from jetbox.engine.sequences import Lazy
from jetbox.record.blobs import BlobStore
from jetbox.record.decode import BAD_LINE, Deferred, decode, resolve
from jetbox.record.journal import BLOBS, JOURNAL

BEGINS = b'{"seq":0,'
"""How the first line of every journal begins."""
PART_BYTES = 1 << 16
"""About how much of the file is decoded where one event is asked for."""
READ_BYTES = 1 << 19
"""How much of it is read at once where all of it is."""


class Events(Lazy[Stamped]):
    """The events of a journal, decoded when they are asked for: thousands of rounds are never held at once.

    Access raises RecordingError where a blob that an event needs is missing or damaged.
    """

    def __init__(self, file: Path) -> None:
        """Open the journal; `note` says what is in it.

        Raises:
            RecordingError: there is none.
        """
        self._file = file
        self._fd = _open(file)
        weakref.finalize(self, os.close, self._fd)
        self._blobs = BlobStore(file.parent / BLOBS)
        self._begins = array("q")
        """Where each part begins in the file."""
        self._firsts = array("q")
        """How many events come before it."""
        self._end = self._count = 0
        self._part = -1
        """The one that was looked into last, and its events."""
        self._items: list[Stamped | Deferred] = []

    def lines(self) -> Iterator[tuple[int, bytes, bool]]:
        """All lines of the file: where each begins, what it says, and whether it ends with a newline."""
        at, rest = 0, b""
        while data := self._bytes(at + len(rest), READ_BYTES):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield at, line, True
                at += len(line) + 1
        if rest:
            yield at, rest, False

    def note(self, begins: int, ends: int, count: int) -> None:
        """One more line, from where to where it stands, and how many events it has."""
        if not self._begins or ends - self._begins[-1] > PART_BYTES:
            self._begins.append(begins)
            self._firsts.append(self._count)
        self._end = ends
        self._count += count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Stamped]:
        for part in range(len(self._begins)):
            for item in self._counted(part):
                yield resolve(item, self._blobs.read) if isinstance(item, Deferred) else item

    def _item(self, at: int) -> Stamped:
        part = bisect_right(self._firsts, at) - 1
        if part != self._part:
            self._part, self._items = part, self._counted(part)
        item = self._items[at - self._firsts[part]]
        return resolve(item, self._blobs.read) if isinstance(item, Deferred) else item

    def _counted(self, part: int) -> list[Stamped | Deferred]:
        """As many as were counted."""
        items = list(self._decoded(part))
        count = (self._firsts[part + 1] if part + 1 < len(self._firsts) else self._count) - self._firsts[part]
        if len(items) != count:
            raise RecordingError(f"{self._file} was changed since it was opened: {len(items)} events stand for {count}")
        return items

    def _decoded(self, part: int) -> Iterator[Stamped | Deferred]:
        begins = self._begins[part]
        ends = self._begins[part + 1] if part + 1 < len(self._begins) else self._end
        for line in self._bytes(begins, ends - begins).removesuffix(b"\n").split(b"\n"):
            try:
                yield from decode(line)
            except BAD_LINE as error:
                raise RecordingError(f"{self._file} is damaged since it was opened: {error}") from error

    def _bytes(self, at: int, size: int) -> bytes:
        try:
            return os.pread(self._fd, size, at)
        except OSError as error:
            raise _unread(self._file, error) from error


class Recording(msgspec.Struct, frozen=True):
    """A journal that was read."""

    path: Path
    """The journal's file."""
    header: SessionOpened
    events: Sequence[Stamped]
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
    events = Events(file)
    header: SessionOpened | None = None
    problems: list[str] = []
    missing: list[str] = []
    expected = 0
    for number, (begins, line, whole) in enumerate(events.lines(), 1):
        if not whole and not _decodes(line):
            if header is not None:
                problems.append(
                    f"the last line of {file} is torn and was dropped ({len(line)} bytes): "
                    "the process ended while it was writing"
                )
            elif not (line.startswith(BEGINS) or BEGINS.startswith(line)):
                read_header(line, file)
            break
        if header is None:
            header = read_header(line, file)
        try:
            items = decode(line, problems)
        except BAD_LINE as error:
            raise damaged(file, number, error) from error
        for item in items:
            if item.seq < expected:
                raise RecordingError(f"{file} is damaged: event {item.seq} comes after event {expected - 1}")
            if item.seq > expected:
                missing.append(f"events {expected} to {item.seq - 1} are missing from {file}")
            expected = item.seq + 1
        events.note(begins, begins + len(line) + whole, len(items))
    if header is None:
        raise RecordingError(f"{file} is empty: its session ended before anything was recorded")
    return Recording(file, header, events, (*problems, *missing))


def _open(file: Path) -> int:
    try:
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise RecordingError(f"there is no recording at {file}", "jetbox-tui sessions lists what there is") from None
    except OSError as error:
        raise _unread(file, error) from error


def _unread(file: Path, error: OSError) -> RecordingError:
    return RecordingError(f"cannot read {file}: {error.strerror or error}")


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
