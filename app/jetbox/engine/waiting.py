"""Says what is waited for until the first chunk comes: told apart as well as the server lets it.

Before the first chunk a server sends nothing, whether it queues, loads or reads. What it holds in
memory tells: an answer that is held back means that it loads, and so does one that names no model at all
(older servers hold nothing back); a model that is not there, while others are, is queued, one that is
there reads, or waits for its turn. It is asked seldom, and never while something streams.
A server that says by itself how far it has read is not asked at all.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Literal

import msgspec

from jetbox.engine.errors import ModelError, ServerUnreachable, StorageError
from jetbox.engine.events import Waiting
from jetbox.engine.models.base import ChatModel, LoadedModel, Reading
from jetbox.engine.session import Session
from jetbox.engine.sizes import size

SPEAK_AFTER_S = 0.3
"""A wait that is longer is put in words."""
HELD_BACK_S = 0.5
"""A server that takes longer to say what it holds is loading."""
LOOK_S = 1.0
"""The pause after the first look; each next one is half as long again."""
SELDOM_S = 5.0
"""The longest pause between two looks."""
TELL_S = 0.5
"""So often at most it is said how far a prompt has been read."""
PATIENCE = 3
"""So many times what was measured, a wait is longer than it should be."""
LATE_S = 2.0
"""And by so much at least."""
HEARD_S = 5.0
"""A server that hears when a request is closed has ended its answer by then."""
DEAF = "a stopped answer may still run; unloading ends it"
LATE = "longer than it took before"
What = Literal["connecting", "queued", "loading", "reading"]


class Expectation(msgspec.Struct, frozen=True):
    """What is known before the first chunk; durations in ns, 0 where unknown."""

    tokens: int
    """Of the prompt."""
    loaded: bool
    reading_ns: int = 0
    """How long reading the whole prompt should take."""
    loading_ns: int = 0
    """The same of loading the model."""
    name: str = ""
    size: int = 0
    """Bytes of the model; 0 where unknown."""
    window: int = 0
    """Tokens of the window that is asked for."""
    most: int = 0
    """Most tokens of the answer."""
    logprobs: bool = False
    given_up: bool = False
    """The request before this one was closed before its answer was complete: not every server hears that at once."""
    real: int = 0
    """Tokens that the server takes of the window, where that is less than is asked for; 0 where it has not said."""
    fresh_ns: int = 0
    """How long reading what the server has not been sent before should take."""


def loading_words(name: str, memory: int) -> str:
    """What is being loaded: `gpt-oss:20b, 13.8 GB`."""
    return f"{name}, {size(memory)}" if memory else name


def said_late(event: Waiting) -> bool:
    """Whether this says of a wait that was told of already why it takes longer than it should."""
    return LATE in event.detail or DEAF in event.detail


class Voice:
    """Speaks up where a request waits, until it is ended."""

    def __init__(
        self, session: Session, model: ChatModel, expected: Expectation, *, resumed: Waiting | None = None
    ) -> None:
        """`resumed` has been said, and stands for "reading"."""
        self._session = session
        self._model = model
        self._expected = expected
        self._size = expected.size
        self._resumed = resumed
        self._said: tuple[What | Literal[""], str] = ("reading", resumed.detail) if resumed is not None else ("", "")
        self._since = session.now()
        """When the present wait began."""
        self._looking: asyncio.Task[None] | None = None
        self._read: Reading | None = None
        """How far the prompt is, where the server says that."""
        self.queued = False
        """It was seen to wait for another client's turn."""
        self._spoke = 0
        """When anything was said last."""
        self._timer = asyncio.get_running_loop().call_later(SPEAK_AFTER_S, self._speak)

    def end(self) -> None:
        """Say no more."""
        self._timer.cancel()
        if self._looking is not None:
            self._looking.cancel()

    @property
    def reading_since(self) -> int:
        """When the reading began that was said last; -1 where something else was, or nothing."""
        return self._since if self._said[0] == "reading" else -1

    def _speak(self) -> None:
        """What is most likely is said at once; then the server is asked."""
        if self._read is not None:
            self._say("reading")
            return
        self._say("reading" if self._expected.loaded or not self._model.manages else "loading")
        self._looking = asyncio.ensure_future(self._look())

    def read(self, told: Reading) -> bool:
        """The server says how far it has read, and need not be asked; whether it is further than before."""
        further = self._read is None or told.processed > self._read.processed
        self._read = told
        if self._looking is not None:
            self._looking.cancel()
        if self._said[0] and self._session.now() - self._spoke >= TELL_S * 1e9:
            self._say("reading", self._detail("reading"))
        return further

    async def _look(self) -> None:
        pause = LOOK_S
        if self._model.manages and not self._size and not self._expected.loaded:
            await self._weigh()
        while True:
            if self._model.manages and not await self._told():
                return
            await asyncio.sleep(pause)
            pause = min(SELDOM_S, pause * 1.5)
            self._say_late()

    async def _weigh(self) -> None:
        """How large the model is that is being loaded."""
        name = self._expected.name
        with suppress(ModelError):
            installed = await self._model.installed()
            self._size = next((m.size for m in installed if m.name == name), 0)
        if self._size and self._said[0] == "loading":
            self._say("loading", loading_words(name, self._size))

    async def _told(self) -> bool:
        """Ask the server once, and say what comes of it; False where it cannot tell."""
        held_back = False

        def hold() -> None:
            nonlocal held_back
            held_back = True
            self._say("loading")

        timer = asyncio.get_running_loop().call_later(HELD_BACK_S, hold)
        try:
            running = await self._model.running()
        except ServerUnreachable:
            if not held_back:
                self._say("connecting")
            return True
        except ModelError:
            return False
        finally:
            timer.cancel()
        self._say_of(running)
        return True

    def _say_of(self, running: list[LoadedModel]) -> None:
        name, window = self._expected.name, self._expected.window
        held = next((m for m in running if m.serves(name)), None)
        if held is None and not running:
            self._say("loading")  # there is nothing that it could wait for
        elif held is None:
            others = ", ".join(m.name for m in running)
            self._say("queued", f"{name} is not loaded yet; the server holds {others}")
        elif window and held.window not in (0, window, self._expected.real):
            self._say("queued", f"{name} is held with a window of {held.window:,} tokens and is loaded again")
        else:
            self._say("reading")

    def _say_late(self) -> None:
        """A wait that is longer than it should be is said to be."""
        what, expected = self._said[0], self._expected
        waited = self._session.now() - self._since
        if what == "reading" and expected.given_up and self._read is None and waited > HEARD_S * 1e9:
            self._say(what, f"{self._detail(what)}; {DEAF}")
            return
        should = {"loading": expected.loading_ns, "reading": expected.reading_ns}.get(what, 0)
        if what and should and waited > PATIENCE * should + int(LATE_S * 1e9):
            why = "; other requests may come first" if what == "reading" else ""
            self._say(what, f"{self._detail(what)}, {LATE}{why}")

    def _detail(self, what: str) -> str:
        expected = self._expected
        if what == "loading":
            return loading_words(expected.name, self._size)
        if what != "reading":
            return ""
        if self._read is None:
            return f"{expected.tokens:,} tokens"
        cached = f", {self._read.cached:,} of them cached" if self._read.cached else ""
        return f"{self._read.processed:,} of {self._read.total:,} tokens{cached}"

    def _say(self, what: What, detail: str = "") -> None:
        before = self._said
        if before[0] == what and not detail:
            return
        said = (what, detail or self._detail(what))
        if said == before:
            return
        self.queued = self.queued or what == "queued"
        if before[0] and before[0] != what:
            self._since = self._session.now()
        self._said, self._spoke = said, self._session.now()
        whole = self._read.whole_ns if self._read is not None else 0
        reading = whole or self._expected.fresh_ns or self._expected.reading_ns
        expected = {"loading": self._expected.loading_ns, "reading": reading}.get(what, 0)
        # A timer has nobody to tell of a failure of the disk: the next event raises it again.
        with suppress(StorageError):
            self._session.emit(Waiting(what=self._named(what), detail=said[1], expected_ns=expected))

    def _named(self, what: What) -> What | Literal["compacting"]:
        return "compacting" if what == "reading" and self._resumed is not None else what
