from __future__ import annotations

from typing import Literal

import pytest
from textual import events

from jetbox.engine import commands
from jetbox.engine import events as e
from ui.conftest import Showing, painted
from ui.played import EDIT, first_round, opened

LATER = 5_000
"""Milliseconds after which a key is an answer, however late it is looked at."""


def question(number: int = 1, **more: str) -> e.PermissionAsked:
    return e.PermissionAsked(
        id=f"p{number}",
        call="c9",
        kind="write",
        title=more.get("title", "edit_file mathx/__init__.py"),
        diff=more.get("diff", EDIT),
        why="the mode is ask",
        scope="edit_file, any file of the workspace",
    )


async def test_the_dialog_shows_what_why_and_the_diff(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3], question())
        text = s.text
        assert "? edit_file mathx/__init__.py" in text
        assert "the mode is ask" in text
        assert "session and always would allow edit_file, any file of the workspace" in text
        assert "2 -     return a - b" in text
        assert "y once    s this session    a always here    n no" in text
        assert s.bench.permission.has_focus


@pytest.mark.parametrize(("key", "answer"), [("y", "once"), ("s", "session"), ("a", "always"), ("n", "no")])
async def test_keys_answer(show: Showing, key: str, answer: Literal["once", "session", "always", "no"]) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3], question())
        s.stage.clock.advance(LATER)
        await s.press(key)
        s.stage.clock.advance(LATER)
        assert await s.asked() == commands.Answer("p1", answer)


async def test_a_key_of_the_first_moments_is_not_an_answer(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3], question())
        s.stage.clock.advance(399)
        await s.press("y")
        assert s.nothing_asked
        s.stage.clock.advance(LATER)
        await s.press("s", "enter")
        assert await s.asked() == commands.Answer("p1", "session")
        assert s.bench.prompt.text == "", "one letter that came too soon was no beginning of words"


async def test_words_that_go_on_decide_nothing_and_stay_in_the_input(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3])
        await s.press("u", "s")
        await s.play(question())
        for key in ["e", "space", *"yesank", "escape", "backspace", *"usesy"]:
            await s.press(key)
            s.stage.clock.advance(170)
        assert s.nothing_asked
        assert s.bench.prompt.text == "use yesanusesy"
        await s.press("enter")
        assert await s.asked() == commands.Steer("use yesanusesy", now=False)
        s.stage.clock.advance(LATER)
        await s.press("y", "enter")
        assert await s.asked() == commands.Answer("p1", "once")
        assert s.bench.prompt.text == ""


@pytest.mark.parametrize(
    ("size", "hint"), [((120, 40), "tab then  y once    s this session"), ((20, 5), "tab  y  s  a  n")]
)
async def test_letters_go_on_with_what_stands_in_the_input_until_a_key_leads_to_the_dialog(
    show: Showing, size: tuple[int, int], hint: str
) -> None:
    async with show(size=size) as s:
        await s.play(*opened(), *first_round()[:3])
        await s.type("use ")
        await s.play(question())
        assert hint in s.text
        for key in "aysn":
            s.stage.clock.advance(LATER)
            await s.press(key)
        s.stage.clock.advance(LATER)
        assert (s.nothing_asked, s.bench.prompt.text) == (True, "use aysn")
        await s.press("tab", "x", "tab")
        assert s.bench.prompt.text == "use aysnx", (
            "what answers nothing goes on with the words, and a key so soon is theirs"
        )
        s.stage.clock.advance(LATER)
        await s.press("tab")
        assert "tab" not in s.text
        await s.press("y", "enter")
        assert await s.asked() == commands.Answer("p1", "once")
        await s.play(e.PermissionAnswered(id="p1", answer="once"), question(2))
        assert hint in s.text, "the next question is led to anew"
        s.stage.clock.advance(LATER)
        await s.press("y", *["backspace"] * 10)
        assert "tab" not in s.text
        s.stage.clock.advance(LATER)
        await s.press("s", "enter")
        assert await s.asked() == commands.Answer("p2", "session")


@pytest.mark.parametrize("letter", ["y", "s", "a", "n"])
async def test_a_letter_answers_where_no_other_follows(show: Showing, letter: str) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3], question())
        s.stage.clock.advance(LATER)
        await s.press(letter)
        s.stage.clock.advance(399)
        await s.press("l")
        s.stage.clock.advance(LATER)
        assert (s.nothing_asked, s.bench.prompt.text) == (True, f"{letter}l")
        await s.press("backspace", "backspace")
        s.stage.clock.advance(LATER)
        await s.press(letter, "down", "escape")
        assert await s.asked() == commands.Answer("p1", "no")
        assert s.bench.prompt.text == ""
        await s.play(e.PermissionAnswered(id="p1", answer="no"), question(2))
        s.stage.clock.advance(LATER)
        await s.press("a")
        assert s.nothing_asked
        s.stage.clock.advance(LATER)
        await s.press("l")
        assert await s.asked() == commands.Answer("p2", "always")
        assert s.bench.prompt.text == "l"


async def test_a_letter_answers_at_once_with_enter_and_stands_out_until_it_does(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3], question())
        s.stage.clock.advance(LATER)
        looks = painted(s.app)
        await s.press("s")
        assert (s.nothing_asked, s.bench.permission.has_focus) == (True, True)
        held = [words for row in painted(s.app) for words, look in row if "s this session" in words]
        assert held == ["s this session"]
        assert painted(s.app) != looks
        await s.press("down")
        assert s.nothing_asked
        await s.press("enter")
        assert await s.asked() == commands.Answer("p1", "session")
        assert (s.nothing_asked, s.bench.prompt.text) == (True, "")


async def test_a_key_that_scrolls_is_held_down(show: Showing) -> None:
    diff = "@@ -0,0 +1,90 @@\n" + "".join(f"+line {n}\n" for n in range(90))
    async with show() as s:
        await s.play(*opened(), *first_round()[:3], question(diff=diff))
        s.stage.clock.advance(LATER)
        await s.press("j", "j", "j", "k")
        assert "lines 3 to" in s.text
        await s.press("space", "s")
        assert "lines 11 to" in s.text
        s.stage.clock.advance(LATER)
        await s.press("j", "s", "o")
        assert (s.nothing_asked, s.bench.prompt.text) == (True, "so"), "a word in the same breath answers nothing"
        await s.press("backspace", "backspace")
        s.stage.clock.advance(LATER)
        await s.press("j")
        await s.play(e.PermissionAnswered(id="p1", answer="no"), question(2))
        await s.press("j", "u")
        assert s.bench.prompt.text == "ju", "the next question has its own first moments"


async def test_a_letter_that_is_pressed_twice_answers_once_and_may_begin_a_word(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3], question())
        s.stage.clock.advance(LATER)
        await s.press("a", "a", "h")
        assert s.bench.prompt.text == "aah"
        s.stage.clock.advance(LATER)
        await s.press(*["backspace"] * 3)
        assert s.nothing_asked
        s.stage.clock.advance(LATER)
        for letter in "aah":
            await s.press(letter)
            s.stage.clock.advance(250)
        assert (s.nothing_asked, s.bench.prompt.text) == (True, "aah"), "the second letter has a breath of its own"
        s.stage.clock.advance(LATER)
        await s.press(*["backspace"] * 3)
        s.stage.clock.advance(LATER)
        await s.press("y", "y")
        assert s.bench.prompt.text == ""
        await s.press("enter")
        assert await s.asked() == commands.Answer("p1", "once")
        assert (s.nothing_asked, s.bench.prompt.text) == (True, "")


async def test_words_may_begin_while_it_is_asked(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3], question())
        await s.press("s", "a", "y")
        s.stage.clock.advance(LATER)
        await s.press("t", "s", "ctrl+j", "n", "left", "x")
        assert s.nothing_asked
        assert s.bench.prompt.text == "sayts\nxn"
        s.bench.app.post_message(events.Paste("y\nn"))
        await s.pilot.pause()
        assert s.bench.prompt.text == "sayts\nxy\nnn"
        s.stage.clock.advance(LATER)
        await s.press("j", "s")
        assert s.nothing_asked, "a key that scrolls may be the beginning of a word too"
        s.stage.clock.advance(LATER)
        await s.press("escape")
        assert await s.asked() == commands.Answer("p1", "no")


@pytest.mark.parametrize(
    ("size", "answers"), [((40, 12), "y once  s session  a always  n no"), ((20, 5), "y  s  a  n")]
)
async def test_where_it_is_small_all_answers_stay_in_sight(show: Showing, size: tuple[int, int], answers: str) -> None:
    async with show(size=size) as s:
        await s.play(*opened(), *first_round()[:3], question())
        assert answers in s.text
        assert "? edit_file" in s.text
        s.stage.clock.advance(400)
        await s.pilot.click(s.bench.permission, offset=(1 + answers.index("s"), s.bench.permission.size.height - 1))
        assert await s.asked() == commands.Answer("p1", "session")


async def test_escape_answers_before_it_interrupts(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3], question())
        s.stage.clock.advance(LATER)
        await s.press("escape")
        assert await s.asked() == commands.Answer("p1", "no")
        await s.play(e.PermissionAnswered(id="p1", answer="no"))
        await s.press("escape")
        assert await s.asked() == commands.Cancel()


async def test_one_question_at_a_time_in_their_order(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3], question(1), question(2, title="run_cmd make"))
        assert "? edit_file" in s.text
        assert "? run_cmd make" not in s.text
        s.stage.clock.advance(LATER)
        await s.play(e.PermissionAnswered(id="p1", answer="once"))
        assert "? run_cmd make" in s.text
        await s.press("y")
        assert s.nothing_asked, "the second question has a time of grace of its own"
        s.stage.clock.advance(LATER)
        await s.press("s", "enter")
        assert await s.asked() == commands.Answer("p2", "session")
        await s.play(e.PermissionAnswered(id="p2", answer="session"))
        assert not s.bench.permission.display
        assert s.bench.prompt.has_focus
        text = s.text
        assert "✓ edit_file mathx/__init__.py — allowed once by you" in text
        assert "✓ run_cmd make — allowed for this session by you" in text


async def test_a_click_answers(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3], question())
        s.stage.clock.advance(LATER)
        last = s.bench.permission.size.height - 1
        await s.pilot.click("#permission", offset=(14, last))
        assert await s.asked() == commands.Answer("p1", "session")


async def test_a_long_question_scrolls_and_keeps_its_answers_in_sight(show: Showing) -> None:
    command = "\n".join(f"echo line {n}" for n in range(200))
    asked = e.PermissionAsked(id="p1", call="c", kind="command", title="run_cmd echo line 0 ...", diff=command)
    async with show(size=(80, 24)) as s:
        await s.play(*opened(), *first_round()[:3], asked)
        assert "y once" in s.text
        assert "lines 1 to" in s.text
        assert "echo line 199" not in s.text
        for _ in range(30):
            await s.pilot.press("pagedown")
        await s.pilot.pause()
        assert "echo line 199" in s.text
        assert "y once" in s.text


async def test_a_command_that_looks_like_a_diff_is_shown_whole(show: Showing) -> None:
    asked = e.PermissionAsked(
        id="p1", call="c", kind="command", title="run_cmd : ...", diff="--- hidden\n+++ hidden\nindex hidden\nrm -rf x"
    )
    async with show() as s:
        await s.play(*opened(), asked)
        for line in ("--- hidden", "+++ hidden", "index hidden", "rm -rf x"):
            assert line in s.text


async def test_the_end_of_the_goal_takes_the_question_away(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3], question())
        await s.play(e.GoalEnded(goal=1, outcome="interrupted", reason="interrupted", exit_code=130))
        assert not s.bench.permission.display
        assert s.bench.prompt.has_focus
