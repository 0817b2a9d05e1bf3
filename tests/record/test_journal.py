"""What is recorded comes back as it was, whatever it was, and is written when it should be."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import resource
import stat
import tempfile
import threading
import types
import typing
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jetbox.engine import events as e
from jetbox.engine.errors import StorageError, WorkspaceBusy
from jetbox.engine.events import AnyEvent, Stamped
from jetbox.record import journal as journal_module
from jetbox.record.blobs import digest
from jetbox.record.disk import sync_folder
from jetbox.record.journal import JournalWriter
from jetbox.record.recording import read_journal

HEADER = e.SessionOpened(format=1, id="s", created="", workspace="/", app="0")

texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            '{"$blob":"' + "0" * 64 + '","bytes":1}',
            '"deltas":{"type":"model.text"}',
            "\u2028\u0085\n\r\0\x1b[31m",
            "é" * 3000,
            "x" * 4096,
            "x" * 4097,
            '{"$blob"' * 1000,
        ]
    ),
)
integers = st.integers(-(2**63), 2**63 - 1)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if origin is dict:
        keys = st.one_of(values(arguments[0]), st.sampled_from(["$blob", "bytes"]))
        return st.dictionaries(keys, values(arguments[1]), max_size=3)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([values(each) for each in arguments])
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return st.builds(kind, **{f.name: values(f.type) for f in msgspec.structs.fields(kind)})
    floats = st.floats(allow_nan=False, allow_infinity=False)
    return {str: texts, int: integers, bool: st.booleans(), float: floats}[kind]


any_event = st.one_of([values(kind) for kind in get_args(AnyEvent)])
deltas = st.one_of(
    st.builds(e.TextDelta, text=texts),
    st.builds(e.ThinkingDelta, text=texts),
    st.builds(e.ToolOutput, call=st.sampled_from(["a", "b"]), text=texts),
)
histories = st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 2), st.one_of(any_event, deltas, deltas)))


def test_each_event_is_known_to_readers_and_handed_on_by_the_package() -> None:
    mine = {kind for kind in e.Event.__subclasses__() if kind.__module__.startswith(e.__name__)}
    assert mine == set(get_args(AnyEvent))
    assert all(getattr(e, kind.__name__) is kind for kind in mine)


def stamp(history: list[tuple[int, int, AnyEvent]]) -> list[Stamped]:
    t, stamped = 0, [Stamped(0, 0, 0, HEADER)]
    for seq, (dt, number, event) in enumerate(history, 1):
        t += dt
        stamped.append(Stamped(seq, t, number, event))
    return stamped


def line(seq: int, event: AnyEvent, t: int = 0) -> Stamped:
    return Stamped(seq, t, 0, event)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "sessions" / "s"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories)
def test_what_is_read_equals_what_was_recorded(history: list[tuple[int, int, AnyEvent]]) -> None:
    events = stamp(history)

    async def write(folder: Path) -> None:
        writer = JournalWriter.create(folder)
        for stamped in events:
            writer.record(stamped)
        await writer.close()

    with tempfile.TemporaryDirectory() as base:
        asyncio.run(write(Path(base) / "s"))
        recording = read_journal(Path(base) / "s")
        assert list(recording.events) == events
        assert recording.problems == ()
        assert recording.header == HEADER
        for raw in recording.path.read_bytes().split(b"\n"):
            assert len(max(_strings(msgspec.json.decode(raw or b"[]")), key=len, default="").encode()) <= 4096


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in value.values() for text in _strings(item)]
    return [text for item in value for text in _strings(item)] if isinstance(value, list) else []


async def test_deltas_share_a_line_that_tells_them_apart(folder: Path) -> None:
    writer = JournalWriter.create(folder)
    writer.record(line(0, HEADER))
    for n, text in enumerate(("a", "éé", "", "b"), 1):
        writer.record(line(n, e.TextDelta(text=text), t=100 * n))
    assert writer.path is not None
    assert writer.path.read_bytes().count(b"\n") == 1
    writer.record(line(5, e.ToolStarted(call="c"), t=900))
    written = writer.path.read_bytes().split(b"\n")
    assert msgspec.json.decode(written[1]) == {
        "seq": 1,
        "t": 100,
        "round": 0,
        "deltas": {"type": "model.text", "text": "aééb", "at": [0, 100, 200, 300], "len": [1, 2, 0, 1]},
    }
    assert written[2] == b'{"seq":5,"t":900,"round":0,"event":{"type":"tool.started","call":"c"}}'
    await writer.close()


async def test_what_recording_takes_of_the_event_loop_is_measured(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count(0, 1000)
    monkeypatch.setattr(journal_module, "monotonic", lambda: next(ticks))
    writer = JournalWriter.create(folder)
    writer.record(line(0, HEADER))
    assert writer.spent_ns == 1000
    writer.record(line(1, e.TextDelta(text="a")))
    assert writer.spent_ns == 1000, "held back"
    writer.flush()
    await writer.sync()  # what the disk takes is waited for in a thread, and by nobody who streams
    assert writer.spent_ns == 2000
    await writer.close()


async def test_a_held_delta_is_written_by_the_timer(folder: Path) -> None:
    written = asyncio.Event()
    lines: list[bytes] = []

    def tee(data: bytes) -> None:
        lines.append(data)
        if b"deltas" in data:
            written.set()

    writer = JournalWriter.create(folder, tee=tee)
    writer.record(line(0, HEADER))
    started = asyncio.get_running_loop().time()
    writer.record(line(1, e.TextDelta(text="x")))
    await asyncio.wait_for(written.wait(), 120)
    assert asyncio.get_running_loop().time() - started >= journal_module.HOLD_S * 0.9
    assert 0.02 <= journal_module.HOLD_S <= 0.05
    assert read_journal(folder).events[-1].event == e.TextDelta(text="x")
    await writer.close()


def test_without_a_loop_a_delta_is_written_at_once(folder: Path) -> None:
    writer = JournalWriter.create(folder)
    writer.record(line(0, HEADER))
    writer.record(line(1, e.TextDelta(text="x")))
    assert len(read_journal(folder).events) == 2
    writer.release()


async def test_the_tee_gets_the_lines_of_the_file(folder: Path) -> None:
    lines: list[bytes] = []
    writer = JournalWriter.create(folder, tee=lines.append)
    for stamped in stamp([(1, 1, e.TextDelta(text="a")), (1, 1, e.ToolEnded(call="c", state="ok", text="x" * 9000))]):
        writer.record(stamped)
    await writer.close()
    assert writer.path is not None
    assert b"".join(lines) == writer.path.read_bytes()
    assert all(each.endswith(b"\n") and each.count(b"\n") == 1 for each in lines)


async def test_without_a_folder_the_tee_gets_everything_whole(tmp_path: Path) -> None:
    lines: list[bytes] = []
    writer = JournalWriter.memory(tee=lines.append)
    events = stamp([(1, 1, e.TextDelta(text="a")), (1, 1, e.ToolEnded(call="c", state="ok", text="x" * 9000))])
    for stamped in events:
        writer.record(stamped)
    assert await writer.put_blob(b"data") == digest(b"data")
    await writer.sync()
    await writer.close()
    file = tmp_path / "out.jsonl"
    file.write_bytes(b"".join(lines))
    assert list(read_journal(file).events) == events


async def test_half_a_surrogate_pair_is_mended_not_refused(folder: Path) -> None:
    writer = JournalWriter.create(folder)
    writer.record(line(0, HEADER))
    writer.record(line(1, e.TextDelta(text="a\ud800")))
    writer.record(line(2, e.TextDelta(text="\udc00b")))
    writer.record(line(3, e.Notice(level="info", text="x\udcff")))
    await writer.close()
    assert [stamped.event for stamped in read_journal(folder).events][1:] == [
        e.TextDelta(text="a\ufffd"),
        e.TextDelta(text="\ufffdb"),
        e.Notice(level="info", text="x\ufffd"),
    ]


async def test_only_the_owner_can_look(folder: Path) -> None:
    old = os.umask(0)
    try:
        writer = JournalWriter.create(folder)
        writer.record(line(0, HEADER))
        writer.record(line(1, e.ToolEnded(call="c", state="ok", text="x" * 5000)))
        await writer.put_blob(b"secret")
        await writer.close()
    finally:
        os.umask(old)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [folder.parent, folder, *folder.rglob("*")]}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert sum(path.is_file() for path in modes) == 3


async def test_a_blob_is_written_once_and_nothing_else_remains(folder: Path) -> None:
    writer = JournalWriter.create(folder)
    sha = await writer.put_blob(b"content")
    blob = folder / "blobs" / sha[:2] / sha
    before = blob.stat()
    assert await writer.put_blob(b"content") == sha
    assert (blob.stat().st_ino, blob.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    blob.write_bytes(b"cont")  # what a power failure may leave
    assert await writer.put_blob(b"content") == sha
    assert blob.read_bytes() == b"content"
    assert [path for path in (folder / "blobs").rglob("*") if path.is_file()] == [blob]
    await writer.close()


async def test_syncs_that_wait_share_one_and_cover_what_was_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    began, go = threading.Event(), threading.Event()
    real = os.fdatasync

    def slow(fd: int) -> None:
        sizes.append(os.fstat(fd).st_size)
        began.set()
        assert go.wait(30)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", slow)
    writer = JournalWriter.create(folder)
    writer.record(line(0, HEADER))
    running = asyncio.create_task(writer.sync())
    await asyncio.to_thread(began.wait, 30)
    writer.record(line(1, e.ToolStarted(call="a")))
    waiting = [asyncio.create_task(writer.sync()) for _ in range(5)]
    await asyncio.sleep(0)
    writer.record(line(2, e.TextDelta(text="held back")))
    waiting.append(asyncio.create_task(writer.sync()))
    await asyncio.sleep(0)
    assert not any(task.done() for task in [running, *waiting])
    go.set()
    await asyncio.gather(running, *waiting)
    assert len(sizes) == 2
    assert writer.path is not None
    assert sizes[1] == writer.path.stat().st_size
    await writer.sync()
    assert len(sizes) == 2  # nothing new: nothing to do
    await writer.close()


async def test_a_cancelled_sync_leaves_the_writer_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began, go = threading.Event(), threading.Event()
    real = os.fdatasync

    def slow(fd: int) -> None:
        began.set()
        assert go.wait(30)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", slow)
    writer = JournalWriter.create(folder)
    writer.record(line(0, HEADER))
    closing = asyncio.create_task(writer.close())
    await asyncio.to_thread(began.wait, 30)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    go.set()
    await writer.close()
    assert len(read_journal(folder).events) == 1


@pytest.mark.parametrize("accepted", [0, 1, 40, 150])
async def test_a_full_disk_loses_nothing_that_was_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, accepted: int
) -> None:
    writer = JournalWriter.create(folder)
    events = stamp([(1, 1, e.ToolStarted(call="a"))])
    for stamped in events:
        writer.record(stamped)
    writer.record(line(2, e.TextDelta(text="x"), t=1))
    real, room = os.write, [accepted]

    def write(fd: int, data: bytes) -> int:
        if room[0] == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = real(fd, bytes(data)[: room[0]])
        room[0] -= done
        return done

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(StorageError, match="No space left") as failed:
        writer.record(line(3, e.Notice(level="info", text="y" * 200), t=2))
    assert "free some space" in failed.value.hint
    monkeypatch.undo()
    with pytest.raises(StorageError) as repeated:
        writer.record(line(4, e.ToolStarted(call="b")))
    assert repeated.value is failed.value
    with pytest.raises(StorageError):
        await writer.sync()
    await writer.close()
    recording = read_journal(folder)
    assert recording.problems == ()
    assert list(recording.events)[:2] == events
    assert len(recording.events) == (3 if accepted == 150 else 2)


async def test_a_limit_on_the_size_of_files(folder: Path) -> None:
    writer = JournalWriter.create(folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    written = 0
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
        with pytest.raises(StorageError, match="too large"):  # noqa: PT012
            for stamped in stamp([(1, 1, e.Notice(level="info", text="y" * 1000))] * 50):
                writer.record(stamped)
                written += 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    await writer.close()
    recording = read_journal(folder)
    assert len(recording.events) == written > 5
    assert recording.problems == ()


async def test_a_long_text_is_made_durable_beside_the_loop(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, bool]] = []

    def sync(path: Path | str) -> None:
        synced.append((str(path), threading.current_thread() is threading.main_thread()))
        sync_folder(path)

    monkeypatch.setattr("jetbox.record.blobs.sync_folder", sync)
    writer = JournalWriter.create(folder)
    for n in range(3):
        text = f"{n}" * 5000
        blobs = folder / "blobs"
        of = blobs / digest(text.encode())[:2]
        writer.record(line(n, e.ToolEnded(call="c", state="ok", text=text)))
        assert not synced, "a folder of its own is made for it, and nothing waits for the disk"
        await writer.sync()
        assert set(synced) == {(str(of), False), (str(blobs), False)}
        synced.clear()
    await writer.close()


async def test_a_blob_that_finds_no_room_fails_the_record_and_leaves_nothing(folder: Path) -> None:
    writer = JournalWriter.create(folder)
    writer.record(line(0, HEADER))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
        with pytest.raises(StorageError):
            await writer.put_blob(b"z" * 20_000)
        with pytest.raises(StorageError):
            writer.record(line(1, e.ToolEnded(call="c", state="ok", text="y" * 20_000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    await writer.close()
    assert len(read_journal(folder).events) == 1
    assert [path for path in (folder / "blobs").rglob("*") if path.is_file()] == []


async def test_a_failing_disk_is_told_by_the_sync_and_ever_after(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", fail)
    writer = JournalWriter.create(folder)
    writer.record(line(0, HEADER))
    with pytest.raises(StorageError, match="Input/output error"):
        await writer.sync()
    with pytest.raises(StorageError):
        writer.record(line(1, e.ToolStarted(call="a")))
    await writer.close()


async def test_a_journal_that_was_deleted_is_noticed(folder: Path) -> None:
    writer = JournalWriter.create(folder)
    writer.record(line(0, HEADER))
    await writer.sync()
    (folder / "journal.jsonl").unlink()
    writer.record(line(1, e.ToolStarted(call="a")))
    with pytest.raises(StorageError, match="deleted"):
        await writer.sync()
    await writer.close()


async def test_one_writer_at_a_time(folder: Path) -> None:
    writer = JournalWriter.create(folder)
    writer.record(line(0, HEADER))
    with pytest.raises(WorkspaceBusy, match="another process") as busy:
        JournalWriter.append(folder)
    assert "jetbox-tui replay s" in busy.value.hint
    with pytest.raises(StorageError):
        JournalWriter.create(folder)
    await writer.close()
    await writer.close()
    again = JournalWriter.append(folder)
    again.record(line(1, e.ToolStarted(call="a")))
    await again.close()
    assert len(read_journal(folder).events) == 2


def test_a_place_that_is_no_folder_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot make the folder"):
        JournalWriter.create(tmp_path / "file" / "s")
    with pytest.raises(StorageError, match="No such file"):
        JournalWriter.append(tmp_path / "nothing")
