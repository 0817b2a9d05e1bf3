"""What all requests of a server share."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Sequence

from jetbox.sim import ask, catalog, faults, player, profiles
from jetbox.sim.http import Connection, Disconnected
from jetbox.sim.scheduler import Limits, Scheduler
from jetbox.sim.script import Script
from jetbox.sim.setup import Setup
from jetbox.sim.stats import Stats

FAILURES = 200
"""Failed requests that are remembered."""


class World:
    """What all requests of a server share."""

    def __init__(
        self,
        scripts: Callable[[], Sequence[Script]],
        *,
        alone: bool = False,
        profile: profiles.Profile | None = None,
        speed: float = 1.0,
        faults: Sequence[faults.Fault] = (),
        setup: Setup = Setup(),  # noqa: B008 (it cannot be changed)
        limits: Limits = Limits(),  # noqa: B008 (it cannot be changed)
    ) -> None:
        self.scripts = scripts
        self.alone = alone
        self.profile = profile
        self.speed = speed
        """Durations are divided by it; 0 means no latency."""
        self.faults = tuple(faults)
        self.setup = setup
        self.stats = Stats()
        self.scheduler = Scheduler(limits, lambda change: self.stats.add(queued=change))
        self.restart_pipe: int | None = None
        """Where a wish to restart is written, for the thread that listens."""
        self._struck: set[tuple[str, str]] = set()
        self._failures: dict[str, str] = {}
        self._connections: set[Connection] = set()
        self._down = threading.Event()
        self._hung_at: int | None = None
        self._lock = threading.Lock()
        self._preload()

    def profile_of(self, model: catalog.Model) -> profiles.Profile:
        """The latency profile that holds for a model."""
        if self.speed == 0:
            return profiles.PROFILES["instant"]
        return self.profile or profiles.PROFILES[model.profile]

    def pace(self, seconds: float) -> float:
        """Seconds at the server's speed."""
        return seconds / self.speed if self.speed else 0.0

    def load(
        self, model: catalog.Model, connection: Connection, factor: float = 1.0, *, stuck: bool | None = None
    ) -> None:
        """Take the time that loading the model takes; `stuck` says whether that is for ever, None as the faults say."""
        if stuck is None:
            number = self.stats.next_number()
            stuck = any(fault.kind == "stuck" and fault.hits(number) for fault in self.faults)
        self.stats.add(loading=1, faults=int(stuck))
        try:
            if stuck:
                self.stall(connection)
            seconds = self.profile_of(model).load_time() * factor
            connection.wait_until(time.monotonic() + self.pace(seconds))
        finally:
            self.stats.add(loading=-1)

    def step_fault(self, turn: player.Turn) -> faults.Fault | None:
        """The fault of a step: it strikes once in the life of the server."""
        key = turn.script.name, turn.step.id
        with self._lock:
            if turn.step.fault is None or key in self._struck:
                return None
            self._struck.add(key)
        return turn.step.fault

    def install(self, model: catalog.Model) -> None:
        """A model is there from now on."""
        with self._lock:
            others = tuple(other for other in self.setup.models if other.name != model.name)
            self.setup = self.setup._replace(models=(*others, model))

    def remove(self, model: catalog.Model) -> None:
        """A model is no longer there."""
        self.scheduler.unload(model.weights)
        with self._lock:
            others = tuple(other for other in self.setup.models if other.name != model.name)
            self.setup = self.setup._replace(models=others)

    def remember_failure(self, asked: ask.Asked, error: str) -> None:
        """A parser that reads XML fails again where the same request comes again."""
        if not error.startswith("XML"):
            return
        with self._lock:
            self._failures[_key(asked)] = error
            while len(self._failures) > FAILURES:
                del self._failures[next(iter(self._failures))]

    def failing(self, asked: ask.Asked) -> str:
        """What this very request failed with before; empty where it did not."""
        with self._lock:
            return self._failures.get(_key(asked), "") if self._failures else ""

    def met(self, connection: Connection) -> None:
        """A connection is open."""
        with self._lock:
            self._connections.add(connection)

    def left(self, connection: Connection) -> None:
        """A connection is closed."""
        with self._lock:
            self._connections.discard(connection)

    def stall(self, connection: Connection, since: int | None = None) -> None:
        """Wait until stalls are released; `since` is how often they had been, as of now where it is None.

        Raises:
            Disconnected: the client has gone, and that is noticed.
        """
        released = self.stats.releases if since is None else since
        self.stats.add(stalled=1)
        try:
            while self.stats.releases == released:
                if connection.gone(0.02):
                    if not connection.deaf:
                        raise Disconnected
                    time.sleep(0.02)
        finally:
            self.stats.add(stalled=-1)

    def hang(self) -> None:
        """From now on no request is answered until stalls are released."""
        self._hung_at = self.stats.releases

    def hold(self, connection: Connection) -> None:
        """Wait here while the server hangs."""
        if self._hung_at is not None and self._hung_at == self.stats.releases:
            self.stall(connection, self._hung_at)

    def restart(self, seconds: float) -> None:
        """Ask for a restart with that long a pause, and wait until the server is down."""
        if self.restart_pipe is None:
            return
        self._down.clear()
        os.write(self.restart_pipe, f"{seconds}\n".encode())
        self._down.wait(5)

    def went_down(self) -> None:
        """The server no longer listens: all connections end, and all models are forgotten."""
        self.scheduler.forget()
        self._preload()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:  # all at once: a client sends again over the next one that still stands
            connection.over = True
        for connection in connections:
            connection.abort()
        self.stats.add(restarts=1)
        self._down.set()

    def _preload(self) -> None:
        """Servers that do not load on demand have their model from the beginning."""
        if not self.setup.flavour.loads:
            for model in self.setup.models:
                self.scheduler.preload(model, self.setup.fixed_launch(model))


def _key(asked: ask.Asked) -> str:
    return json.dumps([asked.model.name, asked.messages, asked.tools, asked.options], sort_keys=True)
