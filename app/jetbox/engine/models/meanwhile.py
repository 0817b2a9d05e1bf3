"""What the user wants while no model can be used yet: lists are told, leaving ends it, whoever waits gets the rest."""

from __future__ import annotations

import asyncio
from typing import Any

from jetbox.engine.commands import AnyCommand, Close, ListModels
from jetbox.engine.errors import ModelError
from jetbox.engine.models.base import ChatModel
from jetbox.engine.session import Session
from jetbox.engine.tasks import end_tasks


class Meanwhile:
    """Hears the user; a context, at whose end nobody is listened to any more."""

    def __init__(self, session: Session, model: ChatModel, error: ModelError, later: list[AnyCommand]) -> None:
        """`error` is raised where the user leaves; what nobody has taken goes to `later`."""
        from jetbox.engine.models.catalog import Catalog
        from jetbox.engine.models.listing import Lister

        self._session = session
        self._lister = Lister(session, model, Catalog(model))
        self._error = error
        self._later = later
        self._command: asyncio.Task[AnyCommand] | None = None
        self._listing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Meanwhile:
        return self

    async def __aexit__(self, *_: object) -> None:
        await end_tasks(self._command, self._listing)
        if self._command is not None and not self._command.cancelled() and self._command.exception() is None:
            self._later.append(self._command.result())

    async def heard(self, work: asyncio.Task[Any] | None = None) -> AnyCommand | None:
        """The next command; None where `work` is done before one comes.

        Raises:
            ModelError: the user left.
        """
        while True:
            if self._command is None:
                self._command = asyncio.ensure_future(self._session.next_command())
            waited = {self._command} if work is None else {self._command, work}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if not self._command.done():
                return None
            command, self._command = self._command.result(), None
            match command:
                case ListModels(anew=anew):
                    if self._listing is None or self._listing.done():
                        self._listing = asyncio.ensure_future(self._lister.tell(anew=anew))
                case Close():
                    self._later.append(command)
                    raise self._error
                case _:
                    return command
