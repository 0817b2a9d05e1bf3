"""Nothing that a terminal acts on, or that hides text, gets through."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jetbox.engine.safety.terminal import SafeStream, safe_text

PARTS = st.sampled_from(
    ["\x1b", "[", "]", "0;", "31m", "?25h", "P", "_", "^", "X", "\\", "\x07", "\x9b", "\x9d", "\x9c", "\x90", "\r",
     "\n", "\r\n", "\t", "a", "ü", "\u202e", "\u200b", "\u2066", "\x7f", "\x00", "\x08", "(", "B", "c", " ", "#8",
     "\ud800"]
)  # fmt: skip
TEXT = st.lists(PARTS | st.text(max_size=4), max_size=20).map("".join)


def harmless(text: str) -> bool:
    return all(
        char in "\n\t" or (unicodedata.category(char) not in ("Cc", "Cs") and not 0x202A <= ord(char) <= 0x202E
                           and not 0x2066 <= ord(char) <= 0x2069 and char not in "\u200b\u2060\ufeff")
        for char in text
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;cm0gLXJm", ""),
        ("\x1b]0;open\nnext line", "\nnext line"),
        ("\x1bP1$r0m\x1b\\x\x1b_apc\x1b\\y\x1b^pm\x1b\\z\x1bXsos\x1b\\!", "xyz!"),
        ("\x9b31mred\x9d0;title\x9cx", "redx"),
        ("\x1b(0lqqk\x1b(B", "lqqk"),
        ("\x1bc\x1b7\x1b=reset", "reset"),
        ("\x1b[?1049h\x1b[2J\x1b[1;1Hfake", "fake"),
        ("one\r\ntwo\r\r\nthree", "one\ntwo\nthree"),
        ("good\rbad", "goodbad"),
        ("a\x08b\x00c\x7fd\x0be", "abcde"),
        ("if x:\u202e }\u2066 # \u2069", "if x: } # "),
        ("pay\u200bpal\u2060\ufeff\u00ad", "paypal"),
        ("tag\U000e0041\U000e007f", "tag"),
        ("👩\u200d💻 ❤\ufe0f نمی\u200cدانم", "👩\u200d💻 ❤\ufe0f نمی\u200cدانم"),
        ("\x1b", ""),
        ("\x1b\x1b[[31mx", "31mx"),
        ("lone\ud800", "lone"),
    ],
)
def test_what_becomes_of_text(text: str, safe: str) -> None:
    assert safe_text(text) == safe


def test_plain_text_is_the_same_object() -> None:
    text = "plain ünïcode ✓ text\n" * 10
    assert safe_text(text) is text


@given(TEXT)
@example("\x1b[\x1b[31m31m")
def test_no_character_survives_that_a_terminal_acts_on(text: str) -> None:
    assert harmless(safe_text(text))


@given(TEXT)
def test_what_is_safe_stays_as_it_is(text: str) -> None:
    assert safe_text(safe_text(text)) == safe_text(text)


@given(
    st.text(
        st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp", "Cn", "Co", "Lo", "Mn", "Me"))
        | st.sampled_from("\n\t")
    )
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert safe_text(text) == text


@given(st.lists(TEXT, max_size=6))
@example(["\x1b", "[31", "mred"])
@example(["\x1b]0;ti", "tle\x1b", "\\x"])
@example(["a\r", "\nb"])
def test_pieces_are_safe_and_come_to_the_same(pieces: list[str]) -> None:
    stream = SafeStream()
    shown = [*map(stream.feed, pieces), stream.flush()]
    assert all(map(harmless, shown))
    assert "".join(shown) == safe_text("".join(pieces))


def test_a_sequence_that_never_ends_is_not_held_for_ever() -> None:
    stream = SafeStream()
    shown = [stream.feed(piece) for piece in ("\x1b]0;", *(["x" * 1000] * 10))]
    assert "".join(shown)
    assert harmless("".join(shown))


@pytest.mark.parametrize("unit", ["\r", "\x1b", "\x1b]", "\x90", "\x1b[", "\x1b[0;", "\x1b ", "\x9b;", "\u202e"])
def test_hostile_text_takes_no_long_time(unit: str) -> None:
    text = unit * (200_000 // len(unit)) + "a"
    started = time.process_time()
    assert harmless(safe_text(text))
    assert harmless(SafeStream().feed(text))
    assert time.process_time() - started < 2
