"""Finding and listing sessions."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import jetbox
from jetbox.engine import events as e
from jetbox.engine.errors import RecordingError
from jetbox.engine.events import Stamped
from jetbox.record import library
from jetbox.record.journal import JournalWriter

Write = Callable[..., Path]


def opened(session: str, workspace: str) -> Stamped:
    header = e.SessionOpened(
        format=1, id=session, created="2026-01-01T00:00:00Z", workspace=workspace, app="0", model="m"
    )
    return Stamped(0, 0, 0, header)


def goal(seq: int, number: int, text: str) -> Stamped:
    return Stamped(seq, seq, number, e.GoalStarted(goal=number, text=text))


def ended(seq: int, number: int, outcome: e.Outcome = "done") -> Stamped:
    return Stamped(seq, seq, 4, e.GoalEnded(goal=number, outcome=outcome, reason="", exit_code=0))


def test_where_sessions_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, isolated: Path) -> None:
    assert library.sessions_folder() == isolated / ".local" / "share" / "jetbox" / "sessions"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert library.sessions_folder() == tmp_path / "jetbox" / "sessions"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert library.sessions_folder() == isolated / ".local" / "share" / "jetbox" / "sessions"
    assert library.sessions_folder("~/mine") == isolated / "mine"


def test_ids_sort_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    for ns in (1_700_000_000_000_000_000, 1_700_000_000_009_000_000, 1_700_000_001_000_000_000):
        monkeypatch.setattr(time, "time_ns", lambda ns=ns: ns)
        ids.append(library.new_session_id())
        assert re.fullmatch(r"\d{8}-\d{6}-\d{3}-[0-9a-f]{4}", ids[-1])
    assert ids == sorted(ids)
    assert ids[1].startswith("20231114-221320-009-")
    assert len({library.new_session_id() for _ in range(20)}) > 1


def test_found_by_path_id_and_beginning(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "all"
    one = write([opened("20260101-a", "/w")], folder / "20260101-a")
    two = write([opened("20260102-b", "/w")], folder / "20260102-b")
    write([opened("20260102-c", "/w")], folder / "20260102-c")
    (folder / "empty").mkdir()
    assert library.find("20260101-a", folder) == one
    assert library.find("20260101", folder) == one
    assert library.find("20260102-b", folder) == two
    assert library.find(str(one), folder) == one
    journal = one / "journal.jsonl"
    assert library.find(str(journal), folder) == journal
    monkeypatch.chdir(one)
    assert library.find(".", folder) == one
    with pytest.raises(RecordingError, match=r"2 sessions begin with 20260102.*20260102-b, 20260102-c"):
        library.find("20260102", folder)
    with pytest.raises(RecordingError, match="no session 20260101-x") as missing:
        library.find("20260101-x", folder)
    assert "did you mean 20260101-a" in missing.value.hint
    for nothing in ("", "..", "no/such", "empty", "zzz"):
        with pytest.raises(RecordingError):
            library.find(nothing, folder)
    with pytest.raises(RecordingError):
        library.find("x", tmp_path / "not there")


def test_samples_are_found_by_name(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Path(str(jetbox.__file__)).parent.parent.parent / "sessions"
    there = [path.parent.name for path in repository.glob("*/journal.jsonl")]
    assert set(library.samples()) >= set(there)

    package = tmp_path / "site" / "jetbox"
    sample = write([opened("s", "/w")], package / "_sessions" / "mathx")
    monkeypatch.setattr("importlib.resources.files", lambda name: package)
    assert library.samples() == {"mathx": sample}
    assert library.find("mathx", tmp_path) == sample
    assert library.find("mat", tmp_path) == sample
    sample.rename(tmp_path / "moved")
    assert library.samples() == {}


def test_the_latest_of_a_workspace(write: Write, tmp_path: Path) -> None:
    folder, work, link = tmp_path / "all", tmp_path / "work", tmp_path / "link"
    work.mkdir()
    link.symlink_to(work)
    for session, where in (("1", work), ("2", work), ("3", "/elsewhere")):
        write([opened(session, str(where))], folder / session)
    (folder / "4").mkdir()
    (folder / "4" / "journal.jsonl").write_text("broken\n")
    assert library.latest(work, folder) == folder / "2"
    assert library.latest(link, folder) == folder / "2"
    assert library.latest(tmp_path, folder) is None


def test_summaries_say_what_matters(write: Write, tmp_path: Path) -> None:
    folder = tmp_path / "all"
    filler = [Stamped(n, n, 3, e.Notice(level="info", text="x" * 3000)) for n in range(2, 102)]
    write([opened("1", "/w"), goal(1, 1, "the goal"), *filler, ended(102, 1, "red")], folder / "1")
    write([opened("2", "/w"), goal(1, 1, "g" * 5000), ended(2, 1), goal(3, 2, "second")], folder / "2")
    write([opened("3", "/w")], folder / "3")
    (folder / "4").mkdir()
    (folder / "4" / "journal.jsonl").write_text('{"seq":0,"event":{"type":"session.opened","format":99}}\n')
    with open(folder / "1" / "journal.jsonl", "ab") as journal:
        journal.write(b'{"seq":103,"t":1,"rou')

    four, three, two, one = library.summaries(folder)
    assert (one.id, one.goal, one.rounds, one.outcome, one.running) == ("1", "the goal", 4, "red", False)
    assert (one.workspace, one.model, one.created) == ("/w", "m", "2026-01-01T00:00:00Z")
    assert one.size == (folder / "1" / "journal.jsonl").stat().st_size > library.HEAD_BYTES + library.TAIL_BYTES
    assert (two.goal, two.outcome) == ("g" * 5000, None)
    assert (three.goal, three.rounds, three.outcome) == ("", 0, None)
    assert "format 99" in four.problem
    assert [each.id for each in library.summaries(folder, limit=2)] == ["4", "3"]
    assert library.summaries(tmp_path / "nothing") == []


def test_a_session_that_is_written_now_is_running(write: Write, tmp_path: Path) -> None:
    session = write([opened("1", "/w")], tmp_path / "1")
    assert not library.summary(session).running
    writer = JournalWriter.append(session)
    assert library.summary(session).running
    writer.release()
    assert not library.summary(session).running


def test_of_long_sessions_beginning_and_end_alone_are_read(write: Write, tmp_path: Path) -> None:
    for n in range(20):
        session = write([opened(f"{n:03}", "/w"), goal(1, 1, str(n)), ended(52, 1)], tmp_path / "all" / f"{n:03}")
        *begin, last = (session / "journal.jsonl").read_bytes().splitlines(keepends=True)
        middle = b"this cannot be read\n" * 10_000
        (session / "journal.jsonl").write_bytes(b"".join(begin) + middle + last)
    listed = library.summaries(tmp_path / "all")
    assert [(each.goal, each.outcome, each.problem) for each in listed] == [
        (str(n), "done", "") for n in reversed(range(20))
    ]
