"""The dialog in which the user answers the model."""

from __future__ import annotations

import pytest
from textual import events

from jetbox.engine import commands
from jetbox.engine import events as e
from jetbox.ui.glyphs import ASCII
from ui.conftest import Show, Showing
from ui.played import first_round, opened
from ui.states import INQUIRY, QUESTION

SQLITE, POSTGRES = QUESTION.choices
LATER = 5_000
"""Milliseconds after which a key is an answer, however late it is looked at."""


async def asked(s: Show, *more: e.AnyEvent) -> None:
    """The model asks, and the first moments are over."""
    await s.play(*opened(), *first_round()[:8], *INQUIRY, *more)
    s.stage.clock.advance(LATER)


async def test_the_question_and_its_choices_are_shown_and_keys_go_there(show: Showing) -> None:
    async with show() as s:
        await asked(s)
        assert "? Which database shall the shop be kept in?" in s.text
        assert "It can be changed later, but not without a migration." in s.text
        assert f"❯ 1 {SQLITE}" in s.text
        assert f"  2 {POSTGRES}" in s.text
        assert "enter answers   ↑ ↓ chooses   esc no answer" in s.text
        assert s.bench.focused is s.bench.reply
        await s.play(e.QuestionAnswered(id=QUESTION.id, text=SQLITE))
        assert f"— you: {SQLITE}" in s.bench.transcript.story.blocks[-1].source()
        assert s.bench.prompt.has_focus
        assert "another answer" not in s.text


async def test_marks_of_markdown_are_not_shown_and_the_choice_is_answered_as_it_is(show: Showing) -> None:
    text = "Which **database** for `shop`?\n- **fast**\n- safe"
    called = e.ToolCalled(call="c7", name="ask_user", arguments="{}", title="ask_user Which **database** for `shop`?")
    question = e.QuestionAsked(id="q1", call="c7", question=text, choices=("**SQLite**, a `file`", "none"))
    async with show() as s:
        await s.play(*opened(), *first_round()[:8], called, question)
        s.stage.clock.advance(LATER)
        assert "? Which database for shop?" in s.text
        assert "   • fast" in s.text
        assert "❯ 1 SQLite, a file" in s.text
        assert "*" not in s.text
        await s.press("enter")
        assert await s.asked() == commands.Reply("q1", "**SQLite**, a `file`")
        await s.play(e.QuestionAnswered(id="q1", text="**SQLite**, a `file`"))
        assert "Which database for shop? — you: SQLite, a file" in s.text


async def test_names_in_a_question_and_its_choices_keep_their_signs(show: Showing) -> None:
    first = "**Where** does `main` go: pkg/__init__.py, src/**/a or b/**/c?"
    below = (
        "pkg/__init__.py or a_b_c",
        "- *.py and *.md",
        "  2. ~/x_y_/*_z",
        "```",
        "# __all__ = [*a, *b]",
        "````",
        "c/__init__.py",
    )
    text = "\n".join((first, "", *below, "**Now** or `later`?"))
    called = e.ToolCalled(call="c7", name="ask_user", arguments="{}", title=f"ask_user {first}")
    choices = ("src/*.py and tests/*.py", "f(**a, **b) in _x_.py", "**`__main__`**: new")
    async with show(size=(120, 50)) as s:
        await s.play(
            *opened(), *first_round()[:8], called, e.QuestionAsked(id="q1", call="c7", question=text, choices=choices)
        )
        s.stage.clock.advance(LATER)
        assert "? Where does main go: pkg/__init__.py, src/**/a or b/**/c?" in s.text
        for line in (
            "pkg/__init__.py or a_b_c",
            "• *.py and *.md",
            "  2. ~/x_y_/*_z",
            "# __all__ = [*a, *b]",
            "c/__init__.py",
        ):
            assert s.text.count(line) == 2, "in the dialog and in the transcript"
        assert s.text.count("Now or later?") == 2
        assert any("Where does main go: pkg/__init__.py" in each.source() for each in s.bench.transcript.story.blocks)
        for number, shown in enumerate((*choices[:2], "__main__: new"), start=1):
            assert s.text.count(f"{number} {shown}") == 2
        await s.play(e.QuestionAnswered(id="q1", text=choices[0]))
        assert "b/**/c? — you: src/*.py and tests/*.py" in s.bench.transcript.story.blocks[-1].source()


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        (("1", "enter"), SQLITE),
        (("2", "enter"), POSTGRES),
        (("enter",), SQLITE),
        (("down", "enter"), POSTGRES),
        (("down", "down", "up", "enter"), POSTGRES),
        (("3", "enter"), "3"),
        (("d", "u", "2", "enter"), "du2"),
        (("d", "backspace", "2", "enter"), POSTGRES),
        (("2", "space", *"files", "enter"), "2 files"),
        (("2", "2", "enter"), "22"),
        (("2", "backspace", "up", "x", "enter"), "x"),
        (("2", "up", "enter"), SQLITE),
        (("a", "ctrl+j", "b", "enter"), "a\nb"),
        (("escape",), ""),
    ],
)  # fmt: skip
async def test_keys_answer(show: Showing, keys: tuple[str, ...], answer: str) -> None:
    async with show() as s:
        await asked(s)
        await s.press(*keys)
        assert await s.asked() == commands.Reply(QUESTION.id, answer)


async def test_keys_of_the_first_moments_belong_to_what_was_being_typed(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:8])
        await s.type("use two fil")
        await s.play(*INQUIRY)
        await s.press("e", "s", "1", "escape")
        s.stage.clock.advance(390)
        await s.press("2")
        assert s.nothing_asked
        assert s.bench.prompt.text == "use two files12"
        await s.press("enter")
        assert await s.asked() == commands.Steer("use two files12", now=False)
        await s.press("1")
        s.stage.clock.advance(LATER)
        await s.press("1")
        s.stage.clock.advance(LATER)
        assert await s.asked() == commands.Reply(QUESTION.id, SQLITE)


async def test_what_came_too_soon_and_alone_is_no_beginning_of_words_much_later(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:8], *INQUIRY)
        await s.press("2")
        s.stage.clock.advance(LATER)
        await s.pilot.click("#prompt")
        await s.press("x")
        assert (s.nothing_asked, s.bench.prompt.text) == (True, "x")


async def test_a_digit_chooses_where_no_words_follow_it(show: Showing) -> None:
    two = ("one", "two")
    async with show() as s:
        await asked(s)
        reply = s.bench.reply
        assert reply is not None
        await s.press("2")
        assert f"❯ 2 {POSTGRES}" in s.text
        assert s.nothing_asked
        s.stage.clock.advance(350)
        await s.press("space")
        s.stage.clock.advance(LATER)
        await s.press(*"dbs1")
        assert (s.nothing_asked, reply.text) == (True, "2 dbs1")
        await s.press("ctrl+u", "2")
        await s.app.on_event(events.Paste(" pasted"))
        await s.until(lambda: reply.text == "2 pasted")
        await s.press("ctrl+u", "2")
        s.stage.clock.advance(LATER)
        await s.press("3")
        assert await s.asked() == commands.Reply(QUESTION.id, POSTGRES)
        assert s.bench.prompt.text == "3", "what follows an answer begins other words"
        await s.press("backspace")
        second = e.QuestionAsked(id="q2", call="c8", question="How many?", choices=two)
        await s.play(e.QuestionAnswered(id=QUESTION.id, text=POSTGRES), second)
        await s.press("2", "space", *"orso")
        assert (s.nothing_asked, reply.text) == (True, "2 orso"), "so soon it may begin words, too"
        s.stage.clock.advance(LATER)
        await s.press("ctrl+u", "1")
        third = e.QuestionAsked(id="q3", call="c9", question="And now?", choices=two)
        await s.play(e.QuestionAnswered(id="q2", text=""), third)
        s.stage.clock.advance(LATER)
        await s.press("x")
        assert (s.nothing_asked, reply.text) == (True, "x"), "a digit answers the question for which it was typed"


@pytest.mark.parametrize(
    ("size", "hint"), [((120, 40), "tab to the question   enter queues"), ((20, 5), "tab to answer")]
)
async def test_keys_go_on_with_what_stands_in_the_input_until_one_leads_to_the_question(
    show: Showing, size: tuple[int, int], hint: str
) -> None:
    async with show(size=size) as s:
        await s.play(*opened(), *first_round()[:8])
        await s.type("use ")
        await s.play(*INQUIRY)
        assert hint in s.text
        for key in "1ysan2":
            s.stage.clock.advance(LATER)
            await s.press(key)
        s.stage.clock.advance(LATER)
        await s.press("left", "down", "enter")
        assert await s.asked() == commands.Steer("use 1ysan2", now=False)
        await s.type("more")
        s.stage.clock.advance(LATER)
        await s.press("tab")
        assert hint not in s.text
        await s.press("down", "enter")
        assert await s.asked() == commands.Reply(QUESTION.id, POSTGRES)
        assert s.bench.prompt.text == "more"


async def test_a_click_leads_to_the_question_and_back(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:8])
        await s.type("use ")
        await s.play(*INQUIRY)
        s.stage.clock.advance(LATER)
        await s.pilot.click("#reply")
        assert "tab to" not in s.text
        await s.press(*"my")
        await s.pilot.click("#prompt")
        await s.press("end", *"it")
        assert "tab to the question" in s.text
        await s.pilot.click("#reply")
        await s.press("end", *"sql")
        assert s.bench.reply is not None
        assert (s.bench.reply.text, s.bench.prompt.text) == ("mysql", "use it")
        await s.press("enter")
        assert await s.asked() == commands.Reply(QUESTION.id, "mysql")


async def test_without_choices_words_are_wanted(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:8])
        await s.play(e.QuestionAsked(id="q1", call="c7", question="Why?"), after_ms=1)
        s.stage.clock.advance(LATER)
        await s.press("enter", "1", "enter")
        assert await s.asked() == commands.Reply("q1", "1")
        await s.play(e.QuestionAnswered(id="q1", text="1"), e.QuestionAsked(id="q2", call="c7", question="And?"))
        assert s.bench.reply is not None
        assert (s.bench.reply.text, s.bench.reply.has_focus) == ("", True)


async def test_a_choice_is_clicked(show: Showing) -> None:
    async with show() as s:
        await asked(s)
        row = next(y for y, line in enumerate(s.text.split("\n")) if POSTGRES in line and "  2 " in line and y > 20)
        assert s.bench.asking is not None
        await s.pilot.click(s.bench.asking, offset=(8, row - s.bench.asking.region.y))
        await s.type("hello 1")
        await s.press("enter")
        await s.pilot.click(s.bench.asking, offset=(8, row - s.bench.asking.region.y))
        assert await s.asked() == commands.Reply(QUESTION.id, POSTGRES)
        await s.play(e.QuestionAnswered(id=QUESTION.id, text=POSTGRES))
        assert s.nothing_asked, "it is answered once"
        assert s.bench.prompt.text == "hello 1"


async def test_escape_answers_before_it_interrupts(show: Showing) -> None:
    async with show() as s:
        await asked(s)
        await s.press("escape")
        assert await s.asked() == commands.Reply(QUESTION.id, "")
        await s.play(e.QuestionAnswered(id=QUESTION.id))
        assert "no answer" in s.text
        await s.press("escape")
        assert await s.asked() == commands.Cancel()


@pytest.mark.parametrize("size", [(20, 5), (40, 12), (80, 24)])
async def test_where_it_is_small_the_choice_and_the_field_stay_in_sight(show: Showing, size: tuple[int, int]) -> None:
    long = e.QuestionAsked(
        id="q1", call="c7", question="\n".join(f"line {n}" for n in range(60)), choices=tuple("abcdefghi")
    )
    async with show(size=size, glyphs=ASCII) as s:
        await s.play(*opened(), *first_round()[:8], long)
        s.stage.clock.advance(LATER)
        await s.press(*["down"] * 8)
        assert "> 9 i" in s.text
        assert s.bench.reply is not None
        assert s.bench.reply.region.height >= 1
        assert s.bench.reply.region.bottom <= size[1]
        if size[1] > 20:
            assert "line 0" in s.text
            await s.press("pagedown", "pagedown")
            assert "line 16" in s.text
