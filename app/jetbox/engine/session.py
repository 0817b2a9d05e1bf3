"""A session: it stamps, records and publishes what happens, and takes commands.

`SessionSource` is what a screen sees of it; a recording's playback is one too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from jetbox.engine.clock import Clock, monotonic
from jetbox.engine.commands import AnyCommand, Close
from jetbox.engine.errors import RecordingError
from jetbox.engine.events import AnyEvent, Event, Stamped
from jetbox.engine.packed import Packed
from jetbox.engine.sequences import Joined

AT_HAND = 2048
"""Events that wait for a reader as they are: where more do, the older ones are packed."""


class Recorder(Protocol):
    """Keeps what happens. `record` is called in the event loop and must be quick."""

    spent_ns: int
    """How long that has held up the event loop so far."""
    keeps: bool
    """What is recorded is there for a later process."""

    def record(self, stamped: Stamped) -> None:
        """Take an event; deltas may be held back for up to 50 ms.

        Raises:
            StorageError: the journal cannot be written.
        """
        ...

    async def sync(self) -> None:
        """Return when all that was recorded is on the disk."""
        ...

    def begin_sync(self) -> Callable[[], Awaitable[None]]:
        """Begin with what `sync` does, for all that was recorded up to now; returns what waits for it."""
        ...

    async def put_blob(self, data: bytes) -> str:
        """Keep the bytes durably; returns their SHA-256 in hex."""
        ...

    async def get_blob(self, sha: str) -> bytes:
        """What `put_blob` kept under this name.

        Raises:
            RecordingError: it is not there, or damaged.
        """
        ...

    async def close(self) -> None:
        """Write what is held back, sync, release the lock."""
        ...


class Batch(msgspec.Struct, frozen=True):
    """What is new since the last drain; with `reset` it replaces all that came before."""

    events: Sequence[Stamped]
    """Of many, each is made when it is come to: whoever lets it go before the next does not hold them all."""
    reset: bool = False


class SessionSource(Protocol):
    """A live session or a recording, as a screen sees it."""

    def now(self) -> int:
        """The session's time in ns: for whatever moves with time on the screen."""
        ...

    def drain(self) -> Batch:
        """Everything that is new; never waits."""
        ...

    async def ready(self) -> bool:
        """Wait until `drain` has something; False when nothing will come any more."""
        ...

    def submit(self, command: AnyCommand) -> None:
        """Ask for something; what comes of it is an event."""
        ...


class NoRecorder:
    """Keeps nothing; for runs without a session and for tests."""

    spent_ns = 0
    keeps = False

    def record(self, stamped: Stamped) -> None:
        pass

    async def sync(self) -> None:
        pass

    def begin_sync(self) -> Callable[[], Awaitable[None]]:
        return self.sync

    async def put_blob(self, data: bytes) -> str:
        import hashlib

        return hashlib.sha256(data).hexdigest()

    async def get_blob(self, sha: str) -> bytes:
        raise RecordingError("nothing is recorded: what was there before was not kept")

    async def close(self) -> None:
        pass


class Feed:
    """One reader's queue of a live session."""

    def __init__(self, session: Session, past: Sequence[Stamped], kinds: tuple[type[Event], ...] = ()) -> None:
        """`kinds` are the events that are wanted; all where none is named."""
        self._session = session
        self._kinds = kinds
        self._past = past
        self._queue: Packed[Stamped] = Packed()
        self._wake = asyncio.Event()
        self._reset = True
        if past:
            self._wake.set()

    def put(self, stamped: Stamped) -> None:
        if self._kinds and not isinstance(stamped.event, self._kinds):
            return
        self._queue.append(stamped)
        if len(self._queue.loose) > AT_HAND:
            self._queue.pack()
        self._wake.set()

    def close(self) -> None:
        self._wake.set()

    def now(self) -> int:
        return self._session.now()

    def drain(self) -> Batch:
        queue, self._queue = self._queue, Packed()
        new = queue if len(queue) > len(queue.loose) else tuple(queue.loose)
        batch = Batch(Joined(self._past, new) if self._past else new, self._reset)
        self._past, self._reset = (), False
        if not self._session.closed:
            self._wake.clear()
        return batch

    async def ready(self) -> bool:
        await self._wake.wait()
        return bool(self._past or self._queue) or not self._session.closed

    def submit(self, command: AnyCommand) -> None:
        self._session.submit(command)


class Session:
    """Stamps every event, records it, and hands it to every reader, in this order."""

    def __init__(
        self,
        recorder: Recorder,
        *,
        clock: Clock = monotonic,
        seq: int = 0,
        offset: int = 0,
        round_number: int = 0,
        past: Sequence[Stamped] = (),
    ) -> None:
        """`seq`, `offset` (ns), `round_number` and `past` go on from an earlier process."""
        self.recorder = recorder
        self.closed = False
        self.round = round_number
        self._clock = clock
        self._start = clock() - offset
        self._seq = seq
        self._past = past
        self._feeds: list[Feed] = []
        self._inbox: asyncio.Queue[AnyCommand] = asyncio.Queue()
        self._listeners: list[Callable[[AnyCommand], bool]] = []

    def now(self) -> int:
        """ns since the session began."""
        return self._clock() - self._start

    def emit(self, event: AnyEvent, round_number: int | None = None) -> Stamped:
        """Stamp, record, publish.

        Raises:
            StorageError: the journal cannot be written.
        """
        stamped = Stamped(self._seq, self.now(), self.round if round_number is None else round_number, event)
        self._seq += 1
        self.recorder.record(stamped)
        for feed in self._feeds:
            feed.put(stamped)
        return stamped

    def feed(self, *kinds: type[Event], past: bool = True) -> Feed:
        """A reader of everything, or of some kinds of events: what an earlier process recorded, and from now on."""
        feed = Feed(self, self._past if past else (), kinds)
        self._feeds.append(feed)
        return feed

    def drop(self, feed: Feed) -> None:
        """Forget a reader."""
        self._feeds.remove(feed)

    def submit(self, command: AnyCommand) -> None:
        """Hand a command to whoever listens first, else to the inbox."""
        for listener in reversed(self._listeners):
            if listener(command):
                return
        self._inbox.put_nowait(command)

    def listen(self, listener: Callable[[AnyCommand], bool]) -> Callable[[], None]:
        """Offer every command to `listener` first (True: taken); returns how to stop."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def attend(self, listener: Callable[[AnyCommand], bool]) -> None:
        """Offer every command to `listener` first, until cancelled."""
        stop = self.listen(listener)
        try:
            await asyncio.Event().wait()
        finally:
            stop()

    def offer_again(self) -> None:
        """Offer what nobody took to those who listen now, in its order; a wish to close keeps its place."""
        waiting = [self._inbox.get_nowait() for _ in range(self._inbox.qsize())]
        for command in waiting:
            if isinstance(command, Close):
                self._inbox.put_nowait(command)
            else:
                self.submit(command)

    async def next_command(self) -> AnyCommand:
        """The next command that nobody took."""
        return await self._inbox.get()

    @property
    def commanded(self) -> bool:
        """There is a command that nobody took yet."""
        return not self._inbox.empty()

    @property
    def asked_to_close(self) -> bool:
        """The session is to be closed, and nobody took that yet; the command stays where it is."""
        waiting = [self._inbox.get_nowait() for _ in range(self._inbox.qsize())]
        for command in waiting:
            self._inbox.put_nowait(command)
        return any(isinstance(command, Close) for command in waiting)

    async def waiting_command(self) -> None:
        """Return when there is a command that nobody took; it stays where it is."""
        command = await self._inbox.get()
        rest = [command]
        while not self._inbox.empty():
            rest.append(self._inbox.get_nowait())
        for each in rest:
            self._inbox.put_nowait(each)

    async def sync(self) -> None:
        """Return when all that was emitted is on the disk."""
        await self.recorder.sync()

    def begin_sync(self) -> Callable[[], Awaitable[None]]:
        """Begin with it, for all that was emitted up to now; returns what waits for it."""
        return self.recorder.begin_sync()

    async def close(self) -> None:
        """Close the recorder and let every reader end."""
        self.closed = True
        for feed in self._feeds:
            feed.close()
        await self.recorder.close()
