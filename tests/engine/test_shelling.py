"""The user's own commands: `!command`, over real processes, beside the real loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.rig import Rig, within
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine.loop import serve
from jetbox.engine.shelling import ShellDesk
from jetbox.record.journal import JournalWriter
from jetbox.record.recording import read_journal
from jetbox.record.resume import resumption
from record.conftest import header
from scripted import finish, step

OpenRig = Callable[..., Awaitable[Rig]]


@asynccontextmanager
async def serving(rig: OpenRig, *steps: Any, **options: Any) -> AsyncIterator[Rig]:
    """A session that takes commands."""
    live = await rig(*(steps or [finish()]), attended=True, **options)
    listening = asyncio.ensure_future(ShellDesk(live.parts).run())
    served = asyncio.ensure_future(serve(live.parts))
    await asyncio.sleep(0)
    yield live
    live.submit(c.Close())
    await within(served)
    listening.cancel()
    await asyncio.wait([listening])


async def test_its_output_is_shown_and_told_with_the_next_words(rig: OpenRig) -> None:
    async with serving(rig, environ={"MY_API_TOKEN": "hunter2hunter2"}) as live:
        live.submit(c.RunShell("echo one; echo hunter2hunter2; touch made.txt; exit 3"))
        started = await live.until(e.ShellStarted)
        ended = await live.until(e.ShellEnded)
        assert (ended.call, ended.state, ended.told) == (started.call, "failed", True)
        assert "hunter2" not in started.command + ended.text
        assert ended.text.startswith("exit code 3\none\n")
        assert "files changed: made.txt" in ended.text
        printed = "".join(event.text for event in live.events(e.ToolOutput) if event.call == started.call)
        assert printed.startswith("one\n")
        assert not live.events(e.MessageAdded)[1:]
        live.submit(c.Goal("Go on"))
        await live.until(e.GoalEnded)
        said = (await live.requests())[-1][1]
        assert said["role"] == "user"
        assert said["content"] == f"[the user ran `{started.command}`]\n{ended.text}\n\nGo on"
        live.submit(c.Goal("And on"))
        await live.until(e.GoalEnded)
        assert (await live.requests())[-1][-1] == {"role": "user", "content": "And on"}


async def test_the_mode_asks_about_it_as_about_any_command(rig: OpenRig) -> None:
    async with serving(rig, permissions={"mode": "ask"}) as live:
        live.submit(c.RunShell("echo yes"))
        asked = await live.until(e.PermissionAsked)
        assert (asked.kind, asked.title) == ("command", "run_cmd echo yes")
        live.submit(c.Answer(asked.id, "no"))
        ended = await live.until(e.ShellEnded)
        assert (ended.state, ended.text, ended.told) == ("denied", "not run", False)
        live.submit(c.RunShell("echo yes"))
        live.submit(c.Answer((await live.until(e.PermissionAsked)).id, "session"))
        assert (await live.until(e.ShellEnded)).text == "exit code 0\nyes"
        live.submit(c.RunShell("echo again"))
        assert (await live.until(e.ShellEnded)).state == "ok"


async def test_it_is_stopped_alone_while_a_goal_runs(rig: OpenRig) -> None:
    async with serving(rig, finish(fault="stall@:1")) as live:
        live.submit(c.Goal("Do it"))
        await live.until(e.RequestSent)
        live.submit(c.RunShell("touch made.txt; echo here; sleep 60"))
        await live.until(e.ToolOutput)
        live.submit(c.RunShell("echo two"))
        assert "runs already" in (await live.until(e.Notice)).text
        live.submit(c.StopShell())
        ended = await live.until(e.ShellEnded)
        assert (ended.state, ended.told) == ("cancelled", True)
        assert ended.text == "stopped by the user\nhere\n[files changed: made.txt]"
        live.submit(c.Steer("Look"))
        await live.release()
        assert (await live.until(e.GoalEnded)).outcome != "interrupted"


async def test_the_next_one_may_come_as_soon_as_the_end_was_told(rig: OpenRig, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(rig) as live:
        sync, written = live.session.sync, asyncio.Event()

        async def slow() -> None:
            await (written.wait() if live.events(e.ShellEnded) and not live.events(e.ShellStarted)[1:] else sync())

        monkeypatch.setattr(live.session, "sync", slow)
        live.submit(c.RunShell("echo one"))
        await live.until(e.ShellEnded)
        live.submit(c.RunShell("echo two"))
        assert (await live.until(e.ShellEnded)).text == "exit code 0\ntwo"
        written.set()
        assert not [n for n in live.events(e.Notice) if "runs already" in n.text]


async def test_what_would_be_hidden_does_not_run(rig: OpenRig) -> None:
    async with serving(rig) as live:
        live.submit(c.RunShell("echo \x1b[2J"))
        ended = await live.until(e.ShellEnded)
        assert ended.state == "failed"
        assert "control or invisible characters" in ended.text
        assert not ended.told


async def test_a_later_process_tells_what_this_one_had_not(rig: OpenRig, tmp_path: Path) -> None:
    live = await rig(step(text="Yes."), attended=True)
    live.session.listen(ShellDesk(live.parts).take)
    for command in ("echo one", "echo two"):
        live.submit(c.RunShell(command))
        await live.until(e.ShellEnded)
    await live.run("Go on")
    live.submit(c.RunShell("echo three"))
    await live.until(e.ShellEnded)
    live.session.emit(e.ShellStarted(call="shell.9", command="sleep 60"))
    assert live.events(e.ShellStarted)
    folder = tmp_path / "session"
    written = JournalWriter.create(folder)
    written.record(e.Stamped(0, 0, 0, header()))
    for stamped in live.seen:
        written.record(msgspec.structs.replace(stamped, seq=stamped.seq + 1))
    await written.close()
    known = resumption(read_journal(folder))
    assert known.beside == ("[the user ran `echo three`]\nexit code 0\nthree",)
    assert known.open_shells == ("shell.9",)
