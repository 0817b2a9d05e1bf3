from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetbox.engine.probes.base import Verdict
from jetbox.engine.probes.known import NAMES_OF_ONE, STATES, KnownFailures, told_apart


def red(*names: str, summary: str = "", **more: Any) -> Verdict:
    words = summary or f"{len(names)} of 40 failed: {', '.join(names)}"
    return Verdict("pytest", "failed", words, failing=names, **more)


def test_nothing_known_nothing_called_known() -> None:
    known = KnownFailures(None)
    verdict = red("t.py::test_a")
    assert known.split(verdict) is verdict
    assert not known.has("pytest")


@pytest.mark.parametrize(
    ("before", "now", "summary"),
    [
        ("a", "a", "1 of 40 failed, known from before"),
        ("ab", "ab", "2 of 40 failed, both known from before"),
        ("abcd", "abc", "3 of 40 failed, all known from before"),
        ("ab", "abc", "1 new of 3 failed: c (2 known)"),
        ("a", "abcdef", "5 new of 6 failed: b, c, d, … (1 known)"),
    ],
)
def test_words(before: str, now: str, summary: str) -> None:
    known = KnownFailures(None)
    known.baseline(red(*(f"t.py::{name}" for name in before)))
    verdict = red(*(f"t.py::{name}" for name in now))
    said = known.split(verdict)
    assert said.summary == summary
    assert set(said.known) == {f"t.py::{name}" for name in set(now) & set(before)}
    assert said.excused == (set(now) <= set(before))
    assert known.split(said) == said


def test_all_new_is_left_as_it_is() -> None:
    known = KnownFailures(None)
    known.baseline(red("t.py::test_a"))
    verdict = red("t.py::test_b")
    assert known.split(verdict) is verdict


def test_green_baseline_makes_every_failure_new() -> None:
    known = KnownFailures(None)
    known.baseline(Verdict("pytest", "passed", "40 passed"))
    assert known.has("pytest")
    verdict = red("t.py::test_b")
    assert known.split(verdict) is verdict


def test_what_a_partial_verdict_says_of_itself_stays() -> None:
    known = KnownFailures(None)
    known.baseline(red("t.py::test_a"))
    words = "3 of 300 test files: 2 of 9 failed: test_a, test_b"
    said = known.split(red("t.py::test_a", "t.py::test_b", summary=words, cache="partial"))
    assert said.summary == "3 of 300 test files: 1 new of 2 failed: test_b (1 known)"
    said = known.split(red("t.py::test_a", summary="3 of 300 test files: 1 of 9 failed: test_a", cache="partial"))
    assert said.summary == "3 of 300 test files: 1 of 9 failed, known from before"


@pytest.mark.parametrize(
    "verdict",
    [
        red("t.py::test_a", cache="partial"),
        red("t.py::test_a", proved=False),
        Verdict("pytest", "timeout", "no result after 120 s", failing=("t.py::test_a",)),
        Verdict("pytest", "cancelled", failing=("t.py::test_a",)),
        Verdict("pytest", "failed", "40 passed, yet pytest ended with exit code 1"),
    ],
)
def test_what_is_no_baseline(verdict: Verdict) -> None:
    known = KnownFailures(None)
    known.baseline(verdict)
    assert not known.has("pytest")


def test_collection_errors() -> None:
    known = KnownFailures(None)
    broken = Verdict("pytest", "error", "1 error while collecting: t.py", failing=("t.py",))
    known.baseline(broken)
    said = known.split(broken)
    assert said.summary == "1 error while collecting: t.py, all known from before"
    assert known.split(said) == said
    assert not said.excused
    more = Verdict("pytest", "error", "2 errors while collecting: t.py, u.py", failing=("t.py", "u.py"))
    assert known.split(more).summary == "2 errors while collecting: t.py, u.py (1 known from before)"


def test_a_verdict_told_apart_by_another_session_is_told_anew() -> None:
    first, second = KnownFailures(None), KnownFailures(None)
    first.baseline(red("t.py::test_a"))
    said = first.split(red("t.py::test_a"))
    again = second.split(said)
    assert (again.known, again.summary) == ((), "1 of 40 failed: test_a")
    assert not again.excused


def test_findings_that_moved_are_known_but_not_more_of_them() -> None:
    before = ("a.py:3:1 F401", "a.py:9:1 F401", "b.py:1:1 E501")
    known, new = told_apart(("a.py:4:1 F401", "a.py:9:1 F401", "a.py:12:1 F401", "b.py:1:1 F401"), before)
    assert known == ("a.py:4:1 F401", "a.py:9:1 F401")
    assert new == ("a.py:12:1 F401", "b.py:1:1 F401")


def test_numbers_within_a_test_id_are_part_of_its_name() -> None:
    assert told_apart(("t.py::test_a[1:2 x]",), ("t.py::test_a[1:3 x]",)) == ((), ("t.py::test_a[1:2 x]",))


names = st.lists(st.sampled_from([f"{f}:{n}:1 {c}" for f in "ab" for n in range(3) for c in "EF"] + ["t::a", "t::b"]))


@given(names, names)
def test_each_is_known_or_new_and_never_more_known_than_there_were(failing: list[str], before: list[str]) -> None:
    known, new = told_apart(failing, before)
    assert sorted([*known, *new]) == sorted(failing)
    assert len(known) <= len(before)
    assert told_apart(failing, failing) == (tuple(failing), ())
    assert told_apart(failing, ()) == ((), tuple(failing))


def test_a_state_is_recalled_by_another_session(tmp_path: Path) -> None:
    store = tmp_path / "state"
    KnownFailures(store).baseline(red("t.py::test_a", key="k1"))
    later = KnownFailures(store)
    assert not later.recall("pytest", "k2")
    assert not later.recall("ruff", "k1")
    assert not later.recall("pytest", "")
    assert later.recall("pytest", "k1")
    assert later.split(red("t.py::test_a")).excused
    assert not later.recall("pytest", "k1")
    assert sorted(p.name for p in store.iterdir()) == ["known.json"]
    assert (store / "known.json").stat().st_mode & 0o077 == 0


def test_what_may_be_otherwise_on_the_next_run_is_not_kept(tmp_path: Path) -> None:
    known = KnownFailures(tmp_path)
    known.baseline(red("t.py::test_a", key="k1", durable=False))
    assert known.has("pytest")
    assert not KnownFailures(tmp_path).recall("pytest", "k1")


def test_the_store_stays_small(tmp_path: Path) -> None:
    known = KnownFailures(tmp_path)
    known.baseline(red(*(f"t.py::test_{n}" for n in range(NAMES_OF_ONE + 1)), key="huge"))
    assert not KnownFailures(tmp_path).recall("pytest", "huge")
    for n in range(STATES + 5):
        known.baseline(red("t.py::test_a", key=f"k{n}"))
    later = KnownFailures(tmp_path)
    assert not later.recall("pytest", "k4")
    assert later.recall("pytest", "k5")
    for n in range(8):
        known.baseline(red(*(f"t.py::test_with_a_long_name_{m}" for m in range(NAMES_OF_ONE)), key=f"big{n}"))
    assert (tmp_path / "known.json").stat().st_size < 1_000_000


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", b"[]", b'{"format":99,"states":[["pytest","k1",["a"]]]}', b"[" * 9999]
)
def test_bad_content_is_ignored_and_written_over(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "known.json").write_bytes(data)
    known = KnownFailures(tmp_path)
    assert not known.recall("pytest", "k1")
    known.baseline(red("t.py::test_a", key="k1"))
    assert KnownFailures(tmp_path).recall("pytest", "k1")


def test_a_disk_that_takes_nothing_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    known = KnownFailures(tmp_path / "file" / "below")
    known.baseline(red("t.py::test_a\ud800", key="k1"))
    known.baseline(red("t.py::test_a", key="k1"))
    assert known.split(red("t.py::test_a")).excused
    assert msgspec.json.encode(known.split(red("t.py::test_a")))
