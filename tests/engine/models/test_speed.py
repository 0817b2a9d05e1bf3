"""A server that becomes slow is told of once; what is slow for another reason is not."""

from __future__ import annotations

from collections.abc import Sequence

from jetbox.engine.events import Notice
from jetbox.engine.models.speed import SpeedWatch

MODEL = "gpt-oss:20b"


def metrics(rate: float, written: int = 100, prompt: int = 2000, **more: int) -> dict[str, int]:
    """An answer at so many tokens a second."""
    return {
        "prompt_eval_count": prompt,
        "eval_count": written,
        "eval_duration": int(written / rate * 1e9),
        **more,
    }


def told(watch: SpeedWatch, rates: Sequence[float], model: str = MODEL) -> list[Notice]:
    """What is said of answers of one kind at these rates."""
    return [notice for rate in rates if (notice := watch.answered(model, metrics(rate)))]


def test_a_cluster_of_slow_answers_is_told_once() -> None:
    watch = SpeedWatch()
    assert told(watch, [50, 48, 52, 51, 49]) == []
    (notice,) = told(watch, [12, 13, 12, 11, 12, 10])
    assert notice.level == "warning"
    assert notice.text == (
        "the server answers 4.2 times slower than it did: 12 tokens a second, 50 before (gpt-oss:20b)"
    )
    assert "restart the server" in notice.hint


def test_large_rates_are_said_in_full() -> None:
    watch = SpeedWatch()
    (notice,) = told(watch, [1800] * 5 + [160] * 3)
    assert "11 times slower than it did: 160 tokens a second, 1,800 before" in notice.text


def test_the_next_cluster_is_told_again_once_the_server_was_well() -> None:
    watch = SpeedWatch()
    assert len(told(watch, [50] * 5 + [12] * 3 + [50] * 2 + [12] * 3)) == 1, "it was not well for long"
    assert len(told(watch, [50] * 3 + [12] * 3)) == 1


def test_single_slow_answers_are_no_trouble() -> None:
    assert told(SpeedWatch(), [50] * 5 + [12, 12, 50] * 8) == []


def test_loads_and_misses_are_no_slow_answers() -> None:
    watch = SpeedWatch()
    assert told(watch, [50] * 5) == []
    late = {"load_duration": 60 * 10**9, "prompt_eval_duration": 90 * 10**9, "prompt_eval_cached_count": 0}
    assert [watch.answered(MODEL, metrics(50, total_duration=152 * 10**9, **late)) for _ in range(5)] == [None] * 5


def test_other_kinds_of_answers_have_to_be_much_slower() -> None:
    watch = SpeedWatch()
    assert told(watch, [50] * 8) == []
    deep = [metrics(20, prompt=60_000) for _ in range(4)]
    assert [watch.answered(MODEL, each) for each in deep] == [None] * 4, "a long prompt makes every answer slower"
    assert [watch.answered(MODEL, metrics(5, prompt=60_000)) for _ in range(2)] == [None, None]
    assert watch.answered(MODEL, metrics(5, prompt=60_000)) is not None


def test_what_was_measured_in_earlier_sessions_counts() -> None:
    watch = SpeedWatch()
    watch.know(MODEL, [48.0, 50.0, 52.0, 50.0])
    assert len(told(watch, [10, 10, 10])) == 1, "it was slow from the beginning of this session on"
    assert told(watch, [10, 10, 10], model="llama3.2:3b") == [], "of another model nothing is known"


def test_without_figures_nothing_is_said() -> None:
    watch = SpeedWatch()
    none = [{}, {"eval_count": 500}, metrics(50, written=5), {"eval_count": 500, "eval_duration": 0}]
    assert [watch.answered(MODEL, each) for each in none] == [None] * 4
