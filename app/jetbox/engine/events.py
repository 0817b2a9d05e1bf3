"""The vocabulary: everything that happens in a session, as plain data.

The loop emits these, the recorder writes them, playback yields them, the screen applies
them, headless output prints them. Nothing else crosses from the engine to anyone.
Times are ns since the session began on its monotonic clock; `*_ns` are durations in ns.
A new field needs a default; a reader keeps and skips what it does not know.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from jetbox.engine.clock import Span

FORMAT = 1
"""Version of the journal; a reader refuses a later one in words."""

VerdictState = Literal["passed", "failed", "skipped", "error", "timeout", "cancelled"]
RED: tuple[VerdictState, ...] = ("failed", "error", "timeout")
"""The work does not hold, or that could not be found out."""
CacheState = Literal["ran", "hit", "partial", "none"]
Mode = Literal["ask", "edits", "auto"]
Outcome = Literal["done", "unverified", "answered", "red", "limit", "guard", "denied", "failed", "interrupted"]


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", gc=False):
    """Something that happened."""


# ---------------------------------------------------------------- session


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
    parent_round: int = 0


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


class ModelReady(Event, frozen=True, kw_only=True, tag="session.model"):
    """The model in use and what is known of it."""

    name: str
    num_ctx: int
    """Tokens of the window, one value for the session."""
    max_ctx: int = 0
    """The model's own maximum; 0 where unknown."""
    capabilities: tuple[str, ...] = ()
    size: int = 0
    """Bytes."""
    keep_alive_ns: int = 0
    """How long the server keeps it after an answer; negative for ever."""
    digest: str = ""
    """Empty where the server did not say yet."""
    why: str = ""
    """Why the window is what it is."""


class ModelWarmed(Event, frozen=True, kw_only=True, tag="model.warmed"):
    """The model was loaded ahead of a goal, and has read what every request begins with."""

    name: str
    load_ns: int = 0
    """How long loading took, waiting for others included."""
    read_ns: int = 0
    """How long reading took; 0 where a goal came before it was done."""
    tokens: int = 0
    """How many were read, those included that were there already."""


class ModelHeld(Event, frozen=True, kw_only=True, tag="model.held"):
    """What the server says that it holds of the model in use, asked for while nothing streams."""

    name: str
    loaded: bool = True
    size: int = 0
    """Bytes in all, and those of them on the GPU."""
    size_vram: int = 0
    window: int = 0
    """Tokens of the window that it really has."""
    expires: int = 0
    """Session time in ns at which it is unloaded; negative for never, 0 where that is not told."""


class SessionClosed(Event, frozen=True, kw_only=True, tag="session.closed"):
    """The writer is gone in good order."""

    exit_code: int
    reason: str = ""


class OptionChanged(Event, frozen=True, kw_only=True, tag="session.option"):
    """A limit of goals has another value from the next one on."""

    option: str
    value: str
    """As TOML."""


class SessionLabelled(Event, frozen=True, kw_only=True, tag="session.label"):
    """What the user calls the session."""

    label: str


# ---------------------------------------------------------------- goal and round


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


# ---------------------------------------------------------------- the prompt


class MessageAdded(Event, frozen=True, kw_only=True, tag="prompt.message"):
    """A message entered the history; `json` is its exact bytes on the wire, as text."""

    index: int
    role: str
    json: str
    version: str = ""
    """Of the system message, what its text is known by: `full-1/3f2a9c10`."""


class PromptHead(Event, frozen=True, kw_only=True, tag="prompt.head"):
    """Everything of a request before its messages (model, tools); emitted when it changes."""

    sha: str
    json: str


class RequestSent(Event, frozen=True, kw_only=True, tag="model.request"):
    """A request left. Its body is head + messages[0:count] joined by commas + tail."""

    attempt: int
    head: str
    """`sha` of the PromptHead."""
    count: int
    tail: str
    sha: str
    """SHA-256 of the whole body."""
    bytes: int
    estimate: int = 0
    """Tokens of the prompt, estimated; corrected by the server's own counts."""


class PromptCut(Event, frozen=True, kw_only=True, tag="prompt.cut"):
    """The server left a part of the prompt out and did not say so: its own count gives it away."""

    tokens: int
    """That it read."""
    of: int
    """That were sent, as estimated."""
    window: int = 0
    """Tokens of the window that this length belongs to; 0 where it does not tell."""


class Compacted(Event, frozen=True, kw_only=True, tag="prompt.compacted"):
    """The history was made shorter to make room; the messages that follow in the journal are what stands now."""

    why: str
    how: Literal["outputs", "summary", "list"]
    """Old outputs were left out; the model wrote a summary; calls were listed, since it did not."""
    before: int
    """Tokens of the prompt, as estimated."""
    after: int
    messages: int
    of: int
    """How many there were."""
    kept: int = 0
    """The newest ones, that stayed in their places, if with shorter outputs."""
    bytes_before: int = 0
    duration_ns: int = 0
    summary: str = ""
    metrics: dict[str, int] = {}
    """The server's figures of the summary."""


class Waiting(Event, frozen=True, kw_only=True, tag="model.waiting"):
    """What is waited for, in words for the screen."""

    what: Literal[
        "connecting",
        "queued",
        "loading",
        "reading",
        "thinking",
        "silent",
        "retrying",
        "compacting",
        "choosing",
        "asking",
    ]
    detail: str = ""
    expected_ns: int = 0
    """0 where nothing is known."""


class ThinkingDelta(Event, frozen=True, kw_only=True, tag="model.thinking"):
    text: str


class TextDelta(Event, frozen=True, kw_only=True, tag="model.text"):
    text: str


class ModelAnswered(Event, frozen=True, kw_only=True, tag="model.answered"):
    """The stream of one attempt ended."""

    attempt: int
    done_reason: str = ""
    """The server's word; empty where the stream ended without one."""
    complete: bool = True
    """False where it was cut, cancelled or failed."""
    ttft_ns: int = -1
    """Request sent to first content, thinking or call; -1 where nothing came."""
    wall_ns: int = 0
    chunks: int = 0
    metrics: dict[str, int] = {}
    """The server's own figures, untouched."""
    error: str = ""
    garbled: bool = False
    """The model made a call that could not be read."""


# ---------------------------------------------------------------- tools


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


class ToolOutput(Event, frozen=True, kw_only=True, tag="tool.output"):
    """A piece of a running command's output."""

    call: str
    text: str


class FileChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file that a tool changed."""

    path: str
    """Relative to the workspace, with `/`."""
    kind: Literal["created", "modified", "deleted"]
    added: int = 0
    """Lines."""
    removed: int = 0
    before: str = ""
    """SHA-256 of the blob with the old content; empty where there was none."""
    after: str = ""


class ToolEnded(Event, frozen=True, kw_only=True, tag="tool.ended"):
    call: str
    state: Literal["ok", "failed", "denied", "cancelled"]
    text: str = ""
    """What the model is told."""
    duration_ns: int = 0
    """Of the run itself, without waiting for its turn or for an answer."""
    changes: tuple[FileChange, ...] = ()
    diff: str = ""
    """Unified, for the screen."""
    notes: tuple[str, ...] = ()
    """What was mended or ignored in the arguments."""


class ShellStarted(Event, frozen=True, kw_only=True, tag="shell.started"):
    """The user typed a command; what it prints follows as `ToolOutput` of this call."""

    call: str
    """Id, unique in the session, tool calls included."""
    command: str


class ShellEnded(Event, frozen=True, kw_only=True, tag="shell.ended"):
    """The user's command is over."""

    call: str
    state: Literal["ok", "failed", "denied", "cancelled"]
    text: str = ""
    """What it came to, and what it printed."""
    duration_ns: int = 0
    """Of the run itself, without waiting for an answer."""
    told: bool = False
    """It ran, and the model is told of it before the user's next words."""


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


class PrefixReused(Event, frozen=True, kw_only=True, tag="model.prefix"):
    """How much of a prompt the server took from its cache."""

    tokens: int
    of: int
    """Tokens of the whole prompt."""
    expected: int
    """What could have been reused: the part that the request before began with too."""
    estimated: bool = False
    miss: str = ""
    """Why it was less than that; empty where it was not."""


# ---------------------------------------------------------------- plans


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
    state: Literal["ok", "failed", "denied", "cancelled", "skipped"]
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


# ---------------------------------------------------------------- probes and files


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


# ---------------------------------------------------------------- steering, limits, notices


class QueueChanged(Event, frozen=True, kw_only=True, tag="queue.changed"):
    """What the user typed and what waits for the next round boundary."""

    items: tuple[str, ...]


class Steered(Event, frozen=True, kw_only=True, tag="queue.steered"):
    """The user's words entered the prompt."""

    text: str


class ModeChanged(Event, frozen=True, kw_only=True, tag="mode.changed"):
    mode: Mode


class SwitchCost(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model needs before it can go on with a session; -1 where that is not known."""

    load_ns: int = -1
    prefill_ns: int = -1
    tokens: int = 0
    """Of the prompt that are to be evaluated."""
    cached: int = 0
    """Of the prompt that are in the server's cache, as far as can be told."""

    @property
    def total_ns(self) -> int:
        """Both together; -1 where one is not known."""
        return -1 if self.load_ns < 0 or self.prefill_ns < 0 else self.load_ns + self.prefill_ns


class ModelSwitched(Event, frozen=True, kw_only=True, tag="model.switched"):
    old: str
    new: str
    reason: Literal["user", "routing", "escalation"] = "user"
    why: str = ""
    """In words, where it was not the user."""
    expected: SwitchCost = SwitchCost()


class Routed(Event, frozen=True, kw_only=True, tag="model.routed"):
    """A rule decided which model works on."""

    rule: str
    """complexity, phase, evidence or cascade."""
    model: str
    why: str
    phase: str = ""
    """`scaffold` or `refine`, where the rule knows phases."""
    score: int = -1
    """Of the goal's complexity, from 0 to 100; -1 where the rule does not look at it."""
    parts: dict[str, int] = {}
    """What the score is the sum of."""
    changes: bool = False
    """Another model than the one before."""


class SwitchPaid(Event, frozen=True, kw_only=True, tag="model.switch_paid"):
    """The new model has answered: what the switch did cost, beside what was expected."""

    model: str
    cost: SwitchCost
    expected: SwitchCost


class ModelMissing(Event, frozen=True, kw_only=True, tag="model.missing"):
    """A model cannot be used, and another one, or its download, is waited for."""

    name: str
    why: str
    there: tuple[str, ...] = ()
    """Models of the server that can be used."""
    pull: str = ""
    """What the server may be asked to fetch; empty where it cannot, or where that would not help."""


class ModelPulled(Event, frozen=True, kw_only=True, tag="model.pulled"):
    """How far a download is; told a few times a second."""

    name: str
    state: Literal["running", "done", "failed", "cancelled"] = "running"
    status: str = ""
    """The server's word, or why it failed."""
    total: int = 0
    """Bytes, as far as known, and those that are there."""
    completed: int = 0


class ListedModel(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model of the server: what it is, whether it is loaded, how fast it was here."""

    name: str
    size: int = 0
    """Bytes."""
    parameters: str = ""
    """Number of weights in words, such as `20.9B`."""
    quantisation: str = ""
    max_ctx: int = 0
    capabilities: tuple[str, ...] = ()
    lacks: str = ""
    """Why an agent cannot use it."""
    remote: str = ""
    """Where it really runs, unless on the server."""
    loaded: bool = False
    memory: int = 0
    """Bytes that it takes while it is loaded, and those of them on the GPU."""
    memory_gpu: int = 0
    window: int = 0
    expires: int = 0
    """Session time in ns at which the server unloads it; negative for never, 0 where it does not say."""
    load_ns: int = 0
    """Medians of what was measured here; 0 where nothing was."""
    prefill: float = 0.0
    decode: float = 0.0
    clocked: bool = False
    """These rates were clocked here, with all that lies between: the server tells no durations."""
    ttft_ns: int = 0
    calls: int = 0
    calls_ok: int = 0
    cost: SwitchCost = SwitchCost()


class ModelsListed(Event, frozen=True, kw_only=True, tag="models.listed"):
    """What the server has; told when somebody wants to see it."""

    models: tuple[ListedModel, ...] = ()
    loading: bool = False
    """The server loads or unloads one, and does not say which are in memory."""
    tokens: int = 0
    """Of the prompt that a model would have to read."""
    manages: bool = False
    """The server loads, unloads and fetches models when it is told to."""
    problem: str = ""
    """What could not be done, or why the list is as it was told before."""


class PromptRewound(Event, frozen=True, kw_only=True, tag="prompt.rewound"):
    """Messages were taken out of the history by the user: from this index on there are none."""

    count: int


UndoState = Literal["ready", "changed", "lost"]


class UndoFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """What undoing would do to one file."""

    path: str
    kind: Literal["created", "modified", "deleted"]
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


class GuardTripped(Event, frozen=True, kw_only=True, tag="guard.tripped"):
    """The same thing again and again: first a word to the model, then a stop."""

    guard: Literal["repeat", "alternate", "error", "rewrite", "empty"]
    detail: str
    action: Literal["warn", "stop"]


class Notice(Event, frozen=True, kw_only=True, tag="notice"):
    """A word to the user."""

    level: Literal["info", "warning", "error"]
    text: str
    hint: str = ""


class Unknown(Event, frozen=True, kw_only=True, tag="unknown"):
    """An event of a later version: kept as it is, shown by nobody."""

    json: str


AnyEvent = (
    SessionOpened
    | SessionResumed
    | Environment
    | SandboxChosen
    | ModelReady
    | ModelWarmed
    | ModelHeld
    | SessionClosed
    | SessionLabelled
    | OptionChanged
    | GoalStarted
    | GoalEnded
    | RoundStarted
    | RoundEnded
    | MessageAdded
    | PromptHead
    | RequestSent
    | PromptCut
    | Compacted
    | Waiting
    | ThinkingDelta
    | TextDelta
    | ModelAnswered
    | PrefixReused
    | ToolCalled
    | ToolStarted
    | ToolOutput
    | ToolEnded
    | ShellStarted
    | ShellEnded
    | PermissionAsked
    | PermissionAnswered
    | PlanMade
    | StepBegun
    | StepEnded
    | PlanEnded
    | PlanJoined
    | ProbeStarted
    | ProbeEnded
    | FilesChanged
    | QueueChanged
    | Steered
    | ModeChanged
    | ModelSwitched
    | Routed
    | SwitchPaid
    | ModelsListed
    | ModelMissing
    | ModelPulled
    | PromptRewound
    | UndoPlanned
    | Undone
    | GuardTripped
    | Notice
    | Unknown
)

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
