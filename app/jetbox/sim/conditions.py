"""Conditions of a step: what the conversation so far must look like for it to be played.

    tool = "run_cmd"              a result of that tool answers the newest calls; the two keys
                                  `last_tool_*` then look at the results of that tool alone
    last_tool_contains = "..."    the results of the newest calls hold this text (a list: all of them)
    last_tool_matches = "..."     ... match this regular expression
    last_message_contains = "..." the newest message holds this text (a list: all of them)
    last_message_matches = "..."  ... matches this regular expression
    red = true                    the newest `[probes]` line since the goal names a failed, error or timeout state
    not = { ... }                 the conditions inside do not hold
    any = [{ ... }, { ... }]      at least one of these holds

All keys of a table must hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

Message = dict[str, Any]
Condition = Callable[[Sequence[Message]], bool]

KEYS = (
    "tool",
    "last_tool_contains",
    "last_tool_matches",
    "last_message_contains",
    "last_message_matches",
    "red",
    "not",
    "any",
)
PROBES = re.compile(r"^\[probes\](.*)$", re.MULTILINE)
STATE = re.compile(r"(?:^|;)\s*[\w.+-]+:\s*(passed|failed|skipped|error|timeout|cancelled)\b")
RED = {"failed", "error", "timeout"}


class ConditionError(ValueError):
    """A condition that cannot be read; `key` says which, from the step down."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def compile_when(table: Any, key: str = "when") -> Condition:
    """Turn a `when` table into a function of the messages since the goal.

    Raises:
        ConditionError: an unknown key, or a value of the wrong type.
    """
    if not isinstance(table, dict) or not table:
        raise ConditionError(key, "must be a table with at least one condition")
    tool = table.get("tool", "")
    parts = [_compile_one(name, value, f"{key}.{name}", tool) for name, value in table.items()]
    return lambda messages: all(part(messages) for part in parts)


def is_red(messages: Sequence[Message]) -> bool:
    """True where the newest verdict in the messages holds a red state."""
    for message in reversed(messages):
        if message.get("role") in ("tool", "user") and (lines := PROBES.findall(text_of(message))):
            return bool(RED.intersection(STATE.findall(lines[-1])))
    return False


def text_of(message: Message) -> str:
    """The text of a message."""
    content = message.get("content")
    return content if isinstance(content, str) else ""


def tool_results(messages: Sequence[Message], tool: str = "") -> list[str]:
    """Texts of the results that answer the newest calls, of one tool or of all."""
    newest = max((i for i, m in enumerate(messages) if m.get("role") == "assistant"), default=-1)
    calls = [] if newest < 0 else list(messages[newest].get("tool_calls") or [])
    names = [str((call.get("function") or {}).get("name", "")) for call in calls]
    by_id = {str(call.get("id")): name for call, name in zip(calls, names, strict=True) if call.get("id")}
    results = [message for message in messages[newest + 1 :] if message.get("role") == "tool"]
    texts = []
    for i, message in enumerate(results):
        placed = names[i] if i < len(names) else ""
        name = message.get("tool_name") or by_id.get(str(message.get("tool_call_id"))) or placed
        if not tool or name == tool:
            texts.append(text_of(message))
    return texts


def _compile_one(name: str, value: Any, key: str, tool: str) -> Condition:
    match name:
        case "tool":
            wanted = _string(value, key)
            return lambda messages: bool(tool_results(messages, wanted))
        case "last_tool_contains":
            words = _strings(value, key)
            return lambda messages: _holds("\n".join(tool_results(messages, tool)), words)
        case "last_tool_matches":
            pattern = _pattern(value, key)
            return lambda messages: any(pattern.search(text) for text in tool_results(messages, tool))
        case "last_message_contains":
            words = _strings(value, key)
            return lambda messages: bool(messages) and _holds(text_of(messages[-1]), words)
        case "last_message_matches":
            pattern = _pattern(value, key)
            return lambda messages: bool(messages) and bool(pattern.search(text_of(messages[-1])))
        case "red":
            if not isinstance(value, bool):
                raise ConditionError(key, "must be true or false")
            return lambda messages: is_red(messages) is value
        case "not":
            inner = compile_when(value, key)
            return lambda messages: not inner(messages)
        case "any":
            if not isinstance(value, list) or not value:
                raise ConditionError(key, "must be a list of tables")
            choices = [compile_when(table, f"{key}[{i}]") for i, table in enumerate(value)]
            return lambda messages: any(choice(messages) for choice in choices)
    raise ConditionError(key, f"unknown condition; known are {', '.join(KEYS)}")


def _holds(text: str, words: Sequence[str]) -> bool:
    return all(word in text for word in words)


def _string(value: Any, key: str) -> str:
    if not isinstance(value, str) or not value:
        raise ConditionError(key, "must be a text")
    return value


def _strings(value: Any, key: str) -> tuple[str, ...]:
    if isinstance(value, list) and value and all(isinstance(word, str) and word for word in value):
        return tuple(value)
    return (_string(value, key),)


def _pattern(value: Any, key: str) -> re.Pattern[str]:
    try:
        return re.compile(_string(value, key), re.MULTILINE)
    except re.error as error:
        raise ConditionError(key, f"is not a regular expression: {error}") from error
