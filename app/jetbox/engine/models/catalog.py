"""What a server has: installed, described and loaded, merged into one list and asked for politely."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from jetbox.engine.clock import monotonic
from jetbox.engine.errors import ModelError, RequestRefused
from jetbox.engine.models.base import ChatModel, LoadedModel, ModelInfo
from jetbox.engine.models.ollama_lists import full_name
from jetbox.engine.tasks import end_tasks

LISTED_S = 30.0
"""So long a list of what is installed is good enough."""
RUNNING_S = 1.0
"""A server that takes longer to say what it holds is loading a model."""
EARLY_S = 0.5
"""So long whoever wants to see something waits for what is said of each model."""
AT_ONCE = 4
"""How many models are asked about side by side."""


class Entry(msgspec.Struct, frozen=True):
    """A model of the server."""

    info: ModelInfo
    loaded: LoadedModel | None = None

    @property
    def lacks(self) -> str:
        """Why an agent cannot use it; empty where it can, as far as the server says."""
        can = self.info.capabilities
        if not can or "tools" in can:
            return ""
        return "makes embeddings only" if "embedding" in can and "completion" not in can else "cannot call tools"

    @property
    def on_gpu(self) -> float | None:
        """The share of it that lies on the GPU, from 0 to 1; None where it is not loaded or not told."""
        if self.loaded is None or not self.loaded.size:
            return None
        return min(1.0, self.loaded.size_vram / self.loaded.size)


class Listing(msgspec.Struct, frozen=True):
    """All models at a time."""

    entries: tuple[Entry, ...] = ()
    loading: bool = False
    """The server loads or unloads a model, and holds back what it has in memory; that is from earlier."""
    fetches: bool = True
    """The server fetches what it does not have, when it is asked to."""

    def find(self, name: str) -> Entry | None:
        """The model of that name, or of that which Ollama makes of it: with a tag, and in whatever case."""
        named = {entry.info.name: entry for entry in self.entries}
        full = full_name(name)
        folded = next((each for each in named if each.casefold() == full.casefold()), "")
        return named.get(name) or named.get(full) or named.get(folded)


class Catalog:
    """Merges the lists of one server; whoever asks while it is being asked gets the same answer, or failure."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model
        self._asking = asyncio.Lock()
        self._begun = self._ended = 0
        """How many looks; one that was cancelled has no end."""
        self._anew = 0
        """The last one that asked for what is installed because somebody wanted that."""
        self._newest = Listing()
        self._failure: ModelError | None = None
        """Of the last look."""
        self._installed: list[ModelInfo] = []
        self._installed_at = 0
        self._described: dict[tuple[str, str], ModelInfo] = {}
        self._running: list[LoadedModel] = []

    def forget(self) -> None:
        """What is installed is asked for again by the next who looks."""
        self._installed = []

    async def look(self, *, anew: bool = False, early: Callable[[Listing], Awaitable[None]] | None = None) -> Listing:
        """What the server has now; with `anew` also what is installed is asked for again.

        Where the server takes its time over the description of a model, `early` gets the list without that one.

        Raises:
            ModelError: the server does not answer, or not in its protocol.
        """
        begun, ended = self._begun, self._ended
        async with self._asking:
            if self._ended > ended:  # one has ended meanwhile
                if self._failure is not None:
                    raise self._failure
                if not anew or self._anew > begun:
                    return self._newest
            self._begun += 1
            try:
                self._newest, self._failure = await self._look(anew, early), None
            except ModelError as error:
                self._failure = error
                self._ended += 1
                raise
            self._ended += 1
            if anew:
                self._anew = self._begun
            return self._newest

    async def _look(self, anew: bool, early: Callable[[Listing], Awaitable[None]] | None) -> Listing:
        age = (monotonic() - self._installed_at) / 1e9
        if anew or not self._installed or age > LISTED_S:
            installed = await self._model.installed()
            describing = asyncio.ensure_future(self._described_all(installed))
            try:
                await asyncio.wait({describing}, timeout=EARLY_S)
                if early is not None and not describing.done():
                    await early(self._merged([self._described.get((i.name, i.digest), i) for i in installed]))
                self._installed = await describing
            finally:
                await end_tasks(describing)
            self._installed_at = monotonic()
        loading = False
        try:
            self._running = await asyncio.wait_for(self._model.running(), RUNNING_S)
        except TimeoutError:
            loading = True
        except RequestRefused:
            self._running = []  # what stands before the server keeps that from us
        return self._merged(self._installed, loading)

    def _merged(self, installed: list[ModelInfo], loading: bool = False) -> Listing:
        held = {name: model for model in self._running for name in (*model.also, model.name)}
        entries = tuple(Entry(info, held.get(info.name)) for info in installed)
        return Listing(entries, loading, self._model.manages)

    async def _described_all(self, installed: list[ModelInfo]) -> list[ModelInfo]:
        """With what only a question about each model tells; it is asked once for each digest."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def described(info: ModelInfo) -> ModelInfo:
            key = (info.name, info.digest)
            if self._needs_no_word(info):
                return info
            if key in self._described:
                return self._described[key]
            try:
                async with gate:
                    self._described[key] = await self._describe(info)
            except ModelError:  # deleted meanwhile, damaged, or the server is busy: the next list may tell more
                return info
            return self._described[key]

        return list(await asyncio.gather(*map(described, installed)))

    async def whole(self, entry: Entry) -> Entry:
        """With what only a question about this one model tells; as it is where the server does not answer that."""
        info = entry.info
        if not self._model.manages or info.remote:
            return entry
        try:
            shown = await self._model.info(info.name)
        except ModelError:
            return entry
        told = ("kv_bytes", "own_ctx", "own_temperature", "levels", "moves_tools")
        known = {name: getattr(shown, name) for name in told}
        return msgspec.structs.replace(entry, info=msgspec.structs.replace(info, **known))

    def _needs_no_word(self, info: ModelInfo) -> bool:
        """The list says as much of it as a question would, and says it anew each time."""
        return bool(info.capabilities and info.max_ctx) or not self._model.manages

    async def _describe(self, info: ModelInfo) -> ModelInfo:
        shown = await self._model.info(info.name)
        return msgspec.structs.replace(
            info,
            capabilities=info.capabilities or shown.capabilities,
            max_ctx=info.max_ctx or shown.max_ctx,
            family=info.family or shown.family,
            parameters=info.parameters or shown.parameters,
            quantisation=info.quantisation or shown.quantisation,
            remote=info.remote or shown.remote,
        )
