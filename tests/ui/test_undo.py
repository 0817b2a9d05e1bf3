"""The screen of undoing: what it shows before anything is done, and what its keys ask for."""

from __future__ import annotations

import re

import pytest

from jetbox.engine import commands
from jetbox.engine import events as e
from jetbox.ui.screens import overlays
from ui.conftest import Playing, Show, Showing, screen_text
from ui.played import EDIT, Stage, whole
from unhurried import AMPLE_S

PLAN = e.UndoPlanned(
    round=1,
    files=(
        e.UndoFile("mathx/__init__.py", "deleted", removed=3, diff=EDIT),
        e.UndoFile("notes.md", "modified", "changed", "changed since by somebody else", removed=3, diff=EDIT),
    ),
    messages=7,
    words="Create mathx package with add and multiply, add tests.",
)


async def begin(s: Show) -> None:
    await s.play(*whole())
    await s.press("f3")
    assert await s.asked() == commands.PlanUndo(1), "the goal's beginning is chosen"
    await s.play(PLAN)


async def test_what_undoing_would_change_is_shown_before_it_is_done(show: Showing) -> None:
    async with show() as s:
        await begin(s)
        text = s.text
        assert "back to before round 1" in text
        assert "7 messages would leave the prompt" in text
        assert "mathx/__init__.py  goes" in text
        assert re.search(r"notes.md  stays: changed since by somebody else +[│┃]", text), "and loses no line"
        assert "notes.md  only with !" in text
        assert "-     return a - b" in text
        assert "edit_file mathx/__init__.py" in text
        await s.press("enter")
        assert await s.asked() == commands.Undo(1)
        assert s.app.screen is s.bench


async def test_files_or_messages_alone_and_files_of_others_too(show: Showing) -> None:
    async with show() as s:
        for key, wanted in (
            ("f", commands.Undo(1, messages=False)),
            ("exclamation_mark", commands.Undo(1, force=True)),
        ):
            if key == "f":
                await begin(s)
            else:
                await s.press("f3")
                assert await s.asked() == commands.PlanUndo(1)
                await s.play(PLAN)
            await s.press(key)
            assert await s.asked() == wanted


async def test_nothing_is_undone_unseen(show: Showing) -> None:
    async with show() as s:
        await begin(s)
        await s.press("k", "enter")
        assert "looking at the files" in s.text
        assert await s.asked() == commands.PlanUndo(2)
        await s.press("d")
        assert "it changed no file" in s.text


async def test_words_come_back_and_the_round_is_marked(show: Showing) -> None:
    async with show() as s:
        await begin(s)
        await s.press("escape")
        left = e.UndoFile("notes.md", "modified", "changed", "changed since by somebody else")
        files = (e.FileChange("mathx/__init__.py", "deleted"),)
        await s.play(
            e.PromptRewound(count=1), e.Undone(round=1, files=files, left=(left,), messages=7, words=PLAN.words)
        )
        assert s.bench.prompt.text == PLAN.words
        assert "back to before round 1: 1 file put back, 7 messages out of the prompt" in s.text
        assert "notes.md stays as it is: changed since by somebody else" in s.text
        assert not s.bench.view.verdicts, "a verdict about other files is not shown"
        await s.press("f3")
        assert s.text.count("undone") >= 3


async def test_esc_twice_goes_back_and_a_number_does_so_at_once(show: Showing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlays, "AGAIN_S", AMPLE_S)
    async with show() as s:
        await s.play(*whole())
        await s.press("escape")
        assert "esc again: back to before a round" in s.text
        await s.press("escape")
        assert await s.asked() == commands.PlanUndo(1)
        await s.press("escape")
        assert "esc again" not in s.text
        await s.type("/undo 2", "enter")
        assert await s.asked() == commands.Undo(2)
        await s.type("/clear", "enter")
        assert await s.asked() == commands.Clear()


async def test_a_recording_shows_what_each_round_did(on_source: Playing) -> None:
    stage = Stage()
    async with on_source(stage.feed) as (app, pilot):
        await app.workbench.reached(stage.emit(*whole()))
        await pilot.press("f3")
        await pilot.pause()
        assert "◆ 3   1 file   edit_file mathx/__init__.py" in screen_text(app)
        await pilot.press("k", "k")
        await pilot.pause()
        assert "what round 3 did" in screen_text(app)
        await pilot.press("enter")
        assert stage.session._inbox.empty()
