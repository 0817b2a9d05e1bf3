"""What goes wrong beside the screen is told on it, and the screen goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from jetbox.ui.reasons import reason
from jetbox.ui.text.rows import one_line

Say = Callable[[str], None]


@contextmanager
def telling(say: Say, what: str) -> Iterator[None]:
    """`what` did not come about, and why: said instead of raised. A border: nothing behind it can be caught by name."""
    try:
        yield
    except Exception as error:  # whatever a worker fails with, the screen must not end by it
        say(f"{what}: {reason(error)}")


class LoopFailures:
    """Hears what nobody waits for: callbacks and tasks that failed."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._said: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._before: Any = None

    def begin(self) -> None:
        """In the running loop, from now on."""
        self._loop = asyncio.get_running_loop()
        self._before = self._loop.get_exception_handler()
        self._loop.set_exception_handler(self._heard)

    def end(self) -> None:
        """As it was before."""
        if self._loop is not None:
            self._loop.set_exception_handler(self._before)
            self._loop = None

    def _heard(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        said = reason(error) if error is not None else one_line(str(context.get("message", "")))
        if said not in self._said:
            self._said.add(said)
            self._say(f"something went wrong beside the screen: {said}")
