"""An answer cut into what a model emits: word pieces of thinking and text, and whole calls."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from jetbox.sim import player, prompt

PIECE = re.compile(r"\s*(?:[^\W_]{1,6}|[^\w\s]{1,3}|_+)|\s+")


class Piece(NamedTuple):
    """One thing that is emitted at one time."""

    kind: str
    """`thinking`, `content` or `call`."""
    tokens: int
    text: str = ""
    call: dict[str, Any] | None = None


class Answer(NamedTuple):
    """An answer, whole."""

    pieces: tuple[Piece, ...]
    thinking: str
    content: str
    calls: tuple[tuple[str, dict[str, Any]], ...]

    @property
    def tokens(self) -> int:
        """Number of tokens."""
        return sum(piece.tokens for piece in self.pieces)


def split(text: str) -> list[str]:
    """Cut a text into word pieces that join up to it again."""
    return PIECE.findall(text)


def build(turn: player.Turn, position: int, *, thinking: bool, tools: bool) -> Answer:
    """The answer of a step.

    `position` is the number of messages before it. Without `tools` in the request no call is made.
    """
    step = turn.step
    thought = step.think.strip() if thinking else ""
    content = step.text.strip()
    scripted = step.calls if tools else ()
    if not (thought or content or scripted):
        content = "Done."
    pieces = [Piece("thinking", 1, word) for word in split(thought)]
    pieces += [Piece("content", 1, word) for word in split(content)]
    for index, call in enumerate(scripted):
        function = {"index": index, "name": call.name, "arguments": call.arguments}
        wire = {"id": player.call_id(turn, position, index), "function": function}
        pieces.append(Piece("call", prompt.tokens(prompt.call_text(call.name, call.arguments)), call=wire))
    calls = tuple((call.name, call.arguments) for call in scripted)
    return Answer(tuple(pieces), thought, content, calls)
