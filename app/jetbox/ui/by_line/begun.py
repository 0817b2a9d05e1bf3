"""What was handed on and has not come to an end, as far as events tell."""

from __future__ import annotations

from jetbox.engine import commands
from jetbox.engine import events as e


class Begun:
    """Counts goals up to where they start, the user's commands up to their end, and what is to be told."""

    def __init__(self) -> None:
        self.goals = 0
        """Handed on, and neither started nor taken as words for the one that runs."""
        self.own = 0
        """Of what no event tells."""
        self._shells = 0
        self._listing = self._planning = False
        """What the server has, or what can be undone, was asked for and not told yet."""
        self._words = 0
        """Words for the running goal that were not taken yet."""
        self._queued = 0

    def __bool__(self) -> bool:
        return bool(self.goals or self._shells or self.own or self._listing or self._planning)

    @property
    def shell(self) -> bool:
        """Whether a command of the user's runs, or is about to."""
        return bool(self._shells)

    def submitted(self, command: commands.AnyCommand) -> None:
        """This was handed on."""
        self.goals += isinstance(command, commands.Goal)
        self._words += isinstance(command, commands.Steer)
        self._shells += isinstance(command, commands.RunShell)
        self._listing |= isinstance(command, commands.ListModels)
        self._planning |= isinstance(command, commands.PlanUndo)

    def take(self, event: e.AnyEvent, *, past: bool) -> None:
        """One more event; `past`: an earlier process told it, of what was handed to that."""
        if isinstance(event, e.QueueChanged):
            more, self._queued = len(event.items) - self._queued, len(event.items)
            if more > 0 and not past:
                said = min(more, self._words)
                self._words -= said
                self.goals = max(0, self.goals - (more - said))  # they came while one ran, and are words for it
        elif past:
            return
        elif isinstance(event, e.GoalStarted):
            self.goals = max(0, self.goals - 1)
        elif isinstance(event, e.GoalEnded):
            self._words = 0  # what came too late is a goal that starts
        elif isinstance(event, e.ShellEnded):
            self._shells = max(0, self._shells - 1)
        elif isinstance(event, e.ModelsListed):
            self._listing = False
        elif isinstance(event, e.UndoPlanned):
            self._planning = False
