"""A writer killed at any moment: what it was told to be safe is there, and the session goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from jetbox.engine import events as e
from jetbox.engine.session import Session
from jetbox.record.journal import JournalWriter
from jetbox.record.recording import read_journal
from jetbox.record.resume import resumption

CHILD = """
import asyncio, sys
from pathlib import Path
from jetbox.engine import events as e
from jetbox.engine.session import Session
from jetbox.record.journal import JournalWriter

async def main():
    session = Session(JournalWriter.create(Path(sys.argv[1])))
    session.emit(e.SessionOpened(format=1, id="s", created="", workspace="/", app="0"))
    n = 0
    while True:
        for _ in range(20):
            session.emit(e.TextDelta(text=f"delta {n} é"))
        last = session.emit(e.ToolEnded(call=str(n), state="ok", text="x" * (n % 3 * 4000)))
        for _ in range(3):
            last = session.emit(e.TextDelta(text="held back"))
        blob = await session.recorder.put_blob(str(n).encode())
        await session.sync()
        print(last.seq, blob, flush=True)
        for _ in range(2):
            session.emit(e.ToolOutput(call=str(n), text="not acknowledged"))
        await asyncio.sleep(0.001 * (n % 40))
        n += 1

asyncio.run(main())
"""


@pytest.mark.parametrize("acknowledged", [1, 7, 30])
async def test_killed_at_any_moment(tmp_path: Path, acknowledged: int) -> None:
    folder = tmp_path / "s"
    with subprocess.Popen([sys.executable, "-c", CHILD, str(folder)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        said = [child.stdout.readline() for _ in range(acknowledged)]
        os.kill(child.pid, signal.SIGKILL)
        said += child.stdout.readlines()
    whole = [line.split() for line in said if line.endswith(b"\n")]
    assert len(whole) >= acknowledged

    recording = read_journal(folder)
    events = list(recording.events)
    assert [stamped.seq for stamped in events] == list(range(len(events)))
    assert events[-1].seq >= int(whole[-1][0])
    assert all(before.t <= after.t for before, after in pairwise(events))
    for n, (_, blob) in enumerate(whole):
        assert recording.blob(blob.decode()) == str(n).encode()

    known = resumption(recording)
    assert not known.closed
    session = Session(JournalWriter.append(folder), seq=known.seq, offset=known.offset, past=known.past)
    session.emit(e.SessionResumed(created="", app="0"))
    session.emit(e.TextDelta(text="on"))
    await session.close()
    again = read_journal(folder)
    assert list(again.events)[: len(events)] == events
    assert [stamped.seq for stamped in again.events] == list(range(len(events) + 2))
    assert again.events[-1].t >= events[-1].t
    assert again.problems == ()
