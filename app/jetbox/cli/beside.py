"""What runs beside the loop of a live session, and must not hold it up."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jetbox.engine.errors import ModelError, StorageError
from jetbox.engine.events import (
    Event,
    GoalEnded,
    Notice,
    PermissionAnswered,
    RequestSent,
    RoundEnded,
    SessionLabelled,
    ToolEnded,
)
from jetbox.engine.session import Feed, Session

if TYPE_CHECKING:
    from jetbox.engine.models.base import ChatModel
    from jetbox.engine.models.figures import FiguresReader

SNAPSHOT_AFTER_S = 0.3
FIGURES_S = 0.2
"""Figures of models are collected so seldom: nobody waits for them."""
WRITTEN_S = 0.02
"""After its event a request needs so long until its last byte is written."""


class Beside:
    """Tasks that read the session's events; a failure of one is told, and ends nothing else."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._tasks: set[asyncio.Task[object]] = set()

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Run it until it ends or the session does."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None and not self._session.closed:
            with suppress(StorageError):
                self._session.emit(Notice(level="error", text=f"in the background: {task.exception()}"))

    async def end(self) -> None:
        """Cancel what still runs."""
        if not self._tasks:
            return
        await asyncio.sleep(0)  # a task that was never begun does not close the coroutine that it was given
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)

    async def after_the_request(self, work: Coroutine[Any, Any, object], *sooner: type[Event]) -> None:
        """Begin only when the first request is on its way, which the user waits for, or with such an event."""
        reader = self._session.feed(RequestSent, *sooner, past=False)
        try:
            await reader.ready()
            await asyncio.sleep(WRITTEN_S)
        except asyncio.CancelledError:
            work.close()
            raise
        finally:
            self._session.drop(reader)
        if not gc.isenabled():
            gc.freeze()
            gc.enable()
        await work

    async def snapshot_rounds(self, folder: Path, root: Path) -> None:
        """A commit of the workspace's files after each round that changed some; best effort.

        Rounds that follow each other faster than git would share one: it must not compete with the loop.
        """
        from jetbox.record.snapshots import Snapshots

        snapshots = Snapshots(folder, root)
        reader = self._session.feed(ToolEnded, RoundEnded, past=False)
        changed, ended = False, 0
        try:
            while await reader.ready():
                for stamped in reader.drain().events:
                    if isinstance(stamped.event, ToolEnded) and stamped.event.changes:
                        changed = True
                    elif isinstance(stamped.event, RoundEnded) and changed:
                        changed, ended = False, stamped.round
                if ended:
                    await asyncio.sleep(SNAPSHOT_AFTER_S)
                    if not changed:
                        await snapshots.commit(ended)
                        ended = 0
        finally:
            self._session.drop(reader)

    def keep_figures(self, model: ChatModel) -> Coroutine[Any, Any, None]:
        """Collect what the session measures of its models, from now on, and keep it for later ones."""
        from jetbox.engine.models.figures import FiguresReader

        reader = self._session.feed(*FiguresReader.KINDS, past=False)
        return self._keep_figures(model, FiguresReader(), reader)

    async def _keep_figures(self, model: ChatModel, figures: FiguresReader, reader: Feed) -> None:
        storing: asyncio.Task[None] | None = None
        try:
            while await reader.ready():
                await asyncio.sleep(FIGURES_S)
                ended = False
                for stamped in reader.drain().events:
                    figures.take(stamped)
                    ended = ended or isinstance(stamped.event, GoalEnded)
                if ended:
                    # The session may end meanwhile, and what is half kept would be lost.
                    storing = asyncio.create_task(_store(model, figures))
                    await asyncio.shield(storing)
        finally:
            for stamped in reader.drain().events:
                figures.take(stamped)
            self._session.drop(reader)
            if storing is not None:
                await asyncio.gather(storing, return_exceptions=True)
            await _store(model, figures)

    async def keep_label(self, folder: Path) -> None:
        """What the user calls the session stands beside its journal too, where a list of sessions finds it."""
        from jetbox.record.library import keep_label

        reader = self._session.feed(SessionLabelled, past=False)
        try:
            while await reader.ready():
                for stamped in reader.drain().events:
                    if isinstance(stamped.event, SessionLabelled):
                        await asyncio.to_thread(keep_label, folder, stamped.event.label)
        finally:
            self._session.drop(reader)

    async def keep_grants(self, root: Path) -> None:
        """What the user allows for good is kept for this workspace's later sessions."""
        from jetbox.settings.grants import grant

        reader = self._session.feed(PermissionAnswered, past=False)
        try:
            while await reader.ready():
                for stamped in reader.drain().events:
                    if isinstance(stamped.event, PermissionAnswered) and stamped.event.grant:
                        await asyncio.to_thread(grant, root, stamped.event.grant)
        finally:
            self._session.drop(reader)


async def _store(model: ChatModel, figures: FiguresReader) -> None:
    """Add to what is kept what was collected since the last time."""
    collected = figures.collect()
    if not collected:
        return
    if model.manages and not collected.keys() <= figures.digests.keys():
        with suppress(ModelError):
            figures.digests |= {info.name: info.digest for info in await model.installed()}

    def add() -> None:
        from jetbox.record.figures import FiguresStore

        for name, found in collected.items():
            FiguresStore().add(model.host, name, figures.digests.get(name, ""), found)

    await asyncio.to_thread(add)
