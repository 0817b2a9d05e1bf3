from __future__ import annotations

import math
import os
from itertools import combinations
from pathlib import Path

import pytest
from textual.color import Color

from jetbox.settings.themes import shipped_folder, theme_names
from jetbox.ui.paint import STYLES, VARIABLES, Paint, colour_of
from jetbox.ui.themes import load_themes
from ui.conftest import SHIPPED, Showing
from ui.played import first_round, opened, whole

NAMES = ["ansi", "colorblind", "contrast", "ember", "jetbox-dark", "jetbox-light", "paper"]
LEAST = {"contrast": 7.0}
"""Contrast of text, where it is more than the usual 4.5."""


def contrast(one: str, other: str) -> float:
    def light(colour: str) -> float:
        parts = [part / 255 for part in Color.parse(colour).rgb]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_shipped_ones_load_and_say_every_colour() -> None:
    themes = load_themes(SHIPPED)
    assert sorted(themes.loaded) == NAMES
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


@pytest.mark.parametrize("name", [name for name in NAMES if name != "ansi"])
def test_text_can_be_read_on_its_ground(name: str) -> None:
    theme = load_themes(SHIPPED).loaded[name]
    known = {"foreground": str(theme.foreground), "background": str(theme.background)} | theme.variables
    known |= {
        key: str(getattr(theme, key))
        for key in ("primary", "secondary", "accent", "success", "warning", "error", "panel")
    }
    for style, (fore, back, _) in STYLES.items():
        if style.startswith("phase.") or fore == "panel":
            continue
        grounds = [behind(known, back)] if back else [str(theme.background), str(theme.surface)]
        for ground in grounds:
            assert contrast(str(known[fore]), ground) >= LEAST.get(name, 4.5), (style, ground)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_ones_own_does_not_look_like_a_warning(name: str) -> None:
    theme = load_themes(SHIPPED).loaded[name]
    assert theme.accent != theme.warning
    paint = Paint(theme.to_color_system().generate() | theme.variables)
    assert paint["accent"].color != paint["warning"].color


@pytest.mark.parametrize("style", ["selected", "match", "match.current", "below"])
def test_on_a_ground_that_nobody_knows_colours_are_swapped(style: str) -> None:
    theme = load_themes(SHIPPED).loaded["ansi"]
    paint = Paint(theme.to_color_system().generate() | theme.variables)
    assert paint[style].reverse
    assert paint[style].color != paint[""].color


# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear light.
BLINDNESS = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


EYES = {"nobody": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))} | BLINDNESS


def seen(colour: str, by: str) -> tuple[float, float, float]:
    """The colour in CIE L*a*b* as somebody with this blindness sees it."""
    parts = [part / 255 for part in Color.parse(colour).rgb]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    r, g, b = (min(1.0, max(0.0, sum(w * part for w, part in zip(row, linear, strict=True)))) for row in EYES[by])
    x = (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047
    y = 0.2126 * r + 0.7152 * g + 0.0722 * b
    z = (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883
    fx, fy, fz = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


@pytest.mark.parametrize("by", BLINDNESS)
def test_meanings_are_told_apart_with_every_colour_blindness(by: str) -> None:
    theme = load_themes(SHIPPED).loaded["colorblind"]
    known = theme.variables | {key: str(getattr(theme, key)) for key in ("accent", "success", "warning", "error")}
    opposed = [
        ("accent", "warning"),
        ("accent", "error"),
        ("success", "error"),
        ("success", "warning"),
        ("warning", "error"),
        ("diff-added", "diff-removed"),
        ("mode-ask", "mode-edits"),
        ("mode-edits", "mode-auto"),
        ("mode-ask", "mode-auto"),
        ("tier-instant", "tier-acceptable"),
        ("tier-fast", "tier-acceptable"),
        ("tier-fast", "tier-slow"),
        ("tier-acceptable", "tier-slow"),
        ("tier-noticeable", "tier-slow"),
    ]
    for one, other in opposed:
        distance = math.dist(seen(known[one], by), seen(known[other], by))
        assert distance >= 20, f"{one} and {other}: {distance:.0f}"


@pytest.mark.parametrize("name", [name for name in NAMES if name != "ansi"])
def test_phases_beside_each_other_are_told_apart(name: str) -> None:
    known = load_themes(SHIPPED).loaded[name].variables
    phases = [f"phase-{each}" for each in ("context", "load", "prompt", "thinking", "decode", "tools", "probe")]
    for by in EYES if name == "colorblind" else ("nobody",):
        for one, other in combinations(phases, 2):
            distance = math.dist(seen(known[one], by), seen(known[other], by))
            assert distance >= 17, f"{one} and {other}, {by}: {distance:.0f}"


def test_the_terminals_own_colours_are_used_alone() -> None:
    theme = load_themes(SHIPPED).loaded["ansi"]
    assert theme.ansi
    assert all(value.startswith("ansi_") for value in theme.variables.values())
    paint = Paint(theme.to_color_system().generate() | theme.variables)
    colours = [colour for name in STYLES for colour in (paint[name].color, paint[name].bgcolor) if colour]
    assert colours
    assert all(colour.number is None or colour.number < 16 for colour in colours)
    assert not [colour for colour in colours if colour.triplet]


def test_the_folder_of_a_checkout_is_found() -> None:
    assert shipped_folder() == SHIPPED


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name = ", "mine.toml:1: TOML syntax: Invalid value"),
        ('[colors]\nprimary = "#12"\n', "mine.toml:2: colors.primary: '#12' is no colour"),
        ('[colors]\n\nbase = "#123456"\n', "mine.toml:3: unknown colour 'base'"),
        ("dark = 1\n", "mine.toml:1: dark must be true or false"),
        ("# mine\ncolour = 1\n", "mine.toml:2: unknown key 'colour'"),
        ("[variables]\nfaint = 3\n", "mine.toml:2: variables.faint must be a colour as text"),
        ('name = "x"\n# \udcff', "mine.toml:2: is no UTF-8"),
    ],
)
def test_a_broken_one_is_reported_with_its_reason(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "mine.toml").write_text(text, errors="surrogateescape")
    themes = load_themes(SHIPPED, tmp_path)
    assert [broken.path for broken in themes.broken] == [tmp_path / "mine.toml"]
    assert reason in str(themes.broken[0])
    assert sorted(themes.loaded) == NAMES


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
        assert f"{tmp_path}/mine.toml:2: colors.primary: 'pinkish' is no colour" in s.text
        assert "theme 'mine' is put on once it is mended — /theme has others" in s.text
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
    for sheet in ("app.tcss", "over.tcss"):
        for line in (Path(SHIPPED).parent / "app" / "jetbox" / "ui" / sheet).read_text().splitlines():
            selector = line.strip().endswith(("{", ",")) or line.strip().startswith(("#", "."))
            assert selector or "#" not in line, line


async def test_a_saved_theme_is_worn_at_once_and_a_broken_one_changes_nothing(
    show: Showing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('[colors]\nbackground = "#101112"\n')
    async with show(themes=(SHIPPED, tmp_path), theme="mine", size=(200, 40)) as s:
        await s.play(*opened())
        before = s.app.export_screenshot()
        mine.write_text('[colors]\nbackground = "#203040"\n# longer')
        await s.app._themes.look()
        await s.pilot.pause()
        after = s.app.export_screenshot()
        assert "#101112" in before
        assert "#203040" not in before
        assert "#203040" in after
        assert "theme: mine as it is now" in s.text
        monkeypatch.setattr("jetbox.ui.wardrobe.STANDS_NS", 1)
        mine.write_text('[colors]\nbackground = "#203040"\nsurface = "#102030"\n')
        await s.app._themes.look()
        await s.until(lambda: "as it is now" not in s.text)
        mine.write_text('[colors]\nbackground = "#2030"\nsurface = 4\n# longer still')
        await s.app._themes.look()
        await s.pilot.pause()
        assert f"{mine}:3: colors.surface must be a colour as text" in s.text
        assert s.app.theme == "mine"
        assert "#203040" in s.app.export_screenshot()


async def test_folders_of_themes_are_watched(show: Showing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jetbox.ui.wardrobe.LOOK_S", 0.01)
    mine = tmp_path / "mine.toml"
    mine.write_text('[colors]\nbackground = "#101112"\n')
    async with show(themes=(SHIPPED, tmp_path), theme="mine", size=(200, 40)) as s:
        await s.play(*opened())
        assert "#203040" not in s.app.export_screenshot()
        mine.write_text('[colors]\nbackground = "#203040"\n# longer')
        await s.until(lambda: "#203040" in s.app.export_screenshot())
        mine.write_text("[colors\n")
        await s.until(lambda: f"{mine}:1: TOML syntax" in s.text)
        assert "#203040" in s.app.export_screenshot()


async def test_one_that_was_broken_at_the_start_is_worn_once_it_is_whole(show: Showing, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("[colors\n")
    async with show(themes=(SHIPPED, tmp_path), theme="mine") as s:
        await s.play(*opened())
        assert "there is no theme" not in s.text
        assert s.app.theme == "jetbox-dark"
        mine.write_text('[colors]\nprimary = "#102030"\n')
        await s.app._themes.look()
        assert s.app.theme == "mine"
        s.app.use_theme("ember")
        mine.write_text('[colors]\nprimary = "#102031"\nerror = "#ff0000"\n')
        await s.app._themes.look()
        assert s.app.theme == "ember", "another was chosen"


@pytest.mark.posix
def test_a_pipe_is_no_theme_and_nobody_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    found = load_themes(SHIPPED, tmp_path)
    assert [str(broken) for broken in found.broken] == [f"{tmp_path / 'pipe.toml'}: is no file"]
    monkeypatch.setattr("jetbox.settings.themes.user_folder", lambda: tmp_path)
    assert "pipe" in theme_names()


async def test_the_terminals_own_colours_reach_the_screen(show: Showing) -> None:
    async with show(theme="ansi") as s:
        await s.play(*opened(), *first_round())
        colours = {
            colour
            for strip in s.app.screen._compositor.render_strips()
            for segment in strip
            if segment.style
            for colour in (segment.style.color, segment.style.bgcolor)
            if colour is not None
        }
        assert colours
        assert not [colour for colour in colours if colour.triplet]


async def test_themes_that_nobody_wears_are_read_after_the_start(
    show: Showing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jetbox.ui.wardrobe.LOOK_S", 1000.0)
    async with show(themes=(SHIPPED, tmp_path)) as s:
        wardrobe = s.app._themes
        assert set(wardrobe.themes.loaded) == {"jetbox-dark"}
        worn = wardrobe.themes.loaded["jetbox-dark"]
        await wardrobe.look()
        assert set(wardrobe.themes.loaded) == set(load_themes(SHIPPED).loaded) == set(wardrobe.names)
        assert wardrobe.themes.loaded["jetbox-dark"] == worn
        wardrobe.use("paper")
        assert s.app.theme == "paper"
