"""Calls of tools, plans made of them, the user's own commands, and who allowed what."""

from __future__ import annotations

from typing import Literal

import msgspec

from jetbox.engine.events.base import Event, FileChange

CallState = Literal["ok", "failed", "denied", "cancelled"]
StepState = Literal[CallState, "skipped"]


class ToolCalled(Event, frozen=True, kw_only=True, tag="tool.called"):
    """The model asked for a tool; emitted when the call is complete in the stream."""

    call: str
    """Id, unique in the session."""
    name: str
    arguments: str
    """JSON, as the model gave it."""
    title: str = ""
    """One line for people: the tool and what it touches."""
    recovered: str = ""
    """Where the server left the call in the text: the form in which it stood there."""


class ToolStarted(Event, frozen=True, kw_only=True, tag="tool.started"):
    call: str


class ToolHeld(Event, frozen=True, kw_only=True, tag="tool.held"):
    """A call that is to be asked about waits until another question is answered."""

    call: str
    held: bool = True
    """False: that question is answered."""


class ToolOutput(Event, frozen=True, kw_only=True, tag="tool.output"):
    """A piece of a running command's output."""

    call: str
    text: str


class ToolEnded(Event, frozen=True, kw_only=True, tag="tool.ended"):
    call: str
    state: CallState
    text: str = ""
    """What the model is told."""
    duration_ns: int = 0
    """Of the run itself, without waiting for its turn or for an answer."""
    changes: tuple[FileChange, ...] = ()
    diff: str = ""
    """Unified, for the screen."""
    notes: tuple[str, ...] = ()
    """What was mended or ignored in the arguments."""
    ruled: bool = False
    """It failed by a rule of ours: a file is read before it is changed."""


class PermissionAsked(Event, frozen=True, kw_only=True, tag="permission.asked"):
    """The loop waits for an answer (command `Answer` with this id)."""

    id: str
    call: str
    kind: Literal["read", "write", "command"]
    title: str
    diff: str = ""
    why: str = ""
    """Why it is asked: outside the workspace, no sandbox, the mode."""
    scope: str = ""
    """What `session` and `always` would allow from now on, in words."""


class PermissionAnswered(Event, frozen=True, kw_only=True, tag="permission.answered"):
    id: str
    answer: Literal["once", "session", "always", "no"]
    by: Literal["user", "policy", "limit"] = "user"
    reason: str = ""
    grant: str = ""
    """Entry that holds from now on in this workspace, for `always`."""


class QuestionAsked(Event, frozen=True, kw_only=True, tag="question.asked"):
    """The model asks the user something (command `Reply` with this id)."""

    id: str
    call: str
    question: str
    choices: tuple[str, ...] = ()
    """Answers that the model offers; any other can be given."""

    @property
    def title(self) -> str:
        """The question in a line."""
        return self.question.partition("\n")[0]


class QuestionAnswered(Event, frozen=True, kw_only=True, tag="question.answered"):
    id: str
    text: str = ""
    """Empty: there was no answer."""
    by: Literal["user", "limit"] = "user"


class ShellStarted(Event, frozen=True, kw_only=True, tag="shell.started"):
    """The user typed a command; what it prints follows as `ToolOutput` of this call."""

    call: str
    """Id, unique in the session, tool calls included."""
    command: str


class ShellEnded(Event, frozen=True, kw_only=True, tag="shell.ended"):
    """The user's command is over."""

    call: str
    state: CallState
    text: str = ""
    """What it came to, and what it printed."""
    duration_ns: int = 0
    """Of the run itself, without waiting for an answer."""
    told: bool = False
    """It ran, and the model is told of it before the user's next words."""


class PlannedStep(msgspec.Struct, frozen=True, omit_defaults=True):
    """One call of a plan."""

    id: str
    title: str
    """One line for people: the tool and what it touches."""
    after: tuple[str, ...] = ()
    """Steps that it waits for, as the plan says or since both touch the same; not those that these wait for."""


class PlanMade(Event, frozen=True, kw_only=True, tag="plan.made"):
    """The model planned its work in one answer; the steps are in an order in which they could run."""

    plan: str
    """Id of the call that holds it, unique in the session."""
    steps: tuple[PlannedStep, ...]
    notes: tuple[str, ...] = ()
    """What was mended or left out."""


class StepBegun(Event, frozen=True, kw_only=True, tag="plan.step_begun"):
    """All that a step waits for is done; its call goes the way of all calls."""

    plan: str
    step: str
    call: str
    """Id of its `ToolCalled`."""


class StepEnded(Event, frozen=True, kw_only=True, tag="plan.step_ended"):
    plan: str
    step: str
    state: StepState
    """skipped: what it needs did not come about."""
    why: str = ""
    duration_ns: int = 0


class PlanEnded(Event, frozen=True, kw_only=True, tag="plan.ended"):
    """The plan is over, and the model sees what came of it."""

    plan: str
    outcome: Literal["done", "broken", "cancelled", "refused"]
    """broken: a step did not succeed; refused: it could not be read, and nothing of it ran."""
    why: str = ""
    done: int = 0
    """Steps that succeeded."""
    wall_ns: int = 0
    alone_ns: int = 0
    """What the steps would have taken one after another."""
    together: int = 0
    """Most steps that ran at one time."""


class PlanJoined(Event, frozen=True, kw_only=True, tag="plan.joined"):
    """The model has seen what came of the plan, and decided."""

    plan: str
    done: bool
    """False where it goes on, call by call."""
    why: str = ""


ToolEvent = (
    ToolCalled
    | ToolStarted
    | ToolHeld
    | ToolOutput
    | ToolEnded
    | PermissionAsked
    | PermissionAnswered
    | QuestionAsked
    | QuestionAnswered
    | ShellStarted
    | ShellEnded
    | PlanMade
    | StepBegun
    | StepEnded
    | PlanEnded
    | PlanJoined
)
