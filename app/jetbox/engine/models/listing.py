"""Tells what the server has, where that is new."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from jetbox.engine.errors import JetboxError
from jetbox.engine.events import ListedModel, ModelsListed
from jetbox.engine.models.base import ChatModel
from jetbox.engine.models.catalog import Catalog, Entry, Listing
from jetbox.engine.models.standing import Standing, best_at
from jetbox.engine.models.until import session_time
from jetbox.engine.session import Session

DRIFT_NS = 5_000_000_000
"""By so much the time at which a model is unloaded may seem to move without being told anew."""


class Lister:
    """Asks a catalog as often as it is told to; the journal has a list once."""

    def __init__(
        self,
        session: Session,
        model: ChatModel,
        catalog: Catalog,
        *,
        listed: Callable[[Entry], Awaitable[ListedModel]] | None = None,
        tokens: Callable[[], int] = lambda: 0,
    ) -> None:
        """`listed` says of a model what is known besides the server's word, `tokens` how long the session is."""
        self._session = session
        self._catalog = catalog
        self._model = model
        self._listed = listed or self._bare
        self._tokens = tokens
        self._told: ModelsListed | None = None

    async def tell(self, *, anew: bool) -> None:
        """Tell what there is; where the server does not answer, what there was, and that it does not."""
        early = self._early if anew or self._told is None else None
        try:
            listed = await self._as_listed(await self._catalog.look(anew=anew, early=early))
        except JetboxError as error:
            listed = self._with(error)
        self._tell(listed, anew=anew)

    async def _early(self, listing: Listing) -> None:
        self._tell(await self._as_listed(listing))

    async def _as_listed(self, listing: Listing) -> ModelsListed:
        return ModelsListed(
            models=compared([await self._listed(entry) for entry in listing.entries]),
            loading=listing.loading,
            tokens=self._tokens(),
            manages=self._model.manages,
        )

    def failed(self, error: JetboxError) -> None:
        """Something else that was asked for has failed; it stands with the list, where one was told."""
        if self._told is not None:
            self.answer(error)

    def answer(self, error: JetboxError) -> None:
        """The list that was asked for cannot be had: what there was, and why."""
        self._tell(self._with(error))

    def _with(self, error: JetboxError) -> ModelsListed:
        return msgspec.structs.replace(self._told or ModelsListed(), problem=_in_words(error), loading=False)

    def _tell(self, listed: ModelsListed, *, anew: bool = False) -> None:
        if anew or self._told is None or differs(listed, self._told):
            self._told = listed
            self._session.emit(listed)

    async def _bare(self, entry: Entry) -> ListedModel:
        return as_told(entry, self._session.now())


def _in_words(error: JetboxError) -> str:
    """What failed, and what to do next."""
    return f"{error.message} — {error.hint}" if error.hint else error.message


def as_told(entry: Entry, now: int) -> ListedModel:
    """What the server says of a model, at this time of the session; nothing of what was measured."""
    info, held = entry.info, entry.loaded
    return ListedModel(
        name=info.name,
        size=info.size,
        parameters=info.parameters,
        quantisation=info.quantisation,
        max_ctx=info.max_ctx,
        capabilities=info.capabilities,
        lacks=entry.lacks,
        remote=info.remote,
        loaded=held is not None,
        memory=held.size if held else 0,
        memory_gpu=held.size_vram if held else 0,
        window=held.window if held else 0,
        expires=session_time(held.expires_at, now) if held else 0,
        loaded_as=held.name if held and held.name != info.name else "",
    )


def compared(models: Sequence[ListedModel]) -> tuple[ListedModel, ...]:
    """With what each is best at beside the others."""
    words = best_at(
        [
            Standing(
                usable=not one.lacks,
                decode=one.decode,
                calls=one.calls,
                calls_ok=one.calls_ok,
                goals=one.goals,
                green=one.green,
            )
            for one in models
        ]
    )
    return tuple(msgspec.structs.replace(one, best=word) for one, word in zip(models, words, strict=True))


def differs(new: ModelsListed, old: ModelsListed) -> bool:
    """Whether anything but a countdown and a small drift of it is new."""
    if len(new.models) != len(old.models) or (new.loading, new.problem) != (old.loading, old.problem):
        return True
    for one, other in zip(new.models, old.models, strict=True):
        if abs(one.expires - other.expires) > DRIFT_NS:
            return True
        if msgspec.structs.replace(one, expires=0, cost=other.cost) != msgspec.structs.replace(other, expires=0):
            return True
    return False
