"""Alt with a key, as terminals without the Kitty protocol write it."""

from __future__ import annotations

import pytest
from textual import events

from jetbox.ui.metakeys import MetaParser


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        ("\x1b\r", ["alt+enter"]),
        ("\x1b\n", ["alt+enter"]),
        ("\x1b[13;3u", ["alt+enter"]),
        ("\x1bwa", ["alt+w", "a"]),
        ("\x1bf", ["ctrl+right"]),
        ("\x1b!a", ["alt+exclamation_mark", "a"]),
        ("\x1b\x03\x1b\x10", ["ctrl+c", "ctrl+p"]),
        ("\x1b ", ["alt+space"]),
        ("\x1b\x7f", ["ctrl+w"]),
        ("\x1bOP\x1b[A\r", ["f1", "up", "enter"]),
        ("a\x1b\rb", ["a", "alt+enter", "b"]),
    ],
)
def test_alt_is_heard_at_once(typed: str, keys: list[str]) -> None:
    assert [each.key for each in MetaParser().feed(typed) if isinstance(each, events.Key)] == keys


@pytest.mark.parametrize("typed", ["\x1b!", "\x1bq", "\x1b[113;3u"])
def test_what_is_typed_with_alt_is_no_text(typed: str) -> None:
    (key,) = MetaParser().feed(typed)
    assert isinstance(key, events.Key)
    assert not key.is_printable


def test_what_has_no_key_of_its_own_begins_a_sequence() -> None:
    parser = MetaParser()
    assert not [*parser.feed("\x1bO")]
    assert [each.key for each in parser.feed("Q") if isinstance(each, events.Key)] == ["f2"]
