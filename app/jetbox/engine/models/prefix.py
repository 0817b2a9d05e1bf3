"""How much of each prompt the server took from its cache, and why it took less than it could have.

Servers from Ollama 0.33.3 on count it. Older ones count the whole prompt and time only the part
that they evaluated: from the rate at which this model once read a cold prompt, that part is
estimated, and told as an estimate. What is new to this session another one may have sent: cold is only what
follows a load. What could have been reused is known here: requests are
append only, so it is everything up to the first byte that differs from the request before.
Where we have changed what stood before, what comes behind the change was in the cache too, and is
read once more: that is told with its reason, however much the server kept of the beginning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile

import msgspec

from jetbox.engine.models.base import CACHED

WARM_NS = 100_000_000
"""Below this much evaluation a server's fixed costs hide the rate: the prefix was warm."""
LOAD_NS = 1_000_000_000
"""A model that is there answers for its loading with less than this."""
MISSED = 0.5
"""A miss is told where less than this share of what could be reused was."""
MOVED = (
    "the model's template shows the tools with your newest words alone: OLLAMA_GO_TEMPLATE=0 for the server, "
    "or another model, keeps them in their place"
)
OTHERS = "the server loaded the model again: another client with other options?"
RESTARTED = "the server loaded the model again, after a request that was not answered to its end: was it started anew?"
THOUGHT = "after your new words the template leaves out what the model thought before them"
LEAST = 64
"""Tokens below which nothing is said."""


class Reuse(msgspec.Struct, frozen=True):
    """The cache's part in one prompt."""

    tokens: int
    of: int
    expected: int
    estimated: bool = False
    miss: str = ""
    """Why less was reused than could have been; empty where it was not."""


class _Sent(msgspec.Struct):
    head: bytes
    messages: list[bytes]
    tail: str


class PrefixWatch:
    """Follows the requests of a session."""

    def __init__(self) -> None:
        self._last: dict[str, _Sent] = {}
        self._model = ""
        self._rates: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        """Tokens of each model's latest prompt, as its server counted them."""
        self._shared = self._had = 0.0
        """Shares of the latest request that were sent before: as its beginning; anywhere in it, where we changed it."""
        self._reason = ""
        self._broke = ""
        self._before: tuple[str, _Sent | None, bool, bool, str, str] = ("", None, False, False, "", "")
        """What was known before the latest request."""
        self._waiting = self._lost = False
        """A request is out; one before it was not answered to its end."""
        self._thought = False
        """The newest message is the user's, and behind the one before it the model thought."""
        self.moves_tools = False
        """The template of the model in use shows the tools with the user's newest words alone."""

    def go_on(self, model: str, head: str, messages: Sequence[bytes], tail: str) -> None:
        """The last request of an earlier process, which the server may still remember."""
        self._model = model
        self._last[model] = _Sent(head.encode(), list(messages), tail)

    def know(self, model: str, rate: float) -> None:
        """So many tokens a second it read in earlier sessions; 0 where unknown."""
        if rate > 0:
            self._rates.setdefault(model, rate)

    def unloaded(self, model: str) -> None:
        """The server holds the model no more: of what it was sent nothing can be in a cache."""
        self._last.pop(model, None)

    def broke(self, why: str) -> None:
        """We have changed what was sent before, and this is why."""
        self._broke = why

    def sent(self, model: str, head: bytes, messages: Sequence[bytes], tail: str) -> None:
        """A request goes out to the model."""
        self._before = (model, self._last.get(model), self._lost, self._waiting, self._model, self._broke)
        self._lost, self._waiting = self._lost or self._waiting, True
        last = self._last.get(model)
        self._shared, self._reason = _compared(last, head, messages, tail)
        self._had = _had(last, head, messages) if last is not None and self._reason else 0.0
        if self._model and self._model != model and last is None:
            self._reason = f"the switch from {self._model}"
        if self._broke and self._reason:
            self._reason = self._broke
        self._broke = ""
        self._thought = _thought(messages)
        self._model = model
        self._last[model] = _Sent(head, list(messages), tail)

    def refused(self) -> None:
        """The server did not look at the latest request: it knows what it knew before."""
        model, last, self._lost, self._waiting, self._model, self._broke = self._before
        if last is not None:
            self._last[model] = last
        else:
            self._last.pop(model, None)

    def shared(self, model: str, head: bytes, messages: Sequence[bytes]) -> float:
        """The share of a prompt that this model was sent before, as the beginning of its latest request."""
        last = self._last.get(model)
        return _compared(last, head, messages, last.tail)[0] if last is not None else 0.0

    @property
    def kept(self) -> float:
        """The share of the latest request that the server was sent before."""
        return self._shared

    @property
    def rate(self) -> float:
        """Tokens a second at which the model in use reads what cannot have been in a cache; 0 where unknown.

        For servers that do not tell how much of a prompt they had in their cache.
        """
        return self._rates.get(self._model, 0.0)

    def answered(self, metrics: Mapping[str, int], *, warm: bool) -> Reuse | None:
        """What the server's figures say of the latest request; `warm`: the model had answered before.

        None where they say nothing.
        """
        of = metrics.get("prompt_eval_count", 0)
        lost, self._lost, self._waiting = self._lost, False, False
        if of <= 0:
            return None
        before, self._counts[self._model] = self._counts.get(self._model, 0), of
        expected = int(of * self._shared)
        spent = metrics.get("prompt_eval_duration", 0)
        # A slow machine takes seconds without a load; a process that has just begun has nothing in its cache.
        loaded = metrics.get("load_duration", 0) > LOAD_NS and metrics.get(CACHED, 0) < LEAST
        if CACHED in metrics:
            tokens, estimated = min(of, metrics[CACHED]), False
            self._learn(of - tokens, spent)
        elif expected == 0 and spent > 0 and not (self._had and spent >= WARM_NS):
            if loaded:
                self._learn(of, spent)
            return None
        elif loaded and not warm:
            self._learn(of, spent)
            tokens, estimated = 0, False  # a process that has just begun has nothing in its cache
        elif self._rates.get(self._model) and spent > 0:
            tokens, estimated = of - self._uncached(of, spent, expected), True
        elif self._had and spent >= WARM_NS:
            tokens, estimated = expected, True
        else:
            return None
        miss = ""
        if expected >= LEAST and tokens < MISSED * expected:
            miss = (RESTARTED if lost else OTHERS) if warm and loaded else self._reason
            miss = miss or (MOVED if self.moves_tools else THOUGHT if self._thought else "the server had dropped it")
        elif self.moves_tools and of + LEAST < before and not self._reason:
            miss = MOVED
        elif of >= LEAST and (self._read_anew(tokens, of, expected) or (expected < of // 2 and tokens < MISSED * of)):
            miss = self._reason
        return Reuse(tokens, of, expected, estimated, miss)

    def _read_anew(self, tokens: int, of: int, expected: int) -> bool:
        """Whether what stood before stands behind something that we changed, and was read once more."""
        return int(of * self._had) - max(tokens, expected) >= LEAST

    def _uncached(self, of: int, spent: int, expected: int) -> int:
        if spent < WARM_NS:
            return of - expected
        return max(1, min(of, int(self._rates[self._model] * spent / 1e9)))

    def _learn(self, tokens: int, spent: int) -> None:
        """Keep the lowest sensible rate: what was cold is never read faster than the model can."""
        if tokens >= LEAST and spent >= WARM_NS:
            rate = tokens / (spent / 1e9)
            self._rates[self._model] = min(rate, self._rates.get(self._model, rate))


def _thought(messages: Sequence[bytes]) -> bool:
    """Whether the user speaks now, and the model thought since they spoke last."""
    if not messages or not _is_users(messages[-1]):
        return False
    since = takewhile(lambda message: not _is_users(message), reversed(messages[:-1]))
    return any(b'"thinking":"' in message or b'"reasoning_content":"' in message for message in since)


def _is_users(message: bytes) -> bool:
    return message.startswith(b'{"role":"user"')


def _compared(last: _Sent | None, head: bytes, messages: Sequence[bytes], tail: str) -> tuple[float, str]:
    """The share of a request that the one before began with too, and in words what differs first."""
    if last is None:
        return 0.0, ""
    total = len(head) + sum(map(len, messages))
    if head != last.head:
        return 0.0, _head_words(last.head, head)
    if tail.partition("num_ctx")[2].partition(",")[0] != last.tail.partition("num_ctx")[2].partition(",")[0]:
        return 0.0, "the window changed, which makes the server load the model again"
    shared = len(head)
    for n, (old, new) in enumerate(zip(last.messages, messages, strict=False)):
        if old != new:
            same = _common(old, new)
            added_to = same >= len(old) - 2 and n == len(last.messages) - 1
            return (shared + same) / total, "" if added_to else f"message {n + 1} changed"
        shared += len(new)
    words = (
        f"{len(last.messages) - len(messages)} messages were taken out" if len(messages) < len(last.messages) else ""
    )
    return shared / total, words


def _had(last: _Sent, head: bytes, messages: Sequence[bytes]) -> float:
    """The share of a request that stood anywhere in the one before."""
    known = set(last.messages)
    same = min(len(head), len(last.head)) + sum(len(message) for message in messages if message in known)
    return same / (len(head) + sum(map(len, messages)))


def _head_words(old: bytes, new: bytes) -> str:
    """What of model, tools and level of thinking changed."""
    try:
        before, after = (msgspec.json.decode(head + b"]}", type=dict[str, object]) for head in (old, new))
    except msgspec.DecodeError:
        return "the head of the request changed"
    names = [key for key in {**before, **after} if before.get(key) != after.get(key) and key != "messages"]
    words = {"tools": "the tools", "think": "the level of thinking", "model": "the model"}
    return ", ".join(words.get(name, name) for name in names) + " changed" if names else ""


def _common(a: bytes, b: bytes) -> int:
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[:middle] == b[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
