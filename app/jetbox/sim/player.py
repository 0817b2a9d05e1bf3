"""Which step of which script comes next, found by walking through the conversation.

Nothing is remembered between requests: the same messages always lead to the same step, so that
resumed, forked and retried conversations go on where they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from jetbox.sim.conditions import PROBES, Message, text_of
from jetbox.sim.script import Script, Step

OVER = Step("over", text="Done: this script has no further step.")


class Turn(NamedTuple):
    """What is to be answered."""

    script: Script
    step: Step
    goal: int
    """Number of the goal in the conversation, from 1."""
    round: int
    """Number of the answer to this goal, from 1."""


class _Reading:
    """A walk through one conversation."""

    def __init__(self, scripts: Sequence[Script], fallback: Script, *, alone: bool) -> None:
        self._scripts = scripts
        self._fallback = fallback
        self._alone = alone
        self.script = fallback
        self.goal = 0
        self.round = 1
        self._start = 0
        self._next = 0
        self._ended = True

    def hear(self, messages: Sequence[Message], at: int) -> None:
        """Take in a user message: a new goal, or words about the present one."""
        unanswered = self.script is self._fallback and self.goal > 0 and self.round == 1
        if not self._ended and not unanswered:
            return
        text = text_of(messages[at])
        verdict = PROBES.search(text)
        words = text[: verdict.start()] if verdict else text
        chosen = next((script for script in self._scripts if script.match.search(words)), None)
        if unanswered:
            if chosen is not None:
                self.script, self._start = chosen, at
            return
        if chosen is None and self.goal:
            if verdict or self.upcoming(messages[: at + 1]) is not OVER:
                self._ended = False
                return
            chosen = self._fallback
        if chosen is None:
            chosen = self._scripts[0] if self._alone else self._fallback
        self.script, self._start, self._next = chosen, at, 0
        self.goal, self.round, self._ended = self.goal + 1, 1, False

    def upcoming(self, messages: Sequence[Message]) -> Step:
        """The step that answers these messages."""
        return self._find(messages)[0]

    def answered(self, messages: Sequence[Message]) -> None:
        """Go past the step that answered these messages."""
        step, position = self._find(messages)
        self._next = self.script.position(step.goto) if step.goto else position + 1
        self._ended = step.ends_goal
        self.round += 1

    def _find(self, messages: Sequence[Message]) -> tuple[Step, int]:
        steps, position = self.script.steps, self._next
        since_goal = messages[self._start :]
        seen: set[int] = set()
        while position < len(steps) and position not in seen:
            step = steps[position]
            if step.when is None or step.when(since_goal):
                return step, position
            seen.add(position)
            position = self.script.position(step.otherwise) if step.otherwise else position + 1
        return OVER, len(steps)


def next_turn(messages: Sequence[Message], scripts: Sequence[Script], *, alone: bool = False) -> Turn:
    """The step that answers a conversation.

    A user message starts a script when its text, up to a verdict in it, matches, and when there
    was no goal before it or the one before has ended; any other user message belongs to the running
    goal. With `alone`, the one given script answers any opening goal.
    """
    reading = _Reading(scripts, fallback_script(scripts), alone=alone)
    for at, message in enumerate(messages):
        role = message.get("role")
        if role == "user":
            reading.hear(messages, at)
        elif role == "assistant" and reading.goal:
            reading.answered(messages[:at])
    return Turn(reading.script, reading.upcoming(messages), max(reading.goal, 1), reading.round)


def fallback_script(scripts: Sequence[Script]) -> Script:
    """The script for a goal that nobody knows: it says which goals are known."""
    goals = "\n".join(f"- {script.goal or script.about or script.name}" for script in scripts)
    text = (
        "I am a scripted model: I answer from files, and I have none for this goal.\n\n"
        f"Goals that I know:\n\n{goals or '- none'}\n"
    )
    return Script(name="unknown-goal", match=re.compile("(?!)"), steps=(Step("answer", text=text),))


def call_id(turn: Turn, position: int, index: int) -> str:
    """Identifier of a call: eight characters that depend on its place in the conversation alone."""
    number: int = position * 64 + index + 1
    number = (number * 0x9E3779B97F4A7C15 + turn.goal) & (1 << 64) - 1
    number = (number ^ (number >> 31)) * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
    digits = "abcdefghijklmnopqrstuvwxyz0123456789"
    name = ""
    for _ in range(8):
        number, digit = divmod(number, 36)
        name += digits[digit]
    return f"call_{name}"


def as_messages(value: Any) -> list[Message]:
    """The messages of a request that are objects."""
    return [message for message in value or [] if isinstance(message, dict)]
