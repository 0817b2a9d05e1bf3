from __future__ import annotations

import codecs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetbox.engine.workspace.ledger import ReadLedger
from jetbox.engine.workspace.text import Undecodable, decode, ending, lines, normalise, source_encoding


@pytest.mark.parametrize(
    ("data", "path", "text", "encoding"),
    [
        (b"", "a", "", "utf-8"),
        ("naïve €".encode(), "a", "naïve €", "utf-8"),
        (codecs.BOM_UTF8 + b"x", "a", "x", "utf-8"),
        (codecs.BOM_UTF16_LE + "hé".encode("utf-16-le"), "a", "hé", "utf-16-le"),
        (codecs.BOM_UTF16_BE + "hé".encode("utf-16-be"), "a", "hé", "utf-16-be"),
        (codecs.BOM_UTF32_LE + "hé".encode("utf-32-le"), "a", "hé", "utf-32-le"),
        (b"# -*- coding: latin-1 -*-\nx = '\xe9'\n", "a.py", "# -*- coding: latin-1 -*-\nx = 'é'\n", "iso8859-1"),
        (
            b"#!/bin/sh\n# vim: set fileencoding=cp1252 :\n\x80",
            "a.py",
            "#!/bin/sh\n# vim: set fileencoding=cp1252 :\n€",
            "cp1252",
        ),
    ],
)
def test_text_is_decoded_and_gives_the_same_bytes_back(data: bytes, path: str, text: str, encoding: str) -> None:
    decoded = decode(data, path)
    assert (decoded.text, decoded.encoding) == (text, encoding)
    assert decoded.encode(decoded.text) == data


@pytest.mark.parametrize(
    ("data", "path", "words"),
    [
        (b"\x00\x01", "a", "binary file"),
        (b"ok\n\xff\xfe", "a", r"not valid UTF-8 \(byte 3, line 2\)"),
        (b"# coding: latin-1\n\xe9", "a.txt", "not valid UTF-8"),
        (b"# coding: klingon\n", "a.py", "unknown encoding klingon"),
        (b"# coding: rot13\n", "a.py", "unknown encoding rot13"),
        (b"# coding: hex\n", "a.py", "unknown encoding hex"),
        (b"# coding: utf-7\n+2AA\n", "a.py", r"U\+D800"),
        (codecs.BOM_UTF16_LE + b"\x00", "a", "not valid UTF-16"),
    ],
)
def test_what_is_no_text_says_why(data: bytes, path: str, words: str) -> None:
    with pytest.raises(Undecodable, match=f"(?i){words}"):
        decode(data, path)


def test_a_character_that_the_encoding_lacks_is_named() -> None:
    decoded = decode(b"# coding: latin-1\n", "a.py")
    with pytest.raises(Undecodable, match=r"U\+20AC.*iso8859-1"):
        decoded.encode("€")


def test_a_coding_line_counts_only_at_the_head() -> None:
    assert source_encoding(b"x = 1\n# coding: latin-1\n") == "utf-8"
    assert source_encoding(b"\n\n# coding: latin-1\n") == "utf-8"
    assert source_encoding(b"\r# coding: latin-1\r") == "iso8859-1"


@settings(deadline=None)
@given(st.text(alphabet="ab\r\n\x0b\x0c\x85\u2028é", max_size=30))
def test_lines_join_to_the_text_and_normalise_line_by_line(text: str) -> None:
    assert "".join(lines(text)) == text
    assert "".join(line.rstrip("\r\n") + ("\n" if line[-1] in "\r\n" else "") for line in lines(text)) == normalise(
        text
    )


def test_the_usual_ending() -> None:
    assert [ending(t) for t in ("", "a", "a\nb", "a\r\nb\r\nc\n", "a\rb\rc\n", "a\r\nb\n")] == [
        "\n", "\n", "\n", "\r\n", "\r", "\n",
    ]  # fmt: skip


def test_the_ledger_knows_what_was_seen() -> None:
    ledger = ReadLedger()
    assert ledger.check("a", b"1") == "unread"
    ledger.read("a", b"1")
    assert ledger.check("a", b"1") == "ok"
    assert ledger.check("a", b"2") == "changed"
    ledger.wrote("a", b"2")
    assert ledger.check("a", b"2") == "ok"
    assert ledger.whole("a")
    ledger.forget("a")
    assert ledger.check("a", b"2") == "unread"


def test_parts_make_a_whole_when_nothing_is_missing() -> None:
    ledger = ReadLedger()
    ledger.read("a", b"x", (1, 10), 30)
    ledger.read("a", b"x", (21, 30), 30)
    assert ledger.check("a", b"x") == "ok"
    assert not ledger.whole("a")
    ledger.read("a", b"x", (9, 20), 30)
    assert ledger.whole("a")
    ledger.read("a", b"x", (2, 3), 30)
    assert ledger.whole("a")


def test_parts_of_different_contents_make_no_whole() -> None:
    ledger = ReadLedger()
    ledger.read("a", b"x", (1, 10), 20)
    ledger.read("a", b"y", (11, 20), 20)
    assert not ledger.whole("a")
    assert ledger.check("a", b"y") == "ok"


def test_an_edit_does_not_reveal_the_rest() -> None:
    ledger = ReadLedger()
    ledger.read("a", b"x", (1, 10), 20)
    ledger.edited("a", b"y")
    assert ledger.check("a", b"y") == "ok"
    assert not ledger.whole("a")
    ledger.read("b", b"x")
    ledger.edited("b", b"y")
    assert ledger.whole("b")
