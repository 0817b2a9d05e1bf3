"""Signs of several characters, of whose width terminals differ, each held in its cells.

A sign with a selector of its form or a tone of skin, a joined family, a flag or a syllable of an
Indian script is two cells in one terminal, and one or four in another (tmux): what stands
behind it in its row would be elsewhere than it was drawn, and remain there.
"""

from __future__ import annotations

import re

from rich.cells import cell_len

_FORMS = "\u20e3\ufe0f\U0001f3fb-\U0001f3ff"
_FLAGS = "\U0001f1e6-\U0001f1ff"
_SYLLABLES = "\u0900-\u0dff\u1000-\u109f\u1780-\u17ff"
_UNSURE = re.compile(f"[\u200d{_FORMS}{_FLAGS}{_SYLLABLES}]")
_COMMAND = re.compile(r"\[[0-?]*[ -/]*[@-~]|[ -/]*[0-~]")
"""What follows ESC; its last character is no part of a sign."""
_CLUSTER = re.compile(f".(?:[{_FORMS}]|\u200d.)+|[{_FLAGS}]{{2}}|[{_SYLLABLES}]+")


def held(text: str) -> str:
    """What is written to the terminal; the cells of each such sign are cleared, and the cursor is set behind them."""
    if text.isascii() or not _UNSURE.search(text):
        return text
    before, *parts = text.split("\x1b")
    return "\x1b".join((_CLUSTER.sub(_held, before), *map(_with_signs, parts)))


def _with_signs(part: str) -> str:
    """A command, and what follows it up to the next. What begins with `]` is a title, a link, what is copied: none of
    it is a cell."""
    if part.isascii() or part[0] == "]" or not _UNSURE.search(part):
        return part
    command = _COMMAND.match(part)
    end = command.end() if command is not None else 0
    return part[:end] + _CLUSTER.sub(_held, part[end:])


def _held(found: re.Match[str]) -> str:
    sign = found[0]
    width = cell_len(sign)
    return f"\x1b7{' ' * width}\x1b8{sign}\x1b8\x1b[{width}C" if width else sign
