"""What a later process learns, and the requests that can be rebuilt."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from jetbox.engine import events as e
from jetbox.engine.errors import RecordingError
from jetbox.engine.events import AnyEvent, Stamped
from jetbox.engine.session import NoRecorder, Session
from jetbox.record.recording import read_journal
from jetbox.record.requests import rebuild_all
from jetbox.record.resume import resumption

Write = Callable[..., Path]


def more(story: list[Stamped], *events: AnyEvent, number: int = 4) -> list[Stamped]:
    start = len(story)
    return [*story, *(Stamped(start + n, 10**11 + n, number, event) for n, event in enumerate(events))]


def test_a_session_that_ended_well(story: list[Stamped], write: Write) -> None:
    known = resumption(read_journal(write(story)))
    assert (known.seq, known.offset, known.round, known.goals) == (len(story), story[-1].t, 3, 1)
    assert (known.model, known.num_ctx, known.mode) == ("m", 4096, "ask")
    assert known.closed
    assert known.running is None
    assert known.ended is not None
    assert known.ended.outcome == "done"
    assert known.head is not None
    assert known.head.sha == "h1"
    assert [message.decode() for message in known.messages] == [
        s.event.json for s in story if isinstance(s.event, e.MessageAdded)
    ]
    assert list(known.past) == story


@pytest.mark.parametrize(
    ("came", "read"),
    [
        (e.TextDelta(text="So"), True),
        (e.ModelAnswered(attempt=1), True),
        (e.ModelAnswered(attempt=1, complete=False, error="interrupted"), False),
    ],
)
def test_a_request_that_was_stopped_while_it_was_read_is_not_what_the_server_has(
    story: list[Stamped], write: Write, came: AnyEvent, read: bool
) -> None:
    newest = [s.event for s in story if isinstance(s.event, e.RequestSent)][-1]
    later = msgspec.structs.replace(newest, sha="later")
    assert resumption(read_journal(write(more(story, later, came)))).request == (later if read else newest)


def test_a_long_session_is_never_held_whole(story: list[Stamped], write: Write) -> None:
    text = "".join(map(chr, range(32, 127))) * 40
    folder = write(more(story, *(e.Notice(level="info", text=f"{n} {text}") for n in range(1500))))
    tracemalloc.start()
    try:
        known = resumption(read_journal(folder))
        feed = Session(NoRecorder(), seq=known.seq, past=known.past).feed()
        told = sum(1 for _ in feed.drain().events)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert told == known.seq == len(story) + 1500
    assert peak < 3_000_000 < 1500 * len(text)
    assert [stamped.seq for stamped in known.past[1000:1003]] == [1000, 1001, 1002]
    assert known.past[-1].event == e.Notice(level="info", text=f"1499 {text}")


def test_what_waits_for_a_reader_by_the_thousand_lies_packed(story: list[Stamped]) -> None:
    session = Session(NoRecorder(), seq=len(story), past=story)
    feed = session.feed()
    told = [session.emit(e.Notice(level="info", text=f"{n} half a pair \ud800 {'words ' * 80}")) for n in range(5000)]
    batch = feed.drain()
    assert (list(batch.events), len(batch.events), batch.reset) == ([*story, *told], len(story) + 5000, True)
    assert (batch.events[2], batch.events[-1]) == (story[2], told[-1])
    told.clear()
    del batch
    tracemalloc.start()
    try:
        for n in range(5000):
            session.emit(e.Notice(level="info", text=f"{n} {'words ' * 80}"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_900_000 < 5000 * 480
    assert len(feed.drain().events) == 5000


def test_a_session_whose_process_died(story: list[Stamped], write: Write) -> None:
    events = more(
        story,
        e.SessionResumed(created="", app="0", model="m2", mode="edits", options={"a.b": "1"}),
        e.ModelReady(name="m2", num_ctx=8192),
        e.GoalStarted(goal=2, text="again"),
        e.ModeChanged(mode="auto"),
        e.QueueChanged(items=("and this",)),
        e.ToolCalled(call="c1", name="t", arguments="{}"),
        e.ToolCalled(call="c2", name="t", arguments="{}"),
        e.ToolEnded(call="c1", state="ok"),
        e.TextDelta(text="a"),
        e.TextDelta(text="b"),
    )
    known = resumption(read_journal(write(events)))
    assert (known.seq, known.offset, known.round, known.goals) == (len(events), events[-1].t, 4, 2)
    assert (known.model, known.num_ctx, known.mode, known.options) == ("m2", 8192, "auto", {"a.b": "1"})
    assert not known.closed
    assert known.running == e.GoalStarted(goal=2, text="again")
    assert known.ended is None
    assert known.open_calls == ("c2",)
    assert known.queue == ("and this",)


def test_the_steps_of_a_plan_that_was_killed_are_calls_that_have_run(story: list[Stamped], write: Write) -> None:
    events = more(
        story,
        e.GoalStarted(goal=2, text="again"),
        e.RequestSent(attempt=1, head="h", count=1, tail="", sha="", bytes=1),
        e.PlanMade(plan="p", steps=(e.PlannedStep("1", "write_file a"), e.PlannedStep("2", "run_cmd b", ("1",)))),
        e.ToolCalled(call="p.1", name="write_file", arguments='{"path":"a"}'),
        e.StepBegun(plan="p", step="1", call="p.1"),
        e.ToolEnded(call="p.1", state="ok", text="written"),
        e.StepEnded(plan="p", step="1", state="ok"),
        e.ToolCalled(call="p.2", name="run_cmd", arguments='{"command":"b"}'),
    )
    known = resumption(read_journal(write(events)))
    assert known.cut_off is not None
    assert [(call.call, call.name, call.result) for call in known.cut_off.calls] == [
        ("p.1", "write_file", "written"),
        ("p.2", "run_cmd", None),
    ]


def test_a_history_that_was_taken_back_is_taken_back(story: list[Stamped], write: Write) -> None:
    events = more(story, e.MessageAdded(index=1, role="user", json='{"anew":1}'))
    known = resumption(read_journal(write(events)))
    assert len(known.messages) == 2
    assert known.messages[1] == b'{"anew":1}'


def test_a_hole_in_the_history_is_an_error(story: list[Stamped], write: Write) -> None:
    events = more(story, e.MessageAdded(index=9, role="user", json="{}"))
    with pytest.raises(RecordingError, match="message 4 of the history is missing"):
        resumption(read_journal(write(events)))


def test_requests_are_rebuilt_byte_for_byte(story: list[Stamped], write: Write) -> None:
    recording = read_journal(write(story))
    first = '{"model":"m","messages":[{"role":"system","content":"é\\u2028"},{"role":"user","content":"1"}'
    expected = [
        first + '],"stream":true}',
        first + ',{"role":"user","content":"2"}],"stream":true}',
        first + ',{"role":"user","content":"2"},{"role":"user","content":"3"}],"stream":true}',
    ]
    rebuilt = list(rebuild_all(recording))
    assert [body for _, body in rebuilt] == [text.encode() for text in expected]
    for stamped, body in rebuilt:
        assert isinstance(stamped.event, e.RequestSent)
        assert len(body) == stamped.event.bytes


def test_a_request_with_long_messages_is_rebuilt_from_blobs(story: list[Stamped], write: Write, tmp_path: Path) -> None:
    sent = next(s for s in reversed(story) if isinstance(s.event, e.RequestSent))
    assert isinstance(sent.event, e.RequestSent)
    long = e.MessageAdded(index=4, role="tool", json='{"content":"' + "é\\n" * 5000 + '"}')
    parts = [s.event.json for s in story if isinstance(s.event, (e.MessageAdded, e.PromptHead))]
    body = (parts[0] + ",".join([*parts[1:], long.json]) + "]}").encode()
    import hashlib

    request = e.RequestSent(
        attempt=1, head="h1", count=5, tail="]}", sha=hashlib.sha256(body).hexdigest(), bytes=len(body)
    )
    events = more(story, long, request)
    assert list(rebuild_all(read_journal(write(events))))[-1] == (events[-1], body)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"sha": "0" * 64}, "hash"), ({"head": "h9"}, "head h9"), ({"count": 9}, "9 messages"), ({"tail": "}"}, "bytes")],
)
def test_what_does_not_match_is_an_error(
    story: list[Stamped], write: Write, change: dict[str, object], words: str
) -> None:
    import msgspec

    sent = next(s for s in story if isinstance(s.event, e.RequestSent))
    wrong = msgspec.structs.replace(sent.event, **change)
    events = more(story, wrong)
    with pytest.raises(RecordingError, match=words):
        list(rebuild_all(read_journal(write(events))))
