from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jetbox.engine.probes.base import Verdict
from jetbox.engine.probes.report import MODEL_BYTES, bounded, verdict_text


@given(st.text(max_size=400), st.integers(min_value=30, max_value=200))
def test_bounded_text_keeps_both_ends(text: str, limit: int) -> None:
    short = bounded(text, limit)
    if len(text.encode()) <= limit:
        assert short == text
        return
    assert len(short.encode()) <= limit + 40
    assert text.endswith(short.rpartition("left out ...\n")[2])
    assert text.startswith(short.partition("\n... ")[0])


def test_no_verdict_no_words() -> None:
    assert verdict_text([]) == ""


def test_green_and_skipped_are_one_line() -> None:
    verdicts = [Verdict("ruff", "passed", "0 problems", "noise"), Verdict("pytest", "skipped", "no tests")]
    assert verdict_text(verdicts) == "[probes] ruff: passed (0 problems); pytest: skipped (no tests)"


def test_short_output_goes_in_whole_beside_a_long_one() -> None:
    long = "\n".join(f"line {n}" for n in range(2_000)) + "\nFAILED test_m.py::test_mul"
    verdicts = [
        Verdict("pytest", "failed", "1 of 3 failed: test_mul", long),
        Verdict("ruff", "failed", "1 problem: F401", "m.py:1:8 F401 unused"),
    ]
    text = verdict_text(verdicts)
    first, rest = text.split("\n", 1)
    assert first == "[probes] pytest: failed (1 of 3 failed: test_mul); ruff: failed (1 problem: F401)"
    assert "[ruff]\nm.py:1:8 F401 unused\n" in rest
    assert rest.endswith("FAILED test_m.py::test_mul")
    assert len(rest.encode()) < MODEL_BYTES + 200
