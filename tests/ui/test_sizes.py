from __future__ import annotations

import os

import msgspec
import pytest
from rich.cells import cell_len

from jetbox.engine import events as e
from jetbox.ui.glyphs import ASCII, UNICODE, Glyphs, choose
from jetbox.ui.glyphs import plain as in_signs
from ui.conftest import Showing
from ui.played import first_round, opened, whole
from ui.test_missing import MISSING
from ui.test_missing import told as missing


async def test_a_narrow_screen_folds_the_panel_into_a_line(show: Showing) -> None:
    async with show(size=(80, 24)) as s:
        await s.play(*whole())
        lines = s.text.split("\n")
        assert lines[1].startswith(" llm ▄ █ ▂ 240 ms   probe ⚡⚡⚡ ruff ✓ pytest ✓".replace("▄", lines[1][5]))
        assert "time ──" not in s.text
        assert "mode edits" in lines[-1]
        await s.pilot.resize_terminal(100, 30)
        await s.pilot.pause()
        assert "time ──" in s.text


@pytest.mark.parametrize("size", [(59, 24), (80, 14)])
async def test_a_small_screen_keeps_transcript_status_and_input(show: Showing, size: tuple[int, int]) -> None:
    async with show(size=size) as s:
        await s.play(*whole())
        lines = s.text.split("\n")
        assert lines[0].startswith(" jetbox")
        assert "3 passed" in s.text
        assert lines[-1].startswith(" ❯ what shall be done")
        assert "mode edits" not in s.text
        assert "llm ▂" not in s.text


@pytest.mark.parametrize("size", [(20, 5), (10, 3), (300, 90)])
async def test_no_size_breaks_it(show: Showing, size: tuple[int, int]) -> None:
    async with show(size=size) as s:
        await s.play(*whole())
        await s.type("text", "pageup", "ctrl+o", "pagedown")
        assert s.text


async def test_a_list_takes_the_rows_that_it_needs_and_is_all_there_is_where_it_is_low(show: Showing) -> None:
    async with show(size=(80, 24)) as s:
        await s.play(*whole())
        await s.press("f3", "d")
        lines = s.text.split("\n")
        assert [line.strip("│ ")[:3] for line in lines[1:5]] == ["◆ 3", "◆ 2", "◆ 1", ""]
        assert "what round 1 did" in lines[5]
        await s.pilot.resize_terminal(20, 5)
        await s.pilot.pause()
        assert [line.strip("│ ")[:3] for line in s.text.split("\n")[1:4]] == ["◆ 3", "◆ 2", "◆ 1"]


async def test_what_is_offered_leaves_room_for_what_is_typed(show: Showing) -> None:
    async with show(size=(20, 5)) as s:
        await s.play(*opened())
        await s.press("slash", "down", "down")
        assert "/model" in s.text
        assert s.text.split("\n")[-1].startswith(" ❯ /")


@pytest.mark.parametrize("size", [(20, 5), (40, 8)])
async def test_where_it_is_tiny_what_is_typed_and_said_is_in_sight(show: Showing, size: tuple[int, int]) -> None:
    async with show(size=size) as s:
        await s.play(*opened(), *first_round()[:3])
        await s.type("one\ntwo\nthree\nfour\nfive")
        assert s.text.split("\n")[-1].strip() == "five"
        await s.play(e.PermissionAsked(id="p1", call="c", kind="command", title="run", diff="make\n" * 9))
        await s.press("a", "b")
        lines = s.text.split("\n")
        assert lines[-1].strip(" ❯") == "fiveab"
        assert {"y", "s", "a", "n"} <= set(lines[-2].split())
        assert "? run" in s.text
        await s.play(e.PermissionAnswered(id="p1", answer="once"))
        await s.press("ctrl+c")
        assert s.text.split("\n")[-1].startswith(" ^C again quits ")
        await s.press(*"/no")
        await s.press("enter")
        assert s.text.split("\n")[-1].startswith(" there is no /no"[: size[0] - 3])


async def test_every_line_is_as_wide_as_the_screen(show: Showing) -> None:
    async with show(size=(97, 33)) as s:
        await s.play(*whole())
        assert {cell_len(line) for line in s.text.split("\n")} == {97}


async def test_without_unicode_every_sign_of_ours_is_ascii(show: Showing) -> None:
    async with show(glyphs=ASCII, size=(120, 90)) as s:
        await s.play(*whole())
        body = s.text
    assert body.isascii()
    assert "> Create mathx package" in body
    assert "skipped" in body


def test_ascii_signs_are_as_wide_as_the_ones_they_stand_for() -> None:
    for name in ("prompt", "round", "ok", "failed", "denied", "folded", "hit", "skipped", "loaded", "bullet", "ran"):
        assert cell_len(getattr(ASCII, name)) == cell_len(getattr(UNICODE, name)), name


@pytest.mark.parametrize(
    ("environ", "table"),
    [
        ({}, UNICODE),
        ({"LANG": "C"}, ASCII),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, ASCII),
        ({"LC_ALL": "POSIX", "LANG": "de_DE.UTF-8"}, ASCII),
        ({"LANG": "C.UTF-8"}, UNICODE),
        ({"LANG": "de_DE.utf8"}, UNICODE),
        ({"LANG": "en_US.ISO-8859-1"}, ASCII),
        ({"LC_CTYPE": "C.UTF-8"}, UNICODE),
    ],
)
def test_the_locale_chooses_the_signs(environ: dict[str, str], table: Glyphs) -> None:
    assert choose(environ) is table


def test_words_in_signs() -> None:
    assert in_signs("a — b · c…", ASCII) == "a - b - c..."
    assert in_signs("a — b", UNICODE) == "a — b"


async def test_no_color_draws_without_colours(show: Showing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with show() as s:
        await s.play(*opened(), *whole()[3:])
        strips = s.app.screen._compositor.render_strips()
        colours = {
            colour.name
            for strip in strips
            for segment in strip
            if segment.style
            for colour in (segment.style.color, segment.style.bgcolor)
            if colour is not None
        }
    assert colours <= {"default"}
    assert os.environ["NO_COLOR"] == "1", "what commands see is left alone"


async def test_where_there_are_few_rows_what_can_be_done_stands_first(show: Showing) -> None:
    async with show(size=(20, 5)) as s:
        await s.play(*opened())
        await s.press("f1")
        lines = [line.rstrip() for line in s.text.split("\n")]
        assert lines[:3] == ["j k scroll  esc", "closes", "esc     Interrupt"]
        await s.pilot.resize_terminal(80, 24)
        await s.pilot.pause()
        assert "╭─ help ─" in s.text
        assert "Workbench" in s.text
        await s.press("escape")
        assert s.app.screen is s.bench


async def test_a_model_is_chosen_where_there_are_few_rows(show: Showing) -> None:
    async with show(size=(20, 5)) as s:
        await missing(s, msgspec.structs.replace(MISSING, there=tuple(f"model-{n}" for n in range(9))))
        lines = [line.strip() for line in s.text.split("\n")]
        assert [line[:7] for line in lines[:3]] == ["p fetch", "model-0", "model-1"]
        await s.press("end")
        assert "model-8" in s.text
        await s.pilot.resize_terminal(40, 8)
        await s.pilot.pause()
        assert "enter uses  esc closes" in s.text.split("\n")[-1]
