from __future__ import annotations

from jetbox.engine import events as e
from jetbox.record.library import samples
from jetbox.record.recording import read_journal
from jetbox.record.traffic import traffic

MS = 1_000_000


def sent(t: int, attempt: int) -> e.Stamped:
    return e.Stamped(0, t, 1, e.RequestSent(attempt=attempt, head="h", count=1, tail="", sha="s", bytes=1500))


def answered(t: int, **fields: object) -> e.Stamped:
    return e.Stamped(0, t, 1, e.ModelAnswered(attempt=1, **fields))  # type: ignore[arg-type]


def test_bytes_connections_and_what_was_sent_again_are_summed() -> None:
    found = traffic(
        [
            sent(0, 1),
            answered(100 * MS, complete=False, received=20, connection="new"),
            sent(700 * MS, 2),
            answered(900 * MS, ttft_ns=50 * MS, received=480, connection="new"),
            sent(1000 * MS, 1),
            answered(1100 * MS, ttft_ns=30 * MS, received=1000, connection="kept"),
        ]
    )
    assert (found.requests, found.sent, found.received) == (3, 4500, 1500)
    assert (found.opened, found.kept) == (2, 1)
    assert (found.again, found.again_ns, found.waited_ns) == (1, 700 * MS, 80 * MS)
    assert found.line() == (
        "3 requests; 4.5 kB sent, 1.5 kB received; 2 connections made, used again once; "
        "0.1 s until the first of each answer; 1 sent again, which took 0.7 s"
    )


def test_what_older_recordings_do_not_have_is_not_told() -> None:
    found = traffic(read_journal(samples()["mathx"]).events)
    assert (found.requests, found.opened, found.kept) == (9, 0, 0)
    assert "connection" not in found.line()
    assert "received" not in found.line()
