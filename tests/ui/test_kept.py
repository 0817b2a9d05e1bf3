"""What a start compiles is kept for the next one, and is the same then."""

from __future__ import annotations

import collections
import dataclasses
import re._compiler as compiler  # type: ignore[import-not-found]
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from jetbox.ui.kept import Kept

PATTERNS: list[tuple[str | bytes, int]] = [
    (r"(?P<year>\d{4})-(?P<month>\d\d)(x)?", 0),
    (r"[äöü\w]+|[^\x00-\uffff]", 2),
    (r"(?i:straße)|(a(?:b|c)*?)\1", 0),
    (rb"\x1b\[([0-9;]*)m", 0),
    (r"^\s*#.*$", 8),
]
TEXTS = ["1999-12x", "äÄ9 😀", "STRASSE straße abcabc", "# a\n#b"]


@contextmanager
def in_force(path: Path) -> Iterator[Kept]:
    kept = Kept(str(path))
    kept.begin()
    try:
        yield kept
    finally:
        kept.end()


def found(pattern: Any) -> list[tuple[Any, ...]]:
    """All that a pattern finds and says of itself."""
    texts = [text.encode() if isinstance(pattern.pattern, bytes) else text for text in (*TEXTS, "\x1b[1;2m")]
    places = [(m.span(), m.groups(), m.groupdict(), m.lastgroup) for text in texts for m in pattern.finditer(text)]
    return [(pattern.pattern, pattern.flags, pattern.groups, dict(pattern.groupindex)), *places]


def made() -> tuple[Any, Any]:
    """A data class and a named tuple."""
    data = dataclasses.make_dataclass("Data", [("a", int), ("b", str, "x")], frozen=True, order=True)
    return data, collections.namedtuple("Pair", "left right", defaults=(2,))


def test_the_next_start_finds_what_this_one_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    expected = [found(compiler.compile(*each)) for each in PATTERNS]
    before = compiler.compile
    with in_force(tmp_path / "kept") as first:
        assert [found(compiler.compile(*each)) for each in PATTERNS] == expected
        made()
    assert compiler.compile is before
    assert not hasattr(dataclasses, "exec")
    assert not hasattr(collections, "eval")
    first.save()
    saved = (tmp_path / "kept").stat().st_mtime_ns
    with in_force(tmp_path / "kept") as second, monkeypatch.context() as again:
        again.setattr(second, "_compile", lambda *_: pytest.fail("it is compiled again"))
        again.setattr("jetbox.ui.kept.compile", lambda *_, **__: pytest.fail("and so is this"), raising=False)
        assert [found(compiler.compile(*each)) for each in PATTERNS] == expected
        data, pair = made()
        assert (data(1) < data(2), data(1, "y").b, pair(1)) == (True, "y", (1, 2))
    second.save()
    assert (tmp_path / "kept").stat().st_mtime_ns == saved, "there was nothing new"


@pytest.mark.parametrize("content", [b"", b"no marshal", b"\xe9\x00\x00\x00\x00"])
def test_a_file_that_is_none_of_ours_is_made_anew(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = tmp_path / "kept"
    path.write_bytes(content)
    with in_force(path) as kept:
        assert compiler.compile("a+").findall("caab") == ["aa"]
    kept.save()
    assert path.read_bytes() != content


def test_nothing_is_kept_of_another_build_or_where_byte_code_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kept"
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    with in_force(path) as kept:
        compiler.compile("b+")
    kept.save()
    assert not path.exists()
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    kept.save()
    assert Kept(str(path))._patterns
    monkeypatch.setattr(sys, "version", "4.0")
    assert not Kept(str(path))._patterns
