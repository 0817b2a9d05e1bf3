"""Makes a history shorter: old outputs left out, or all but the newest rounds written as one message.

What the user asked for stays word for word, calls keep their results, and the newest rounds stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

Fields = dict[str, msgspec.Raw]
KEPT_OUTPUTS = 2
"""Newest rounds whose outputs are never left out."""
LEAST_LEFT_OUT = 300
"""Bytes of an output below which leaving it out gains nothing."""
HEADING = "[the beginning of this session was written anew to make room in the window]"
ASKED = "[what the user asked for, word for word]"
SUMMARY = "[what was done since, as a summary]"
ENGINE_WORDS = (
    "[probes",
    "[budget:",
    "[not done:",
    "[warning:",
    "[your ",
    "[what is red",
    "[interrupted",
    "[the plan ",
    "[this was a draft",
    "[another model",
    "Your answer was ",
)
"""How messages begin that stand in the user's place and are not the user's."""
LINES = 60
"""Most lines of a summary that nobody wrote."""
LINE = 160
CLIP = 1_000
"""Characters that stay of an output, or of older words, where there is no room for more."""
INSTRUCTION = (
    "[The window is nearly full. Do not call a tool now. Write a summary of this session for yourself, "
    "from which you can go on without the messages above: what was found out, which files were read or changed and "
    "how, what was decided and why, what failed, what is left to do. Facts and names, in at most 300 words.]"
)


def rounds_of(messages: Sequence[bytes]) -> list[int]:
    """Where each round begins: the places of the model's answers."""
    return [n for n, data in enumerate(messages) if _text(_fields(data).get("role")) == "assistant"]


def without_old_outputs(messages: Sequence[bytes]) -> list[bytes]:
    """The same with a word in the place of each long output of older rounds."""
    rounds = rounds_of(messages)
    upto = rounds[-KEPT_OUTPUTS] if len(rounds) > KEPT_OUTPUTS else 0
    return [_left_out(data) if n < upto else data for n, data in enumerate(messages)]


def _left_out(data: bytes) -> bytes:
    fields = _fields(data)
    if _text(fields.get("role")) != "tool":
        return data
    text = _text(fields.get("content"))
    size = len(text.encode())
    if size < LEAST_LEFT_OUT:
        return data
    return _with(fields, f"[{size:,} bytes of output were left out to make room; call the tool again if need be]")


def clipped(messages: Sequence[bytes], most: int) -> list[bytes]:
    """The same with at most so many characters of each output, head and tail."""
    return [_clipped(data, most) for data in messages]


def _clipped(data: bytes, most: int) -> bytes:
    fields = _fields(data)
    text = _text(fields.get("content"))
    if _text(fields.get("role")) != "tool" or len(text) <= most:
        return data
    half = most // 2
    return _with(fields, f"{text[:half]}\n[… left out to make room …]\n{text[-half:]}")


def newest(messages: Sequence[bytes], most: int) -> int:
    """Where the newest rounds begin that have at most so many bytes: one round at least, where there is any."""
    start, size = len(messages), 0
    for begin in reversed(rounds_of(messages)):
        size += sum(map(len, messages[begin:start]))
        if size > most and start < len(messages):
            break
        start = begin
    return start


def rewritten(messages: Sequence[bytes], start: int, summary: str, goal: str, most: int) -> list[bytes]:
    """System message, then one for all up to `start`, then the rest as it is.

    The words of the user in it have at most about `most` characters, but `goal` is always whole.
    """
    head = [data for data in messages[:1] if _text(_fields(data).get("role")) == "system"]
    words = _fitting(_users_words(messages[len(head) : start]), goal, most)
    text = "\n\n".join([HEADING, ASKED, *words, SUMMARY, summary.replace(SUMMARY, "").strip() or "nothing yet"])
    return [*head, msgspec.json.encode({"role": "user", "content": text}), *messages[start:]]


def _users_words(messages: Sequence[bytes]) -> list[str]:
    words = []
    for data in messages:
        fields = _fields(data)
        if _text(fields.get("role")) != "user":
            continue
        text = _text(fields.get("content"))
        if text.startswith(HEADING):
            words.append(text.partition(ASKED)[2].partition(SUMMARY)[0].strip())
        elif not text.startswith(ENGINE_WORDS):
            words.append(text)
    return [text for text in words if text]


def _fitting(words: list[str], goal: str, most: int) -> list[str]:
    over = sum(map(len, words)) - most
    fitted = []
    for text in words:
        if over > 0 and goal not in text and len(text) > CLIP:
            over -= len(text) - CLIP
            fitted.append(f"{text[:CLIP]} [… {len(text) - CLIP:,} characters left out]")
        else:
            fitted.append(text)
    return fitted


def listed(messages: Sequence[bytes]) -> str:
    """A summary that needs no model: one line for each call, with the beginning of its result."""
    lines, before = [], ""
    results: list[str] = []
    for data in messages:
        fields = _fields(data)
        match _text(fields.get("role")):
            case "assistant":
                lines += [f"- {call}: {result}" for call, result in _paired(before, results)]
                before, results = _text_of_calls(fields), []
            case "tool":
                results.append(_text(fields.get("content")))
            case "user":
                old = _text(fields.get("content"))
                if old.startswith(HEADING):
                    lines.append(old.partition(SUMMARY)[2].strip())
    lines += [f"- {call}: {result}" for call, result in _paired(before, results)]
    left = len(lines) - LINES
    return "\n".join([f"- {left} earlier calls", *lines[-LINES:]] if left > 0 else lines)


def _paired(calls: str, results: Sequence[str]) -> list[tuple[str, str]]:
    return [(call, _line(result)) for call, result in zip(calls.splitlines(), results, strict=False)]


def _text_of_calls(fields: Fields) -> str:
    names = []
    for call in msgspec.json.decode(fields.get("tool_calls", b"[]"), type=list[Fields]):
        function = msgspec.json.decode(call["function"], type=Fields)
        raw = bytes(function.get("arguments", b"{}"))
        arguments = _text(function["arguments"]) if raw.startswith(b'"') else raw.decode(errors="replace")
        names.append(_line(f"{_text(function.get('name'))} {arguments}"))
    return "\n".join(names)


def _line(text: str) -> str:
    one = " ".join(text.split())
    return one if len(one) <= LINE else one[: LINE - 1] + "…"


def _fields(data: bytes) -> Fields:
    return msgspec.json.decode(data, type=Fields)


def _with(fields: Fields, text: str) -> bytes:
    return msgspec.json.encode({**fields, "content": msgspec.Raw(msgspec.json.encode(text))})


def _text(raw: msgspec.Raw | None) -> str:
    value = msgspec.json.decode(raw) if raw is not None else ""
    return value if isinstance(value, str) else ""
