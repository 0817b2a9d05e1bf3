from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from jetbox.ui.collecting import THRESHOLDS, Collecting


@pytest.fixture
def thawed() -> Iterator[None]:
    before, enabled = gc.get_threshold(), gc.isenabled()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()
    if not enabled:
        gc.disable()


@pytest.mark.usefixtures("thawed")
def test_what_stayed_alive_is_not_looked_at_again() -> None:
    collecting = Collecting(lambda: True)
    collecting.begin()
    try:
        assert gc.isenabled()
        assert gc.get_threshold() == THRESHOLDS
        kept = [[n] for n in range(5000)]
        gc.collect()
        assert len(gc.get_objects()) < len(kept)
    finally:
        collecting.end()
    fresh = [[n] for n in range(5000)]
    gc.collect()
    assert len(gc.get_objects()) > len(fresh)
    assert gc.get_threshold() != THRESHOLDS


@pytest.mark.usefixtures("thawed")
def test_what_does_not_stay_is_collected_when_it_is_gone() -> None:
    lying_over = True
    collecting = Collecting(lambda: not lying_over)
    collecting.begin()
    try:
        parts: list[list[object]] = [[] for _ in range(5000)]
        for each in parts:
            each.append(each)  # holds itself, as the parts of a screen do
        gc.collect()
        del parts, each
        lying_over = False
        assert gc.collect() >= 5000
    finally:
        collecting.end()
