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
QUICK_NS = 250_000_000
"""No model is loaded in less."""
LOAD_NS = 1_000_000_000
"""A model that is there answers for its loading with less than this."""
MISSED = 0.5
"""A miss is told where less than this share of what could be reused was."""
MATTERS = 0.1
"""What stood before and is read once more is told where it is this share of the prompt."""
APART = frozenset(("messages", "keep_alive", "stream", "truncate", "stream_options", "return_progress"))
"""Fields of a request before its messages that are no part of the prompt."""
MOVED = (
    "the model's template shows the tools with your newest words alone: OLLAMA_GO_TEMPLATE=0 for the server, "
    "or another model, keeps them in their place"
)
OTHERS = "the server loaded the model again: another client with other options?"
RESTARTED = "the server loaded the model again, after a request that was not answered to its end: was it started anew?"
UNLOADED = "the server held the model no more, and loaded it again"
THOUGHT = "after your new words the template leaves out what the model thought before them"
WINDOW = "the window changed, which makes the server load the model again"
DROPPED = "the server had dropped it"
GONE = "the server had it no more: it dropped it or loaded the model again"
CUT = "the server cut the prompt"
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
    again: int = 0
    """About so many tokens were read that had been read before; 0 where there is no miss."""


class _Sent(msgspec.Struct):
    head: bytes
    messages: list[bytes]
    tail: str

    @property
    def size(self) -> int:
        """Bytes of what may stand in the prompt."""
        return len(self.head) + sum(map(len, self.messages))


class PrefixWatch:
    """Follows the requests of a session."""

    def __init__(self) -> None:
        self._last: dict[str, _Sent] = {}
        """The latest request of each model that was read to its end."""
        self._out: _Sent | None = None
        """The latest request, while nobody knows whether it was read."""
        self._left: dict[str, int] = {}
        """Bytes of what a model read last that later requests, not read to their end, left in its cache."""
        self._model = self._reader = ""
        """Who was asked last, and who read last."""
        self._rates: dict[str, float] = {}
        self._most: dict[str, float] = {}
        """No model reads faster than this: the whole of a prompt, a part of which may have been cached, in its time."""
        self._counts: dict[str, int] = {}
        """Tokens of each model's latest prompt, as its server counted them."""
        self._shared = self._had = 0.0
        """Shares of the latest request that were read before: as its beginning; anywhere in it, where we changed it."""
        self._reason = self._broke = ""
        self._switched = self._made_shorter = False
        self._waiting = self._lost = False
        """A request is out; one before it was not answered to its end."""
        self._thought = False
        """The newest message is the user's, and behind the one before it the model thought."""
        self.moves_tools = False
        """The template of the model in use shows the tools with the user's newest words alone."""

    def go_on(self, model: str, head: str, messages: Sequence[bytes], tail: str) -> None:
        """The last request that was read in an earlier process, which the server may still remember."""
        self._model = self._reader = model
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
        self._set_aside()
        self._lost, self._waiting = self._lost or self._waiting, True
        last, new = self._last.get(model), _Sent(head, list(messages), tail)
        common, self._reason = _compared(last, new)
        left = self._left.get(model, common)
        if left < common:  # a request that was not read to its end took the rest out, not this one
            common, self._reason = left, ""
        self._shared = common / new.size
        self._had = _had(last, new) / new.size if last is not None and self._reason else 0.0
        self._switched = self._reader not in ("", model) and last is None
        if self._switched:
            self._reason = f"the switch from {self._reader}"
        self._made_shorter = bool(self._broke and self._reason)
        if self._made_shorter:
            self._reason = self._broke
        self._thought = _thought(messages)
        self._model, self._out = model, new

    def _set_aside(self) -> None:
        """What was read of the latest request nobody knows, nor whether it was."""
        last = self._last.get(self._model)
        if self._out is not None and last is not None:
            common, _ = _compared(last, self._out)
            self._left[self._model] = min(common, self._left.get(self._model, common))
        self._out = None

    def read(self) -> None:
        """The server has read the latest request to its end."""
        if self._out is not None:
            self._last[self._model], self._out, self._reader = self._out, None, self._model
            self._left.pop(self._model, None)
            self._broke = ""

    def refused(self) -> None:
        """The server did not look at the latest request: it knows what it knew before."""
        self._out, self._waiting = None, False

    def shared(self, model: str, head: bytes, messages: Sequence[bytes]) -> float:
        """The share of a prompt that this model was sent before, as the beginning of its latest request."""
        last = self._last.get(model)
        if last is None:
            return 0.0
        new = _Sent(head, list(messages), last.tail)
        return _compared(last, new)[0] / new.size

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
        """What the server's figures say of the latest request; `warm`: the model had answered, and was not seen to go.

        None where they say nothing.
        """
        self.read()
        of = metrics.get("prompt_eval_count", 0)
        lost, self._lost, self._waiting = self._lost, False, False
        if of <= 0:
            return None
        before, self._counts[self._model] = self._counts.get(self._model, 0), of
        expected = int(of * self._shared)
        spent, load = metrics.get("prompt_eval_duration", 0), metrics.get("load_duration", 0)
        # A slow machine takes seconds without a load; a process that has just begun has nothing in its cache.
        loaded = load > LOAD_NS and metrics.get(CACHED, 0) < LEAST
        if CACHED in metrics:
            tokens, estimated, sure = min(of, metrics[CACHED]), False, True
            self._learn(of - tokens, spent)
        else:
            found = self._cached(of, spent, expected, loaded=loaded, warm=warm)
            if found is None:
                return None
            tokens, estimated, sure = found
        miss = ""
        again = max(int(of * self._had), expected) - tokens
        if expected >= LEAST and tokens < MISSED * expected:
            miss = (UNLOADED if not warm else RESTARTED if lost else OTHERS) if loaded else self._reason
            unknown = GONE if load > QUICK_NS and tokens < LEAST else DROPPED
            miss = miss or (MOVED if self.moves_tools else THOUGHT if self._thought else unknown)
        elif self.moves_tools and of + LEAST < before and not self._reason:
            miss = MOVED
        elif again >= max(LEAST, MATTERS * of):
            miss = self._reason
        elif self._made_shorter and of - tokens >= max(LEAST, MATTERS * of):
            miss = self._reason  # what says it in fewer words is new, and had to be read for that alone
        elif self._switched and of >= LEAST and tokens < MISSED * of:
            miss = self._reason
        if not (miss or sure):
            return None
        return Reuse(tokens, of, expected, estimated, miss, again if miss and again >= LEAST else 0)

    def _cached(self, of: int, spent: int, expected: int, *, loaded: bool, warm: bool) -> tuple[int, bool, bool] | None:
        """How many tokens were cached, where the server does not count them; whether that is estimated, and if well.

        None where nobody can tell.
        """
        rate, most = self._rates.get(self._model, 0.0), self._most.get(self._model, 0.0)
        if spent >= WARM_NS and of >= LEAST:
            apparent = of / (spent / 1e9)
            self._most[self._model] = min(apparent, most or apparent)
        had = max(expected, int(of * self._had))
        if loaded and not warm:
            self._learn(of, spent)
        if not had:
            return None
        if loaded and (not warm or (not rate and spent >= WARM_NS)):
            return 0, False, True
        if rate and spent > 0 and (expected or spent >= WARM_NS):
            return of - max(1, min(of, int(rate * spent / 1e9))) if spent >= WARM_NS else had, True, True
        if most and self._reason and spent >= WARM_NS:
            return of - min(of, int(most * spent / 1e9)), True, False
        return None

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


def _compared(last: _Sent | None, new: _Sent) -> tuple[int, str]:
    """The bytes of a request that the one before began with too, and in words what differs first."""
    if last is None:
        return 0, ""
    if _window(last.tail) != _window(new.tail):
        return 0, WINDOW
    if last.head != new.head and (words := _head_words(last.head, new.head)):
        return 0, words
    shared, messages = len(new.head), new.messages
    for n, (old, other) in enumerate(zip(last.messages, messages, strict=False)):
        if old != other:
            same = _common(old, other)
            added_to = same >= len(old) - 2 and n == len(last.messages) - 1
            return shared + same, "" if added_to else f"message {n + 1} changed"
        shared += len(other)
    fewer = len(last.messages) - len(messages)
    return shared, f"{fewer} messages were taken out" if fewer > 0 else ""


def _window(tail: str) -> str:
    return tail.partition("num_ctx")[2].partition(",")[0]


def _had(last: _Sent, new: _Sent) -> int:
    """The bytes of a request that stood anywhere in the one before, be it otherwise."""
    known, tools = set(last.messages), len(new.head)
    if last.head != new.head:
        before, after = ([msgspec.json.encode(tool) for tool in _tools(sent.head)] for sent in (last, new))
        whole = sum(map(len, after))
        tools = len(new.head) * sum(len(tool) for tool in after if tool in before) // whole if whole else 0
    same, broken = tools, False
    for n, message in enumerate(new.messages):
        if message in known:
            same += len(message)
        elif not broken and n < len(last.messages):
            old = last.messages[n]
            begins = _common(old, message)
            same += begins + _common(old[begins:][::-1], message[begins:][::-1])
        broken = broken or n >= len(last.messages) or message != last.messages[n]
    return same


def _fields(head: bytes) -> dict[str, object]:
    """What of the fields before the messages may have a part in the prompt.

    Raises:
        msgspec.DecodeError: it is another kind of head.
    """
    fields = msgspec.json.decode(head + b"]}", type=dict[str, object])
    return {name: value for name, value in fields.items() if name not in APART}


def _tools(head: bytes) -> list[object]:
    try:
        tools = _fields(head).get("tools")
    except msgspec.DecodeError:
        return []
    return tools if isinstance(tools, list) else []


def _head_words(old: bytes, new: bytes) -> str:
    """What of model, tools and level of thinking changed."""
    try:
        before, after = _fields(old), _fields(new)
    except msgspec.DecodeError:
        return "the head of the request changed"
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
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
