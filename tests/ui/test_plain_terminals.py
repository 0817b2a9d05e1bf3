"""Terminals without Unicode, without colours, with sixteen of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jetbox.engine import events as e
from jetbox.ui.glyphs import ASCII, UNICODE, Glyphs
from jetbox.ui.paint import PATTERNS, STYLES, Paint
from jetbox.ui.text.rows import cells, row
from jetbox.ui.wardrobe import Wardrobe
from ui.conftest import Showing
from ui.played import MS, first_round, opened, second_round, third_round
from ui.states import ASKED, FAILED, INQUIRY, MODELS, PAID, PULLING, QUESTION, SWITCHED, recordings
from ui.test_missing import MISSING
from ui.test_plan_card import MADE, begun, ended
from ui.test_undo import PLAN

QUEUED = e.QueueChanged(items=("use floats as well",))
SHELL = e.ShellStarted(call="shell.1", command="make docs")
LINTED = e.ProbeEnded(name="ruff", state="failed", cache="ran", summary="3 problems: F401 ×3, …", duration_ns=MS)


async def test_without_unicode_every_screen_is_ascii(show: Showing, tmp_path: Path) -> None:
    async with show(size=(130, 40), glyphs=ASCII) as s:

        def plain(where: str) -> None:
            for line in s.text.split("\n"):
                assert line.isascii(), (where, line)

        async def over(*keys: str, then: e.AnyEvent | None = None, more: Sequence[tuple[str, ...]] = ()) -> None:
            """Open something, look at it and at what more keys lead to, and close it."""
            await s.press(*keys)
            if then is not None:
                await s.play(then)
            plain(str(keys))
            for each in more:
                await s.press(*each)
                plain(str((keys, each)))
            while s.app.screen is not s.bench:
                await s.press("escape")

        recordings(s.app, tmp_path)
        await s.play(*opened(), *first_round(), *second_round(), LINTED, SWITCHED, PAID, *third_round())
        plain("workbench")
        await over("f2", more=(("t",), ("tab",), ("enter",)))
        await over("f3", then=PLAN, more=(("d",),))
        await over("f4")
        await over("ctrl+l", then=MODELS, more=(("slash",),))
        await over("ctrl+r")
        await over("ctrl+p")
        await over("f1", more=(("end",),))
        await s.type("/settings")
        await over("enter")
        await over("ctrl+f", "p", "enter", more=(("escape",),))
        await s.type("/mo")
        await over("alt+left", more=(("ctrl+c",), ("ctrl+o",), ("pageup",)))
        await s.play(*first_round()[:8], SHELL, QUEUED, MADE, begun("1"), begun("2"), ended("1"), PULLING)
        plain("at work")
        s.app.notify("12 files — put back …", title="undone")
        await s.pilot.pause()
        plain("a word in passing")
        await s.play(ASKED)
        plain("permission")
        await s.play(e.PermissionAnswered(id=ASKED.id, answer="no"), *INQUIRY)
        plain("question")
        await s.play(e.QuestionAnswered(id=QUESTION.id, text="sqlite"), FAILED)
        plain("failed")
        await over(*(), then=MISSING)
        await s.pilot.resize_terminal(40, 12)
        await s.pilot.pause()
        plain("small")


def test_signs_for_all_terminals_are_ascii_and_as_wide_as_those_that_they_stand_for() -> None:
    for name in Glyphs.__struct_fields__:
        plain, drawn = getattr(ASCII, name), getattr(UNICODE, name)
        if isinstance(plain, str):
            assert plain.isascii()
            assert cells(plain) == cells(drawn) or name == "more", name


def test_without_colours_a_phase_has_a_filling_of_its_own() -> None:
    assert {f"phase.{name}" for name in PATTERNS} == {name for name in STYLES if name.startswith("phase.")}
    for ascii in (False, True):
        paint = Paint({}, colour=False, ascii=ascii)
        drawn = [paint.strip(row(("██", f"phase.{name}")), 2).text for name in PATTERNS]
        assert len(set(drawn)) == len(PATTERNS)
        assert not ascii or "".join(drawn).isascii()
    assert Paint({}).strip(row(("██", "phase.tools")), 2).text == "██"


async def test_sixteen_colours_wear_the_terminals_own_unless_a_theme_was_chosen(show: Showing) -> None:
    async with show() as s:
        themes: Wardrobe = s.app._themes
        themes.fit("truecolor", chosen=False)
        themes.fit("standard", chosen=True)
        assert s.app.theme == "jetbox-dark"
        themes.fit("standard", chosen=False)
        assert s.app.theme == "ansi"
