"""A model that is not there, or not fit: whoever sits before the screen may have it fetched, or name another."""

from __future__ import annotations

import asyncio

import msgspec

from jetbox.engine.commands import AnyCommand, Cancel, Close, ListModels, PullModel, SetModel, StopPull
from jetbox.engine.errors import ModelError, ModelNotFound, ModelUnfit
from jetbox.engine.events import ModelMissing, ModelPulled, ModelsListed, Notice
from jetbox.engine.models.base import ChatModel, ModelInfo, PullStep
from jetbox.engine.models.choose import choose_model
from jetbox.engine.session import Session

TELL_NS = 200_000_000
"""So often the progress is told."""


async def choose_or_ask(session: Session, model: ChatModel, name: str) -> ModelInfo:
    """The model to use; where it cannot be used, the user is asked until there is one.

    What else was asked for meanwhile is handed back to the session.

    Raises:
        ModelError: the server does not answer, or the user left.
    """
    later: list[AnyCommand] = []
    try:
        while True:
            try:
                return await choose_model(model, name)
            except (ModelNotFound, ModelUnfit) as error:
                session.emit(await missing(model, name, error))
                name = await _answer(session, model, error, later)
    finally:
        for command in later:
            session.submit(command)


async def missing(model: ChatModel, name: str, error: ModelError) -> ModelMissing:
    """What the user is told of it, and what can be done."""
    try:
        installed = await model.installed()
    except ModelError:
        installed = []
    fit = tuple(m.name for m in installed if "tools" in m.capabilities or not m.capabilities)
    pull = name if model.manages and isinstance(error, ModelNotFound) else ""
    return ModelMissing(name=name, why=error.message, there=fit, pull=pull)


async def _answer(session: Session, model: ChatModel, error: ModelError, later: list[AnyCommand]) -> str:
    """The name of the model to try next."""
    fetching: asyncio.Task[bool] | None = None
    listing: asyncio.Task[None] | None = None
    wanted = ""
    told_of = _List(session, model)
    command = asyncio.ensure_future(session.next_command())
    try:
        while True:
            await asyncio.wait({command, *([fetching] if fetching else [])}, return_when=asyncio.FIRST_COMPLETED)
            if fetching is not None and fetching.done():
                if not fetching.cancelled() and fetching.result():
                    later += [command.result()] if command.done() else []
                    return wanted
                fetching = None
            if not command.done():
                continue
            match command.result():
                case SetModel(name=name):
                    return name
                case PullModel(name=name) if fetching is None:
                    wanted = name
                    fetching = asyncio.ensure_future(pull(session, model, name))
                case PullModel(name=name) if name == wanted:
                    pass  # it is on its way
                case Cancel() | StopPull():
                    if fetching is not None:
                        fetching.cancel()
                case ListModels(anew=anew):
                    if listing is None or listing.done():
                        listing = asyncio.ensure_future(told_of.tell(anew=anew))
                case Close() as close:
                    later.append(close)
                    raise error
                case other:
                    later.append(other)
            command = asyncio.ensure_future(session.next_command())
    finally:
        for task in (command, fetching, listing):
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait({task})


class _List:
    """What the server has, told where that is new."""

    def __init__(self, session: Session, model: ChatModel) -> None:
        from jetbox.engine.models.catalog import Catalog

        self._session = session
        self._catalog = Catalog(model)
        self._manages = model.manages
        self._told: ModelsListed | None = None

    async def tell(self, *, anew: bool) -> None:
        """Ask the server; where it does not answer, that is told with what there was."""
        from jetbox.engine.models.desk import as_told, differs

        try:
            listing = await self._catalog.look(anew=anew)
        except ModelError as error:
            listed = msgspec.structs.replace(self._told or ModelsListed(), problem=error.message, loading=False)
        else:
            now = self._session.now()
            models = tuple(as_told(entry, now) for entry in listing.entries)
            listed = ModelsListed(models=models, loading=listing.loading, manages=self._manages)
        if anew or self._told is None or differs(listed, self._told):
            self._told = listed
            self._session.emit(listed)


async def pull(session: Session, model: ChatModel, name: str) -> bool:
    """Have the server fetch a model, with words about the progress; False where it could not."""
    layers: dict[str, PullStep] = {}
    told = -TELL_NS
    try:
        async for step in model.pull(name):
            if step.total:
                layers[step.status] = step
            if session.now() - told >= TELL_NS:
                told = session.now()
                session.emit(_progress(name, step.status, layers))
    except ModelError as error:
        session.emit(ModelPulled(name=name, state="failed", status=error.message))
        session.emit(Notice(level="warning", text=error.message, hint=error.hint))
        return False
    except asyncio.CancelledError:
        session.emit(ModelPulled(name=name, state="cancelled"))
        raise
    session.emit(_progress(name, "success", layers, done=True))
    return True


def _progress(name: str, status: str, layers: dict[str, PullStep], *, done: bool = False) -> ModelPulled:
    total = sum(step.total for step in layers.values())
    here = sum(step.completed for step in layers.values())
    return ModelPulled(name=name, state="done" if done else "running", status=status, total=total, completed=here)
