"""The vocabulary: everything that happens in a session, as plain data.

The loop emits these, the recorder writes them, playback yields them, the screen applies
them, headless output prints them. Nothing else crosses from the engine to anyone.
Times are ns since the session began on its monotonic clock; `*_ns` are durations in ns.
A new field needs a default; a reader keeps and skips what it does not know. Each module is
of one subject and ends with the union of its events.
"""

from __future__ import annotations

import msgspec

from jetbox.engine.events.alarms import Alarm, alarm_of
from jetbox.engine.events.base import ChangeKind, Event, FileChange, Mode
from jetbox.engine.events.files import (
    RED,
    CacheState,
    FileEvent,
    FilesChanged,
    ProbeEnded,
    ProbeStarted,
    UndoFile,
    Undone,
    UndoPlanned,
    UndoRound,
    UndoState,
    VerdictState,
)
from jetbox.engine.events.models import (
    ListedModel,
    ModelEvent,
    ModelHeld,
    ModelMissing,
    ModelPulled,
    ModelReady,
    ModelsListed,
    ModelSwitched,
    ModelWarmed,
    Routed,
    SwitchCost,
    SwitchPaid,
)
from jetbox.engine.events.prompt import (
    Compacted,
    MessageAdded,
    MessagesCounted,
    ModelAnswered,
    PrefixReused,
    PromptCut,
    PromptEvent,
    PromptHead,
    PromptRewound,
    RequestSent,
    TextDelta,
    ThinkingDelta,
    Waiting,
)
from jetbox.engine.events.session import (
    Environment,
    GoalEnded,
    GoalStarted,
    Guard,
    GuardTripped,
    ModeChanged,
    Notice,
    OptionChanged,
    Outcome,
    QueueChanged,
    RoundDrawn,
    RoundEnded,
    RoundStarted,
    SandboxChosen,
    SessionClosed,
    SessionEvent,
    SessionLabelled,
    SessionOpened,
    SessionResumed,
    Steered,
)
from jetbox.engine.events.tools import (
    CallState,
    PermissionAnswered,
    PermissionAsked,
    PlanEnded,
    PlanJoined,
    PlanMade,
    PlannedStep,
    QuestionAnswered,
    QuestionAsked,
    ShellEnded,
    ShellStarted,
    StepBegun,
    StepEnded,
    StepState,
    ToolCalled,
    ToolEnded,
    ToolEvent,
    ToolHeld,
    ToolOutput,
    ToolStarted,
)

__all__ = [
    "FORMAT",
    "RED",
    "Alarm",
    "AnyEvent",
    "CacheState",
    "CallState",
    "ChangeKind",
    "Compacted",
    "Delta",
    "Environment",
    "Event",
    "FileChange",
    "FilesChanged",
    "GoalEnded",
    "GoalStarted",
    "Guard",
    "GuardTripped",
    "ListedModel",
    "MessageAdded",
    "MessagesCounted",
    "Mode",
    "ModeChanged",
    "ModelAnswered",
    "ModelHeld",
    "ModelMissing",
    "ModelPulled",
    "ModelReady",
    "ModelSwitched",
    "ModelWarmed",
    "ModelsListed",
    "Notice",
    "OptionChanged",
    "Outcome",
    "PermissionAnswered",
    "PermissionAsked",
    "PlanEnded",
    "PlanJoined",
    "PlanMade",
    "PlannedStep",
    "PrefixReused",
    "ProbeEnded",
    "ProbeStarted",
    "PromptCut",
    "PromptHead",
    "PromptRewound",
    "QuestionAnswered",
    "QuestionAsked",
    "QueueChanged",
    "RequestSent",
    "RoundDrawn",
    "RoundEnded",
    "RoundStarted",
    "Routed",
    "SandboxChosen",
    "SessionClosed",
    "SessionLabelled",
    "SessionOpened",
    "SessionResumed",
    "ShellEnded",
    "ShellStarted",
    "Stamped",
    "Steered",
    "StepBegun",
    "StepEnded",
    "StepState",
    "SwitchCost",
    "SwitchPaid",
    "TextDelta",
    "ThinkingDelta",
    "ToolCalled",
    "ToolEnded",
    "ToolHeld",
    "ToolOutput",
    "ToolStarted",
    "UndoFile",
    "UndoPlanned",
    "UndoRound",
    "UndoState",
    "Undone",
    "Unknown",
    "VerdictState",
    "Waiting",
    "alarm_of",
]

FORMAT = 1
"""Version of the journal; a reader refuses a later one in words."""


class Unknown(Event, frozen=True, kw_only=True, tag="unknown"):
    """An event of a later version: kept as it is, shown by nobody."""

    json: str


AnyEvent = SessionEvent | PromptEvent | ModelEvent | ToolEvent | FileEvent | Unknown

Delta = ThinkingDelta | TextDelta | ToolOutput
"""Events that come by the hundred a second; coalesced on disk, never on the way to the screen."""


class Stamped(msgspec.Struct, frozen=True, gc=False):
    """An event in its envelope: one line of the journal."""

    seq: int
    """Dense, from 0."""
    t: int
    """ns since the session began; never decreases, also over a resume."""
    round: int
    """0 before the first round."""
    event: AnyEvent
