"""Whether a request that is taken back really ends at the server: seen before it is relied upon.

Some versions of Ollama read the prompt of a client that has gone to its end. Two things are to be
seen. That the server answers one request at a time: a second one for a single token, sent while a
round's answer is being written, has none before that ends. Then, of a request that nothing depends
on: the same again stands in line behind one that was not ended, and finds its prompt read; behind
one that was, it reads for itself. Where several are answered at once nobody stands in line, so that
nothing can be seen, and no request is taken back. Of a server that others use too, this says how it
was then: what follows a request that was taken back is looked at each time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from jetbox.engine.context.wire import Wanted
from jetbox.engine.events import Notice

if TYPE_CHECKING:
    from jetbox.engine.models.base import Chunk
    from jetbox.engine.parts import Parts
    from jetbox.engine.stream import Answer

PAIRS = 8
"""How many rounds at most have a second request beside them: short answers tell nothing."""
TRIES = 3
"""How often one is taken back to see what follows: prompts that are read at once tell nothing."""
HEARD_NS = 100_000_000
"""A request that waited longer for its turn than this stood behind the one that was taken back."""
WARM_NS = 120_000_000
"""A model that is loaded takes no longer to be found so; a server's queue stands in the same figure."""
PATIENCE_NS = 250_000_000
"""Beyond twice the time of the whole prompt, how long the second answer may take."""
GRACE_NS = 100_000_000
"""The end of an answer may be heard so much later than that of the one which began only then."""
INSTEAD = "red verdicts come with the next message instead"
WHAT = ("load", "prompt_eval", "eval", "total")


class Cancels(msgspec.Struct):
    """What is known of a server, and how often it was tried."""

    heard: bool | None = None
    """A request can be taken back without holding up the next one; None while that is not known."""
    in_line: bool | None = None
    """Requests wait for one another; None while that is not known."""
    pairs: int = 0
    trials: int = 0


def may_pair(parts: Parts) -> bool:
    """Whether a second request beside a round's own could tell something."""
    cancels = parts.cancels
    open_yet = cancels.heard is None and cancels.in_line is None
    # Without the rate nobody can say how long the second one may take; a model that is rented is asked once.
    here = parts.model_info is None or not parts.model_info.remote
    return open_yet and here and cancels.pairs < PAIRS and parts.reading_rate > 0


def may_try(parts: Parts) -> bool:
    """Whether taking a request back could tell something."""
    cancels = parts.cancels
    return cancels.heard is None and cancels.in_line is True and cancels.trials < TRIES and parts.loaded


class Second:
    """The round's own prompt once more, for a single token: nothing in the server's cache is lost by it."""

    def __init__(self, parts: Parts) -> None:
        from jetbox.engine.models.manage import last

        self._parts = parts
        parts.cancels.pairs += 1
        model = parts.options.model
        body = parts.history.body(Wanted(parts.budget.num_ctx, 1, model.temperature, model.seed))
        reading = parts.budget.estimate(parts.history.size) / parts.reading_rate
        self._reading = int(reading * 1e9)
        self._sent = parts.session.now()
        self._answered = 0
        if parts.cancels.pairs == 1:
            text = "a second request for one token goes out beside this one: does this server answer one at a time?"
            parts.session.emit(Notice(level="info", text=text, hint="no figure of the session counts it"))
        self.answer: asyncio.Task[Chunk] = asyncio.ensure_future(last(parts.model, body.data))

    def look(self, *, ended: bool) -> bool:
        """True once there is nothing more to be seen; `ended` is the round's own answer."""
        parts, now = self._parts, self._parts.session.now()
        if self.answer.done():
            if ended or self.answer.cancelled() or self.answer.exception() is not None:
                return True
            self._answered = self._answered or now
            if now - self._answered < GRACE_NS:
                return False
            parts.cancels.in_line = parts.cancels.heard = False
            text = "this server answers several requests at once: whether one that is taken back ends is not seen"
            parts.session.emit(Notice(level="info", text=text, hint=INSTEAD))
            return True
        if ended:
            return True
        if now - self._sent > 2 * self._reading + PATIENCE_NS:
            parts.cancels.in_line = True
        return parts.cancels.in_line is True

    def end(self) -> None:
        """Take it back; what it came to does not matter any more."""
        self.answer.add_done_callback(lambda answer: answer.cancelled() or answer.exception())
        self.answer.cancel()


def learn(parts: Parts, answer: Answer) -> None:
    """From the attempt after one that was taken back: did it stand behind that?"""
    known = parts.cancels.heard
    if known is False or not answer.complete or answer.first < 0:
        return
    load, read, wrote, total = (answer.metrics.get(f"{name}_duration", 0) for name in WHAT)
    # A call can be held back until it is whole, so that the first chunk says little.
    waited = (total - wrote if total else answer.first - answer.sent) - min(load, WARM_NS) - read
    if waited < HEARD_NS and (known or read < HEARD_NS):
        return
    heard = parts.cancels.heard = waited < HEARD_NS
    words = "does not hold up the next one" if heard else f"holds up the next one for {waited / 1e6:.0f} ms"
    text = f"a request that is taken back {words} on this server"
    parts.session.emit(Notice(level="info", text=text, hint="" if heard else INSTEAD))
