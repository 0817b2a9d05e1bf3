"""A session, its goals and rounds, and the words that pass between user and loop."""

from __future__ import annotations

from typing import Literal

from jetbox.engine.clock import Span
from jetbox.engine.events.base import Event, Mode


class SessionOpened(Event, frozen=True, kw_only=True, tag="session.opened"):
    """The header: first line of every journal, known without starting anything."""

    format: int
    id: str
    created: str
    """Wall time, RFC 3339 in UTC."""
    workspace: str
    app: str
    """Version of jetbox-tui that wrote it."""
    model: str = ""
    host: str = ""
    mode: Mode = "ask"
    options: dict[str, str] = {}
    """Effective settings that differ from the defaults, by dotted key, as TOML values."""
    parent: str = ""
    """Session this one was forked from."""


class SessionResumed(Event, frozen=True, kw_only=True, tag="session.resumed"):
    """A later process goes on with the session; the clock goes on from the last event."""

    created: str
    app: str
    model: str = ""
    host: str = ""
    mode: Mode = "ask"
    options: dict[str, str] = {}


class Environment(Event, frozen=True, kw_only=True, tag="session.environment"):
    """What had to be asked for: it follows the header when it is known."""

    python: str = ""
    platform: str = ""
    cpus: int = 0
    memory: int = 0
    """Bytes."""
    git_commit: str = ""
    git_dirty: bool = False
    server: str = ""
    """Version of the model server."""
    model_digest: str = ""
    versions: dict[str, str] = {}
    """Tools by name: ruff, pytest, interpreter of the workspace."""


class SandboxChosen(Event, frozen=True, kw_only=True, tag="session.sandbox"):
    """Which sandbox holds, and what it cannot enforce."""

    name: str
    """`bubblewrap`, `landlock`, `sandbox-exec` or `none`."""
    cannot: tuple[str, ...] = ()
    off: bool = False
    """True where the user turned it off."""
    duration_ns: int = 0
    """What choosing it took: calls that execute something wait for that."""


class SessionClosed(Event, frozen=True, kw_only=True, tag="session.closed"):
    """The writer is gone in good order."""

    exit_code: int
    reason: str = ""
    log_ns: int = 0
    """How long recording has held up this process' event loop in all."""


class SessionLabelled(Event, frozen=True, kw_only=True, tag="session.label"):
    """What the user calls the session."""

    label: str


class OptionChanged(Event, frozen=True, kw_only=True, tag="session.option"):
    """A limit of goals has another value from the next one on."""

    option: str
    value: str
    """As TOML."""


class ModeChanged(Event, frozen=True, kw_only=True, tag="mode.changed"):
    mode: Mode


Outcome = Literal["done", "unverified", "answered", "red", "limit", "guard", "denied", "failed", "interrupted"]


class GoalStarted(Event, frozen=True, kw_only=True, tag="goal.started"):
    """The user asked for something; `goal` counts from 1."""

    goal: int
    text: str


class GoalEnded(Event, frozen=True, kw_only=True, tag="goal.ended"):
    """The loop stopped working on the goal, and why."""

    goal: int
    outcome: Outcome
    reason: str
    exit_code: int
    rounds: int = 0
    wall_ns: int = 0
    hint: str = ""
    """What to do next, where something can be done."""
    cpu_ns: int = 0
    """CPU time of this process while it worked on the goal, and of commands and probes that ended meanwhile."""
    others_ns: int = 0
    memory: int = 0
    """Most bytes that this process has had so far; 0 where that is not known."""


class RoundStarted(Event, frozen=True, kw_only=True, tag="round.started"):
    """A round begins; its number stands in the envelope."""

    model: str
    limit: int = 0
    """Most rounds of this goal; 0 for no limit."""


class RoundEnded(Event, frozen=True, kw_only=True, tag="round.ended"):
    """A round with its spans; the phases sum to the wall time."""

    wall_ns: int
    phases: dict[str, int]
    spans: tuple[Span, ...] = ()
    tier: str = ""
    tools: int = 0
    parallel: int = 0
    """How many tool calls overlapped another one."""
    log_ns: int = 0
    """How long recording its events held up the event loop; in whatever phase it was."""


class RoundDrawn(Event, frozen=True, kw_only=True, tag="round.drawn"):
    """What the screen took to show a round: beside what it did, told when it was over."""

    round: int
    drawing_ns: int
    """Computing time of the loop that the screen and the session share."""
    frames: int


class QueueChanged(Event, frozen=True, kw_only=True, tag="queue.changed"):
    """What the user typed and what waits for the next round boundary."""

    items: tuple[str, ...]


class Steered(Event, frozen=True, kw_only=True, tag="queue.steered"):
    """The user's words entered the prompt."""

    text: str


Guard = Literal["repeat", "alternate", "error", "rewrite", "empty"]


class GuardTripped(Event, frozen=True, kw_only=True, tag="guard.tripped"):
    """The same thing again and again: first a word to the model, then a stop."""

    guard: Guard
    detail: str
    action: Literal["warn", "stop"]


class Notice(Event, frozen=True, kw_only=True, tag="notice"):
    """A word to the user."""

    level: Literal["info", "warning", "error"]
    text: str
    hint: str = ""


SessionEvent = (
    SessionOpened
    | SessionResumed
    | Environment
    | SandboxChosen
    | SessionClosed
    | SessionLabelled
    | OptionChanged
    | ModeChanged
    | GoalStarted
    | GoalEnded
    | RoundStarted
    | RoundEnded
    | RoundDrawn
    | QueueChanged
    | Steered
    | GuardTripped
    | Notice
)
