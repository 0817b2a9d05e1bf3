"""What of a recording one model can learn from another: goals that the teacher ended green, as messages."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from jetbox.engine import events as e
from jetbox.record.recording import Recording

BYTES_PER_TOKEN = 4
"""Where the server did not count."""
Message = dict[str, Any]


class Origin(msgspec.Struct, frozen=True):
    """What else made the answers what they are; a student learns it with them."""

    system: str = ""
    """SHA-256 of the system prompt."""
    version: str = ""
    """Of the system prompt, as the session names it; empty where it is older than that."""
    tools: str = ""
    """SHA-256 of the tools' descriptions."""
    digest: str = ""
    """Of the teacher's weights, where the server told it."""
    server: str = ""
    app: str = ""
    """Version of jetbox-tui."""
    num_ctx: int = 0


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation that ended green, in the form of the OpenAI protocol."""

    session: str
    family: str
    """The session that it was forked from, else its own id."""
    goals: tuple[str, ...]
    """The user's words for each."""
    numbers: tuple[int, ...]
    messages: list[Message]
    tools: list[dict[str, Any]]
    tokens: int
    counted: bool
    """By the server; else estimated from the bytes."""
    origin: Origin


class Harvest(msgspec.Struct, frozen=True):
    """What one session gave."""

    samples: list[Sample]
    left_out: Counter[str]
    """Goals by the reason why they are not among them."""
    others: int
    """Goals on which the teacher did no work."""


class _Goal(msgspec.Struct):
    number: int
    text: str
    models: set[str] = msgspec.field(default_factory=set)
    last_round: int = 0
    verdicts: dict[str, e.ProbeEnded] = msgspec.field(default_factory=dict)
    tokens: int = 0
    why_not: str = "it never ended"


def harvest(recording: Recording, teacher: str) -> Harvest:
    """The goals of a session that this model ended green.

    A conversation goes on over several goals of a session; where it stands on one that is left out, the goals
    behind that are left out as well.

    Raises:
        RecordingError: a blob or a message is missing.
    """
    reader = _Reader(recording.header, teacher)
    for stamped in recording.events:
        reader.take(stamped)
    return reader.harvest()


def is_named(model: str, name: str) -> bool:
    """Whether a model goes by that name, with or without the tag that servers take for granted."""
    return model == name or model == f"{name}:latest"


class _Reader:
    def __init__(self, header: e.SessionOpened, teacher: str) -> None:
        self._teacher = teacher
        self._id = header.id
        self._family = header.parent or header.id
        self._app = header.app
        self._model = header.model
        self._server = ""
        self._digests: dict[str, str] = {}
        self._num_ctx = 0
        self._version = ""
        self._messages: list[Message] = []
        self._added_in: list[int] = []
        """The goal in which each message came about."""
        self._compacted = False
        self._tools: list[dict[str, Any]] = []
        self._goals: dict[int, _Goal] = {}
        self._taken: dict[int, Sample] = {}

    def take(self, stamped: e.Stamped) -> None:
        event = stamped.event
        match event:
            case e.SessionResumed():
                self._app = event.app
            case e.Environment():
                self._server = event.server or self._server
                self._digests.setdefault(self._model, event.model_digest)
            case e.ModelReady():
                if event.digest:
                    self._digests[event.name] = event.digest
                self._num_ctx = event.num_ctx
            case e.PromptHead():
                self._tools = msgspec.json.decode(event.json + "]}").get("tools") or []
            case e.MessageAdded():
                self._message(event)
            case e.PromptRewound(count=count):
                del self._messages[count:], self._added_in[count:]
                self._compacted = self._compacted and count > 1
            case e.Compacted():
                self._compacted = True
            case e.Undone(round=number):
                self._undone(number)
            case _:
                self._of_goal(stamped.round, event)

    def _message(self, event: e.MessageAdded) -> None:
        if event.role == "system":
            self._version = event.version
        del self._messages[event.index :]
        self._messages.append(msgspec.json.decode(event.json))
        if event.index == len(self._added_in):  # else it is told anew, in another form
            self._added_in.append(len(self._goals))

    def _of_goal(self, number: int, event: e.AnyEvent) -> None:
        if isinstance(event, e.GoalStarted):
            self._goals[len(self._goals) + 1] = _Goal(event.goal, event.text)
            return
        if not self._goals:
            return
        goal = self._goals[len(self._goals)]
        match event:
            case e.RoundStarted():
                goal.models.add(event.model)
                goal.last_round = number
            case e.ProbeEnded() if not event.baseline:
                goal.verdicts[event.name] = event
            case e.ModelAnswered() if event.complete:
                goal.tokens = self._whole(event.metrics)
            case e.GoalEnded():
                goal.why_not = self._trouble(goal, event)
                if not goal.why_not:
                    self._keep(goal)
            case _:
                pass

    def _whole(self, counts: dict[str, int]) -> int:
        """Tokens of the conversation so far; 0 where the server counts what it evaluated alone, or nothing."""
        prompt = counts.get("prompt_eval_count", 0)
        return prompt + counts.get("eval_count", 0) if prompt else 0

    def _trouble(self, goal: _Goal, end: e.GoalEnded) -> str:
        """Why nothing is to be learned from it; empty where something is."""
        if any(not is_named(model, self._teacher) for model in goal.models):
            return "several models worked on it"
        if end.outcome != "done":
            return f"it ended {end.outcome}"
        verdicts = goal.verdicts.values()
        if any(verdict.state in e.RED for verdict in verdicts):
            return "a probe is red"
        if not any(verdict.state == "passed" for verdict in verdicts):
            return "no probe passed"
        if any(verdict.unproven for verdict in verdicts):
            return "its verdict is unproven"
        if self._compacted:
            return "its history was made shorter"
        if self._stands_on() - self._taken.keys() - {len(self._goals)}:
            return "it stands on a goal that is left out"
        return ""

    def _stands_on(self) -> set[int]:
        """Goals whose messages are in the prompt."""
        said = zip(self._messages, self._added_in, strict=False)
        return {added for message, added in said if message["role"] != "system"} - {0}

    def _keep(self, goal: _Goal) -> None:
        numbers = sorted(self._stands_on())
        messages = conversation(self._messages)
        data = msgspec.json.encode((messages, self._tools))
        system = next((message["content"] for message in messages if message["role"] == "system"), "")
        model = next(iter(goal.models), self._teacher)
        self._taken[len(self._goals)] = Sample(
            session=self._id,
            family=self._family,
            goals=tuple(self._goals[number].text for number in numbers),
            numbers=tuple(self._goals[number].number for number in numbers),
            messages=messages,
            tools=self._tools,
            tokens=goal.tokens or len(data) // BYTES_PER_TOKEN,
            counted=goal.tokens > 0,
            origin=Origin(
                system=_sha(system.encode()),
                version=self._version,
                tools=_sha(msgspec.json.encode(self._tools)),
                digest=self._digests.get(model, ""),
                server=self._server,
                app=self._app,
                num_ctx=self._num_ctx,
            ),
        )

    def _undone(self, number: int) -> None:
        for key, goal in self._goals.items():
            if goal.last_round >= number and not goal.why_not:
                goal.why_not = "it was undone"
                del self._taken[key]

    def harvest(self) -> Harvest:
        """The longest conversations; what they contain does not stand twice."""
        samples = list(self._taken.values())
        longest = [one for one in samples if not any(set(one.numbers) < set(other.numbers) for other in samples)]
        theirs = [goal for goal in self._goals.values() if any(is_named(m, self._teacher) for m in goal.models)]
        left_out = Counter(goal.why_not for goal in theirs if goal.why_not)
        return Harvest(longest, left_out, len(self._goals) - len(theirs))


def conversation(messages: Iterable[Message]) -> list[Message]:
    """Messages of either protocol as the OpenAI protocol has them, up to the last answer."""
    told: list[Message] = []
    waiting: list[str] = []
    """Ids of calls whose results are still to come."""
    for message in messages:
        match message["role"]:
            case "assistant":
                told.append(_answer(message, len(told)))
                waiting = [call["id"] for call in told[-1].get("tool_calls", ())]
            case "tool":
                told.append(_result(message, waiting, told))
            case role:
                told.append({"role": role, "content": message["content"]})
    while told and told[-1]["role"] != "assistant":
        told.pop()
    return told


def _answer(message: Message, at: int) -> Message:
    answer: Message = {"role": "assistant", "content": message.get("content") or ""}
    if thinking := message.get("thinking") or message.get("reasoning_content"):
        answer["reasoning_content"] = thinking
    calls = []
    for number, call in enumerate(message.get("tool_calls") or ()):
        arguments = call["function"]["arguments"]
        if not isinstance(arguments, str):
            arguments = msgspec.json.encode(arguments).decode()
        function = {"name": call["function"]["name"], "arguments": arguments}
        calls.append({"id": call.get("id") or f"call_{at}_{number}", "type": "function", "function": function})
    if calls:
        answer["tool_calls"] = calls
    return answer


def _result(message: Message, waiting: list[str], told: list[Message]) -> Message:
    call = message.get("tool_call_id") or (waiting[0] if waiting else "")
    if call in waiting:
        waiting.remove(call)
    names = {each["id"]: each["function"]["name"] for said in told for each in said.get("tool_calls", ())}
    name = message.get("tool_name") or message.get("name") or names.get(call, "")
    return {"role": "tool", "tool_call_id": call, "name": name, "content": message.get("content") or ""}


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
