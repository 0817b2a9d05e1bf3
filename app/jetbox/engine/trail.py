"""What each round did to files and prompt, so that it can be gone back to: derived from a session's events."""

from __future__ import annotations

import msgspec

from jetbox.engine.events import (
    AnyEvent,
    Compacted,
    FileChange,
    GoalStarted,
    MessageAdded,
    PromptRewound,
    RoundStarted,
    Stamped,
    Steered,
    ToolCalled,
    ToolEnded,
    Undone,
    UndoRound,
)

KINDS = (
    Compacted,
    GoalStarted,
    MessageAdded,
    PromptRewound,
    RoundStarted,
    Steered,
    ToolCalled,
    ToolEnded,
    Undone,
)
"""The events that it is made of."""


class Step(msgspec.Struct):
    """One round."""

    number: int
    goal: int
    began: int
    """Session time in ns."""
    count: int
    """Messages before it, without the words that it began with."""
    words: tuple[str, ...]
    """What the user said right before it."""
    changes: list[FileChange] = []
    calls: list[str] = []
    """Titles of its calls."""
    gone: bool = False
    """Its messages have left the prompt."""
    folded: bool = False
    """They became part of a summary."""


class Chain(msgspec.Struct, frozen=True):
    """All that was done to one file since a round began."""

    path: str
    begin: FileChange
    """The earliest change."""
    end: FileChange
    """The latest one."""
    lost: bool
    """What was there before was not kept."""


class Trail:
    """Takes the events one after another."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._roles: list[str] = []
        self._fresh: list[str] = []
        self._goal = 0

    def take(self, stamped: Stamped) -> None:
        """One more event."""
        event = stamped.event
        match event:
            case GoalStarted():
                self._goal = event.goal
                self._fresh.append(event.text)
            case Steered():
                self._fresh.append(event.text)
            case RoundStarted():
                self._begin(stamped)
            case MessageAdded():
                # What was said before the first event that was read is not known by its role.
                self._roles += ["system"] * (event.index - len(self._roles))
                self._roles[event.index :] = [event.role]
            case Compacted():
                self._compacted(event)
            case PromptRewound():
                self._rewound(event.count)
            case Undone():
                self._undone(event)
            case _:
                self._tool(event)

    def _begin(self, stamped: Stamped) -> None:
        count = len(self._roles)
        for _ in self._fresh:
            if count and self._roles[count - 1] == "user":
                count -= 1
        self.steps.append(Step(stamped.round, self._goal, stamped.t, count, tuple(self._fresh)))
        self._fresh = []

    def _tool(self, event: AnyEvent) -> None:
        if not self.steps:
            return
        if isinstance(event, ToolCalled):
            self.steps[-1].calls.append(event.title or event.name)
        elif isinstance(event, ToolEnded):
            self.steps[-1].changes += event.changes

    def _rewound(self, count: int) -> None:
        del self._roles[count:]
        self._fresh = []
        for step in self.steps:
            # Its answer stood at `count` of its own, or behind the words before it.
            step.gone = step.gone or step.count + len(step.words) >= count

    def _compacted(self, event: Compacted) -> None:
        """Messages that a summary stands for cannot be taken out of it; those behind it have moved."""
        if event.messages == event.of:
            return
        for step in self.steps:
            if step.count >= event.of - event.kept:
                step.count -= event.of - event.messages
            elif not step.gone:
                step.gone = step.folded = True

    def _undone(self, event: Undone) -> None:
        if event.scope == "messages":
            return
        left = {file.path for file in event.left}
        for step in self.steps:
            if step.number >= event.round:
                step.changes = [change for change in step.changes if change.path in left]

    @property
    def offered(self) -> list[Step]:
        """Rounds of which something is left to be undone."""
        return [step for step in self.steps if step.changes or not step.gone]

    def find(self, number: int) -> Step | None:
        """A round that can be gone back to; for 0 the first one of the last goal that has one."""
        offered = self.offered
        if number:
            return next((step for step in offered if step.number == number), None)
        return next((step for step in offered if step.goal == offered[-1].goal), None)

    def chains(self, number: int) -> list[Chain]:
        """What happened to each file from this round on, in the order of the paths."""
        found: dict[str, list[FileChange]] = {}
        for step in self.steps:
            if step.number >= number:
                for change in step.changes:
                    found.setdefault(change.path, []).append(change)
        return [_chain(path, changes) for path, changes in sorted(found.items())]

    def told(self) -> tuple[UndoRound, ...]:
        """The offered rounds, for people."""
        return tuple(
            UndoRound(
                round=step.number,
                goal=step.goal,
                title=_title(step),
                began=step.began,
                files=len({change.path for change in step.changes}),
                first=bool(step.words),
            )
            for step in self.offered
        )

    def cut(self, step: Step) -> tuple[int, str] | None:
        """Where the prompt ends when this round and all after it are taken out, and the words that go with them.

        None where none of their messages is in it.
        """
        present = [each for each in self.steps if each.number >= step.number and not each.gone]
        return (present[0].count, "\n".join(present[0].words)) if present else None


def _chain(path: str, changes: list[FileChange]) -> Chain:
    begin = changes[0]
    return Chain(path, begin, changes[-1], lost=begin.kind != "created" and not begin.before)


def _title(step: Step) -> str:
    if step.words:
        return " ".join(" ".join(step.words).split())
    return ", ".join(step.calls) or "an answer"
