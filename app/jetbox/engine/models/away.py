"""A server that does not answer when a session begins: where somebody sits there, it is asked until it does."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Literal

from jetbox.engine.commands import AnyCommand, Goal, SendAgain, SetModel
from jetbox.engine.errors import KeyWanted, ModelError, ServerUnreachable
from jetbox.engine.events import Notice, Waiting
from jetbox.engine.models.base import ChatModel
from jetbox.engine.models.meanwhile import Meanwhile
from jetbox.engine.models.names import misnamed
from jetbox.engine.session import Session
from jetbox.engine.tasks import end_tasks

EVERY_S = 2.0
"""How often it is asked; at once where the user says so."""


async def server_back(
    session: Session, model: ChatModel, error: ServerUnreachable, name: str, later: list[AnyCommand]
) -> str:
    """Return when the server answers: the name of the model to use. What else was asked for goes to `later`.

    Raises:
        ServerUnreachable: the user left.
    """
    again = asyncio.Event()
    _say(session, model, "warning", error.message, error.hint)
    asked = asyncio.ensure_future(_answers(model, again))
    try:
        async with Meanwhile(session, model, error, later) as user:
            while (command := await user.heard(asked)) is not None:
                match command:
                    case SetModel(name=wanted) if why := misnamed(wanted):
                        _say(session, model, "warning", f"no model can have the name {wanted!r}: {why}", "")
                    case SetModel(name=wanted):
                        name = wanted
                        unknown = f"{name} is queued until the server answers, and not known to be there"
                        _say(session, model, "info", unknown, "")
                        again.set()
                    case SendAgain():
                        again.set()
                    case other:
                        later.append(other)
                        if isinstance(other, Goal):
                            _say(session, model, "info", "the goal waits until the server answers", "")
            session.emit(Notice(level="info", text="the server answers"))
            return name
    finally:
        await end_tasks(asked)


def _say(session: Session, model: ChatModel, level: Literal["info", "warning"], text: str, hint: str) -> None:
    session.emit(Notice(level=level, text=text, hint=hint))
    session.emit(Waiting(what="connecting", detail=f"to {model.host}"))


async def _answers(model: ChatModel, again: asyncio.Event) -> None:
    """Return when the server answers, whatever it says."""
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(EVERY_S):
                await again.wait()
        again.clear()
        try:
            await model.version()
        except KeyWanted:
            return  # it is there
        except ServerUnreachable:
            continue
        except ModelError:
            return
        return
