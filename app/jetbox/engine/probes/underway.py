"""Runs and works that have not come to their end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from jetbox.engine.probes.fingerprint import Snapshot
from jetbox.engine.probes.slots import ATTEMPTS, Slot, Work


class UnderWay:
    """Ends runs that are about older files, and takes back what works were given."""

    def __init__(self) -> None:
        self._runs: dict[asyncio.Task[None], tuple[Slot, Snapshot]] = {}
        """Runs, with the files that each began with."""
        self._works: list[Work] = []
        self.forgotten = 0
        """How many times verdicts from before were forgotten."""

    @property
    def busy(self) -> bool:
        """True while anything runs."""
        return bool(self._runs)

    def run(self, task: asyncio.Task[None], slot: Slot, now: Snapshot) -> None:
        """Keep in view a run of this probe on these files."""
        self._runs[task] = (slot, now)
        task.add_done_callback(self._runs.pop)

    @contextmanager
    def work(self, work: Work) -> Iterator[None]:
        """Keep in view what this work is given."""
        self._works.append(work)
        try:
            yield
        finally:
            self._works = [one for one in self._works if one is not work]

    def forget(self, name: str = "") -> None:
        """Take back what works were given by this probe or, without one, by any: it is asked for again."""
        self.forgotten += 1
        for work in self._works:
            work.forget(name)

    def stop(self) -> None:
        """Cancel what runs; where verdicts are awaited, it begins anew."""
        for task in tuple(self._runs):
            task.cancel()

    def stop_outdated(self, now: Snapshot) -> None:
        """Cancel runs that began with other files than these; each begins anew."""
        for task, (slot, began) in tuple(self._runs.items()):
            narrow = slot.probe.narrow
            if slot.cut >= ATTEMPTS or not now.proved or now.digest == began.digest:
                continue
            changed = narrow(now).changed(narrow(began))
            # What a probe changes each time it runs ends no run of it.
            if changed and not slot.own.covers(changed, began.files):
                slot.cut += 1
                task.cancel()
