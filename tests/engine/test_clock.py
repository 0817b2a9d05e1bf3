from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jetbox.engine.clock import PHASES, Span, phases, tier

spans = st.builds(
    lambda phase, a, b: Span(phase, min(a, b), max(a, b)),
    st.sampled_from(PHASES),
    st.integers(-50, 250),
    st.integers(-50, 250),
)


@given(st.lists(spans, max_size=12), st.integers(0, 100), st.integers(0, 100))
def test_phases_sum_to_the_wall_time(found: list[Span], start: int, length: int) -> None:
    assert sum(phases(found, start, start + length).values()) == length


@given(st.lists(spans, max_size=8))
def test_every_instant_belongs_to_the_covering_span_of_highest_priority(found: list[Span]) -> None:
    split = dict.fromkeys(PHASES, 0)
    for instant in range(200):
        covering = [PHASES.index(s.phase) for s in found if s.start <= instant < s.end]
        split[PHASES[min(covering, default=len(PHASES) - 1)]] += 1
    assert phases(found, 0, 200) == {name: n for name, n in split.items() if n}


def test_tools_that_run_while_the_model_streams_cost_the_round_nothing() -> None:
    split = phases([Span("decode", 0, 100), Span("tools", 40, 130), Span("probe", 130, 150)], 0, 160)
    assert split == {"decode": 100, "tools": 30, "probe": 20, "other": 10}


def test_tiers_are_the_seeds_own() -> None:
    assert [tier(ms * 1_000_000) for ms in (299, 300, 999, 1000, 2999, 3000, 4999, 5000)] == [
        "instant", "fast", "fast", "acceptable", "acceptable", "noticeable", "noticeable", "slow",
    ]  # fmt: skip
