"""A model that is not there, or not fit: whoever sits before the screen may have it fetched, or name another."""

from __future__ import annotations

import asyncio

from jetbox.engine.commands import AnyCommand, Cancel, Close, ListModels, PullModel, SetModel
from jetbox.engine.errors import ModelError, ModelNotFound, ModelUnfit
from jetbox.engine.events import ModelMissing, ModelPulled, Notice
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
                told = await missing(model, name, error)
                session.emit(told)
                name = await _answer(session, model, told, error, later)
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


async def _answer(
    session: Session, model: ChatModel, told: ModelMissing, error: ModelError, later: list[AnyCommand]
) -> str:
    """The name of the model to try next."""
    fetching: asyncio.Task[bool] | None = None
    wanted = ""
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
                case Cancel() if fetching is not None:
                    fetching.cancel()
                case ListModels():
                    session.emit(told)
                case Close() as close:
                    later.append(close)
                    raise error
                case other:
                    later.append(other)
            command = asyncio.ensure_future(session.next_command())
    finally:
        for task in (command, fetching):
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait({task})


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
