"""A model that is not there, or not fit: whoever sits before the screen may have it fetched, or name another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from jetbox.engine.commands import AnyCommand, Cancel, PullModel, SetModel, StopPull
from jetbox.engine.errors import (
    KeyWanted,
    ModelError,
    ModelNotFound,
    ModelUnfit,
    ServerBusy,
    ServerUnreachable,
    StillLoading,
)
from jetbox.engine.events import ModelMissing, Notice
from jetbox.engine.models.base import ChatModel, ModelInfo
from jetbox.engine.models.choose import choose_model
from jetbox.engine.models.meanwhile import Meanwhile
from jetbox.engine.models.names import misnamed
from jetbox.engine.models.pulling import pull
from jetbox.engine.options import EngineOptions
from jetbox.engine.session import Session
from jetbox.engine.tasks import end_tasks


async def choose_or_ask(session: Session, model: ChatModel, name: str, *, waits: bool = False) -> ModelInfo:
    """The model to use; where it cannot be used, the user is asked until there is one.

    A server that still loads its model is waited for; `waits`: one that does not answer or is busy, too.

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
            except (ServerUnreachable, ServerBusy) as error:
                if isinstance(error, KeyWanted) or not (waits or isinstance(error, StillLoading)):
                    raise
                from jetbox.engine.models.away import server_back

                name = await server_back(session, model, error, name, later)
    finally:
        for command in later:
            session.submit(command)


async def with_usable_rule(
    session: Session,
    model: ChatModel,
    options: EngineOptions,
    begun: str,
    choose: Callable[[ChatModel, str], Awaitable[ModelInfo]],
    asked: str = "",
) -> EngineOptions:
    """The options, with models of their rule that can be used, before a round needs them; `begun` was looked at.

    `asked` is the name that it was asked for by: where the user named another in its place, that is the rule's too.

    A server that does not say is told of, and asked again when a round needs the model.

    Raises:
        ModelNotFound, ModelUnfit
        SettingsError: two names of one model.
    """
    rule = options.routing
    if rule.mode != "off":
        from jetbox.engine.routing import check_two

        full = model.full_name
        check_two(msgspec.structs.replace(rule, small=full(rule.small), large=full(rule.large)))
    for part in ("small", "large") if rule.mode != "off" else ():
        name = getattr(rule, part)
        if not name or model.full_name(name) == begun:
            continue
        if asked and model.full_name(name) == model.full_name(asked):
            rule = msgspec.structs.replace(rule, **{part: begun})
            continue
        try:
            info = await choose(model, name)
        except ModelError as error:
            text = f"routing by {rule.mode} cannot use {name}: {error.message}"
            if isinstance(error, ModelNotFound | ModelUnfit):
                raise type(error)(text, error.hint) from error
            session.emit(Notice(level="warning", text=text, hint=error.hint))
        else:
            rule = msgspec.structs.replace(rule, **{part: info.name})
    return msgspec.structs.replace(options, routing=rule)


async def missing(model: ChatModel, name: str, error: ModelError) -> ModelMissing:
    """What the user is told of it, and what can be done."""
    try:
        installed = await model.installed()
    except ModelError:
        installed = []
    fit = tuple(m.name for m in installed if "tools" in m.capabilities or not m.capabilities)
    fetched = model.manages and isinstance(error, ModelNotFound) and not misnamed(name, ollama=True)
    to_fetch = name if fetched else ""
    return ModelMissing(name=name, why=error.message, there=fit, pull=to_fetch)


async def _answer(session: Session, model: ChatModel, error: ModelError, later: list[AnyCommand]) -> str:
    """The name of the model to try next."""
    fetching: asyncio.Task[bool] | None = None
    wanted = ""
    try:
        async with Meanwhile(session, model, error, later) as user:
            while True:
                match await user.heard(fetching):
                    case None:
                        ended, fetching = fetching, None
                        if ended is not None and not ended.cancelled() and ended.result():
                            return wanted
                    case SetModel(name=name):
                        return name
                    case PullModel(name=name) if fetching is None or fetching.done():
                        wanted = name
                        fetching = asyncio.ensure_future(pull(session, model, name))
                    case PullModel(name=name) if name == wanted:
                        pass  # it is on its way
                    case Cancel() | StopPull():
                        if fetching is not None:
                            fetching.cancel()
                    case other:
                        later.append(other)
    finally:
        await end_tasks(fetching)
