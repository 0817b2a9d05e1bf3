"""A server that has no answer yet when a session begins: it is asked until it has, or as long as a load may take."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Literal

from jetbox.engine.commands import AnyCommand, Goal, SendAgain, SetModel
from jetbox.engine.errors import KeyWanted, ModelError, ServerBusy, ServerUnreachable, StillLoading
from jetbox.engine.events import Notice, Waiting
from jetbox.engine.models.base import ChatModel, ModelInfo
from jetbox.engine.models.choose import choose_model
from jetbox.engine.models.meanwhile import Meanwhile
from jetbox.engine.models.names import misnamed
from jetbox.engine.session import Session
from jetbox.engine.tasks import end_tasks

EVERY_S = 2.0
"""How often it is asked; at once where the user says so."""


async def choose_when_loaded(session: Session, model: ChatModel, name: str, *, retries: int) -> ModelInfo:
    """The model to use, where nobody can be asked; a server that still loads it is asked again, unless without
    `retries`.

    Raises:
        ModelError: it cannot be used.
    """
    from jetbox.engine.retries import LOADS, backed_off

    number = 0
    while True:
        number += 1
        try:
            return await choose_model(model, name)
        except StillLoading as error:
            if not retries or number > LOADS:
                raise
            if number == 1:
                _Voice(session, model, error, name).say(error.message, error.hint)
        await asyncio.sleep(backed_off(number))


async def server_back(
    session: Session,
    model: ChatModel,
    error: ServerUnreachable | ServerBusy,
    name: str,
    later: list[AnyCommand],
) -> str:
    """Return when the server answers: the name of the model to use. What else was asked for goes to `later`.

    Raises:
        ServerUnreachable, ServerBusy: the user left.
    """
    again = asyncio.Event()
    voice = _Voice(session, model, error, name)
    voice.say(error.message, error.hint, "warning")
    asked = asyncio.ensure_future(_answers(model, name, again))
    try:
        async with Meanwhile(session, model, error, later) as user:
            while (command := await user.heard(asked)) is not None:
                match command:
                    case SetModel(name=wanted) if why := misnamed(wanted):
                        voice.say(f"no model can have the name {wanted!r}: {why}", level="warning")
                    case SetModel(name=wanted):
                        name = wanted
                        voice.say(f"{name} is queued until the server answers, and not known to be there")
                        again.set()
                    case SendAgain():
                        again.set()
                    case other:
                        later.append(other)
                        if isinstance(other, Goal):
                            voice.say("the goal waits until the server answers")
            session.emit(Notice(level="info", text="the server answers"))
            return name
    finally:
        await end_tasks(asked)


class _Voice:
    """Says something, and what is waited for all the same."""

    def __init__(self, session: Session, model: ChatModel, error: ModelError, name: str) -> None:
        self._session = session
        self._waiting = Waiting(what="connecting", detail=f"to {model.host}")
        if isinstance(error, StillLoading):
            self._waiting = Waiting(what="loading", detail=name or "its model")

    def say(self, text: str, hint: str = "", level: Literal["info", "warning"] = "info") -> None:
        self._session.emit(Notice(level=level, text=text, hint=hint))
        self._session.emit(self._waiting)


async def _answers(model: ChatModel, name: str, again: asyncio.Event) -> None:
    """Return when the server says of the model of that name whatever it has to say."""
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(EVERY_S):
                await again.wait()
        again.clear()
        try:
            await choose_model(model, name)
        except KeyWanted:
            return  # it is there
        except (ServerUnreachable, ServerBusy):
            continue
        except ModelError:
            return
        return
