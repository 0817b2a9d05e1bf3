from __future__ import annotations

from pathlib import Path

import pytest
from textual.color import Color

from jetbox.settings.themes import shipped_folder
from jetbox.ui.paint import STYLES, VARIABLES, Paint, colour_of
from jetbox.ui.themes import load_themes
from ui.conftest import SHIPPED, Showing
from ui.played import opened, whole


def contrast(one: str, other: str) -> float:
    def light(colour: str) -> float:
        parts = [part / 255 for part in Color.parse(colour).rgb]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_shipped_ones_load_and_say_every_colour() -> None:
    themes = load_themes(SHIPPED)
    assert sorted(themes.loaded) == ["jetbox-dark", "jetbox-light"]
    assert not themes.broken
    for theme in themes.loaded.values():
        known = theme.to_color_system().generate() | theme.variables
        assert set(known) >= VARIABLES
        assert all(Paint(known)[name].color is not None for name in STYLES)


COLOURS = ("primary", "secondary", "accent", "success", "warning", "error", "panel")


def behind(known: dict[str, str], name: str) -> str:
    colour = colour_of(known, name)
    assert colour is not None
    return colour.hex


@pytest.mark.parametrize("name", ["jetbox-dark", "jetbox-light"])
def test_text_can_be_read_on_its_ground(name: str) -> None:
    theme = load_themes(SHIPPED).loaded[name]
    known = {"foreground": str(theme.foreground), "background": str(theme.background)} | theme.variables
    known |= {
        key: str(getattr(theme, key))
        for key in ("primary", "secondary", "accent", "success", "warning", "error", "panel")
    }
    ground = str(theme.background)
    for style, (fore, back, _) in STYLES.items():
        if style.startswith("phase.") or fore in ("panel", "background"):
            continue
        least = 2.5 if fore == "faint" else 4.0
        assert contrast(str(known[fore]), behind(known, back) if back else ground) >= least, style


def test_the_folder_of_a_checkout_is_found() -> None:
    assert shipped_folder() == SHIPPED


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name = ", "Invalid value"),
        ('[colors]\nprimary = "#12"\n', "colors.primary: '#12' is no colour"),
        ('[colors]\nbase = "#123456"\n', "unknown colour 'base'"),
        ("dark = 1\n", "dark must be true or false"),
        ("colour = 1\n", "unknown key 'colour'"),
        ("[variables]\nfaint = 3\n", "variables.faint must be a colour as text"),
    ],
)
def test_a_broken_one_is_reported_with_its_reason(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    themes = load_themes(SHIPPED, tmp_path)
    assert [broken.path for broken in themes.broken] == [tmp_path / "mine.toml"]
    assert reason in themes.broken[0].reason
    assert sorted(themes.loaded) == ["jetbox-dark", "jetbox-light"]


def test_one_that_is_no_text_is_reported(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
    assert len(load_themes(SHIPPED, tmp_path).broken) == 1


def test_the_users_own_takes_over_what_it_leaves_out(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('dark = false\n[colors]\nprimary = "#112233"\n')
    theme = load_themes(SHIPPED, tmp_path).loaded["mine"]
    light = load_themes(SHIPPED).loaded["jetbox-light"]
    assert theme.primary == "#112233"
    assert theme.background == light.background
    assert theme.variables == light.variables


async def test_a_broken_theme_is_told_and_the_screen_comes_up(show: Showing, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[colors]\nprimary = "pinkish"\n')
    async with show(themes=(SHIPPED, tmp_path), theme="mine", size=(200, 40)) as s:
        await s.play(*opened())
        assert f"{tmp_path}/mine.toml: colors.primary: 'pinkish' is no colour" in s.text
        assert "there is no theme 'mine' — there are jetbox-dark, jetbox-light" in s.text
        assert s.app.theme == "jetbox-dark"


async def test_another_theme_repaints_what_is_shown(show: Showing) -> None:
    async with show() as s:
        await s.play(*whole())
        before, text = s.app.export_screenshot(), s.text
        await s.type("/theme", "enter")
        assert s.app.theme == "jetbox-light"
        s.bench.word("")
        await s.pilot.pause()
        assert s.text.split("\n")[:30] == text.split("\n")[:30]
        assert s.app.export_screenshot() != before
        grounds = {
            segment.style.bgcolor.name
            for strip in s.app.screen._compositor.render_strips()
            for segment in strip
            if segment.style and segment.style.bgcolor
        }
        assert "#14161b" not in grounds


def test_no_colour_stands_in_the_style_sheet() -> None:
    sheet = Path(SHIPPED).parent / "app" / "jetbox" / "ui" / "app.tcss"
    for line in sheet.read_text().splitlines():
        selector = line.strip().endswith("{") or line.strip().startswith(("#", "."))
        assert selector or "#" not in line, line
