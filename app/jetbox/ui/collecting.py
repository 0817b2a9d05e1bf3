"""The garbage collector beside the loop: it must not look through a whole session in one go.

Nearly all there is stays until the end, and looking at it takes 5 ms for each thousand rounds. So
what a full collection has left alive is never looked at again, and collections come often. While
another screen lies over the workbench, or closes, nothing is set aside: that screen's parts hold one
another, and would never be let go. What is set aside stays so when the screen has ended: a process that
ends has nothing to look for; one that shows another session calls `free_ended`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

THRESHOLDS = (700, 10, 3)
"""A full collection has about 20,000 new objects to look at: some milliseconds."""


class Collecting:
    """Sets aside what stays, from `begin` to `end`."""

    def __init__(self, stays: Callable[[], bool]) -> None:
        """`stays` tells whether what is alive now is there for long."""
        self._stays = stays
        self._before = gc.get_threshold()

    def begin(self) -> None:
        """What is there is set aside, uncollected: there is little to collect, and much to look at."""
        gc.freeze()
        gc.set_threshold(*THRESHOLDS)
        gc.callbacks.append(self._collected)
        gc.enable()

    def end(self) -> None:
        """Nothing more is set aside."""
        if self._collected in gc.callbacks:
            gc.callbacks.remove(self._collected)
            gc.set_threshold(*self._before)

    def _collected(self, phase: str, info: dict[str, Any]) -> None:
        if phase == "stop" and info["generation"] == 2 and self._stays():
            gc.freeze()


def free_ended() -> None:
    """Free what screens that have ended set aside; between two of them, where no key waits for it."""
    gc.unfreeze()
    gc.collect()
