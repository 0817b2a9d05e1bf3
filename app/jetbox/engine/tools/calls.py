"""What a call is on its way from the model to its result."""

from __future__ import annotations

from typing import Any

import msgspec

from jetbox.engine.events import CallState, FileChange
from jetbox.engine.safety.terminal import visible

TITLE = ("pattern", "path", "command", "question", "summary")
"""Arguments that say in a line what a call is about."""


class Done(msgspec.Struct, frozen=True):
    """How a call ended."""

    call: str
    wire_id: str
    name: str
    arguments: str
    state: CallState
    text: str
    changes: tuple[FileChange, ...] = ()
    finished: bool = False
    touched: bool = False
    """Files changed, or may have: a probe has to look."""
    said: str = ""
    """The result without the words around it that are for the model."""


class Pending(msgspec.Struct, frozen=True):
    """A call that has no result yet."""

    call: str
    wire_id: str
    name: str
    arguments: str


class Watch:
    """How long a call runs, ns, without what it waits for the user."""

    def __init__(self, begun: int) -> None:
        self._begun = self.since = begun
        """`since`: it runs without a pause."""
        self._waited = 0

    def wait(self, since: int, until: int) -> None:
        """It waited."""
        self._waited += until - since
        self.since = until

    def ran(self, now: int) -> int:
        """How long it has run."""
        return now - self._begun - self._waited


class Denied(Exception):
    """The call may not be carried out, and why."""


class Allowed(str):
    """An empty string that says: nobody had to be asked."""


ALLOWED = Allowed("")


def title(name: str, arguments: dict[str, Any]) -> str:
    """One line for people: the tool and what it touches."""
    for key in TITLE:
        value = arguments.get(key)
        if value:
            text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            lines = text.splitlines()
            return visible(f"{name} {lines[0][:160] if lines else ''}")
    return visible(name)
