from __future__ import annotations

import os
import socket
from collections.abc import Iterable

import pytest
from textual import events
from textual._xterm_parser import XTermParser
from textual.message import Message

from jetbox.ui.driver import GOES_ON, RUSH, TerminalDriver
from jetbox.ui.pasting import PasteParser

PASTED = "one\ntwo \x1b[A three\x00" * 50
BEGIN, END = "\x1b[200~", "\x1b[201~"


def said(messages: list[Message]) -> list[str]:
    return [
        m.text if isinstance(m, events.Paste) else m.key for m in messages if isinstance(m, events.Paste | events.Key)
    ]


@pytest.mark.parametrize("cut", range(2, 7))
def test_a_paste_is_one_event_however_it_is_read(cut: int) -> None:
    parser, rest = PasteParser(), f"{BEGIN[cut:]}{PASTED}{END}b"
    found: list[Message] = [*parser.feed(f"a{BEGIN[:cut]}")]
    for at in range(0, len(rest), cut + 1):
        found += parser.feed(rest[at : at + cut + 1])
    assert said(found) == ["a", PASTED.replace("\x00", ""), "b"]


def test_keys_that_begin_like_a_paste_are_keys() -> None:
    parser = PasteParser()
    assert said([*parser.feed("\x1b[2")]) == []
    assert said([*parser.feed("~\x1b[A\x1b")]) == ["insert", "up"]
    assert said([*parser.feed("[")]) == []
    assert said([*parser.tick(), *parser.feed("B")]) == ["down"]


def test_a_megabyte_goes_past_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    fed: list[str] = []
    parse = XTermParser.feed

    def kept(self: XTermParser, data: str) -> Iterable[Message]:
        fed.append(data)
        return parse(self, data)

    monkeypatch.setattr(XTermParser, "feed", kept)
    parser, text = PasteParser(), "x" * (1 << 20)
    data = f"{BEGIN}{text}{END}q"
    found = [m for at in range(0, len(data), 4096) for m in parser.feed(data[at : at + 4096])]
    assert said(found) == [text, "q"]
    assert fed == ["q"]


def test_a_rush_that_nobody_can_have_typed_is_a_paste_without_its_marks() -> None:
    parser, lines = PasteParser(), "words and\tmore\r" * 50
    text = lines[:-1].replace("\r", "\n")
    assert said([*parser.feed(f"ab\x1b[A{lines}")]) == ["a", "b", "up", text, "enter"]
    assert said([*parser.feed(f"\x1b[2{'~' * 600}\x1b[Bq")]) == ["insert", "~" * 599, "down", "q"]
    assert said([*parser.feed("typed\r" * 9)]) == [*"typed", "enter"] * 9


def test_a_megabyte_without_marks_goes_past_the_parser_too(monkeypatch: pytest.MonkeyPatch) -> None:
    fed: list[str] = []
    parse = XTermParser.feed

    def kept(self: XTermParser, data: str) -> Iterable[Message]:
        fed.append(data)
        return parse(self, data)

    monkeypatch.setattr(XTermParser, "feed", kept)
    text = "x" * (1 << 20)
    assert said([*PasteParser().feed(f"{text}\r")]) == [text, "enter"]
    assert fed == ["\r"]


def test_what_comes_in_a_rush_is_read_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jetbox.ui.driver.RUSH_S", 0)
    terminal, types = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with terminal, types:
        driver = TerminalDriver.__new__(TerminalDriver)
        driver.fileno = terminal.fileno()
        for size in (5, RUSH, RUSH, GOES_ON, 7, 3):
            os.write(types.fileno(), b"x" * size)
        assert [len(driver._read()) for _ in range(3)] == [5, 2 * RUSH + GOES_ON + 7, 3]
