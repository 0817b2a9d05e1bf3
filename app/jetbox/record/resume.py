"""What a later process needs to go on with a session."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from jetbox.engine.context.history import CutCall, CutOff, shell_words
from jetbox.engine.errors import RecordingError
from jetbox.engine.events import (
    GoalEnded,
    GoalStarted,
    MessageAdded,
    Mode,
    ModeChanged,
    ModelAnswered,
    ModelReady,
    ModelSwitched,
    PromptHead,
    PromptRewound,
    QueueChanged,
    RequestSent,
    SessionClosed,
    SessionOpened,
    SessionResumed,
    ShellEnded,
    ShellStarted,
    Stamped,
    TextDelta,
    ThinkingDelta,
    ToolCalled,
    ToolEnded,
)
from jetbox.record.recording import Recording


class Resumption(msgspec.Struct, frozen=True, kw_only=True):
    """How a session stood when its last process ended."""

    id: str
    workspace: str
    seq: int
    """Number of the next event."""
    offset: int
    """Time of the last event, ns: the clock goes on from here."""
    round: int
    """Highest round number."""
    goals: int
    """How many goals there were."""
    messages: tuple[bytes, ...]
    """The history, each message as its exact JSON."""
    head: PromptHead | None
    request: RequestSent | None
    """The last one that was read with that head and these messages; None where they are others since."""
    model: str
    host: str
    num_ctx: int
    """Tokens of the window; 0 where no model was ready yet."""
    mode: Mode
    options: dict[str, str]
    running: GoalStarted | None
    """The goal that was worked on when the process died; None where the last one had ended."""
    ended: GoalEnded | None
    """How the last goal ended; None while it runs, or where there was none."""
    cut_off: CutOff | None
    """The answer that was under way when the process died, with the calls that had been made of it."""
    open_calls: tuple[str, ...]
    """Tool calls that were made and never ended."""
    queue: tuple[str, ...]
    """What the user had typed and the model has not seen."""
    beside: tuple[str, ...]
    """What came of the user's own commands, and the model was not told."""
    open_shells: tuple[str, ...]
    """The user's commands that never ended."""
    closed: bool
    """The last process ended in good order."""
    past: Sequence[Stamped]
    """Every event so far, for whoever shows the session."""


class _Cut:
    """The newest answer, until it enters the history."""

    def __init__(self) -> None:
        self.text = ""
        self.thinking = ""
        self.calls: dict[str, CutCall] = {}

    def take(self, event: object) -> None:
        match event:
            case RequestSent() | GoalEnded() | MessageAdded(role="assistant"):
                self.text, self.thinking, self.calls = "", "", {}
            case TextDelta(text=text):
                self.text += text
            case ThinkingDelta(text=text):
                self.thinking += text
            case ToolCalled(call=call, name=name, arguments=arguments):
                self.calls[call] = CutCall(call, name, arguments)
            case ToolEnded(call=call, text=text) if call in self.calls:
                self.calls[call] = msgspec.structs.replace(self.calls[call], result=text)
            case _:
                pass

    def value(self) -> CutOff | None:
        if not self.calls:  # nothing was done about it: the request can be sent again
            return None
        return CutOff(self.text, self.thinking, tuple(self.calls.values()))


class _State:
    """Takes the events one after another."""

    def __init__(self, header: SessionOpened) -> None:
        self.model = header.model
        self.host = header.host
        self.mode = header.mode
        self.options = header.options
        self.seq = self.t = self.round = 0
        self.goals = 0
        self.num_ctx = 0
        self.messages: list[bytes] = []
        self.head: PromptHead | None = None
        self.request: RequestSent | None = None
        self.sent: RequestSent | None = None
        """A request, while nobody knows whether it was read."""
        self.running: GoalStarted | None = None
        self.ended: GoalEnded | None = None
        self.open_calls: dict[str, None] = {}
        self.cut = _Cut()
        self.queue: tuple[str, ...] = ()
        self.beside: list[str] = []
        self.shells: dict[str, str] = {}
        self.closed = False

    def take(self, stamped: Stamped) -> None:
        self.seq = stamped.seq
        self.t = max(self.t, stamped.t)
        self.round = max(self.round, stamped.round)
        self.cut.take(stamped.event)
        if self.sent is not None and _answers(stamped.event):
            self.request, self.sent = self.sent, None
        match stamped.event:
            case RequestSent() as request:
                self.sent = request
            case MessageAdded() as message:
                self._changed(message.index)
                add_message(self.messages, message)
                if self.beside and message.role == "user":
                    said = str(msgspec.json.decode(message.json).get("content", ""))
                    self.beside = [told for told in self.beside if told not in said]
            case PromptRewound(count=count):
                self._changed(count)
                del self.messages[count:]
                if count <= 1:
                    self.beside.clear()
            case PromptHead() as head:
                self.head = head
                if self.request is not None and self.request.head != head.sha:
                    self.request = None
            case GoalStarted() as goal:
                self.goals = max(self.goals, goal.goal)
                self.running, self.ended = goal, None
            case GoalEnded() as ended:
                self.running, self.ended = None, ended
            case ToolCalled(call=call):
                self.open_calls[call] = None
            case ToolEnded(call=call):
                self.open_calls.pop(call, None)
            case QueueChanged(items=items):
                self.queue = items
            case ShellStarted(call=call, command=command):
                self.shells[call] = command
            case ShellEnded(call=call, text=text, told=told):
                command = self.shells.pop(call, "")
                self.beside += [shell_words(command, text)] if told else []
            case other:
                self._set_up(other)

    def _changed(self, first: int) -> None:
        """Messages from there on are others than were sent."""
        if self.request is not None and first < self.request.count:
            self.request = None

    def _set_up(self, event: object) -> None:
        match event:
            case ModelReady(name=name, num_ctx=num_ctx):
                self.model, self.num_ctx = name, num_ctx
            case ModelSwitched(new=new):
                self.model = new
            case ModeChanged(mode=mode):
                self.mode = mode
            case SessionResumed() as resumed:
                self.model = resumed.model or self.model
                self.host = resumed.host or self.host
                self.mode, self.options = resumed.mode, resumed.options
                self.closed = False
                self.open_calls.clear()
                self.shells.clear()
            case SessionClosed():
                self.closed = True
            case _:
                pass


def _answers(event: object) -> bool:
    """Whether it tells that the request before it was read to its end."""
    whole = isinstance(event, ModelAnswered) and event.complete
    return whole or isinstance(event, TextDelta | ThinkingDelta | ToolCalled)


def add_message(messages: list[bytes], message: MessageAdded) -> None:
    """Put a message at its place; what stood there and behind it is gone.

    Raises:
        RecordingError: messages before it are missing.
    """
    if message.index > len(messages) or message.index < 0:
        raise RecordingError(f"message {len(messages)} of the history is missing from the recording")
    del messages[message.index :]
    messages.append(message.json.encode())


def resumption(recording: Recording) -> Resumption:
    """How the session stood at its end.

    Raises:
        RecordingError: a blob or a message that is needed is missing.
    """
    state = _State(recording.header)
    for stamped in recording.events:
        state.take(stamped)
    return Resumption(
        id=recording.header.id,
        workspace=recording.header.workspace,
        seq=state.seq + 1,
        offset=state.t,
        round=state.round,
        goals=state.goals,
        messages=tuple(state.messages),
        head=state.head,
        request=state.request,
        model=state.model,
        host=state.host,
        num_ctx=state.num_ctx,
        mode=state.mode,
        options=state.options,
        running=state.running,
        ended=state.ended,
        cut_off=state.cut.value() if state.running is not None else None,
        open_calls=tuple(state.open_calls),
        queue=state.queue,
        beside=tuple(state.beside),
        open_shells=tuple(state.shells),
        closed=state.closed,
        past=recording.events,
    )
