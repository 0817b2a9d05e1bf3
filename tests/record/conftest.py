"""A short session to work on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from jetbox.engine import events as e
from jetbox.engine.events import AnyEvent, Stamped
from jetbox.record.journal import JournalWriter

SECOND = 1_000_000_000
Write = Callable[..., Path]


def header(session: str = "20260101-000000-000-abcd", **more: str) -> e.SessionOpened:
    return e.SessionOpened(
        format=e.FORMAT,
        id=session,
        created="2026-01-01T00:00:00Z",
        workspace=more.get("workspace", "/somewhere"),
        app="0",
        model="m",
        host="http://127.0.0.1:1",
    )


def request(head: e.PromptHead, messages: Iterable[e.MessageAdded], tail: str, attempt: int = 1) -> e.RequestSent:
    texts = [message.json for message in messages]
    body = (head.json + ",".join(texts) + tail).encode()
    return e.RequestSent(
        attempt=attempt,
        head=head.sha,
        count=len(texts),
        tail=tail,
        sha=hashlib.sha256(body).hexdigest(),
        bytes=len(body),
    )


@pytest.fixture
def story() -> list[Stamped]:
    """A header, a goal, three rounds a second apart with deltas, its end."""
    head = e.PromptHead(sha="h1", json='{"model":"m","messages":[')
    messages = [e.MessageAdded(index=0, role="system", json='{"role":"system","content":"é\\u2028"}')]
    happened: list[tuple[int, int, AnyEvent]] = [
        (0, 0, header()),
        (1000, 0, e.ModelReady(name="m", num_ctx=4096)),
        (2000, 0, head),
        (3000, 0, messages[0]),
        (4000, 0, e.GoalStarted(goal=1, text="do it")),
    ]
    for number in (1, 2, 3):
        start = number * SECOND
        messages.append(e.MessageAdded(index=number, role="user", json=f'{{"role":"user","content":"{number}"}}'))
        happened += [
            (start, number, e.RoundStarted(model="m")),
            (start, number, messages[-1]),
            (start + 1, number, request(head, messages, '],"stream":true}')),
            (start + 100_000_000, number, e.TextDelta(text="hel")),
            (start + 110_000_000, number, e.TextDelta(text="lo é")),
            (start + 120_000_000, number, e.ToolOutput(call="c1", text="out")),
            (start + 500_000_000, number, e.RoundEnded(wall_ns=500_000_000, phases={"decode": 500_000_000})),
        ]
    happened += [
        (4 * SECOND, 3, e.GoalEnded(goal=1, outcome="done", reason="green", exit_code=0)),
        (4 * SECOND + 5, 3, e.SessionClosed(exit_code=0)),
    ]
    return [Stamped(n, t, number, event) for n, (t, number, event) in enumerate(happened)]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes events to a session's folder and returns it."""

    def write(events: Iterable[Stamped], folder: Path | None = None) -> Path:
        folder = tmp_path / "sessions" / "one" if folder is None else folder
        writer = JournalWriter.create(folder)
        for stamped in events:
            writer.record(stamped)
        writer.flush()
        writer.release()
        return folder

    return write
