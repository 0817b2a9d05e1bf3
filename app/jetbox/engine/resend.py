"""What lies between a request that failed and the same once more: what it needs is waited for, and asked about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from copy import copy

from jetbox.engine.errors import (
    JetboxError,
    KeyWanted,
    ModelError,
    ModelNotFound,
    ModelUnfit,
    ServerBusy,
    ServerUnreachable,
    StillLoading,
    TakenBack,
)
from jetbox.engine.events import Notice, Waiting
from jetbox.engine.models.window import choose_window
from jetbox.engine.parts import Parts
from jetbox.engine.retries import LOADS, ONCE, diagnosed, pause_before, spared

RESTARTED = ServerUnreachable | StillLoading
"""What may come back with another window than it had, or with another model."""


class Resend:
    """One for each round: it counts how often the round's requests to a model failed, and in which way."""

    def __init__(self, parts: Parts, account: Callable[[str, str], None]) -> None:
        """`account` gives the time since it was last called to a phase, as a span with a name."""
        self._parts = parts
        self._account = account
        self._failed = self._tried = self._loading = 0
        """Attempts that were answered badly, or not by a server that is there; all that failed by themselves, but for
        a load; and how often the server was seen to load."""

    async def ready(self, error: JetboxError, *, logprobs: bool) -> JetboxError | None:
        """Wait for what the next attempt needs; the error, where there is to be none.

        `logprobs`: the request had asked for probabilities of tokens.

        Raises:
            CancelledError: the user interrupted.
        """
        parts = self._parts
        if without := spared(error, parts, logprobs=logprobs):
            parts.session.emit(Notice(level="warning", text=error.message, hint=without))
            return None
        with parts.timed("diagnosis", "queue and load"):
            error = await diagnosed(error, parts)
        while not isinstance(error, ModelNotFound | ModelUnfit):
            pause = self._pause(error)
            if pause is None:
                return None if await self._went_back(error) else given_up(error, parts)
            if pause:
                await self._back_off(error, pause)
            told = await told_anew(parts) if isinstance(error, RESTARTED) else None
            if told is None:
                return None
            error = told
        return await self._replaced(error)

    def _pause(self, error: JetboxError) -> float | None:
        loading = isinstance(error, StillLoading)
        self._failed += isinstance(error, ONCE)
        self._loading += loading
        self._tried += not (loading or isinstance(error, TakenBack))
        return pause_before(error, self._loading if loading else self._tried, self._parts, self._failed)

    async def _replaced(self, error: ModelNotFound | ModelUnfit) -> ModelError | None:
        from jetbox.engine.gone import replaced

        if await self._went_back(error):
            return None
        try:
            return await replaced(self._parts, error)
        finally:
            self._account("waiting for you", "")

    async def _went_back(self, error: JetboxError) -> bool:
        if not self._parts.came_from:
            return False
        from jetbox.engine.retreat import went_back

        with self._parts.timed("switch"):
            back = await went_back(self._parts, error)
        if back:
            self._failed = self._tried = self._loading = 0  # another model, which may fail once too
        return back

    async def _back_off(self, error: JetboxError, pause: float) -> None:
        """Wait before the next attempt."""
        session = self._parts.session
        if isinstance(error, StillLoading):
            session.emit(Waiting(what="loading", detail=self._parts.model_name))
        else:
            session.emit(Notice(level="warning", text=error.message, hint=f"trying again in {pause:.3g} s"))
            session.emit(Waiting(what="retrying", detail=error.message, expected_ns=int(pause * 1e9)))
        try:
            await asyncio.sleep(pause)
        finally:
            self._account("queue and load", "back-off")


def given_up(error: JetboxError, parts: Parts) -> JetboxError:
    """An error that is not tried again, with how to go on where the server may be there again later."""
    if not isinstance(error, ServerUnreachable | ServerBusy) or isinstance(error, KeyWanted):
        return error
    hint, attended = error.hint, parts.control.attended
    if attended or parts.session.recorder.keeps:
        on = "tell it to go on" if attended else "go on with --continue"
        hint = f"{hint}; then {on}" if hint else f"when it answers again, {on}"
    if isinstance(error, ServerUnreachable) and error.away and not attended and parts.options.model.retries < LOADS:
        hint = f"{hint}{'. ' if hint else ''}With --set model.retries={LOADS} it is waited for five minutes"
    told = copy(error)
    told.hint = hint
    return told


async def told_anew(parts: Parts) -> StillLoading | ModelNotFound | None:
    """Take what a server says now that was started with its window and its model, and may have been started anew.

    None where the request can be sent, else why not yet, or why not at all.
    """
    if parts.model.manages:
        return None
    try:
        info = await parts.model.info(parts.model_name)
        window = await choose_window(parts.model, info, parts.options.context, parts.environ)
    except (StillLoading, ModelNotFound) as error:
        return error
    except ModelError:
        return None  # the request is told the same
    was = parts.budget.num_ctx
    if (info, window.tokens) == (parts.model_info, was):
        return None
    from jetbox.engine.models.catalog import Entry
    from jetbox.engine.switching import catalog_of, known_of

    catalog_of(parts).forget()
    figures = await known_of(parts, Entry(info))
    parts.use_model(info, window)
    parts.recall(figures)
    if window.tokens != was:
        text = f"the window is {window.tokens:,} tokens now, not {was:,}: {window.why}"
        parts.session.emit(Notice(level="info", text=text))
    return None
