"""Has the model ready before the first goal is typed: loads it, then lets it read what every request begins with.

The same launch options as in every other request, so that nothing is loaded twice. A goal never
waits for this: while the model loads, its request joins the wait at the server; while the prompt
is read, the reading is taken back, and what was read by then stays in the server's cache.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from jetbox.engine.context.wire import Wanted
from jetbox.engine.errors import ModelError, OutOfMemory, StorageError
from jetbox.engine.events import ModelWarmed, Notice, Waiting
from jetbox.engine.held import look_at_held
from jetbox.engine.learning import learn_rate
from jetbox.engine.models.base import EVALUATED, LoadedModel
from jetbox.engine.models.manage import last, warm
from jetbox.engine.parts import Parts
from jetbox.engine.room import lower_window
from jetbox.engine.switching import pay
from jetbox.engine.waiting import SPEAK_AFTER_S, loading_words

WAY_S = 0.25
"""A request waits so long at most until the reading is taken back: closing a connection takes no time. A load waits so
long for what the server holds."""


class WarmUp:
    """One at the beginning of a session, and one after each switch between two goals."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._name = parts.model_name
        self._load_ns = 0
        self._goal = False
        """A goal is there: nothing more is begun."""
        self._reading: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._cold = True
        """What loading took is a load, and nothing else."""
        self._miss = ""
        """Why less of what was read was there than the session's last request left."""

    async def run(self) -> None:
        """Load, look, read; a failure is a word to the user, since the first request may do better."""
        parts, session = self._parts, self._parts.session
        self._cold = not await self._there()
        start = session.now()
        try:
            await self._load()
            loaded = session.now()
            self._load_ns = loaded - start
            if self._goal:
                session.emit(ModelWarmed(name=self._name, load_ns=loaded - start, joined=True, cold=self._cold))
                return
            await look_at_held(parts, ours=parts.model_name == self._name)
            tokens = 0 if self._goal else await self._read()
            read = session.now() - loaded if tokens else 0
            session.emit(
                ModelWarmed(
                    name=self._name,
                    load_ns=loaded - start,
                    read_ns=read,
                    tokens=tokens,
                    miss=self._miss,
                    cold=self._cold,
                )
            )
        except ModelError as error:
            session.emit(
                Notice(
                    level="info", text=f"the model could not be made ready ahead of a goal: {error}", hint=error.hint
                )
            )

    def load_of(self, model: str) -> int:
        """How long loading that model took (ns), for the first request after it; 0 where it was another's, or told."""
        if model != self._name:
            return 0
        took, self._load_ns = self._load_ns, 0
        return took

    @property
    def unread(self) -> bool:
        """It had the model loaded, and a goal came before anything was read."""
        return self._load_ns > 0 and self._reading is None

    async def make_way(self) -> None:
        """A goal's request is about to be sent."""
        self._goal = True
        reading = self._reading
        if reading is not None and not reading.done():
            reading.cancel()
            await asyncio.wait([reading], timeout=WAY_S)

    async def _load(self) -> None:
        parts = self._parts
        voice = asyncio.get_running_loop().call_later(SPEAK_AFTER_S, self._say)
        try:
            await self._warm()
        finally:
            voice.cancel()
            if self._looking is not None:
                self._looking.cancel()
        if parts.model_name == self._name:
            parts.loaded = True

    async def _warm(self) -> None:
        parts = self._parts
        try:
            await warm(parts.model, self._name, parts.options.model, parts.budget.num_ctx)
        except OutOfMemory:
            if self._goal or not lower_window(parts):
                raise
            await self._warm()

    def _say(self) -> None:
        if not self._cold:
            return  # it is there, and is not loaded
        self._looking = asyncio.ensure_future(self._look())
        if not self._goal:
            with suppress(StorageError):  # a timer has nobody to tell: the next event raises it again
                parts = self._parts
                size = parts.model_info.size if parts.model_info is not None else 0
                words = loading_words(parts.model_name, size)
                parts.session.emit(Waiting(what="loading", detail=words, expected_ns=parts.load_ns))

    async def _there(self) -> bool:
        """Whether the server holds the model as it is asked for: what it takes then is no load."""
        with suppress(TimeoutError, ModelError):
            async with asyncio.timeout(WAY_S):
                running = await self._parts.model.running()
            return any(model.serves(self._name) and self._as_asked(model) for model in running)
        return False

    def _as_asked(self, model: LoadedModel) -> bool:
        budget = self._parts.budget
        return model.window in (0, budget.num_ctx, budget.window)

    async def _look(self) -> None:
        """Ask once what the server holds while it should load: a server that loads answers late, or names none."""
        with suppress(ModelError):
            running = await self._parts.model.running()
            ours = next((model for model in running if model.serves(self._name)), None)
            self._cold = self._cold and (not running if ours is None else self._as_asked(ours))

    async def _read(self) -> int:
        """Let the model read what there is of the prompt; how many tokens that were, 0 where a goal came first."""
        counted: list[int] = []
        self._reading = asyncio.ensure_future(self._prefill(counted))
        try:
            await asyncio.wait([self._reading])
        except asyncio.CancelledError:
            self._reading.cancel()
            raise
        if not self._reading.cancelled():
            self._reading.result()
        return counted[0] if counted else 0

    async def _prefill(self, counted: list[int]) -> None:
        parts, model = self._parts, self._parts.options.model
        wanted = Wanted(parts.budget.num_ctx, 1, model.temperature, model.seed)
        body, messages = parts.history.prelude(wanted), len(parts.history)
        parts.prefix.sent(parts.model_name, *parts.history.parts, parts.model.wire().tail(wanted).decode())
        end = await last(parts.model, body)
        loaded = {**end.metrics, "load_duration": self._load_ns}
        reuse = parts.prefix.answered(loaded, warm=False)
        if parts.switched is None:
            self._miss = reuse.miss if reuse is not None else ""
        else:
            pay(parts, loaded, reuse)
        count = end.metrics.get("prompt_eval_count", 0)
        parts.budget.learn(len(body), count, messages)
        counted.append(count or end.metrics.get(EVALUATED, 0))
        learn_rate(parts, end.metrics)
