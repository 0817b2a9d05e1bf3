"""An answer cut into what a model emits: word pieces of thinking and text, and calls.

What a step says is changed by the faults that concern answers, then put into the form in which
the model's parser, or its absence, hands it over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from jetbox.sim import fault_kinds, forms, player, prompt, schemas
from jetbox.sim.ask import Asked
from jetbox.sim.faults import Fault, named
from jetbox.sim.forms import Call

PIECE = re.compile(r"\s*(?:[^\W_]{1,6}|[^\w\s]{1,3}|_+)|\s+")
GUARD = 30
"""Equal tokens after which the server gives up."""
LATE_GUARD = 100
"""The same from 0.34 on."""


class Piece(NamedTuple):
    """One thing that is emitted at one time."""

    kind: str
    """`thinking`, `content`, `call` (whole calls), `open` and `more` (a call in parts), `silent` (nothing shows)."""
    tokens: int
    text: str = ""
    calls: tuple[dict[str, Any], ...] = ()
    late: bool = False
    """On the last chunk, with what ends the answer."""


class Answer(NamedTuple):
    """An answer, whole."""

    pieces: tuple[Piece, ...]
    thinking: str
    content: str
    calls: tuple[Call, ...]
    reason: str = "stop"
    limit: int = 0
    """Tokens after which it is cut; 0 for none of its own."""
    error: str = ""
    """What the server's parser says in place of an end."""
    unended: bool = False
    """The stream ends without an end."""
    confidence: float = 0.97
    """Probability of a token, on average."""

    @property
    def tokens(self) -> int:
        """Number of tokens."""
        return sum(piece.tokens for piece in self.pieces)


class _Said(NamedTuple):
    """What a model is to say, before it has a form."""

    thinking: str
    content: str
    calls: tuple[Call, ...]


def split(text: str) -> list[str]:
    """Cut a text into word pieces that join up to it again."""
    return PIECE.findall(text)


def build(
    turn: player.Turn, asked: Asked, twists: Sequence[Fault] = (), *, version: tuple[int, ...] = (0, 33)
) -> Answer:
    """The answer of a step to a request; `twists` are the faults that concern answers.

    Without tools in the request no call is made, and none where a format is asked for.
    """
    twists = list(twists)
    step = turn.step
    said = _said(turn, asked, twists)
    reason, limit, unended, error = "stop", 0, False, ""
    send = _choice(twists, "send") or step.send or asked.send or turn.script.calls or asked.model.calls
    damage = _choice(twists, "damage") or step.damage
    if said.calls and send in fault_kinds.FAILURES:
        error = forms.raw_error(said.calls, damage) if send == "raw-error" else forms.xml_error(said.calls)
    lost = named(twists, "swallow") is not None or bool(error)
    pieces, call_tokens = _pieces(turn, asked, said, send, damage, twists, lost=lost)
    if named(twists, "empty_length"):
        pieces, reason, said = [Piece("silent", max(1, sum(p.tokens for p in pieces)))], "length", _Said("", "", ())
    if named(twists, "cut_call") and call_tokens:
        limit = max(1, sum(piece.tokens for piece in pieces) - call_tokens + call_tokens // 2)
    if fault := named(twists, "guard"):
        text = fault.value or "<unused50>"
        pieces = [Piece("content", 1, text)] * (LATE_GUARD if version >= (0, 34) else GUARD)
        unended = version < (0, 34)
        error = "" if unended else "prediction aborted, token repeat limit reached"
    elif fault := named(twists, "repeat"):
        room = asked.options.get("num_predict") or 0
        words = split(f"{fault.value or 'and again'} ")
        count = room if room > 0 else asked.launch["num_ctx"]
        pieces = [Piece("content", 1, words[n % len(words)]) for n in range(count)]
        limit, said = count, _Said("", "", ())
    calls = () if lost else said.calls
    return Answer(
        tuple(pieces), said.thinking, said.content, calls, reason, limit, error, unended, step.confidence or 0.97
    )


def _said(turn: player.Turn, asked: Asked, twists: list[Fault]) -> _Said:
    """What the step says, as far as the request and the faults let it."""
    step = turn.step
    thought = step.think.strip() if asked.thinking else ""
    content = step.text.strip()
    calls = tuple((call.name, call.arguments) for call in step.calls) if asked.tools and not asked.format else ()
    if asked.format:
        content = schemas.constrained(content, asked.format)
    if named(twists, "again"):
        calls = _newest_calls(asked.messages) or calls
    if named(twists, "empty"):
        return _Said("", "", ())
    if named(twists, "thinking_only"):
        return _Said(step.think.strip() or "The answer is clear, so nothing is left to say.", "", ())
    if not (thought or content or calls):
        content = "Done."
    return _Said(thought, content, calls)


def _pieces(
    turn: player.Turn, asked: Asked, said: _Said, send: str, damage: str, twists: list[Fault], *, lost: bool
) -> tuple[list[Piece], int]:
    """The pieces, and how many of their tokens belong to calls."""
    thought, content = said.thinking, said.content
    textual = said.calls and send in fault_kinds.FORMS
    style = _choice(twists, "thinking") or turn.step.thinking
    call_text = forms.written(said.calls, send, damage) if textual else ""
    if textual and send == "thinking":
        thought, content, call_text = f"{thought}\n{call_text}".strip(), "", ""
    if thought and style.startswith("tags"):
        end = "\n</think>\n\n" if style == "tags" else "\n\n"
        thought, content = "", f"<think>\n{thought}{end}{content}"
    pieces = [Piece("thinking", 1, word) for word in split(thought)]
    pieces += [Piece("content", 1, word) for word in split(content)]
    if call_text:
        words = split(f"\n\n{call_text}" if content else call_text)
        return [*pieces, *(Piece("content", 1, word) for word in words)], len(words)
    if textual:
        return pieces, 0
    made = _call_pieces(turn, asked, said.calls, send, _choice(twists, "ids") or turn.step.ids, lost=lost)
    return [*pieces, *made], sum(piece.tokens for piece in made)


def _call_pieces(
    turn: player.Turn, asked: Asked, calls: tuple[Call, ...], send: str, ids: str, *, lost: bool
) -> list[Piece]:
    pieces: list[Piece] = []
    whole = []
    for index, (name, arguments) in enumerate(calls):
        function = {"index": index, "name": name, "arguments": arguments}
        wire = {"id": player.call_id(turn, len(asked.messages), index), "function": function}
        if ids == "none":
            del wire["id"]
        elif ids == "native":
            wire["id"] = (player.call_id(turn, len(asked.messages), index + 32)[5:] * 4)[:32]
        size = prompt.tokens(prompt.call_text(name, arguments))
        if lost:
            pieces.append(Piece("silent", size))
        elif asked.deltas:
            pieces += _in_parts(wire, name, arguments, size)
        else:
            whole.append(wire)
            if asked.logprobs and asked.model.rendered:
                pieces += [Piece("silent", 1)] * (size - 1)
                size = 1
            if send == "together" and index < len(calls) - 1:
                pieces.append(Piece("silent", size))
            else:
                ready = tuple(whole) if send == "together" else (wire,)
                pieces.append(Piece("call", size, calls=ready, late=send == "done"))
    return pieces


def _in_parts(wire: dict[str, Any], name: str, arguments: dict[str, Any], size: int) -> list[Piece]:
    """A call with its name, then its arguments as pieces of their JSON."""
    words = split(json.dumps(arguments, ensure_ascii=False))
    parts = [Piece("open", max(1, size - len(words)), calls=(wire,))]
    return parts + [Piece("more", 1, word, (wire,)) for word in words]


def _newest_calls(messages: list[dict[str, Any]]) -> tuple[Call, ...]:
    for message in reversed(messages):
        if calls := message.get("tool_calls"):
            functions = [call.get("function") or {} for call in calls]
            return tuple((str(f.get("name", "")), f.get("arguments") or {}) for f in functions)
    return ()


def _choice(twists: list[Fault], kind: str) -> str:
    fault = named(twists, kind)
    return fault.value if fault else ""
