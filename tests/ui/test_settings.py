"""Settings with where they came from, and what is told in words: the window, the server's memory, an export."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from textual.widgets._toast import Toast, ToastRack

from jetbox.engine import commands
from jetbox.engine import events as e
from jetbox.record.journal import JournalWriter
from jetbox.record.markdown import markdown
from jetbox.settings.load import load, parse_assignment
from jetbox.ui.aside import Aside
from jetbox.ui.screens.settings import Settings
from ui.conftest import Show, Showing
from ui.played import opened, stamped, whole
from ui.test_models import LISTED
from ui.test_request import asked


async def begin(s: Show) -> None:
    s.bench.loaded = load(None, environment={"JETBOX_LOOP_MAX_ROUNDS": "7"}, flags=[parse_assignment("ui.notify=bell")])
    await s.play(*opened())
    s.bench.show_settings()
    await s.pilot.pause()


async def choose(s: Show, option: str) -> None:
    """Choose the row of an option."""
    screen = s.app.screen
    assert isinstance(screen, Settings)
    screen.list.go(next(n for n, each in enumerate(screen._shown) if each.option == option))
    await s.pilot.pause()


async def test_settings_say_where_they_came_from(show: Showing) -> None:
    async with show() as s:
        await begin(s)
        await choose(s, "loop.max_rounds")
        assert "from environment: JETBOX_LOOP_MAX_ROUNDS" in s.text
        await s.press("c")
        rows = [line for line in s.text.split("\n") if "loop.max_rounds" in line or "ui.notify" in line]
        assert any("7  environment" in line for line in rows)
        assert "context.num_ctx" not in s.text


async def test_settings_say_what_was_changed_in_this_session(show: Showing) -> None:
    async with show() as s:
        await begin(s)
        await s.play(e.OptionChanged(option="loop.max_rounds", value="40"))
        await choose(s, "loop.max_rounds")
        assert isinstance(s.app.screen, Settings)
        said = [line.text for line in s.app.screen._lay_out(100)]
        assert "changed in this session, which began with 7, from environment: JETBOX_LOOP_MAX_ROUNDS" in said
        assert "changed in this session" in s.text
        assert "loop.max_rounds 40 this session" in " ".join(s.text.split())


async def test_what_may_change_live_does(show: Showing) -> None:
    async with show() as s:
        await begin(s)
        await choose(s, "permissions.mode")
        await s.press("enter")
        assert await s.asked() == commands.SetMode("edits")
        await choose(s, "ui.theme")
        before = s.app.theme
        await s.press("enter")
        assert s.app.theme != before
        assert s.app.theme in s.text


async def test_limits_hold_from_the_next_goal_on(show: Showing) -> None:
    async with show() as s:
        await begin(s)
        await choose(s, "loop.max_rounds")
        await s.press("enter")
        assert s.bench.prompt.text == "/set loop.max_rounds "
        await s.type("40", "enter")
        assert await s.asked() == commands.SetOption("loop.max_rounds", 40)
        await s.play(e.OptionChanged(option="loop.max_rounds", value="40"))
        assert "loop.max_rounds = 40, from the next goal on" in s.text
        await s.type("/set loop.max_rounds many", "enter")
        assert "loop.max_rounds must be" in s.text
        await s.type("/set probes.time_s 3", "enter")
        assert "probes.time_s cannot be changed while a session runs" in s.text
        assert s.nothing_asked


async def test_the_window_and_the_servers_memory_in_words(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *asked())
        await s.type("/ctx", "enter")
        assert "context: 1.6k of 16k tokens (10%)" in s.text
        assert "the last request, by bytes: tools and options" in s.text
        assert "of its 100 tokens 90% came from the server's cache" in s.text
        await s.type("/ps", "enter")
        assert await s.asked() == commands.ListModels(anew=True)
        await s.play(LISTED)
        assert "gpt-oss:20b: 14.6 GB, 50% on CPU, window 16k, unloads in 10m" in s.text
        assert "CPU of" not in s.text
        second = 1_000_000_000
        ended = e.GoalEnded(goal=1, outcome="done", reason="done", exit_code=0)
        took = {"cpu_ns": second // 2, "others_ns": 3 * second, "memory": 62_000_000}
        await s.play(msgspec.structs.replace(ended, **took))
        await s.type("/ps", "enter")
        assert await s.asked() == commands.ListModels(anew=True)
        await s.play(LISTED)
        assert "CPU of the last goal: 500 ms here, 3.00 s of commands and probes" in s.text
        assert "memory: 62.0 MB here at most" in s.text


async def test_what_the_server_has_not_counted_is_marked(show: Showing) -> None:
    async with show() as s:
        *before, reused = asked()
        await s.play(*opened(), *before, msgspec.structs.replace(reused, estimated=True))
        await s.play(e.Compacted(why="room", how="list", before=1600, after=900, messages=3, of=5))
        await s.type("/ctx", "enter")
        assert "context: ~900 of 16k tokens" in s.text
        assert "of its 100 tokens ~90% came from the server's cache" in s.text


async def test_a_session_is_exported_and_nothing_of_the_users_overwritten(show: Showing, tmp_path: Path) -> None:
    name = "20260101-120000-abcd"
    writer = JournalWriter.create(tmp_path / name)
    for one in stamped(whole()):
        writer.record(one)
    writer.flush()
    writer.release()
    async with show() as s:
        s.bench.sessions = tmp_path
        await s.play(*opened())
        mine = tmp_path / "mine.md"
        mine.write_text("mine")
        await s.type(f"/export {mine}", "enter")
        await s.until(lambda: "not exported: File exists" in s.text)
        assert mine.read_text() == "mine"
        await s.type("/export", "enter")
        written = tmp_path / name / "session.md"
        await s.until(lambda: written.exists() and "## Goal 1" in written.read_text())


@pytest.mark.parametrize("size", [(20, 5), (40, 8), (60, 15), (80, 24)])
async def test_a_word_in_passing_never_covers_the_input(
    show: Showing, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    path = Path("/home/ada", *(f"a folder with a long name {n}" for n in range(30)), "session.md")

    async def export(*_: object) -> Path:
        return path

    monkeypatch.setattr(Aside, "export", export)
    async with show(size=size, notifications=True) as s:
        await s.play(*opened())
        await s.type("/export", "enter")
        told = s.bench.transcript.story.blocks
        await s.until(lambda: "exported" in s.text or f"exported: {path}" in [block.source() for block in told])
        await s.type("one\ntwo\nthree")
        entry = s.bench.query_one("#entry").region
        typed = [line.strip(" ❯") for line in s.text.split("\n")[entry.y : entry.bottom]]
        assert [line for line in typed if line and line.strip("─")] == ["one", "two", "three"][-entry.height :]
        shown = [toast for toast in s.bench.query(Toast) if toast.display]
        assert bool(shown) == (size >= (60, 15))
        assert not shown or s.bench.query_one(ToastRack).region.bottom <= entry.y


def test_the_document_holds_answers_calls_diffs_and_verdicts() -> None:
    text = markdown(stamped([*whole(), e.ToolEnded(call="c9", state="ok", text="```\ncode\n```")]))
    assert "I begin with the **package**, in `mathx`.\n\n- add\n- multiply" in text
    assert "- `write_file mathx/__init__.py`: ok, 3 ms\n\n```diff\n--- /dev/null" in text
    assert "- probe **pytest**: failed 1 of 3 failed: test_mul 64 ms" in text
    assert "````\n```\ncode\n```\n````" in text
    assert "**done**: done, probes green" in text
