"""A server that does not answer when a session begins: where somebody sits there, it is asked until it does."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Literal

from jetbox.engine.commands import AnyCommand, Close, Goal, ListModels, SendAgain, SetModel
from jetbox.engine.errors import KeyWanted, ModelError, ServerUnreachable
from jetbox.engine.events import Notice, Waiting
from jetbox.engine.models.base import ChatModel
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
    from jetbox.engine.models.catalog import Catalog
    from jetbox.engine.models.listing import Lister

    lister, again = Lister(session, model, Catalog(model)), asyncio.Event()
    _say(session, model, "warning", error.message, error.hint)
    asked = asyncio.ensure_future(_answers(model, again))
    command = asyncio.ensure_future(session.next_command())
    listing: asyncio.Task[None] | None = None
    try:
        while True:
            await asyncio.wait({asked, command}, return_when=asyncio.FIRST_COMPLETED)
            if not command.done():
                session.emit(Notice(level="info", text="the server answers"))
                return name
            match command.result():
                case SetModel(name=wanted):
                    name = wanted
                    again.set()
                case SendAgain():
                    again.set()
                case ListModels(anew=anew):
                    if listing is None or listing.done():
                        listing = asyncio.ensure_future(lister.tell(anew=anew))
                case Close() as close:
                    later.append(close)
                    raise error
                case other:
                    later.append(other)
                    if isinstance(other, Goal):
                        _say(session, model, "info", "the goal waits until the server answers", "")
            command = asyncio.ensure_future(session.next_command())
    finally:
        await end_tasks(asked, command, listing)


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
