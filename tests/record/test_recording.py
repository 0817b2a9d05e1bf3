"""A journal that was cut, damaged, or written by a later version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from jetbox.engine import events as e
from jetbox.engine.errors import RecordingError
from jetbox.engine.events import FORMAT, Stamped
from jetbox.record.journal import JournalWriter
from jetbox.record.recording import read_journal

Write = Callable[..., Path]


def put(folder: Path, *lines: bytes) -> Path:
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    return folder


def header(**changes: object) -> bytes:
    event = {"type": "session.opened", "format": 1, "id": "s", "created": "", "workspace": "/", "app": "0", **changes}
    return msgspec.json.encode({"seq": 0, "t": 0, "round": 0, "event": event})


async def test_a_line_torn_anywhere_is_dropped_and_the_session_goes_on(
    story: list[Stamped], write: Write, tmp_path: Path
) -> None:
    whole = (write(story) / "journal.jsonl").read_bytes()
    start = whole.rindex(b"\n", 0, -1) + 1
    for cut in range(start, len(whole) + 1):
        folder = tmp_path / "torn" / str(cut)
        folder.mkdir(parents=True)
        (folder / "journal.jsonl").write_bytes(whole[:cut])
        complete = cut >= len(whole) - 1
        torn = start < cut and not complete
        recording = read_journal(folder)
        assert list(recording.events) == (story if complete else story[:-1])
        assert len(recording.problems) == torn
        assert not torn or f"torn and was dropped ({cut - start} bytes)" in recording.problems[0]

        writer = JournalWriter.append(folder)
        more = Stamped(recording.events[-1].seq + 1, 10**12, 3, e.SessionResumed(created="", app="0"))
        writer.record(more)
        await writer.close()
        again = read_journal(folder)
        assert list(again.events) == [*recording.events, more]
        assert again.problems == ()


def test_what_a_later_version_says_is_kept_and_skipped(tmp_path: Path) -> None:
    unknown = b'{"type":"gpu.sampled","watts":[1,2.50],"$blob":"x"}'
    folder = put(
        tmp_path / "s",
        header(colour="blue"),
        b'{"seq":1,"t":5,"round":2,"event":' + unknown + b',"causes":[]}',
        b'{"seq":2,"t":6,"round":2,"event":{"type":"tool.started","call":"c","gpu":{"a":1}},"more":1}',
        b'{"seq":3,"t":7,"round":2,"deltas":{"type":"gpu.delta","text":"ab","at":[0,1],"len":[1,1]}}',
        b'{"round":2,"deltas":{"type":"model.text","text":"x","at":[0],"len":[1]},"t":9,"seq":5,"extra":"'
        + b"y" * 200
        + b'"}',
    )
    recording = read_journal(folder)
    assert recording.problems == ()
    assert [(stamped.seq, stamped.t, stamped.round) for stamped in recording.events] == [
        (0, 0, 0),
        (1, 5, 2),
        (2, 6, 2),
        (3, 7, 2),
        (4, 8, 2),
        (5, 9, 2),
    ]
    kept = recording.events[1].event
    assert isinstance(kept, e.Unknown)
    assert kept.json.encode() == unknown
    assert recording.events[2].event == e.ToolStarted(call="c")
    assert isinstance(recording.events[4].event, e.Unknown)
    assert recording.events[5].event == e.TextDelta(text="x")


def test_a_known_event_that_is_not_understood_is_skipped_and_reported(tmp_path: Path) -> None:
    folder = put(
        tmp_path / "s", header(), b'{"seq":1,"t":5,"round":0,"event":{"type":"mode.changed","mode":"telepathy"}}'
    )
    recording = read_journal(folder)
    assert isinstance(recording.events[1].event, e.Unknown)
    assert len(recording.problems) == 1
    assert "event 1 is not understood" in recording.problems[0]


def test_a_format_of_the_future_is_refused_in_words(tmp_path: Path) -> None:
    line = b'{"seq":0,"t":0,"round":0,"event":{"type":"session.opened","format":%d,"app":"9.1"}}' % (FORMAT + 1)
    with pytest.raises(
        RecordingError, match=f"format {FORMAT + 1}, written by jetbox-tui 9.1.*up to format"
    ) as refused:
        read_journal(put(tmp_path / "s", line))
    assert "update jetbox-tui" in refused.value.hint


@pytest.mark.parametrize(
    "garbage",
    [
        b"garbage",
        b"",
        b"\x00\x00",
        b'{"seq":1,"t":0,"round":0}',
        b'{"seq":1,"t":0,"event":{"type":"notice"}}',
        b'{"seq":1,"t":0,"round":0,"event":{"text":"no type"}}',
        b'{"seq":1,"t":0,"round":0,"event":{"type":"model.text","text":"\xff"}}',
        b'{"seq":1,"t":0,"round":0,"deltas":{"type":"model.text","text":"abc","at":[0],"len":[2]}}',
        b'{"seq":1,"t":0,"round":0,"deltas":{"type":"model.text","text":"ab","at":[0,1],"len":[3,-1]}}',
        pytest.param(b'{"seq":1,"t":0,"round":0,"event":' + b"[" * 100_000, id="too deep"),
        b'{"seq":1,"t":0,"round":0,"deltas":{"type":"model.text","text":{"$blob":"0","bytes":1},"at":3,"len":[1]}}',
    ],
)
def test_garbage_in_the_middle_names_file_and_line(tmp_path: Path, garbage: bytes) -> None:
    folder = put(
        tmp_path / "s", header(), garbage, b'{"seq":2,"t":0,"round":0,"event":{"type":"tool.started","call":""}}'
    )
    with pytest.raises(RecordingError) as refused:
        read_journal(folder)
    assert f"{folder / 'journal.jsonl'}, line 2 is damaged" in refused.value.message


def test_numbers_that_step_back_are_damage_and_gaps_are_reported(tmp_path: Path) -> None:
    started = b'{"seq":%d,"t":0,"round":0,"event":{"type":"tool.started","call":""}}'
    assert read_journal(put(tmp_path / "gap", header(), started % 5)).problems == (
        f"events 1 to 4 are missing from {tmp_path / 'gap' / 'journal.jsonl'}",
    )
    with pytest.raises(RecordingError, match="event 1 comes after event 1"):
        read_journal(put(tmp_path / "back", header(), started % 1, started % 1))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b'{"seq":0,"t', "is empty"),
        (b'{"s', "is empty"),
        (b"words without an end of line", "is no journal of a session"),
        (b"hello\n", "no journal of a session"),
        (b'{"seq":0,"t":0,"round":0,"event":{"type":"notice","level":"info","text":""}}\n', "first line is notice"),
        (b'{"seq":0,"t":0,"round":0,"event":{"type":"session.opened","format":1}}\n', "header lacks"),
    ],
)
def test_what_is_no_journal_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "journal.jsonl"
    file.write_bytes(content)
    for path in (file, tmp_path):
        with pytest.raises(RecordingError, match=words):
            read_journal(path)


def test_nothing_there(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no"):
        with pytest.raises(RecordingError, match="no recording at"):
            read_journal(path)


def test_a_blob_is_missed_when_its_event_is_asked_for(write: Write, story: list[Stamped]) -> None:
    long = Stamped(len(story), 10**12, 3, e.ToolEnded(call="c", state="ok", text="é" * 5000, diff="d" * 10))
    delta = Stamped(len(story) + 1, 10**12, 3, e.TextDelta(text="é" * 5000 + "!"))
    folder = write([*story, long, delta])
    assert read_journal(folder).events[-2:] == [long, delta]
    blobs = sorted(path for path in (folder / "blobs").rglob("*") if path.is_file())
    assert len(blobs) == 2
    blobs[0].write_bytes(b"x" * 10)
    blobs[1].unlink()
    recording = read_journal(folder)
    assert recording.events[: len(story)] == story
    said = []
    for n in (-2, -1):
        with pytest.raises(RecordingError) as missing:
            recording.events[n]
        said.append(missing.value.message)
    assert sorted("damaged" in text for text in said) == [False, True]
    assert any(f"blob {blobs[1].name} is missing" in text for text in said)
    with pytest.raises(RecordingError):
        list(recording.events)


def test_a_blob_reference_cannot_lead_out_of_the_session(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    reference = b'{"$blob":"../../secret","bytes":1}'
    folder = put(
        tmp_path / "s", header(), b'{"seq":1,"t":0,"round":0,"event":{"type":"model.text","text":' + reference + b"}}"
    )
    recording = read_journal(folder)
    with pytest.raises(RecordingError, match="names no blob"):
        recording.events[1]
