"""Looking on at a session that is being written."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jetbox.engine import events as e
from jetbox.engine.errors import RecordingError
from jetbox.engine.events import Stamped
from jetbox.engine.session import SessionSource
from jetbox.record.follow import Follower
from jetbox.record.journal import JournalWriter

Write = Callable[..., Path]

WRITER = """
import asyncio, sys
from pathlib import Path
from jetbox.engine import events as e
from jetbox.engine.session import Session
from jetbox.record.journal import JournalWriter

async def main():
    session = Session(JournalWriter.create(Path(sys.argv[1])))
    session.emit(e.SessionOpened(format=1, id="s", created="", workspace="/", app="0"))
    print("open", flush=True)
    for n in range(300):
        session.emit(e.TextDelta(text=f"{n} "))
        if n % 50 == 0:
            session.emit(e.ToolEnded(call=str(n), state="ok", text="x" * 6000))
            await asyncio.sleep(0.01)
    if sys.argv[2] == "close":
        session.emit(e.SessionClosed(exit_code=0))
        await session.close()
    else:
        await session.sync()
        import os
        os.kill(os.getpid(), 9)

asyncio.run(main())
"""


@pytest.mark.parametrize("end", ["close", "die"])
async def test_all_that_another_process_writes_is_seen(tmp_path: Path, end: str) -> None:
    folder = tmp_path / "s"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(folder), end], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        await asyncio.to_thread(child.stdout.readline)
        source: SessionSource = Follower(folder)
        seen: list[Stamped] = []
        resets, times = [], []
        while await source.ready():
            batch = source.drain()
            resets.append(batch.reset)
            seen += batch.events
            times.append(source.now())
    assert [stamped.seq for stamped in seen] == list(range(len(seen)))
    text = "".join(s.event.text for s in seen if isinstance(s.event, e.TextDelta))
    assert text == "".join(f"{n} " for n in range(300))
    assert sum(isinstance(s.event, e.ToolEnded) for s in seen) == 6
    assert isinstance(seen[-1].event, e.SessionClosed) == (end == "close")
    assert resets == [True, *[False] * (len(resets) - 1)]
    assert times == sorted(times)
    assert source.now() >= seen[-1].t


async def test_a_torn_line_waits_for_its_end_or_for_another(tmp_path: Path, story: list[Stamped]) -> None:
    writer = JournalWriter.create(tmp_path / "s")
    writer.record(story[0])
    follower = Follower(tmp_path / "s")
    assert await follower.ready()
    assert follower.drain().events == (story[0],)
    assert follower.header is not None
    path = tmp_path / "s" / "journal.jsonl"
    size = path.stat().st_size
    with open(path, "ab") as file:
        file.write(b'{"seq":1,"t":1000,"round":0,"event":{"type":"no')
    assert follower.drain().events == ()
    os.truncate(path, size)
    writer.record(story[1])
    assert await follower.ready()
    assert follower.drain().events == (story[1],)
    follower.close()
    follower.close()
    assert not await follower.ready()
    assert follower.drain().events == ()
    await writer.close()


async def test_time_goes_on_while_it_is_written_and_stands_when_it_is_not(tmp_path: Path, story: list[Stamped]) -> None:
    now = [500]
    writer = JournalWriter.create(tmp_path / "s")
    writer.record(story[0])
    writer.record(story[1])
    follower = Follower(tmp_path / "s", clock=lambda: now[0])
    follower.drain()
    assert follower.now() == story[1].t
    now[0] += 10_000
    assert follower.now() == story[1].t + 10_000
    writer.record(story[2])  # arrives late: its time is behind what was shown
    follower.drain()
    assert story[2].t < follower.now() == story[1].t + 10_000
    await writer.close()
    assert not await follower.ready()
    shown = follower.now()
    now[0] += 10_000
    assert follower.now() == shown
    follower.close()


async def test_a_long_journal_comes_in_pieces(write: Write, story: list[Stamped]) -> None:
    events = [story[0], *(Stamped(n, n, 0, e.Notice(level="info", text="x" * 4000)) for n in range(1, 400))]
    follower = Follower(write(events))
    batches = []
    while await follower.ready():
        batches.append(follower.drain().events)
    assert len(batches) > 2
    assert [stamped for batch in batches for stamped in batch] == events
    follower.close()


def test_what_is_not_there_or_damaged_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot read"):
        Follower(tmp_path / "none")
    (tmp_path / "journal.jsonl").write_text("garbage\n")
    follower = Follower(tmp_path)
    with pytest.raises(RecordingError, match="no journal"):
        follower.drain()
    follower.close()
