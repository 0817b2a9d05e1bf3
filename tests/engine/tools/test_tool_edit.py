from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetbox.engine.errors import FileMoved, ToolError
from jetbox.engine.tools.edit import Edit, apply_edits
from jetbox.engine.workspace.text import normalise


async def test_several_edits_are_made_against_the_original(bench: Any) -> None:
    bench.write("a.py", "one\ntwo\nthree\n")
    await bench.call("read_file", path="a.py")
    result = await bench.call(
        "edit_file",
        path="a.py",
        edits=[{"old": "three", "new": "one"}, {"old": "one", "new": "two"}, {"old": "two", "new": "three"}],
    )
    assert bench.data("a.py") == b"two\nthree\none\n"
    assert result.text == "edited a.py: +1 -1"
    (change,) = result.changes
    assert (change.added, change.removed) == (1, 1)
    bench.check_change(change, b"one\ntwo\nthree\n")


async def test_the_plan_shows_the_diff_and_changes_nothing(bench: Any) -> None:
    bench.write("a.py", "x = 1\ny = 2\n")
    await bench.call("read_file", path="a.py")
    plan = await bench.plan("edit_file", path="a.py", edits=[{"old": "y = 2", "new": "y = 3"}])
    assert (plan.kind, plan.title, plan.scope, plan.outside) == ("write", "edit_file a.py +1 -1", "edit_file", False)
    assert plan.diff == "--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n x = 1\n-y = 2\n+y = 3\n"
    assert bench.data("a.py") == b"x = 1\ny = 2\n"


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ([{"old": "two", "new": "2"}, {"old": "nope", "new": ""}], r"edit 2 of 2: old was not found in a\.py"),
        (
            [{"old": "o", "new": "0"}],
            r"old occurs 4 times in a\.py \(lines 1, 2, 5, 6\); add lines around it, or set replace_all",
        ),
        ([{"old": "two\nthree", "new": "x"}, {"old": "three\nfive", "new": "y"}], r"edits 1 and 2 overlap at line 3"),
        ([{"old": "two", "new": "x"}, {"old": "two", "new": "y"}], r"edits 1 and 2 overlap at line 2"),
        ([{"old": "two", "new": "two"}], "old and new are the same"),
        ([{"old": "", "new": "two"}], "old is empty"),
        ([{"old": "two"}], "new is missing"),
        ([{"new": "two"}], "old is missing"),
        ([], "edits is empty"),
        ([{"old": "two", "new": "[secret:API_KEY]"}], r"\[secret:API_KEY\], which stands for a hidden secret"),
        ([{"old": "  three", "new": "x"}], r"line 3 differs in white space: 'three'"),
        ([{"old": "two\\nthree", "new": "x"}], "real line breaks"),
        (
            [{"old": "def function(alpha, betta)", "new": "x"}],
            r"most similar line is 6: 'def function\(alpha",
        ),
        ([{"old": "two\nfour", "new": "x"}], "its first line stands at line 2"),
        ([{"old": "gone", "new": "def function(alpha, beta)"}], "the new text is already there"),
    ],
)
async def test_a_wrong_edit_changes_nothing_and_says_why(bench: Any, edits: list[dict[str, Any]], words: str) -> None:
    before = "one\ntwo\nthree\nfive\nfour\ndef function(alpha, beta):\n"
    bench.write("a.py", before)
    await bench.call("read_file", path="a.py")
    with pytest.raises(ToolError, match=words):
        await bench.call("edit_file", path="a.py", edits=edits)
    assert bench.data("a.py") == before.encode()
    assert bench.blobs == {}


async def test_replace_all(bench: Any) -> None:
    bench.write("a.py", "aaaa b aa\n")
    await bench.call("read_file", path="a.py")
    await bench.call("edit_file", path="a.py", edits=[{"old": "aa", "new": "a", "replace_all": True}])
    assert bench.data("a.py") == b"aa b a\n"


async def test_overlapping_occurrences_are_not_unique(bench: Any) -> None:
    bench.write("a.py", "aaa\n")
    await bench.call("read_file", path="a.py")
    with pytest.raises(ToolError, match="occurs 2 times"):
        await bench.call("edit_file", path="a.py", edits=[{"old": "aa", "new": "b"}])


@pytest.mark.parametrize(
    ("before", "edits", "after"),
    [
        (b"a\r\nb\r\nc\r\n", [("a\nb", "a\nx\nb")], b"a\r\nx\r\nb\r\nc\r\n"),
        (b"a\r\nb\r\nc\r\n", [("a\r\nb", "x")], b"x\r\nc\r\n"),
        (b"a\nb\r\nc\rd\n", [("c", "C\nc")], b"a\nb\r\nC\rc\rd\n"),
        (b"a\nb\r\nc\nd\r\n", [("a\nb\nc", "a\nB\nc")], b"a\nB\r\nc\nd\r\n"),
        (b"a\nb\r\nc\n", [("b\n", "b\nb2\n")], b"a\nb\r\nb2\r\nc\n"),
        (b"\xef\xbb\xbfa\r\nb", [("b", "c\n")], b"\xef\xbb\xbfa\r\nc\r\n"),
        (b"a\x0cb\x0bc\r\n", [("b", "x")], b"a\x0cx\x0bc\r\n"),
    ],
)
async def test_line_ends_are_equal_for_matching_and_stay_as_they_are(
    bench: Any, before: bytes, edits: list[tuple[str, str]], after: bytes
) -> None:
    bench.write("a.txt", before)
    await bench.call("read_file", path="a.txt")
    await bench.call("edit_file", path="a.txt", edits=[{"old": old, "new": new} for old, new in edits])
    assert bench.data("a.txt") == after


async def test_other_encodings_are_kept(bench: Any) -> None:
    before = "# coding: latin-1\nx = 'é'\n".encode("latin-1")
    bench.write("a.py", before)
    assert "é" in await bench.text("read_file", path="a.py")
    await bench.call("edit_file", path="a.py", edits=[{"old": "'é'", "new": "'éü'"}])
    assert bench.data("a.py") == "# coding: latin-1\nx = 'éü'\n".encode("latin-1")
    with pytest.raises(ToolError, match=r"'€' \(U\+20AC\) cannot be written in iso8859-1"):
        await bench.call("edit_file", path="a.py", edits=[{"old": "é", "new": "€"}])
    bench.write("b.txt", "\ufeffhé\r\n".encode("utf-16-le"))
    await bench.call("read_file", path="b.txt")
    await bench.call("edit_file", path="b.txt", edits=[{"old": "hé\n", "new": "ho\n"}])
    assert bench.data("b.txt") == "\ufeffho\r\n".encode("utf-16-le")


async def test_what_cannot_be_decoded_is_never_rewritten(bench: Any) -> None:
    bench.write("a.txt", b"caf\xe9\n")
    assert "not valid UTF-8 (byte 3, line 1)" in await bench.text("read_file", path="a.txt")
    for call in (
        bench.call("edit_file", path="a.txt", edits=[{"old": "caf", "new": "x"}]),
        bench.call("write_file", path="a.txt", content="x"),
    ):
        with pytest.raises(ToolError, match="cannot be changed by file tools: not valid UTF-8"):
            await call
    assert bench.data("a.txt") == b"caf\xe9\n"


async def test_a_file_that_moves_between_plan_and_deed_is_not_touched(bench: Any) -> None:
    path = bench.write("a.py", "x = 1\n")
    await bench.call("read_file", path="a.py")
    plan = await bench.plan("edit_file", path="a.py", edits=[{"old": "1", "new": "2"}])
    path.write_text("x = 1  # mine\n")
    with pytest.raises(FileMoved):
        await plan.perform()
    assert path.read_text() == "x = 1  # mine\n"
    with pytest.raises(ToolError, match="has changed since it was last read"):
        await bench.plan("edit_file", path="a.py", edits=[{"old": "1", "new": "2"}])


async def test_a_missing_file_is_not_edited_into_being(bench: Any) -> None:
    with pytest.raises(ToolError, match="does not exist; create it with write_file"):
        await bench.call("edit_file", path="nope.py", edits=[{"old": "a", "new": "b"}])


async def test_an_edit_after_an_edit_needs_no_reading(bench: Any) -> None:
    await bench.call("write_file", path="a.py", content="a\nb\n")
    await bench.call("edit_file", path="a.py", edits=[{"old": "a", "new": "c"}])
    await bench.call("edit_file", path="a.py", edits=[{"old": "c", "new": "d"}])
    await bench.call("write_file", path="a.py", content="e\n")
    assert bench.data("a.py") == b"e\n"


async def test_edits_that_come_to_nothing_write_nothing(bench: Any, tmp_path: Path) -> None:
    bench.write("a.py", "ab\n")
    await bench.call("read_file", path="a.py")
    before = bench.context.workspace.fingerprint("a.py")
    result = await bench.call("edit_file", path="a.py", edits=[{"old": "a", "new": ""}, {"old": "b", "new": "ab"}])
    assert (result.changes, result.diff) == ((), "")
    assert "unchanged" in result.text
    assert bench.context.workspace.fingerprint("a.py") == before


def reference(text: str, edits: list[Edit]) -> str | None:
    """What the edits mean, on text with newlines: each against the original, all or none."""
    spans: list[tuple[int, int, str]] = []
    for edit in edits:
        found = [m.start() for m in re.finditer(f"(?={re.escape(edit.old)})", text)]
        if not found or (len(found) > 1 and not edit.replace_all):
            return None
        if edit.replace_all:
            found = [m.start() for m in re.finditer(re.escape(edit.old), text)]
        spans += [(at, at + len(edit.old), edit.new) for at in found]
    covered: set[int] = set()
    for start, end, _ in spans:
        if covered & set(range(start, end)):
            return None
        covered |= set(range(start, end))
    for start, end, new in sorted(spans, reverse=True):
        text = text[:start] + new + text[end:]
    return text


ALPHABET = "ab\n"
EDITS = st.lists(
    st.builds(
        Edit,
        old=st.text(ALPHABET, min_size=1, max_size=4),
        new=st.text(ALPHABET, max_size=4),
        replace_all=st.booleans(),
    ),
    min_size=1,
    max_size=3,
)


@settings(deadline=None)
@given(text=st.text(ALPHABET, max_size=14), edits=EDITS)
def test_edits_do_what_the_reference_does(text: str, edits: list[Edit]) -> None:
    expected = reference(text, edits)
    if expected is None:
        with pytest.raises(ToolError):
            apply_edits(text, edits, "f")
    else:
        assert apply_edits(text, edits, "f") == expected


@settings(deadline=None)
@given(lines=st.lists(st.tuples(st.text("ab", max_size=3), st.sampled_from(["\n", "\r\n"])), max_size=6), edits=EDITS)
def test_mixed_line_ends_change_nothing_but_the_ends(lines: list[tuple[str, str]], edits: list[Edit]) -> None:
    text = "".join(line + end for line, end in lines)
    expected = reference(normalise(text), edits)
    if expected is None:
        with pytest.raises(ToolError):
            apply_edits(text, edits, "f")
        return
    found = apply_edits(text, edits, "f")
    assert normalise(found) == expected
    assert "\r" not in found.replace("\r\n", "")


@settings(deadline=None)
@given(text=st.text(ALPHABET, max_size=14), edits=EDITS)
def test_old_line_ends_stay_old(text: str, edits: list[Edit]) -> None:
    expected = reference(text, edits)
    if expected is not None and "\n" in text:
        assert apply_edits(text.replace("\n", "\r"), edits, "f") == expected.replace("\n", "\r")


@settings(deadline=None)
@given(
    lines=st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["\n", "\r\n"])), min_size=2, max_size=8),
    data=st.data(),
)
def test_untouched_lines_keep_their_own_ends(lines: list[tuple[int, str]], data: st.DataObject) -> None:
    named = [(f"line {n} {word}", end) for n, (word, end) in enumerate(lines)]
    text = "".join(line + end for line, end in named)
    at = data.draw(st.integers(0, len(named) - 1))
    target, end = named[at]
    found = apply_edits(text, [Edit(target, f"{target} changed\nand more")], "f")
    named[at] = (f"{target} changed{end}and more", end)
    assert found == "".join(line + end for line, end in named)
