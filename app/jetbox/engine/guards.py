"""Guards against loops: the same thing again and again, first a word to the model, then a stop."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, deque
from collections.abc import Sequence

import msgspec

from jetbox.engine.events import Guard, GuardTripped
from jetbox.engine.tools.calls import Done

WINDOW = 12
REPEAT = 3
ERRORS = 4
REWRITES = 6
STOP_FACTOR = 2
"""A guard warns at its number and stops the goal at this many times it."""

_VARYING = re.compile(r"0x[0-9a-f]+|\d+")

THOUGHT = "the answer was nothing but thinking; the model is asked to answer now"


class Guards:
    """Watches the calls of one goal."""

    def __init__(self) -> None:
        self._calls: deque[str] = deque(maxlen=WINDOW)
        self._errors: Counter[str] = Counter()
        self._writes: Counter[str] = Counter()
        self._idle = 0
        self._warned: Counter[str] = Counter()

    def observe(
        self, done: Sequence[Done], *, spoke: bool, cut: bool = False, thought: bool = False
    ) -> GuardTripped | None:
        """Look at a round; `spoke` is False for one with neither text nor calls, `cut` True at its length limit.

        `thought`: there was thinking in it.
        """
        self._idle = 0 if done or spoke else self._idle + 1
        if self._idle:
            what = THOUGHT if thought else "the answer was empty"
            if cut:
                what = "the answer was cut at its length (model.num_predict) and says nothing"
            return self._tripped("empty", what, self._idle, 1)
        for call in done:
            self._calls.append(_signature(call))
            if call.state == "failed":
                self._errors[_error(call)] += 1
            for change in call.changes:
                if call.name != "run_cmd":
                    self._writes[change.path] += 1
        return self._repeat(done) or self._alternate() or self._error(done) or self._rewrite(done)

    def _repeat(self, done: Sequence[Done]) -> GuardTripped | None:
        for call in done:
            n = self._calls.count(_signature(call))
            if n >= REPEAT:
                return self._tripped("repeat", f"the same {call.name} with the same result {n} times", n, REPEAT)
        return None

    def _alternate(self) -> GuardTripped | None:
        last = list(self._calls)[-8:]
        for length in (8, 4):
            tail = last[-length:]
            if len(tail) == length and len(set(tail)) == 2 and tail[::2].count(tail[0]) == length // 2:
                return self._tripped("alternate", "the same two calls in turn", length, 4)
        return None

    def _error(self, done: Sequence[Done]) -> GuardTripped | None:
        for call in done:
            n = self._errors[_error(call)] if call.state == "failed" else 0
            if n >= ERRORS:
                return self._tripped("error", f"the same error of {call.name} {n} times", n, ERRORS)
        return None

    def _rewrite(self, done: Sequence[Done]) -> GuardTripped | None:
        for call in done:
            for change in call.changes:
                n = self._writes[change.path]
                if n >= REWRITES:
                    return self._tripped("rewrite", f"{change.path} was written {n} times", n, REWRITES)
        return None

    def _tripped(self, guard: Guard, detail: str, n: int, warn: int) -> GuardTripped | None:
        stop = n >= warn * STOP_FACTOR and self._warned[guard] > 0
        if not stop and self._warned[guard]:
            return None
        self._warned[guard] += 1
        return GuardTripped(guard=guard, detail=detail, action="stop" if stop else "warn")


def _signature(call: Done) -> str:
    """Name, canonical arguments and result of a call."""
    try:
        arguments = msgspec.json.encode(msgspec.json.decode(call.arguments), order="sorted").decode()
    except msgspec.DecodeError:
        arguments = call.arguments
    return hashlib.sha256("\0".join((call.name, arguments, call.text)).encode()).hexdigest()


def _error(call: Done) -> str:
    """What kind of error it is, without its varying numbers."""
    return f"{call.name}: {_VARYING.sub('#', call.text)[:300]}"
