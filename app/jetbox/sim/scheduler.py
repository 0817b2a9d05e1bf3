"""Loaded models: launch options, the one cache slot of each, keep-alive, who waits for whom."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from jetbox.sim.catalog import Model
from jetbox.sim.prompt import Blocks

MAX_LOADED = 3
DEFAULT_KEEP_ALIVE = 300.0
POLL = 0.02
"""Seconds between two looks at whether a waiting client is still there."""


class Runner:
    """A loaded model."""

    def __init__(self, model: Model, launch: dict[str, Any]) -> None:
        self.model = model
        self.launch = launch
        self.slot: Blocks = ()
        """What the cache holds: the last prompt, and its answer."""
        self.ready = False
        self.busy = True
        self.keep_alive = DEFAULT_KEEP_ALIVE
        self.idle_since = 0.0

    @property
    def num_ctx(self) -> int:
        """The window, in tokens."""
        return int(self.launch["num_ctx"])

    def seconds_left(self) -> float:
        """Seconds until it is unloaded, if nobody asks for it."""
        return self.keep_alive if self.busy else self.idle_since + self.keep_alive - time.monotonic()


class Scheduler:
    """Gives a runner to one request at a time; loads one model at a time."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._runners: dict[str, Runner] = {}
        self.loads = 0

    @contextmanager
    def runner(
        self,
        model: Model,
        launch: dict[str, Any],
        keep_alive: float | None,
        load: Callable[[], None],
        still_there: Callable[[], None],
    ) -> Iterator[tuple[Runner, bool]]:
        """A runner for one request, and whether it was loaded for it.

        `load` takes the time of a load; `still_there` raises where the client has gone.
        """
        runner = self._acquire(model, launch, still_there)
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
            yield runner, fresh
        finally:
            self._release(runner)

    def unload(self, name: str) -> None:
        """Forget a model as soon as it is idle."""
        with self._changed:
            runner = self._runners.get(name)
            if runner:
                runner.keep_alive = 0.0
                self._expire()

    def loaded(self, still_there: Callable[[], None]) -> list[Runner]:
        """What is loaded; waits while a model loads, as Ollama does."""
        with self._changed:
            while any(not runner.ready for runner in self._runners.values()):
                self._wait(still_there)
            self._expire()
            return list(self._runners.values())

    def _acquire(self, model: Model, launch: dict[str, Any], still_there: Callable[[], None]) -> Runner:
        with self._changed:
            while True:
                self._expire()
                runner = self._runners.get(model.name)
                if runner and runner.ready and not runner.busy:
                    if runner.launch == launch:
                        runner.busy = True
                        return runner
                    del self._runners[model.name]
                    runner = None
                if runner is None and self._may_load():
                    runner = self._runners[model.name] = Runner(model, launch)
                    return runner
                self._wait(still_there)

    def _may_load(self) -> bool:
        if any(not runner.ready for runner in self._runners.values()):
            return False
        if len(self._runners) < MAX_LOADED:
            return True
        idle = [runner for runner in self._runners.values() if not runner.busy]
        if not idle:
            return False
        oldest = min(idle, key=lambda runner: runner.idle_since)
        del self._runners[oldest.model.name]
        return True

    def _release(self, runner: Runner) -> None:
        with self._changed:
            runner.busy = False
            runner.idle_since = time.monotonic()
            if not runner.ready:
                self._runners.pop(runner.model.name, None)
            self._expire()
            self._changed.notify_all()

    def _expire(self) -> None:
        for name, runner in list(self._runners.items()):
            if runner.ready and not runner.busy and runner.seconds_left() <= 0:
                del self._runners[name]

    def _wait(self, still_there: Callable[[], None]) -> None:
        self._changed.wait(POLL)
        still_there()
