"""What a tool was called with, for its card: every argument, long ones cut with what is left out."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from jetbox.engine.safety.terminal import visible
from jetbox.ui import words
from jetbox.ui.text.rows import Row, cells, flow, lines, one_line
from jetbox.ui.transcript.blocks import INDENT, Look

ARGUMENT_LINES = 12
ARGUMENT_CHARS = 1600
ACROSS = 16
"""Most cells of a name behind which a value stands in the same row."""


class Argument(NamedTuple):
    """One argument as far as it is shown."""

    name: str
    text: str
    left: str
    """What is left out of it, in words; empty where nothing is."""


def read_arguments(arguments: str) -> dict[str, Any]:
    """The arguments of a call, by their names; what is no object stands under a name of ours."""
    try:
        found = json.loads(arguments or "{}")
    except ValueError:
        return {"arguments": arguments}
    return found if isinstance(found, dict) else {"arguments": found}


def shown_arguments(arguments: dict[str, Any], known: str) -> tuple[Argument, ...]:
    """Each argument, cut; without the one that is `known` in full from the card's title."""
    texts = ((name, _text(value)) for name, value in arguments.items())
    return tuple(_cut(one_line(visible(name)), text) for name, text in texts if not _is(text, known))


def _is(text: str, known: str) -> bool:
    """Whether a text is shown as this. Escapes only make it longer: a long one is not gone through for that."""
    return len(text.strip()) <= len(known) and visible(text).strip() == known


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cut(name: str, text: str) -> Argument:
    """What is shown of a value: so many lines, and so many characters."""
    kept = text[:ARGUMENT_CHARS]
    whole, shown = text.count("\n") + 1, kept.split("\n")[:ARGUMENT_LINES]
    kept = "\n".join(shown)
    if whole > len(shown):
        left = words.plural(whole - len(shown), "more line")
    else:
        chars = len(text) - len(kept)
        left = f"{words.count(chars)} more character{'' if chars == 1 else 's'}" if chars else ""
    return Argument(name, visible(kept), left)


def argument_rows(arguments: tuple[Argument, ...], width: int, look: Look) -> list[Row]:
    """A row for each that is short; what has several lines stands below its name."""
    indent = INDENT * 2
    column = max((wide for each in arguments if (wide := cells(each.name)) <= ACROSS), default=0)
    out: list[Row] = []
    for name, text, left in arguments:
        wide = cells(name)
        if "\n" in text or wide > ACROSS:
            out += flow(((name, "faint"),), width, first=((indent, ""),))
            out += lines(text.rstrip("\n"), "dim", width, indent=indent + INDENT, words=False)
            hang = indent + INDENT
        else:
            head = f"{indent}{name}{' ' * (column - wide)}  "
            hang = " " * (len(indent) + column + 2)
            said = ((text.replace("\t", "    ") or '""', "dim"),)
            out += flow(said, width, first=((head, "faint"),), rest=((hang, ""),), words=False)
        if left:
            out += flow(((f"{look.glyphs.more} {left}", "faint"),), width, first=((hang, ""),))
    return out
