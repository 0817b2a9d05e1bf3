"""Whatever runs beside the screen and fails is told in words, and the screen goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from jetbox.engine import commands
from jetbox.engine import events as e
from jetbox.settings.load import load, parse_assignment
from jetbox.ui import clipboard, editing
from jetbox.ui.aside import Aside
from jetbox.ui.finding import FileFinder
from jetbox.ui.history import History
from jetbox.ui.reasons import reason
from jetbox.ui.transcript.find import Find
from ui.conftest import Show, Showing
from ui.played import opened, whole
from ui.states import recordings

SIZE = (99, 40)
"""Without the panel: the words of a row are beside nothing else."""
WHY = "the moon is full"


def broken(*_: object, **__: object) -> Any:
    raise ZeroDivisionError(WHY)


async def says(s: Show, text: str) -> None:
    """Wait for it on the screen."""
    await s.until(lambda: text in " ".join(line.strip() for line in s.text.splitlines()))


async def goes_on(s: Show) -> None:
    """What is typed arrives, and a goal is sent."""
    while not s.bench.on_top:
        await s.press("escape")
    await s.press("ctrl+u")
    await s.type("still here", "enter")
    assert await s.asked() == commands.Goal("still here")
    assert s.app.is_running


def why(text: str) -> str:
    return f"{text}: ZeroDivisionError: {WHY}"


async def test_completing_files(show: Showing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileFinder, "find", broken)
    async with show(size=SIZE) as s:
        await s.play(*opened())
        s.bench.completer.root(tmp_path)
        await s.press("@", "a")
        await says(s, why("files cannot be searched"))
        await goes_on(s)


async def test_searching(show: Showing, monkeypatch: pytest.MonkeyPatch) -> None:
    async with show(size=SIZE) as s:
        await s.play(*whole())
        slices = iter((True,))

        def go_on(find: Find) -> bool:
            return next(slices, None) or broken()

        monkeypatch.setattr(Find, "go_on", go_on)
        await s.press("ctrl+f", "d")
        await says(s, why("something went wrong beside the screen"))
        monkeypatch.undo()
        await s.press("escape")
        await goes_on(s)


async def test_exporting(show: Showing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Aside, "export", broken)
    async with show(size=SIZE) as s:
        await s.play(*opened())
        await s.type("/export", "enter")
        await says(s, why("not exported"))
        await goes_on(s)


@pytest.mark.parametrize("what", ["newest", "summaries"])
async def test_listing_sessions(show: Showing, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Aside, what, broken)
    async with show(size=SIZE) as s:
        await s.play(*opened())
        recordings(s.app, tmp_path)
        await s.press("ctrl+r")
        await says(s, why("the list could not be read"))
        await goes_on(s)


async def test_looking_into_a_session(show: Showing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Aside, "glimpse", broken)
    async with show(size=SIZE) as s:
        await s.play(*opened())
        recordings(s.app, tmp_path)
        await s.press("ctrl+r")
        await says(s, "cannot be looked into: ZeroDiv")
        await goes_on(s)


async def test_what_options_are_for(show: Showing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Aside, "option_texts", broken)
    async with show(size=SIZE) as s:
        await s.play(*opened())
        s.bench.loaded = load(None, environment={})
        s.bench.show_settings()
        await says(s, why("what they are for cannot be told"))
        await goes_on(s)


async def test_the_editor(show: Showing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(editing, "edit", broken)
    async with show(size=SIZE) as s:
        await s.play(*opened())
        await s.type("words", "ctrl+g")
        await says(s, why("the text stays as it was"))
        assert s.bench.prompt.text == "words"
        await goes_on(s)


@pytest.mark.parametrize("what", ["read", "add"])
async def test_the_history_of_prompts(
    show: Showing, what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(History, what, broken)
    recorded = load(None, environment={}, flags=[parse_assignment("session.record=true")])
    async with show(loaded=recorded, size=SIZE) as s:
        await s.play(*opened())
        if what == "add":
            await s.type("words", "enter")
            await s.asked()
        said = {"read": "what was typed here earlier cannot be had back", "add": "what was typed is not kept"}[what]
        await says(s, why(said))
        if what == "read":
            await goes_on(s)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("jetbox.ui.clipboard.copy_natively", "copied as far as the terminal hands it on"),
        ("jetbox.ui.widgets.transcript._unindented", "not copied"),
    ],
)
async def test_copying(show: Showing, target: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, broken)
    async with show(size=SIZE) as s:
        await s.play(*whole())
        transcript = s.bench.transcript
        transcript._chosen = ((0, 0, 0), (2, 0, 10))
        transcript.action_copy()
        await says(s, why(said))
        await goes_on(s)


async def test_a_clipboard_that_refuses(show: Showing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clipboard, "tool", lambda environ, platform: ("false",))
    async with show(size=SIZE) as s:
        await s.play(*whole())
        s.bench.transcript.action_copy()
        await says(s, "copied as far as the terminal hands it on: `false` did not take it")
        await goes_on(s)


async def test_looking_after_themes(show: Showing, monkeypatch: pytest.MonkeyPatch) -> None:
    async with show(size=SIZE) as s:
        await s.play(*opened())
        monkeypatch.setattr("jetbox.ui.wardrobe._fingerprint", broken)
        for _ in range(2):
            await s.app._themes._look_again()
        await s.pilot.pause()
        assert s.text.count(why("themes cannot be read again")) == 1
        await goes_on(s)


async def test_a_list_of_models_that_fails_is_said_where_it_is_waited_for(show: Showing) -> None:
    async with show(size=SIZE) as s:
        await s.play(*opened())
        await s.press("ctrl+l")
        await s.play(e.ModelsListed(problem=f"that failed here: ZeroDivisionError: {WHY}"))
        assert WHY in s.text
        while not s.nothing_asked:
            await s.asked()
        await goes_on(s)


async def test_a_preview_of_an_undo_that_fails_is_said_where_it_is_waited_for(show: Showing) -> None:
    async with show(size=SIZE) as s:
        await s.play(*whole())
        await s.press("f3")
        asked = await s.asked()
        assert isinstance(asked, commands.PlanUndo)
        assert "looking at the files" in s.text
        await s.play(e.UndoPlanned(round=asked.round, problem=f"what would change cannot be told: {WHY}"))
        assert WHY in s.text
        await goes_on(s)


async def test_what_nobody_waits_for_is_told_once(show: Showing) -> None:
    async with show(size=SIZE) as s:
        await s.play(*opened())
        for _ in range(3):
            asyncio.get_running_loop().call_soon(broken)
        await says(s, why("something went wrong beside the screen"))
        await s.pilot.pause()
        assert s.text.count(WHY) == 1
        await goes_on(s)


def test_reasons_are_a_line() -> None:
    assert reason(FileNotFoundError(2, "No such file", "x")) == "No such file: x"
    assert reason(ValueError("a\nb")) == "ValueError: a b"
    assert reason(KeyError()) == "KeyError"
