"""A training set: conversations parted into training and validation, in the form that a trainer reads."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC
from typing import Any, Literal, get_args

import msgspec

from jetbox.record.training import Harvest, Message, Origin, Sample

Form = Literal["openai", "axolotl", "llamafactory"]
FORMS: tuple[Form, ...] = get_args(Form)
TRAIN, VALIDATION = "train.jsonl", "validation.jsonl"
ALTERNATE = "its turns do not alternate, as this form wants it"
SAME = "the same words and answers as another"
Redact = Callable[[str], str]


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What set is wanted."""

    teacher: str
    student: str = ""
    """As its server names it; empty where no Modelfile is wanted."""
    form: Form = "openai"
    share: float = 0.1
    """Of the conversations that are kept for validation."""
    thinking: bool = False
    """With what the teacher thought."""


class Part(msgspec.Struct, frozen=True):
    """How much one file holds."""

    samples: int
    sessions: int
    goals: int
    tokens: int


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What the set is and how it came about; written beside it, so that a later one can be compared."""

    format: int = 1
    made: str
    """Wall time, RFC 3339 in UTC."""
    app: str
    teacher: str
    student: str
    form: Form
    thinking: bool
    train: Part
    validation: Part
    longest: int
    """Tokens of the longest conversation, as the teacher's server counted them."""
    counted: bool
    """False where the tokens of some are estimated from their bytes."""
    sessions_read: int
    left_out: dict[str, int]
    """Goals by reason."""
    others: int
    """Goals on which the teacher did no work."""
    unreadable: dict[str, str]
    """Sessions, and what is wrong with them."""
    secrets_replaced: int
    origins: list[tuple[int, Origin]]
    """System prompt, tools, weights and versions that the answers were made with, by number of conversations."""
    tools: list[str]
    """Names of the tools."""
    sessions: dict[str, str]
    """`train` or `validation` by session."""

    @property
    def drifted(self) -> list[str]:
        """What is not the same in all conversations; what was not told is no other."""
        names = {"system": "system prompts", "tools": "sets of tools", "digest": "sets of weights"}
        counts = {
            words: len({getattr(origin, field) for _, origin in self.origins} - {""}) for field, words in names.items()
        }
        return [f"{count} {words}" for words, count in counts.items() if count > 1]


class DataSet(msgspec.Struct, frozen=True):
    """Conversations, parted."""

    train: list[Sample]
    validation: list[Sample]
    left_out: Counter[str]


def part(harvests: Iterable[Harvest], recipe: Recipe) -> DataSet:
    """Put whole sessions on one side: those with a common origin, or the same goal, together.

    At least one family is for validation where there are two.
    """
    left_out: Counter[str] = Counter()
    seen: set[str] = set()
    families: dict[str, list[Sample]] = {}
    place: dict[str, str] = {}
    """The family that a session, or the words of a goal, belongs to."""
    for harvest in harvests:
        left_out += harvest.left_out
        for sample in harvest.samples:
            if (key := _said(sample.messages)) in seen:
                left_out[SAME] += len(sample.goals)
                continue
            if not fits(sample, recipe.form):
                left_out[ALTERNATE] += len(sample.goals)
                continue
            seen.add(key)
            _join(families, place, sample)
    train, validation = _parted(list(families.values()), recipe.share)
    return DataSet(train, validation, left_out)


def _parted(families: list[list[Sample]], share: float) -> tuple[list[Sample], list[Sample]]:
    """By the goals' own words, so that a later set with more of them keeps most where they are."""
    wanted = share * sum(map(len, families))
    ordered = sorted(families, key=lambda family: min(_hash(_plain(one.goals[0])) for one in family))
    chosen: list[list[Sample]] = []
    for family in ordered:
        if sum(map(len, chosen)) + len(family) <= wanted:
            chosen.append(family)
    if not chosen and wanted and len(families) > 1:
        chosen = [min(ordered, key=len)]
    train = [one for family in ordered if family not in chosen for one in family]
    return train, [one for family in chosen for one in family]


def _join(families: dict[str, list[Sample]], place: dict[str, str], sample: Sample) -> None:
    """Add a conversation to its family, and make one of those that it connects."""
    keys = [f"session {sample.family}", f"session {sample.session}", *(f"goal {_plain(goal)}" for goal in sample.goals)]
    met = list(dict.fromkeys(place[key] for key in keys if key in place))
    family = met[0] if met else keys[0]
    together = [one for name in met or [family] for one in families.pop(name, [])]
    families[family] = [*together, sample]
    for key, name in place.items():
        if name in met:
            place[key] = family
    place.update(dict.fromkeys(keys, family))


def _said(messages: Sequence[Message]) -> str:
    """What user and model said and did: results may differ in a time, ids always do."""
    told = [
        (
            message["role"],
            _plain(message["content"]),
            [(call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls", ())],
        )
        for message in messages
        if message["role"] in ("user", "assistant")
    ]
    return _hash(msgspec.json.encode(told).decode())


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def size(samples: Sequence[Sample]) -> Part:
    """How much these are."""
    return Part(
        len(samples),
        len({one.session for one in samples}),
        sum(len(one.goals) for one in samples),
        sum(one.tokens for one in samples),
    )


def origins(samples: Iterable[Sample]) -> list[tuple[int, Origin]]:
    """What their answers were made with, the most frequent at the beginning."""
    counts: Counter[bytes] = Counter(msgspec.json.encode(one.origin) for one in samples)
    return [(count, msgspec.json.decode(data, type=Origin)) for data, count in counts.most_common()]


def fits(sample: Sample, form: Form) -> bool:
    """Whether the form can hold the conversation."""
    if form != "llamafactory":
        return True
    turns = [turn["from"] for turn in _turns(sample.messages)]
    asked = {"human", "observation"}
    return len(turns) % 2 == 0 and all((turn in asked) == (n % 2 == 0) for n, turn in enumerate(turns))


def line(sample: Sample, recipe: Recipe, redact: Redact) -> bytes:
    """The conversation as one line of a file."""
    messages = [_cleaned(message, recipe.thinking, redact) for message in sample.messages]
    if recipe.form == "llamafactory":
        system = "\n\n".join(message["content"] for message in messages if message["role"] == "system")
        functions = msgspec.json.encode([tool["function"] for tool in sample.tools]).decode()
        return msgspec.json.encode({"conversations": _turns(messages), "system": system, "tools": functions})
    tools = sample.tools if recipe.form == "openai" else [_flat(tool) for tool in sample.tools]
    return msgspec.json.encode({"messages": messages, "tools": tools})


def _cleaned(message: Message, thinking: bool, redact: Redact) -> Message:
    clean = {**message, "content": redact(message["content"])}
    if "reasoning_content" in clean:
        if thinking:
            clean["reasoning_content"] = redact(clean["reasoning_content"])
        else:
            del clean["reasoning_content"]
    if "tool_calls" in clean:
        clean["tool_calls"] = [_cleaned_call(call, redact) for call in clean["tool_calls"]]
    return clean


def _cleaned_call(call: dict[str, Any], redact: Redact) -> dict[str, Any]:
    """Arguments are JSON in a string: what they mean is looked at, not how it is written."""
    function = call["function"]
    try:
        arguments = msgspec.json.encode(_deep(msgspec.json.decode(function["arguments"]), redact)).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        arguments = redact(function["arguments"])
    return {**call, "function": {**function, "arguments": arguments}}


def _deep(value: Any, redact: Redact) -> Any:
    match value:
        case str():
            return redact(value)
        case list():
            return [_deep(each, redact) for each in value]
        case dict():
            return {key: _deep(each, redact) for key, each in value.items()}
        case _:
            return value


def _flat(tool: dict[str, Any]) -> dict[str, Any]:
    """With its parameters as a string: columns of a table have one type, and parameters of tools do not."""
    function = tool["function"]
    parameters = msgspec.json.encode(function.get("parameters", {})).decode()
    return {**tool, "function": {**function, "parameters": parameters}}


def _turns(messages: Sequence[Message]) -> list[dict[str, str]]:
    """LLaMA-Factory's turns: who says something takes turns with who answers."""
    turns: list[dict[str, str]] = []
    for message in messages:
        match message["role"]:
            case "system":
                continue
            case "assistant" if calls := message.get("tool_calls"):
                asked = [{"name": f["name"], "arguments": _object(f["arguments"])} for f in _functions(calls)]
                turn = {"from": "function_call", "value": _thought(message) + msgspec.json.encode(asked).decode()}
            case "assistant":
                turn = {"from": "gpt", "value": _thought(message) + message["content"]}
            case role:
                turn = {"from": "observation" if role == "tool" else "human", "value": message["content"]}
        if turns and turns[-1]["from"] in ("observation", "human") and turn["from"] in ("observation", "human"):
            # Results of calls made at once; or the user spoke while the agent worked.
            turns[-1]["value"] += f"\n\n{turn['value']}"
        else:
            turns.append(turn)
    return turns


def _thought(message: Message) -> str:
    """What the teacher thought before it spoke or called, as LLaMA-Factory looks for it in a turn."""
    thinking = message.get("reasoning_content")
    return f"<think>\n{thinking}\n</think>\n\n" if thinking else ""


def _functions(calls: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [call["function"] for call in calls]


def _object(arguments: str) -> Any:
    try:
        return msgspec.json.decode(arguments)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def made_of(
    recipe: Recipe, parted: DataSet, harvests: Sequence[Harvest], unreadable: dict[str, str], secrets: int
) -> Made:
    """What is told of the set."""
    from datetime import datetime

    from jetbox import __version__

    samples = [*parted.train, *parted.validation]
    sides = {one.session: "train" for one in parted.train} | {one.session: "validation" for one in parted.validation}
    tools = {tool["function"]["name"]: None for one in samples for tool in one.tools}
    return Made(
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        app=__version__,
        teacher=recipe.teacher,
        student=recipe.student,
        form=recipe.form,
        thinking=recipe.thinking,
        train=size(parted.train),
        validation=size(parted.validation),
        longest=max((one.tokens for one in samples), default=0),
        counted=all(one.counted for one in samples),
        sessions_read=len(harvests),
        left_out={reason: goals for reason, goals in parted.left_out.most_common() if goals},
        others=sum(each.others for each in harvests),
        unreadable=unreadable,
        secrets_replaced=secrets,
        origins=origins(samples),
        tools=list(tools),
        sessions=sides,
    )
