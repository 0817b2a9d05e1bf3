"""Latency: totals as listed, parts that are plausible, and the clock on the wall."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import pytest

from jetbox.sim.catalog import MODELS
from jetbox.sim.machines import MACHINES
from jetbox.sim.profiles import PROFILES, Measured, Rates, Work
from jetbox.sim.world import World

GPT_OSS = (3640, 711, 676, 676, 569, 449, 428, 426, 452, 432)
LLAMA = (677, 403, 314, 227, 221, 205, 205, 223, 205)
LISTS = {"gpt-oss:20b": GPT_OSS, "llama3.2:3b": LLAMA}


def work(number: int, **more: Any) -> Work:
    return Work(
        **{"round": number, "load": number == 1, "prompt": 3000, "cached": 2800, "lost": 0, "output": 90, **more}
    )


@pytest.mark.parametrize("name", LISTS)
def test_rounds_take_what_the_list_says(name: str) -> None:
    profile = PROFILES[name]
    for number, listed in enumerate(LISTS[name], 1):
        timing = profile.timing(work(number))
        assert timing.total == pytest.approx(listed / 1000)
        assert timing.decode > timing.prompt > 0
        assert timing.decode >= 0.4 * (timing.total - timing.load)
        assert (timing.load > 0) == (number == 1)
    assert profile.timing(work(40)).total == pytest.approx(median(LISTS[name][1:]) / 1000)


def test_the_load_is_what_round_one_has_more_than_round_two() -> None:
    profile = PROFILES["gpt-oss:20b"]
    assert profile.load_time() == pytest.approx(2.929)
    assert profile.timing(work(1, load=False)).total == pytest.approx(0.711)
    assert profile.timing(work(5, load=True)).total == pytest.approx(2.929 + 0.569)


def test_a_lost_prefix_costs_its_tokens() -> None:
    profile = PROFILES["gpt-oss:20b"]
    assert isinstance(profile, Measured)
    kept, lost = profile.timing(work(3)), profile.timing(work(3, cached=0, lost=2800))
    assert lost.total - kept.total == pytest.approx(2800 / 3500)
    assert lost.decode == pytest.approx(kept.decode)


@pytest.mark.parametrize("name", "ABCDEF")
def test_rates_hold_within_their_jitter(name: str) -> None:
    profile = PROFILES[name]
    assert isinstance(profile, Rates)
    timings = [profile.timing(work(number, prompt=400 + number, cached=0)) for number in range(1, 200)]
    for timing in timings:
        assert timing.prompt == pytest.approx(max(profile._floor, 500 / profile._prefill), rel=0.25)
        assert timing.decode == pytest.approx(90 / profile._decode, rel=0.1)
        assert 0.05 <= timing.overhead <= 3.2
    assert len({timing.decode for timing in timings}) > 20
    assert 0 < sum(timing.overhead > 0.5 for timing in timings) < 20


def test_rates_fall_with_depth_and_repeat_exactly() -> None:
    profile = PROFILES["C"]
    near, far = (profile.timing(work(3, prompt=n, cached=n - 1000)) for n in (2000, 30_000))
    assert 1.1 < far.decode / near.decode < 1.5
    assert 1.3 < far.prompt / near.prompt < 2.2
    assert profile.timing(work(3)) == profile.timing(work(3))


@pytest.mark.parametrize("name", MACHINES)
def test_machines_are_as_fast_as_published(name: str) -> None:
    machine, profile = MACHINES[name], PROFILES[name]
    timings = [profile.timing(work(1, prompt=n, cached=0, output=400)) for n in range(900, 1000)]
    assert 400 / median(t.decode for t in timings) == pytest.approx(machine.decode, rel=0.06)
    read = max(machine.floor_ms / 1000, 950 / machine.prefill)
    assert median(t.prompt for t in timings) == pytest.approx(read, rel=0.1)
    assert median(t.load for t in timings) == pytest.approx(machine.load, rel=0.06)


def test_instant_takes_no_time() -> None:
    assert PROFILES["instant"].timing(work(1)).total == 0


def test_the_clock_on_the_wall_agrees(agent: Any, client_of: Any) -> None:
    agent.client = client_of(profile="gpt-oss:20b", speed=10)
    agent.executing = False
    started = time.perf_counter()
    agent.play("Create mathx package")
    elapsed = time.perf_counter() - started
    listed = sum(GPT_OSS[: len(agent.metrics)]) / 1000 / 10
    assert listed <= sum(m["total_duration"] for m in agent.metrics) / 1e9 <= elapsed
    assert agent.metrics[0]["load_duration"] >= 0.29e9


def test_models_have_their_own_profile_where_none_is_asked_for(client_of: Any) -> None:
    client = client_of(speed=40)
    question = {"role": "user", "content": "What is a context manager?"}
    big = client.chat(question)[-1]["total_duration"]
    small = client.chat(question, model="llama3.2:3b")[-1]["total_duration"]
    assert big >= 3.64e9 / 40
    assert small >= 0.677e9 / 40
    world = World(list, speed=40)
    assert all(world.profile_of(model) is PROFILES[model.profile] for model in MODELS)


def test_words_come_one_by_one_at_the_pace_of_decoding(client_of: Any) -> None:
    lines = client_of(profile="llama3.2:3b", speed=2).chat("What is a context manager?", tools=[])
    stamps = [line["created_at"] for line in lines]
    assert stamps == sorted(stamps)
    assert len(set(stamps)) == len(stamps)
    assert len(lines) == lines[-1]["eval_count"] + 1
