"""Answers the user's questions about models while a session runs: list, load, unload."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from jetbox.engine.commands import (
    AnyCommand,
    ListModels,
    PullModel,
    Rewarm,
    SetModel,
    StopPull,
    SwitchPhase,
    UnloadModel,
    WarmModel,
)
from jetbox.engine.errors import JetboxError, ModelError, StorageError, in_full
from jetbox.engine.events import ListedModel, Notice
from jetbox.engine.models.catalog import Entry
from jetbox.engine.models.figures import median
from jetbox.engine.models.http import ASK_S
from jetbox.engine.models.listing import Lister, as_told
from jetbox.engine.models.manage import unload, warm
from jetbox.engine.models.pulling import pull
from jetbox.engine.parts import Parts
from jetbox.engine.switching import catalog_of, known_of, predict, window_on
from jetbox.engine.tasks import end_tasks

SLOW_S = 2.0
"""A server that has not answered by then may not do so at all; one that loads a model is not waited for so long."""


class ModelsDesk:
    """Takes the commands about models; each is seen to beside the loop, none waits for another."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._tasks: set[asyncio.Task[None]] = set()
        self._pulls: dict[str, asyncio.Task[None]] = {}
        self._put_out: set[str] = set()
        """Models that the user had unloaded."""
        catalog = catalog_of(parts)
        self.lister = Lister(parts.session, parts.model, catalog, listed=self._listed, tokens=self._tokens)

    async def run(self) -> None:
        """Listen until cancelled."""
        try:
            await self._parts.session.attend(self.take)
        finally:
            await end_tasks(*self._tasks)

    def take(self, command: AnyCommand) -> bool:
        """Begin with it; False where it is for somebody else."""
        match command:
            case ListModels():
                self._begin(lambda: self._list(anew=command.anew))
            case WarmModel():
                self._begin(lambda: self._warm(command.name))
            case Rewarm():
                self._begin(self._rewarm)
            case UnloadModel():
                self._begin(lambda: self._unload(command.name))
            case SwitchPhase():
                self._switch_phase()
            case PullModel() if command.name not in self._pulls:
                work = partial(self._pull, command.name, self._parts.control.choices, use=command.use)
                pulling = self._pulls[command.name] = self._begin(work)
                pulling.add_done_callback(lambda _: self._pulls.pop(command.name))
            case PullModel():
                pass  # it is on its way
            case StopPull():
                if command.name in self._pulls:
                    self._pulls[command.name].cancel()
            case _:
                return False
        return True

    def _switch_phase(self) -> None:
        """By the rule that goes by phases, while a goal runs under it; else it is the user's choice of a model."""
        parts, control, routing = self._parts, self._parts.control, self._parts.options.routing
        small, large = (parts.model.full_name(name) if name else "" for name in (routing.small, routing.large))
        if not (small and large):
            text = "there are no two models to switch between"
            parts.session.emit(Notice(level="info", text=text, hint="name them: routing.small and routing.large"))
        elif control.interrupt is not None and routing.mode == "phase" and not control.chosen:
            control.turn = not control.turn
        else:
            parts.session.submit(SetModel(small if parts.model_name == large else large))

    def _begin(self, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(self._said(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _said(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """A failure is a word to the user, and stands with the list where that is shown."""
        try:
            await work()
        except JetboxError as error:
            self._parts.session.emit(Notice(level="warning", text=error.message, hint=error.hint))
            self.lister.failed(error)
        except Exception as error:  # a fault of ours must not end the others, nor be kept from who asked
            self.lister.failed(self._fault(error))

    def _fault(self, error: Exception) -> ModelError:
        """One of ours; it is told."""
        failed = ModelError(f"that failed here: {in_full(error)}")
        self._parts.session.emit(Notice(level="error", text=failed.message))
        return failed

    async def _list(self, *, anew: bool) -> None:
        """Whoever asked is told when the server takes its time, and gets an answer whatever fails."""
        voice = asyncio.get_running_loop().call_later(SLOW_S, self._say_slow) if anew else None
        try:
            await self.lister.tell(anew=anew)
        except Exception as error:  # a fault of ours
            self.lister.answer(self._fault(error))
        finally:
            if voice is not None:
                voice.cancel()

    def _say_slow(self) -> None:
        with suppress(StorageError):  # a timer has nobody to tell: the next event raises it again
            text = f"the server has not said yet what it has; it is given {ASK_S:g} s"
            self._parts.session.emit(Notice(level="info", text=text))

    async def _listed(self, entry: Entry) -> ListedModel:
        figures = await known_of(self._parts, entry)
        window = await window_on(self._parts, entry.info) if entry.loaded is not None else None
        return msgspec.structs.replace(
            as_told(entry, self._parts.session.now()),
            load_ns=int(median(figures.load)),
            prefill=median(figures.prefill),
            decode=median(figures.decode),
            clocked=figures.clocked,
            ttft_ns=int(median(figures.ttft_warm)),
            calls=figures.calls + figures.garbled,
            calls_ok=figures.calls_ok,
            call_ns=int(median(figures.call)),
            goals=figures.goals,
            green=len(figures.rounds_to_green),
            cost=predict(self._parts, entry, figures, window),
        )

    def _tokens(self) -> int:
        return self._parts.budget.estimate(self._parts.history.size)

    async def _warm(self, name: str) -> None:
        parts = self._parts
        self._put_out.discard(name)
        entry = await self._find(name)
        window = (await window_on(parts, entry.info)).tokens
        parts.session.emit(Notice(level="info", text=f"loading {name}"))
        await warm(parts.model, name, parts.options.model, window)
        parts.session.emit(Notice(level="info", text=f"{name} is loaded"))
        await self.lister.tell(anew=True)

    async def _rewarm(self) -> None:
        """As at the beginning of a session; not where the user had it unloaded themselves."""
        parts = self._parts
        if parts.warm_up is None or parts.control.interrupt is not None or parts.model_name in self._put_out:
            return
        with suppress(ModelError):  # nobody asked for it: the next request says what is wrong
            running = await parts.model.running()
            if not any(model.serves(parts.model_name) for model in running) and parts.control.interrupt is None:
                parts.warm_up()

    async def _unload(self, name: str) -> None:
        parts = self._parts
        self._put_out.add(name)
        await self._find(name)
        await unload(parts.model, name, parts.options.model)
        parts.loaded = parts.loaded and name != parts.model_name
        parts.session.emit(Notice(level="info", text=f"{name} is unloaded"))
        await self.lister.tell(anew=True)

    async def _pull(self, name: str, choices: int, *, use: bool) -> None:
        """Fetched because it was wanted: it is switched to, unless another was chosen since; else it is in the list.

        One that was chosen itself meanwhile is switched to as well.
        """
        parts, control = self._parts, self._parts.control
        parts.fetching.add(parts.model.full_name(name))
        try:
            fetched = await pull(parts.session, parts.model, name)
        finally:
            parts.fetching.discard(parts.model.full_name(name))
        chosen = control.choices > choices
        if fetched and (parts.model.full_name(control.choice) == parts.model.full_name(name) if chosen else use):
            parts.session.submit(SetModel(name))
        elif fetched:
            await self.lister.tell(anew=True)

    async def _find(self, name: str) -> Entry:
        found = (await catalog_of(self._parts).look()).find(name)
        return found or Entry(await self._parts.model.info(name))
