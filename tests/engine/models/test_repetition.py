"""Answers that repeat themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetbox.engine.models.repetition import LONGEST, TAIL, Repetition


@given(st.text(min_size=1, max_size=LONGEST), st.integers(1, 400))
def test_what_repeats_is_noticed_whatever_the_chunks(piece: str, size: int) -> None:
    watch = Repetition()
    text = piece * (2 * TAIL // len(piece) + 2)
    assert any(watch.feed(text[at : at + size]) for at in range(0, len(text), size))


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"{n}, {n * n}, row {n}" for n in range(3000)),
        "| a | b |\n|---|---|\n" * 20 + "the end. " * 50,
        "".join(f"def f{n}() -> int:\n    return {n}\n\n\n" for n in range(500)),
        "=" * 2000,
    ],
    ids=["numbered rows", "a table", "functions", "a rule"],
)
def test_what_is_alike_and_goes_on_is_left_alone(text: str) -> None:
    watch = Repetition()
    assert not any(watch.feed(text[at : at + 7]) for at in range(0, len(text), 7))
