"""What the files came to: verdicts of probes, changes, and going back."""

from __future__ import annotations

from typing import Literal

import msgspec

from jetbox.engine.events.base import ChangeKind, Event, FileChange

VerdictState = Literal["passed", "failed", "skipped", "error", "timeout", "cancelled"]
RED: tuple[VerdictState, ...] = ("failed", "error", "timeout")
"""The work does not hold, or that could not be found out."""
CacheState = Literal["ran", "hit", "partial", "none"]


class ProbeStarted(Event, frozen=True, kw_only=True, tag="probe.started"):
    name: str
    why: str = ""
    """Why it was not served from the cache: what changed."""


class ProbeEnded(Event, frozen=True, kw_only=True, tag="probe.ended"):
    """A verdict about the files as they were when it was given."""

    name: str
    state: VerdictState
    cache: CacheState
    summary: str = ""
    """One line: `3 passed`, `1 of 14 failed: test_mul`, `no tests`."""
    output: str = ""
    """Head and tail of what it printed."""
    duration_ns: int = 0
    """Of the run, or of the look-up for a hit."""
    saved_ns: int = 0
    """What the stored run took, for a hit."""
    key: str = ""
    why: str = ""
    of_round: int = 0
    """The round whose files it judges, where that is not the envelope's."""
    unproven: bool = False
    """Served without a proof that nothing changed."""
    known: tuple[str, ...] = ()
    """What is red now and was before the session began."""
    baseline: bool = False
    """About the files as they were before the first change."""
    inputs: dict[str, str] = {}
    """What went into its key, as name and words: files, arguments, versions, names of variables."""
    slow: str = ""
    """Why it runs from scratch where a server could tell sooner."""


class FilesChanged(Event, frozen=True, kw_only=True, tag="files.changed"):
    """Files changed, seen by the engine."""

    changes: tuple[FileChange, ...]
    by: Literal["agent", "command", "you", "git", "probe"]
    count: int = 0
    """How many changed, where `changes` names only some of them; else 0."""


UndoState = Literal["ready", "changed", "lost"]


class UndoFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """What undoing would do to one file."""

    path: str
    kind: ChangeKind
    """What becomes of it: it comes back, gets its old content, or goes."""
    state: UndoState = "ready"
    """`changed`: not as the agent left it; `lost`: what was there before was not kept."""
    why: str = ""
    added: int = 0
    removed: int = 0
    diff: str = ""
    """From what is there now to what would be, for the screen."""


class UndoRound(msgspec.Struct, frozen=True, omit_defaults=True):
    """A round that can be gone back to, as it was before it began."""

    round: int
    goal: int
    title: str
    """What it did, in a line; for the first of a goal, the goal."""
    began: int = 0
    """Session time in ns."""
    files: int = 0
    """How many files it changed."""
    first: bool = False
    """It begins with words of the user's."""


class UndoPlanned(Event, frozen=True, kw_only=True, tag="undo.planned"):
    """What going back would change; told when somebody wants to see it."""

    round: int
    """Everything as it was before this round; 0 where there is nothing to go back to."""
    rounds: tuple[UndoRound, ...] = ()
    """All that can be gone back to, the newest at the end."""
    files: tuple[UndoFile, ...] = ()
    messages: int = 0
    """That would leave the prompt."""
    words: str = ""
    """The user's words that the round began with."""
    problem: str = ""
    """Why it cannot be told."""


class Undone(Event, frozen=True, kw_only=True, tag="undo.done"):
    """Files, or messages, or both are as they were before a round."""

    round: int
    scope: Literal["both", "files", "messages"] = "both"
    """What was asked for."""
    files: tuple[FileChange, ...] = ()
    """What was put back; `before` is the blob with what was replaced."""
    left: tuple[UndoFile, ...] = ()
    """What was not put back, and why."""
    messages: int = 0
    """That left the prompt."""
    words: str = ""
    """The user's words that went with them."""
    duration_ns: int = 0


FileEvent = ProbeStarted | ProbeEnded | FilesChanged | UndoPlanned | Undone
