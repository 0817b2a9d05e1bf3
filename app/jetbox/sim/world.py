"""What all requests of a server share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from jetbox.sim import catalog, faults, player, profiles
from jetbox.sim.http import Connection
from jetbox.sim.scheduler import Scheduler
from jetbox.sim.script import Script
from jetbox.sim.stats import Stats


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
        default_ctx: int = 4096,
    ) -> None:
        self.scripts = scripts
        self.alone = alone
        self.profile = profile
        self.speed = speed
        """Durations are divided by it; 0 means no latency."""
        self.faults = tuple(faults)
        self.default_ctx = default_ctx
        self.stats = Stats()
        self.scheduler = Scheduler()
        self._struck: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def profile_of(self, model: catalog.Model) -> profiles.Profile:
        """The latency profile that holds for a model."""
        if self.speed == 0:
            return profiles.PROFILES["instant"]
        return self.profile or profiles.PROFILES[model.profile]

    def pace(self, seconds: float) -> float:
        """Seconds at the server's speed."""
        return seconds / self.speed if self.speed else 0.0

    def load(self, model: catalog.Model, connection: Connection) -> None:
        """Take the time that loading the model takes."""
        self.stats.add(loading=1)
        try:
            connection.wait_until(time.monotonic() + self.pace(self.profile_of(model).load_time()))
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
