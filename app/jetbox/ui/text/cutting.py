"""Where a long text may be cut, so that each part can be laid out alone in the time of a frame.

Depends on the text alone, not on how it came: live and played back it is cut alike.
"""

from __future__ import annotations

import re

import msgspec

from jetbox.ui.text.markdown import State, learn, may_be_title, next_line, pass_over, title_level
from jetbox.ui.text.table import may_be_row

_INK = re.compile(r"\S")

LONG = 2500
"""From here on a text is cut at the next line that is no row of a table."""
LONG_CODE = 1200
"""Within code from here on: colours make it dearer."""
TOO_LONG = 6000
"""From here on at any line."""


class Cutter:
    """Reads a growing text line by line."""

    def __init__(self, begin: State | None = None) -> None:
        self._state = msgspec.structs.replace(begin) if begin is not None else State()
        self._at = 0
        self._cut = 0
        """Where the text may be cut; it is, when something follows that is no blank line."""
        self._title = ""
        """The line before that place, where it can be a title."""

    def cut(self, text: str) -> tuple[int, State] | None:
        """Where this text ends and another begins, and what is open there; none while it may grow."""
        while True:
            if self._cut:
                follows = self._follows(text)
                if follows is None:
                    return None
                if follows:
                    return self._cut, self._state
                self._cut = 0
            found = next_line(text, self._at)
            if found is None:
                return None
            line, self._at = found
            self._title = line if may_be_title(line, self._state) else ""
            pass_over(line, self._state)
            # Within code a row depends on what is open before it, which goes on in the next block.
            enough = LONG_CODE if self._state.mark else TOO_LONG if may_be_row(line) else LONG
            if self._at >= enough:
                self._cut = self._at

    def _follows(self, text: str) -> bool | None:
        """Whether what follows stands by itself; none while that is not known."""
        if _INK.search(text, self._cut) is None:
            return None
        if not self._title:
            return True
        found = next_line(text, self._cut)
        if found is None:
            return True if text[self._cut :].strip(" \t>=-") else None
        return not title_level(self._title, found[0])

    def end(self, text: str) -> None:
        """The text is whole: its last line is complete too."""
        learn(text[self._at :], self._state)
