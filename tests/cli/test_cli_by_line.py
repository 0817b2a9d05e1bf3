"""The workbench by lines, on a live session: what a pipe holds comes in its turn."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from jetbox.cli import commands as cli
from jetbox.cli.by_line import ASKED, ByLine, Out, _drive
from jetbox.cli.live import Live, Start
from jetbox.cli.options import invocation
from jetbox.cli.output import LineOut
from jetbox.engine import commands
from jetbox.engine import events as e
from jetbox.engine.errors import ExitCode
from jetbox.engine.options import EngineOptions, ModelOptions, PermissionOptions, ProbeOptions, SessionOptions
from jetbox.sim.launch import ServerProcess
from jetbox.ui import slices
from scripted import WriteScript, call, finish, step
from ui.played import Stage, opened


class Kept(LineOut):
    """Keeps what is put."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.data = b""

    def put(self, data: bytes) -> None:
        self.data += data


async def test_a_pipes_lines_are_goals_answers_and_commands_one_after_another(
    tmp_path: Path, write_script: WriteScript, sim_server: Callable[..., ServerProcess]
) -> None:
    server = sim_server(
        scripts=[str(write_script(step(call("write_file", path="a.txt", content="one\n")), finish("Made it.")))]
    )
    options = EngineOptions(
        model=ModelOptions(name="gpt-oss:20b", host=server.url, warmup=False),
        permissions=PermissionOptions(mode="ask", sandbox=False),
        probes=ProbeOptions(enabled=False),
        session=SessionOptions(folder=str(tmp_path / "data"), record=False),
    )
    root = tmp_path / "work"
    root.mkdir()
    live, kept = Live(Start(root=root, options=options, attended=True)), Kept()
    bench = ByLine(live, Out(kept, marks=False), sessions=tmp_path, typed=False, goal=False)
    early = live.session.feed(e.ModeChanged, e.SessionLabelled, e.ModelSwitched, e.RequestSent)
    for command in (commands.SetModel("qwen3:8b"), commands.Label("first"), commands.SetMode("edits")):
        live.feed.submit(command)  # the session is not open yet
    for line in ("/model llama3.2:3b\n", "/ps\n", "/mode ask\n", "!echo here\n", "y\n", "Do it\n", "y\n", "/ps\n"):
        bench.take(line)
    bench.take(None)
    code, _ = await asyncio.wait_for(asyncio.gather(live.drive(), bench.show()), 20)
    text = kept.data.decode()
    assert code == 0
    seen = [stamped.event for stamped in early.drain().events]
    assert [each.mode for each in seen if isinstance(each, e.ModeChanged)] == ["edits", "ask"]
    assert [each.label for each in seen if isinstance(each, e.SessionLabelled)] == ["first"]
    sent = next(at for at, each in enumerate(seen) if isinstance(each, e.RequestSent))
    switched = [each.new for each in seen[:sent] if isinstance(each, e.ModelSwitched)]
    assert switched[-1] == "llama3.2:3b", "before the first request"
    assert text.index("the server holds no model in memory") < text.index("echo here")
    assert "\nllama3.2:3b: " in text[text.index("done, unverified") :], text
    assert (root / "a.txt").read_text() == "one\n"
    for words in (
        "running your command: echo here\npermission wanted: run_cmd echo here\n",
        "here\necho here: exit code 0",
        "you:\n  Do it\n",
        "permission wanted: write_file a.txt +1\n",
        "  +one\n",
        "write_file a.txt: ok, +1",
        "done, unverified",
    ):
        assert words in text, text
    assert text.index("echo here: exit code 0") < text.index("Do it")


async def test_a_session_that_cannot_be_told_any_more_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    class Works:
        signal: ExitCode | None = None
        ended = False

        def __init__(self) -> None:
            self._stop = asyncio.Event()

        async def drive(self) -> int:
            await self._stop.wait()
            self.ended = True
            return int(ExitCode.INTERNAL)

        def stop(self, code: ExitCode) -> None:
            self.signal = code
            self._stop.set()

    class Fails:
        def interrupt(self) -> None:
            raise AssertionError("nothing was interrupted")

        async def show(self) -> None:
            raise RuntimeError("a bug")

    monkeypatch.setattr("sys.stdin", None)
    live = Works()
    with pytest.raises(RuntimeError, match="a bug"):
        await asyncio.wait_for(_drive(cast("Live", live), cast("ByLine", Fails())), 120)
    assert live.ended


async def test_what_is_asked_when_nothing_more_will_be_typed_is_answered_with_no(
    tmp_path: Path, write_script: WriteScript, sim_server: Callable[..., ServerProcess]
) -> None:
    script = write_script(step(call("write_file", path="a.txt", content="one\n")), finish("Could not."))
    options = EngineOptions(
        model=ModelOptions(name="gpt-oss:20b", host=sim_server(scripts=[str(script)]).url, warmup=False),
        permissions=PermissionOptions(mode="ask", sandbox=False),
        probes=ProbeOptions(enabled=False),
        session=SessionOptions(folder=str(tmp_path / "data"), record=False),
    )
    (root := tmp_path / "work").mkdir()
    live, kept = Live(Start(root=root, options=options, attended=True)), Kept()
    bench = ByLine(live, Out(kept, marks=False), sessions=tmp_path, typed=False, goal=False)
    for line in ("Do it\n", None):
        bench.take(line)
    await asyncio.wait_for(asyncio.gather(live.drive(), bench.show()), 120)
    assert "not allowed by you" in kept.data.decode()
    assert not (root / "a.txt").exists()


async def test_a_server_that_does_not_say_what_it_holds_keeps_no_pipe_open(
    tmp_path: Path, sim_server: Callable[..., ServerProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jetbox.engine.models.catalog.RUNNING_S", 0.1)
    server = sim_server(faults=["stuck@1"])
    options = EngineOptions(
        model=ModelOptions(name="gpt-oss:20b", host=server.url),
        session=SessionOptions(folder=str(tmp_path / "data"), record=False),
    )
    live, kept = Live(Start(root=tmp_path, options=options, attended=True)), Kept()
    bench = ByLine(live, Out(kept, marks=False), sessions=tmp_path, typed=False, goal=False)
    working = asyncio.gather(live.drive(), bench.show())
    await asyncio.to_thread(server.stats, loading=1)
    for line in ("/ps\n", "/model\n", None):
        bench.take(line)
    await asyncio.wait_for(working, 20)
    text = kept.data.decode()
    assert text.count("the server loads or unloads a model, and does not say what is in memory") == 2, text
    assert "\nllama3.2:3b: " in text


@pytest.mark.parametrize("typed", [False, True])
async def test_a_line_that_comes_while_the_past_is_read_answers_no_question_of_the_past(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: bool
) -> None:
    monkeypatch.setattr(slices, "AT_ONCE_S", -1.0)  # each event is a slice
    stage = Stage()
    question = e.QuestionAsked(id="q1", call="c1", question="which?", choices=("a", "b"))
    ended = e.GoalEnded(goal=1, outcome="done", reason="", exit_code=0)
    stage.emit(*opened(), e.GoalStarted(goal=1, text="Go"), question, e.QuestionAnswered(id="q1", text="a"), ended)
    live = cast("Live", SimpleNamespace(feed=stage.feed, begins_at=stage.last + 1))
    bench = ByLine(live, Out(Kept(), marks=False), sessions=tmp_path, typed=typed, goal=False)
    showing = asyncio.ensure_future(bench.show())
    async with asyncio.timeout(120):
        while not bench.told.view.asked:
            await asyncio.sleep(0)
        bench.take("Fix the parser\n")
        while bench.told.view.ended is None:
            await asyncio.sleep(0)
        stage.emit(e.ModelReady(name="m", num_ctx=4096))
        assert await stage.session.next_command() == commands.Goal("Fix the parser")
    showing.cancel()


def test_the_mark_stands_once_and_a_line_begins_behind_it() -> None:
    kept = Kept()
    out = Out(kept, marks=True)
    out.mark(b"> ")
    out.mark(b"> ")
    out.put("one\x1b[2J")
    out.mark(ASKED)
    out.typed()
    out.put("two")
    assert kept.data.startswith(b"> \none")
    assert kept.data.endswith(b"\ny, s, a or n > two\n")
    assert b"\x1b" not in kept.data


def test_lines_are_all_that_a_dumb_terminal_has(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    for name in ("stdin", "stdout"):
        monkeypatch.setattr(f"sys.{name}", Tty())
    for term, lines in (("dumb", True), ("", True), ("xterm", False)):
        monkeypatch.setenv("TERM", term)
        assert cli.lines_alone() is lines
    monkeypatch.setattr("sys.stdout", io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not cli.lines_alone()


def test_the_flags_are_settings() -> None:
    ui = invocation(("go",), plain=True, no_mouse=True, no_alternate_screen=True).settings.ui
    assert (ui.plain, ui.mouse, ui.alternate_screen) == (True, False, False)
