"""Terminals without Unicode, without colours, with sixteen of them."""

from __future__ import annotations

from jetbox.ui.glyphs import ASCII
from jetbox.ui.paint import PATTERNS, STYLES, Paint
from jetbox.ui.text.rows import row
from jetbox.ui.wardrobe import Wardrobe
from ui.conftest import Showing
from ui.played import whole


async def test_without_unicode_every_screen_is_ascii(show: Showing) -> None:
    async with show(size=(80, 24), glyphs=ASCII) as s:
        await s.play(*whole())
        for key in ("ctrl+o", "f1", "f2", "f4", "ctrl+p"):
            await s.press(key)
            strange = {sign for sign in s.text if not sign.isascii()}
            assert not strange, (key, strange)
            if s.app.screen is not s.bench:
                await s.press("escape")


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
