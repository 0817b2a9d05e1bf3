from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetbox.engine.clock import PHASES, Span, model_spans, phases, tier

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


@pytest.mark.parametrize(
    ("first", "spoke", "metrics", "thought", "found"),
    [
        pytest.param(
            60,
            90,
            {"load_duration": 30, "prompt_eval_duration": 25, "eval_duration": 40},
            True,
            [("prompt eval", 35, 60), ("queue and load", 0, 35), ("thinking", 60, 90), ("decode", 90, 100)],
            id="load, prompt, thoughts and words",
        ),
        pytest.param(
            100,
            100,
            {"prompt_eval_duration": 25, "eval_duration": 40},
            False,
            [("decode", 60, 100), ("prompt eval", 35, 60), ("queue and load", 0, 35)],
            id="a call that comes whole on the last chunk was written before it",
        ),
        pytest.param(
            60,
            60,
            {"load_duration": 1, "prompt_eval_duration": 5, "eval_duration": 40},
            False,
            [("prompt eval", 55, 60), ("queue and load", 0, 55), ("decode", 60, 100)],
            id="waiting for the slot, which the server counts nowhere",
        ),
        pytest.param(
            60,
            60,
            {"prompt_eval_count": 900, "eval_count": 40},
            False,
            [("queue and load", 0, 60), ("decode", 60, 100)],
            id="a server that tells no durations: queue, load and prompt are one",
        ),
        pytest.param(-1, -1, {}, False, [("queue and load", 0, 100)], id="nothing came"),
    ],
)
def test_the_models_time_is_parted_by_what_server_and_client_know(
    first: int, spoke: int, metrics: dict[str, int], thought: bool, found: list[tuple[str, int, int]]
) -> None:
    spans = model_spans(0, first, spoke, 100, metrics, thought=thought)
    assert [(one.phase, one.start, one.end) for one in spans] == found


def test_an_answer_that_broke_off_was_read_for_since_the_server_said_so() -> None:
    parted = [(one.phase, one.start, one.end) for one in model_spans(0, -1, -1, 100, {}, thought=False, reading=30)]
    assert sorted(parted) == [("prompt eval", 30, 100), ("queue and load", 0, 30)]
    told = {"prompt_eval_duration": 50}
    parted = [(one.phase, one.start, one.end) for one in model_spans(0, 90, 90, 100, told, thought=False, reading=30)]
    assert sorted(parted) == [("decode", 90, 100), ("prompt eval", 40, 90), ("queue and load", 0, 40)]


DURATIONS = ("load_duration", "prompt_eval_duration", "eval_duration")


@given(
    st.lists(st.integers(0, 300), min_size=4, max_size=4).map(sorted),
    st.dictionaries(st.sampled_from(DURATIONS), st.integers(0, 500)),
    st.booleans(),
)
def test_whatever_a_server_says_the_models_time_has_neither_gap_nor_overlap(
    times: list[int], metrics: dict[str, int], thought: bool
) -> None:
    sent, first, spoke, ended = times
    spans = sorted(model_spans(sent, first, spoke, ended, metrics, thought=thought), key=lambda one: one.start)
    assert sum(one.end - one.start for one in spans) == ended - sent
    assert all(one.end == other.start for one, other in pairwise(spans))
