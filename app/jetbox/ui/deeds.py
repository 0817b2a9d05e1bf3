"""What each round said and did to files: what the screen of undoing shows, derived from events alone."""

from __future__ import annotations

import msgspec

from jetbox.engine import events as e
from jetbox.ui.text.rows import one_line


class Deed(msgspec.Struct):
    """One round."""

    number: int
    began: int
    """Session time in ns."""
    words: str = ""
    """What the user said right before it."""
    calls: list[str] = msgspec.field(default_factory=list)
    """Titles."""
    files: dict[str, e.FileChange] = msgspec.field(default_factory=dict)
    diffs: list[tuple[str, str]] = msgspec.field(default_factory=list)
    """Title and diff of each call that has one."""
    files_undone: bool = False
    messages_undone: bool = False

    @property
    def title(self) -> str:
        """In a line."""
        return self.words or ", ".join(self.calls) or "an answer"


class Deeds:
    """Takes the events one after another."""

    def __init__(self) -> None:
        self.rounds: list[Deed] = []
        self._words: list[str] = []
        self._titles: dict[str, str] = {}

    def take(self, stamped: e.Stamped) -> None:
        """One more event."""
        match stamped.event:
            case e.GoalStarted() | e.Steered() as event:
                self._words.append(one_line(event.text))
            case e.RoundStarted():
                self.rounds.append(Deed(stamped.round, stamped.t, " ".join(self._words)))
                self._words = []
            case e.ToolCalled() as event if self.rounds:
                title = self._titles[event.call] = one_line(event.title or event.name)
                self.rounds[-1].calls.append(title)
            case e.ToolEnded() as event if self.rounds:
                self._ended(self.rounds[-1], event)
            case e.Undone() as event:
                for deed in self.rounds:
                    if deed.number >= event.round:
                        deed.files_undone = deed.files_undone or event.scope != "messages"
                        deed.messages_undone = deed.messages_undone or event.scope != "files"
            case e.PromptRewound(count=1):
                for deed in self.rounds:
                    deed.messages_undone = True
            case _:
                pass

    def _ended(self, deed: Deed, event: e.ToolEnded) -> None:
        for change in event.changes:
            deed.files[one_line(change.path)] = change
        if event.diff:
            deed.diffs.append((self._titles.get(event.call, event.call), event.diff))

    def find(self, number: int) -> Deed | None:
        """The round of this number."""
        return next((deed for deed in self.rounds if deed.number == number), None)
