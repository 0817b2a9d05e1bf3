"""Keys go where they belong, in their order, however fast they come."""

from __future__ import annotations

import asyncio
import os
import pty
import termios
import threading
import tty

import pytest
from textual import events
from textual.keys import _character_to_key
from textual.screen import Screen

from jetbox.engine import commands
from jetbox.engine import events as e
from jetbox.ui import app as application
from jetbox.ui.driver import TerminalDriver
from jetbox.ui.screens import bound
from jetbox.ui.screens.help import Help
from jetbox.ui.screens.number import Number
from jetbox.ui.screens.question import Question
from jetbox.ui.screens.timing import TimingScreen
from jetbox.ui.skeleton import waiting
from ui.conftest import Show, Showing
from ui.played import first_round, opened
from ui.states import INQUIRY, QUESTION
from ui.test_permission import LATER, question


def keys(*names: str) -> list[events.Event]:
    """Keys as the terminal's driver tells them; a text that is no name is its letters."""
    named = {"enter", "left", "ctrl+j", "ctrl+w", "backspace", "f2", "tab", "escape", "ctrl+c", "ctrl+p"}
    each = [one for name in names for one in ([name] if name in named else list(name))]
    return [events.Key(one if one in named else _character_to_key(one), None if one in named else one) for one in each]


async def at_once(s: Show, *typed: events.Event) -> None:
    """Keys faster than anything can be done about one of them."""
    for event in typed:
        s.app.post_message(event)
    await s.pilot.pause()
    await s.pilot.pause()


@pytest.mark.parametrize(
    ("typed", "stands"),
    [
        (("one", "ctrl+j", "two"), "one\ntwo"),
        (("abcd", "left", "left", "X"), "abXcd"),
        (("ab cd", "ctrl+w", "X", "backspace", "y"), "ab y"),
    ],
)
async def test_keys_before_the_first_frame_act_in_their_order(
    show: Showing, typed: tuple[str, ...], stands: str
) -> None:
    async with show(early=keys(*typed)) as s:
        await s.pilot.pause()
        assert s.bench.prompt.text == stands


async def test_what_was_sent_before_the_first_frame_is_sent(show: Showing) -> None:
    paste = events.Paste("a\nb")
    async with show(early=[*keys("go now", "enter", "then "), paste, *keys("f2")]) as s:
        assert await s.asked() == commands.Goal("go now")
        await s.pilot.pause()
        assert s.bench.prompt.text == "then a\nb"
        assert isinstance(s.app.screen, TimingScreen)


@pytest.mark.parametrize("key", ["f1", "f2", "a"])
async def test_the_engine_begins_whatever_was_opened_before_the_first_frame(show: Showing, key: str) -> None:
    async with show(early=[events.Key(key, None)]) as s:
        async with asyncio.timeout(120):
            await s.begun.wait()
        assert (s.app.screen is s.bench) is (key == "a")


async def test_what_clears_the_input_clears_what_was_typed_before_the_first_frame(show: Showing) -> None:
    async with show(early=keys("half a goal", "ctrl+c", "go")) as s:
        await s.pilot.pause()
        assert s.app.failure is None
        assert s.bench.prompt.text == "go"
        await at_once(s, *keys(" on", "ctrl+c", "else"))
        assert s.bench.prompt.text == "else"
    async with show(early=keys("ctrl+c")) as s:
        await s.pilot.pause()
        assert s.app.failure is None
        assert "^C again quits" in s.text


@pytest.mark.parametrize("text", ["a new century jig: any key", "x /nNgGyc{}"])
async def test_fast_words_while_the_transcript_has_the_keys(show: Showing, text: str) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round())
        s.bench.set_focus(s.bench.transcript)
        await at_once(s, *keys(text))
        assert s.bench.prompt.text == text
        assert s.bench.prompt.has_focus


async def test_a_paste_while_the_transcript_has_the_keys(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round())
        s.bench.set_focus(s.bench.transcript)
        await at_once(s, events.Paste("pasted "), *keys("any"))
        assert s.bench.prompt.text == "pasted any"


async def test_what_follows_the_key_of_the_palette_is_looked_for(show: Showing) -> None:
    async with show(early=keys("ctrl+p", "expand", "enter")) as s:
        await s.play(*opened(), *first_round())
        assert s.bench.transcript.expanded
        await at_once(s, *keys("ctrl+p", "expnd", "enter"))
        assert s.bench.on_top
        assert not s.bench.transcript.expanded
        await at_once(s, *keys("ctrl+p", "enter"))
        assert isinstance(s.app.screen, Help)


@pytest.mark.parametrize(
    ("opens", "closing"),
    [
        ("ctrl+p", ("enter", "enter")),
        ("ctrl+p", ("enter", "escape")),
        ("ctrl+p", ("escape", "escape")),
        ("ctrl+l", ("escape", "escape")),
        ("ctrl+p", ("enter", "ctrl+c")),
    ],
)  # fmt: skip
async def test_a_second_key_that_closes_finds_nothing_to_close(
    show: Showing, opens: str, closing: tuple[str, ...]
) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round())
        await s.press(opens)
        await at_once(s, *keys(*closing))
        await s.press("escape")
        await s.press("a")
        assert s.bench.on_top
        assert s.bench.prompt.text == "a"


@pytest.mark.parametrize(
    ("opens", "closes"),
    [
        ("ctrl+p", "escape"),
        ("f1", "escape"),
        ("f1", "q"),
        ("f2", "escape"),
        ("f3", "escape"),
        ("f4", "escape"),
        ("ctrl+l", "escape"),
        ("ctrl+r", "escape"),
    ],
)
async def test_what_follows_the_key_that_closes_a_screen_is_typed(show: Showing, opens: str, closes: str) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round())
        await s.press(opens)
        assert not s.bench.on_top
        await at_once(s, *keys(closes, "jkq yn "), events.Paste("pasted "), *keys("and"))
        assert s.bench.on_top
        assert s.bench.prompt.text == "jkq yn pasted and"


@pytest.mark.parametrize("opens", ["f1", "f2"])
async def test_what_follows_the_key_that_opens_a_screen_is_for_that(show: Showing, opens: str) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round())
        await at_once(s, events.Key(opens, None), *keys("qabc"))
        assert s.bench.on_top
        assert s.bench.prompt.text == "abc"


@pytest.mark.parametrize(("line", "screen"), [("/timing", TimingScreen), ("/help", Help)])
async def test_what_follows_a_command_that_opens_a_screen_is_for_that(
    show: Showing, line: str, screen: type[Screen[object]]
) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round())
        await at_once(s, *keys(line, "enter", "g"))
        assert isinstance(s.app.screen, screen)
        assert s.bench.prompt.text == ""
        await at_once(s, *keys("escape", line, "enter", "qabc"))
        assert s.bench.on_top
        assert s.bench.prompt.text == "abc"


async def test_what_follows_an_answer_over_another_screen_is_for_that(show: Showing) -> None:
    said: list[int | None] = []
    async with show() as s:
        await s.play(*opened(), *first_round())
        s.app.push_screen(Question(s.bench.glyphs, s.bench.status.colours, "really?"), said.append)
        s.app.push_screen(Number(s.bench.glyphs, s.bench.status.colours, "which?"), said.append)
        await s.pilot.pause()
        await at_once(s, *keys("12", "enter", "ynyn"))
        assert said == [12, True]
        assert s.bench.prompt.text == "nyn"


async def test_what_follows_an_answer_to_the_model_begins_the_next_words(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:8], *INQUIRY)
        s.stage.clock.advance(LATER)
        await at_once(s, *keys("2", "enter", "and 1 more"))
        assert await s.asked() == commands.Reply(QUESTION.id, QUESTION.choices[1])
        assert s.nothing_asked
        assert s.bench.prompt.text == "and 1 more"
        await s.play(e.QuestionAnswered(id=QUESTION.id, text=QUESTION.choices[1]))
        assert s.bench.prompt.text == "and 1 more"
        assert s.bench.prompt.has_focus


@pytest.mark.parametrize("then", ["as any", "a"])
async def test_what_follows_a_permission_is_no_answer(show: Showing, then: str) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3], question())
        s.stage.clock.advance(LATER)
        await at_once(s, *keys("y", "enter", then))
        assert await s.asked() == commands.Answer("p1", "once")
        assert s.nothing_asked
        await s.play(e.PermissionAnswered(id="p1", answer="once"))
        assert s.bench.prompt.text == then


async def test_what_follows_the_key_of_the_search_is_searched_for(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round())
        s.bench.set_focus(s.bench.transcript)
        await at_once(s, *keys("/any"))
        assert (s.bench.search.wanted, s.bench.prompt.text) == ("any", "")
        await at_once(s, *keys("escape"))
        s.bench.set_focus(s.bench.prompt)
        await s.press("ctrl+f")
        await at_once(s, *keys("b"))
        assert (s.bench.search.wanted, s.bench.prompt.text) == ("b", "")
        await at_once(s, *keys("c", "escape", "hello"), events.Paste(" pasted"))
        assert (s.bench.search.wanted, s.bench.prompt.text) == ("bc", "hello pasted")


async def test_a_search_keeps_its_letters_though_something_is_asked(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3])
        await s.press("ctrl+f", *"lo")
        await s.play(question())
        s.stage.clock.advance(LATER)
        await s.press("s", "escape", "y")
        s.stage.clock.advance(LATER)
        assert (s.nothing_asked, s.bench.search.wanted) == (True, "los"), "so soon it may be meant for the search"
        await s.press("ctrl+f", "s")
        s.stage.clock.advance(LATER)
        assert (s.nothing_asked, s.bench.search.wanted) == (True, "s")
        assert "tab then  y once" in s.text
        await s.press("tab")
        assert s.bench.focused is s.bench.permission
        await s.press("y", "enter")
        assert await s.asked() == commands.Answer("p1", "once")


def test_enter_is_enter_before_the_terminal_was_asked_for_keys() -> None:
    master, slave = pty.openpty()
    try:
        os.write(master, b"go\rnow\r")
        driver = TerminalDriver.__new__(TerminalDriver)
        while (waits := waiting(slave)) < 7:  # the kernel's own thread brings them
            os.sched_yield()
        driver._lines = waits
        tty.setraw(slave, termios.TCSANOW)
        os.write(master, b"a\nb")
        typed = driver._typed(os.read(slave, 4))
        while len(typed) < 10:
            typed += driver._typed(os.read(slave, 100))
    finally:
        os.close(master)
        os.close(slave)
    assert typed == b"go\rnow\ra\nb"


async def test_keys_do_not_wait_for_the_screens_that_are_imported_meanwhile(
    show: Showing, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, typed, waited = threading.Event(), threading.Event(), list[bool]()

    def imports() -> None:
        begun.set()
        waited.append(typed.wait(20))

    monkeypatch.setattr(application, "LOOK_S", 0.01)
    monkeypatch.setattr(bound, "everything_bound", imports)
    async with show() as s:
        await s.until(begun.is_set)
        s.app.post_message(events.Key("x", "x"))
        await s.until(lambda: s.app.workbench.prompt.text == "x")
        typed.set()
        await s.until(lambda: waited == [True])
