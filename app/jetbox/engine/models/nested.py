"""How deep the JSON that a model writes may be nested: readers of it recurse, and no tool takes a tenth of that."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from jetbox.engine.errors import CallGarbled

DEPTH = 60
"""Levels of nesting above which a text is no call."""
RESENT = "it is asked to send it again, at a higher temperature"
_PIECE = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*"?|(?P<opens>[\[{])|[\]}]', re.DOTALL)
"""A string, or a bracket outside of one."""


def too_deep(text: str) -> bool:
    """Whether JSON is nested so deep that no tool means it."""
    if text.count("{") + text.count("[") <= DEPTH:
        return False
    depth = 0
    for piece in _PIECE.finditer(text):
        if piece[0][0] != '"':
            depth += 1 if piece["opens"] else -1
        if depth > DEPTH:
            return True
    return False


def read_flat(text: str) -> Any:
    """The value of JSON that is not nested too deep.

    Raises:
        msgspec.DecodeError, UnicodeError: it is none.
    """
    if too_deep(text):
        raise msgspec.DecodeError(f"nested more than {DEPTH} levels deep")
    return msgspec.json.decode(text)


def unreadable() -> CallGarbled:
    """What comes of a call with such arguments."""
    return CallGarbled("the arguments of the model's tool call are nested too deep to be read", RESENT)
