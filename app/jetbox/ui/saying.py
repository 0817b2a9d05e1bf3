"""The word in the workbench's last line: said by a key or a command, until something else is to be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jetbox.engine import events as e
    from jetbox.ui.footing import Word

STANDS_NS = 4_000_000_000
"""So long a word stands where something is waited for: what that is must be seen."""


class Saying:
    """At most one word at a time."""

    def __init__(self) -> None:
        self.word: Word = ("", "")
        """Text and style; no text where nothing is said."""
        self._at = 0
        self._until: tuple[type[e.Event], ...] = ()

    def say(self, text: str, style: str, now: int, until: tuple[type[e.Event], ...]) -> None:
        """It stands until such an event, a key, or its age ends it; `now` in ns."""
        self.word, self._at, self._until = (text, style), now, until

    def unsay(self, text: str | None = None) -> bool:
        """Whether there was a word (this one, where it is named); it is gone."""
        said = self.word[0]
        if not said or text not in (None, said):
            return False
        self.word, self._until = ("", ""), ()
        return True

    def hear(self, event: e.Event) -> None:
        """What it waited for may have come."""
        if isinstance(event, self._until):
            self.unsay()

    def grow_old(self, now: int) -> None:
        """Something is waited for: give way to it after a while."""
        if now - self._at >= STANDS_NS:
            self.unsay()
