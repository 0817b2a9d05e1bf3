"""The recordings over the workbench: found, looked at, gone on with, played; real journals in a folder."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from textual.events import Key

from jetbox.engine import commands
from jetbox.engine import events as e
from jetbox.engine.errors import JetboxError
from jetbox.record import library
from jetbox.record.journal import JournalWriter
from jetbox.record.library import keep_label, summary
from jetbox.settings import show as show_settings
from jetbox.ui.aside import Aside
from jetbox.ui.screens.question import Question
from jetbox.ui.screens.sessions import Sessions
from jetbox.ui.text.rows import Piece
from ui.conftest import Show, Showing
from ui.played import opened, stamped, whole
from ui.test_overlays import SIZES, says_how_to_leave

Record = Callable[..., Path]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Writes a session with this goal into the folder of the sessions that are shown."""

    def make(name: str, goal: str, workspace: Path = tmp_path) -> Path:
        writer = JournalWriter.create(tmp_path / "sessions" / name)
        for one in stamped(whole()):
            event = one.event
            if isinstance(event, e.SessionOpened):
                event = msgspec.structs.replace(event, id=name, workspace=str(workspace))
            elif isinstance(event, e.GoalStarted):
                event = msgspec.structs.replace(event, text=goal)
            writer.record(msgspec.structs.replace(one, event=event))
        writer.flush()
        writer.release()
        return tmp_path / "sessions" / name

    return make


async def begin(s: Show, folder: Path) -> None:
    s.bench.sessions = folder / "sessions"
    header = opened()[0]
    assert isinstance(header, e.SessionOpened)
    await s.play(msgspec.structs.replace(header, workspace=str(folder)), *opened()[1:])
    await look(s)


async def look(s: Show) -> None:
    """Open the list and wait until all is read."""
    await s.press("ctrl+r")
    await settled(s)


async def settled(s: Show) -> None:
    groups = ("sessions", "glimpse")
    await s.until(lambda: all(each.is_finished for each in s.app.workers if each.group in groups))
    await s.pilot.pause()


async def test_sessions_are_listed_searched_and_looked_into(show: Showing, record: Record, tmp_path: Path) -> None:
    record("20260101-100000-000-aaaa", "Build the calculator")
    keep_label(record("20260102-100000-000-bbbb", "Mend the parser"), "parser day")
    record("20260103-100000-000-cccc", "Elsewhere", Path("/somewhere/else"))
    async with show() as s:
        await begin(s, tmp_path)
        text = s.text
        assert "parser day  Mend the parser" in text
        assert text.index("Mend the parser") < text.index("Build the calculator"), "the newest above"
        assert "Elsewhere" not in text
        assert "how it ended" in text
        assert "done, probes green: ruff" in text
        assert "2 of 3" in text
        await s.press("a")
        assert "Elsewhere" in s.text
        await s.press("slash", *"CALC")
        assert "Mend the parser" not in s.text
        assert "Build the calculator" in s.text
        await s.press("escape", "escape")
        assert s.app.screen is s.bench


async def test_what_a_list_says_of_its_keys_has_no_hole_while_one_types(
    show: Showing, record: Record, tmp_path: Path
) -> None:
    record("20260103-100000-000-cccc", "Elsewhere", Path("/somewhere/else"))
    async with show() as s:
        await begin(s, tmp_path)
        nothing = "no other session was recorded in this folder"
        assert f"{nothing} (a shows all)" in s.text
        await s.press("slash")
        assert nothing in s.text
        assert "shows all" not in s.text
        await s.press("enter")
        assert f"{nothing} (a shows all)" in s.text
        await s.press("a", "slash")
        assert isinstance(s.app.screen, Sessions)
        s.app.screen.enter()  # a click on the chosen row
        await s.pilot.pause()
        assert "its folder /somewhere/else is gone" in s.text
        assert "plays it" not in s.text


async def test_keys_behind_the_one_that_ends_a_search_are_keys_again(
    show: Showing, record: Record, tmp_path: Path
) -> None:
    record("20260103-100000-000-cccc", "Elsewhere", Path("/somewhere/else"))
    async with show() as s:
        await begin(s, tmp_path)
        for key in ("slash", "z", "escape", "a"):  # as a terminal hands them over that had them all at once
            s.app.post_message(Key(key, key if len(key) == 1 else None))
        await s.until(lambda: "Elsewhere" in s.text)
        assert isinstance(s.app.screen, Sessions)
        assert s.app.screen.search.text == ""


async def test_a_session_is_played(show: Showing, record: Record, tmp_path: Path) -> None:
    path = record("20260101-100000-000-aaaa", "Build the calculator")
    async with show() as s:
        await begin(s, tmp_path)
        await s.press("p")
        assert s.app.wanted is not None
        assert (s.app.wanted.how, s.app.wanted.session) == ("replay", path)


@pytest.mark.parametrize("size", [(120, 40), *SIZES], ids=str)
async def test_what_runs_is_stopped_only_when_asked(
    show: Showing, record: Record, tmp_path: Path, size: tuple[int, int]
) -> None:
    record("20260101-100000-000-aaaa", "Build the calculator")
    async with show(size=size) as s:
        await begin(s, tmp_path)
        await s.play(e.GoalStarted(goal=1, text="work"))
        await s.press("enter")
        assert type(s.app.screen) is Question
        assert says_how_to_leave(s, keys=("n",))
        assert size[1] < 10 or "A goal runs here" in s.text
        await s.press("n")
        assert s.app.wanted is None
        assert s.bench.on_top


async def test_a_session_that_cannot_be_gone_on_with_says_why(show: Showing, record: Record, tmp_path: Path) -> None:
    record("20260103-100000-000-cccc", "Elsewhere", Path("/somewhere/else"))
    async with show() as s:
        await begin(s, tmp_path)
        await s.press("a", "enter")
        assert "its folder /somewhere/else is gone" in s.text
        assert isinstance(s.app.screen, Sessions)
        await s.press("escape")
        await s.type("/label good one", "enter")
        assert await s.asked() == commands.Label("good one")


async def test_recordings_are_read_and_written_by_another_process(
    show: Showing, record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def here(*_: object) -> None:
        raise AssertionError("it would hold keys up")

    path = record("20260101-100000-000-aaaa", "Build the calculator")
    for name in ("newest_first", "summary", "glimpse", "find"):
        monkeypatch.setattr(library, name, here)
    monkeypatch.setattr(show_settings, "help_texts", here)
    async with show() as s:
        await begin(s, tmp_path)
        assert "Build the calculator" in s.text
        await s.until(lambda: "how it ended" in s.text)
        await s.press("escape")
        aside, folder = s.bench.aside, tmp_path / "sessions"
        assert "## Goal 1" in (await aside.export(path.name, folder, str(tmp_path / "it.md"))).read_text()
        assert (await aside.option_texts())["ui.theme"]
        with pytest.raises(JetboxError, match="File exists"):
            await aside.export(path.name, folder, str(tmp_path / "it.md"))
        gone = asyncio.create_task(aside.newest(folder))
        await asyncio.sleep(0)
        gone.cancel()  # whoever asked is gone: the next one gets its own answer
        assert (await aside.summaries([path]))[0].goal == "Build the calculator"
        with pytest.raises(JetboxError, match="ValueError: nothing we know"):
            await aside._have("nothing we know", [], str)
        process = aside._script._process
    assert process is not None
    assert process.returncode is not None, "it ends with the screen"


async def test_the_list_is_let_go_when_it_is_closed(show: Showing, record: Record, tmp_path: Path) -> None:
    record("20260101-100000-000-aaaa", "Build the calculator")
    async with show() as s:
        await begin(s, tmp_path)
        closed = weakref.ref(s.app.screen)
        await s.press("escape")
        async with asyncio.timeout(120):
            while closed() is not None:
                await s.pilot.pause()
                gc.collect()


async def test_what_is_being_written_when_the_screen_is_left_is_written_to_its_end(
    show: Showing, record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record("20260101-100000-000-aaaa", "Build the calculator")
    close = Aside.close

    async def goes_on(aside: Aside) -> None:
        assert process is not None
        process.send_signal(signal.SIGCONT)
        await close(aside)

    monkeypatch.setattr(Aside, "close", goes_on)
    async with show() as s:
        await begin(s, tmp_path)
        await s.press("escape")
        await s.bench.aside.option_texts()
        process = s.bench.aside._script._process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        s.bench.view.id = path.name
        await s.type(f"/export {tmp_path / 'it.md'}", "enter")
        assert not (tmp_path / "it.md").exists()
    assert "## Goal 1" in (tmp_path / "it.md").read_text()


async def test_where_nothing_can_be_read_that_is_said(
    show: Showing, record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record("20260101-100000-000-aaaa", "Build the calculator")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    async with show() as s:
        await begin(s, tmp_path)
        assert "the list could not be read: its process has ended" in s.text
        await s.press("escape")
        await s.type("/export", "enter")
        await s.until(lambda: "not exported: its process has ended" in s.text)


def test_a_label_stands_beside_the_journal(record: Record) -> None:
    path = record("20260101-100000-000-aaaa", "Build")
    keep_label(path, "früh")
    keep_label(path, "spät")
    assert summary(path).label == "spät"
    assert sorted(each.name for each in path.iterdir()) == ["journal.jsonl", "label"]


async def test_of_ten_thousand_rows_only_those_in_sight_are_made(show: Showing, tmp_path: Path) -> None:
    async with show() as s:
        await begin(s, tmp_path)
        screen = s.app.screen
        assert isinstance(screen, Sessions)
        made: list[int] = []

        def describe(number: int, width: int) -> list[Piece]:
            made.append(number)
            return [(f"row {number}", "")]

        screen.list.fill(10_000, describe, 5_000)
        assert len(made) <= screen.list.page
        assert 5_000 in made
        made.clear()
        screen.list.go(9_999)
        assert made[-1] == 9_999
        assert len(made) <= screen.list.page
