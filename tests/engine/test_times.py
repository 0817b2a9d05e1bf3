from __future__ import annotations

import pytest

from jetbox.engine.times import ago, stretch


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-3, "0 s"), (119.4, "119 s"), (120, "2 min"), (7199, "120 min"), (86_400, "24 h"), (960 * 3600, "40 days")],
)
def test_a_long_time_in_words(seconds: float, words: str) -> None:
    assert stretch(seconds) == words


@pytest.mark.parametrize(("seconds", "words"), [(-1, "just now"), (0.9, "just now"), (5, "5 s ago"), (7300, "2 h ago")])
def test_how_long_ago(seconds: float, words: str) -> None:
    assert ago(seconds) == words
