"""Whether and when a request that failed is sent again; once a call of its answer has run, it never is.

| what failed | what follows |
|---|---|
| nothing answers (it did when the session began) | back-off, as often as `model.retries` says; then its window anew |
| it still loads its only model (llama.cpp's 503) | back-off, for as long as a load may take; then its window anew |
| busy (503, 429, a gateway's 502 or 504) | back-off, as often; the server's own `Retry-After` comes first |
| broke off, ended without `done`, an error or garbage in mid-stream, 500 | once, the same bytes: its prefix is cached |
| silence, and the server still says its version | once |
| silence, and the server says nothing at all | no: it hangs |
| the user's patience (`/again`) | at once, as often as that is asked for |
| asked for probabilities or counts of tokens, and told no | at once without them, and never with them again |
| too long a prompt, not enough memory | smaller, where that can be (`room.py`); else no |
| a model unknown or unfit | when whoever sits there has had it fetched, or named another (`gone.py`); else no |
| no key, another protocol, any other 4xx | no: the next would fail alike |
"""

from __future__ import annotations

import asyncio
from random import random

from jetbox.engine.errors import (
    BadAnswer,
    CallGarbled,
    CountsRefused,
    ForeignServer,
    JetboxError,
    KeyWanted,
    LogprobsRefused,
    ModelError,
    RequestRefused,
    ServerBusy,
    ServerUnreachable,
    Stalled,
    StillLoading,
    TakenBack,
)
from jetbox.engine.parts import Parts

BACKOFF_S = (0.5, 1.0, 2.0, 4.0)
JITTER = 0.25
"""By so much a pause may be longer, so that clients which were refused together do not come together again."""
LOADS = 75
"""So often a server that still loads is asked again: for five minutes."""
LONGEST_S = 120.0
"""A server that asks for a longer pause is not waited for."""
ONCE = BadAnswer | Stalled
"""What is tried once more in a round, however often nothing answered in between."""
WITHOUT_LOGPROBS = "going on without: a cascade goes by the probes alone, and calls are silent until they are whole"
WITHOUT_COUNTS = "going on without counts of tokens: what of the window is used is an estimate"
ALIVE_S = 1.0
"""A server that is well says its version sooner."""


def pause_before(error: JetboxError, number: int, parts: Parts, failed: int) -> float | None:
    """Seconds before the next attempt, after `number` that failed; None where there is to be none.

    `failed` is how many of them were answered, and badly, or not at all by a server that is there.
    """
    retries = parts.options.model.retries
    if isinstance(error, TakenBack):
        return 0.0
    if isinstance(error, CallGarbled | ForeignServer | KeyWanted | RequestRefused):
        return None
    if isinstance(error, ServerUnreachable):
        # No session begins with a server that did not answer: this one was there.
        return backed_off(number) if number <= retries else None
    if isinstance(error, StillLoading):
        return backed_off(number) if number <= (LOADS if retries else 0) else None
    if isinstance(error, ServerBusy):
        if number > retries or error.retry_after > LONGEST_S:
            return None
        return error.retry_after or backed_off(number)
    return backed_off(failed) if isinstance(error, ONCE) and failed <= min(1, retries) else None


def backed_off(number: int) -> float:
    """Seconds before the next attempt, after `number` of them."""
    return BACKOFF_S[min(number, len(BACKOFF_S)) - 1] * (1 + JITTER * random())


def spared(error: JetboxError, parts: Parts, *, logprobs: bool) -> str:
    """What is gone on without from now on, where the server refuses no more than that; empty where it is another thing.

    `logprobs`: the request had asked for probabilities of tokens.
    """
    if isinstance(error, LogprobsRefused) and logprobs:
        parts.no_logprobs = True
        return WITHOUT_LOGPROBS
    if isinstance(error, CountsRefused) and not parts.no_counts:
        parts.no_counts = True
        parts.set_head()
        return WITHOUT_COUNTS
    return ""


async def diagnosed(error: JetboxError, parts: Parts) -> JetboxError:
    """What silence means: a server that does not even say its version hangs, and is not asked again."""
    if not isinstance(error, Stalled) or isinstance(error, TakenBack):
        return error
    try:
        async with asyncio.timeout(ALIVE_S):
            await parts.model.version()
    except TimeoutError:
        return ModelError(f"{error.message}; the server says nothing at all any more", "restart it, then --continue")
    except ModelError as gone:
        return gone if isinstance(gone, ServerUnreachable) else error
    return error
