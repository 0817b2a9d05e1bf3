"""Loaded models: launch options, cache, memory, keep-alive, who waits for whom, and who is turned away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from jetbox.sim.cache import PrefixCache
from jetbox.sim.catalog import Model
from jetbox.sim.http import ApiError

POLL = 0.02
"""Seconds between two looks at whether a waiting client is still there."""
CPU_FACTOR = 12.0
"""How many times as long a layer takes that is not on the GPU."""
BUSY = "server busy, please try again.  maximum pending requests exceeded"


class Limits(NamedTuple):
    """What the scheduler may do."""

    parallel: int = 1
    """Requests that a loaded model serves at once."""
    max_loaded: int = 3
    max_queue: int = 512
    """Requests that may wait for a load; more are turned away."""
    keep_alive: float = 300.0
    """Seconds that a model stays loaded where no request says otherwise."""
    vram: int = 0
    """Bytes of memory on the GPU; 0 for enough."""
    kept_prompts: int = 1
    """Conversations whose prompt stays in the cache."""
    granularity: int = 1
    """Tokens of a block of the cache."""


class Runner:
    """A loaded model."""

    def __init__(self, model: Model, launch: dict[str, Any], limits: Limits) -> None:
        self.model = model
        self.launch = launch
        self.cache = PrefixCache(limits.kept_prompts, limits.granularity)
        self.ready = False
        self.users = 1
        self.keep_alive = limits.keep_alive
        self.idle_since = 0.0
        self.size = model.size + model.kv_bytes(self.num_ctx)
        """Bytes that it takes."""
        self.size_vram = self.size
        """Of them, on the GPU."""

    @property
    def num_ctx(self) -> int:
        """The window, in tokens."""
        return int(self.launch["num_ctx"])

    @property
    def busy(self) -> bool:
        """True while it serves a request."""
        return self.users > 0

    @property
    def slowdown(self) -> float:
        """How many times as long everything takes, since part of it is not on the GPU."""
        on_gpu = self.size_vram / self.size
        return on_gpu + (1 - on_gpu) * CPU_FACTOR

    def seconds_left(self) -> float:
        """Seconds until it is unloaded, if nobody asks for it."""
        return self.keep_alive if self.busy else self.idle_since + self.keep_alive - time.monotonic()


class Served(NamedTuple):
    """What a request gets."""

    runner: Runner
    fresh: bool
    """It was loaded for this request."""
    waited_ns: int
    """How long the request waited for its turn at a model that was there."""


class Scheduler:
    """Gives a runner to as many requests at a time as it serves; loads one model at a time."""

    def __init__(self, limits: Limits, queued: Callable[[int], None]) -> None:
        """`queued` is told how many more, or fewer, requests wait for a load."""
        self.limits = limits
        self._queued = queued
        self._changed = threading.Condition()
        self._runners: dict[str, Runner] = {}
        """By what they are made of."""
        self._waiting = 0
        self.loads = 0

    @contextmanager
    def runner(
        self,
        model: Model,
        launch: dict[str, Any],
        keep_alive: float | None,
        load: Callable[[], None],
        still_there: Callable[[], None],
        *,
        works: bool = True,
    ) -> Iterator[Served]:
        """A runner for one request.

        `load` takes the time of a load; `still_there` raises where the client has gone. What only has the model
        loaded, and has no work for it, does not wait for a turn.

        Raises:
            ApiError: 503, too many requests wait for a load.
        """
        runner, waited = self._acquire(model, launch, still_there, works=works)
        fresh = not runner.ready
        try:
            if keep_alive is not None:
                runner.keep_alive = keep_alive
            if fresh:
                load()
                with self._changed:
                    runner.ready = True
                    self.loads += 1
                    self._changed.notify_all()
            yield Served(runner, fresh, waited)
        finally:
            self._release(runner)

    def unload(self, weights: str) -> None:
        """Forget a model as soon as it is idle."""
        with self._changed:
            runner = self._runners.get(weights)
            if runner:
                runner.keep_alive = 0.0
                self._expire()

    def preload(self, model: Model, launch: dict[str, Any]) -> None:
        """Have a model loaded from the beginning, for ever."""
        with self._changed:
            runner = self._runners[model.weights] = Runner(model, launch, self.limits)
            runner.users, runner.ready, runner.keep_alive = 0, True, float("inf")

    def forget(self) -> None:
        """Forget every model at once, as a restart does."""
        with self._changed:
            self._runners.clear()
            self._changed.notify_all()

    def drop(self, weights: str) -> None:
        """Forget one model at once, unless it is at work."""
        with self._changed:
            if (runner := self._runners.get(weights)) and not runner.busy:
                del self._runners[weights]
                self._changed.notify_all()

    def drop_all(self) -> None:
        """Forget all models at once that are not at work."""
        with self._changed:
            for weights in [weights for weights, runner in self._runners.items() if not runner.busy]:
                del self._runners[weights]
            self._changed.notify_all()

    def loaded(self, still_there: Callable[[], None], *, waits: bool = True) -> list[Runner]:
        """What is loaded; `waits` while a model loads, as newer releases of Ollama do."""
        with self._changed:
            while waits and any(not runner.ready for runner in self._runners.values()):
                self._wait(still_there)
            self._expire()
            return [runner for runner in self._runners.values() if runner.ready]

    def _acquire(
        self, model: Model, launch: dict[str, Any], still_there: Callable[[], None], *, works: bool
    ) -> tuple[Runner, int]:
        """A runner, and for how long (ns) it was there while its turn was waited for."""
        queued = False
        since = 0
        with self._changed:
            try:
                while True:
                    self._expire()
                    runner = self._runners.get(model.weights)
                    same = runner is not None and runner.launch == launch
                    in_turn = queued or not self._waiting  # who waits for a load is served before who came later
                    free = runner is not None and (not works or runner.users < self.limits.parallel)
                    if in_turn and runner and runner.ready and same and free:
                        runner.users += 1
                        return runner, time.monotonic_ns() - since if since else 0
                    if in_turn and runner and runner.ready and not runner.busy:
                        del self._runners[model.weights]
                        runner = None
                    if in_turn and runner is None and self._may_load(model, launch):
                        return self._begin(model, launch), 0
                    # Ollama hands requests on to a model that is there; while one loads, all wait with it.
                    handed_on = same and runner is not None and runner.ready
                    since = (since or time.monotonic_ns()) if handed_on else 0
                    if not handed_on and not queued:
                        if self._waiting >= self.limits.max_queue:
                            raise ApiError(503, BUSY)
                        queued = True
                        self._waiting += 1
                        self._queued(1)
                    self._wait(still_there)
            finally:
                if queued:
                    self._waiting -= 1
                    self._queued(-1)

    def _begin(self, model: Model, launch: dict[str, Any]) -> Runner:
        runner = self._runners[model.weights] = Runner(model, launch, self.limits)
        if self.limits.vram:
            free = self.limits.vram - sum(other.size_vram for other in self._runners.values() if other is not runner)
            runner.size_vram = max(0, min(runner.size, free))
        return runner

    def _may_load(self, model: Model, launch: dict[str, Any]) -> bool:
        """Make room for a model; false where it must wait for that."""
        if any(not runner.ready for runner in self._runners.values()):
            return False
        needed = model.size + model.kv_bytes(int(launch["num_ctx"]))
        while self._runners and not self._fits(needed):
            idle = [runner for runner in self._runners.values() if not runner.busy]
            if not idle:
                return False
            oldest = min(idle, key=lambda runner: runner.idle_since)
            del self._runners[oldest.model.weights]
        return True

    def _fits(self, needed: int) -> bool:
        if len(self._runners) >= self.limits.max_loaded:
            return False
        used = sum(runner.size_vram for runner in self._runners.values())
        return not self.limits.vram or used + needed <= self.limits.vram

    def _release(self, runner: Runner) -> None:
        with self._changed:
            runner.users -= 1
            runner.idle_since = time.monotonic()
            if not runner.ready and self._runners.get(runner.model.weights) is runner:
                del self._runners[runner.model.weights]
            self._expire()
            self._changed.notify_all()

    def _expire(self) -> None:
        for weights, runner in list(self._runners.items()):
            if runner.ready and not runner.busy and runner.seconds_left() <= 0:
                del self._runners[weights]

    def _wait(self, still_there: Callable[[], None]) -> None:
        self._changed.wait(POLL)
        still_there()
