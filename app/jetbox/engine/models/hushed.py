"""Keeps the key out of what a server says of a request: some repeat it where they refuse one."""

from __future__ import annotations

from typing import TypeVar

from jetbox.engine.errors import CallGarbled, ModelError
from jetbox.engine.models.address import authorization, secrets_in

MARK = "[secret:MODEL_API_KEY]"
"""What stands in its place, as in the text of answers."""
SHORTEST = 8
"""Characters of what can be a secret; words that stand for a key where none is needed have fewer."""

E = TypeVar("E", bound=ModelError)


class Hushed:
    """What the server of one address is sent that nobody else may know."""

    def __init__(self, host: str, key: str) -> None:
        sent = authorization(host, key).partition(" ")[2]
        found = {value for value in (key, sent, *secrets_in(host)) if len(value) >= SHORTEST}
        self._values = sorted(found, key=len, reverse=True)

    def hushed(self, error: E) -> E:
        """The same error, without it; the words may end within it, where they were cut."""
        if self._values:
            error.message, error.hint = self._without(error.message), self._without(error.hint)
            error.args = (error.message,)
            if isinstance(error, CallGarbled):
                error.raw = self._without(error.raw)
        return error

    def _without(self, text: str) -> str:
        for value in self._values:
            at = text.find(value[:SHORTEST])
            while at >= 0:
                said = zip(text[at:], value, strict=False)
                same = next((n for n, (one, other) in enumerate(said) if one != other), min(len(text) - at, len(value)))
                text = text[:at] + MARK + text[at + same :]
                at = text.find(value[:SHORTEST], at + len(MARK))
        return text
