"""A session as a Markdown document: goals, answers, calls with their diffs, verdicts, times."""

from __future__ import annotations

import re
from collections.abc import Iterable

from jetbox.engine import events as e
from jetbox.engine.safety.terminal import safe_text

MOST_CHARS = 20_000
"""Of one result."""
_TICKS = re.compile(r"`{3,}")


def markdown(events: Iterable[e.Stamped]) -> str:
    """The document; what was streamed in pieces stands in one."""
    return _Document().of(events)


class _Document:
    def __init__(self) -> None:
        self._parts: list[str] = []
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._titles: dict[str, str] = {}

    def of(self, events: Iterable[e.Stamped]) -> str:
        for stamped in events:
            match stamped.event:
                case e.TextDelta(text=text):
                    self._text.append(text)
                case e.ThinkingDelta(text=text):
                    self._thinking.append(text)
                case other:
                    if not isinstance(other, e.ToolOutput | e.Waiting):
                        self._stream_ends()
                    self._event(stamped.round, other)
        self._stream_ends()
        return "\n\n".join(self._parts) + "\n"

    def _add(self, text: str) -> None:
        self._parts.append(safe_text(text))

    def _stream_ends(self) -> None:
        thinking, text = "".join(self._thinking).strip(), "".join(self._text).strip()
        self._thinking, self._text = [], []
        if thinking:
            self._add(f"<details><summary>thinking</summary>\n\n{_quoted(thinking)}\n\n</details>")
        if text:
            self._add(text)

    def _event(self, number: int, event: e.AnyEvent) -> None:
        match event:
            case e.SessionOpened():
                self._add(f"# Session {event.id}")
                facts = (
                    ("workspace", event.workspace),
                    ("begun", event.created),
                    ("model", event.model),
                    ("host", event.host),
                )
                self._add("\n".join(f"- {name}: `{value}`" for name, value in facts if value))
            case e.GoalStarted():
                self._add(f"## Goal {event.goal}\n\n{_quoted(event.text)}")
            case e.Steered():
                self._add(f"You said:\n\n{_quoted(event.text)}")
            case e.RoundStarted():
                self._add(f"### Round {number}, {event.model}")
            case e.RoundEnded():
                phases = ", ".join(f"{name} {_ms(ns)}" for name, ns in event.phases.items() if ns)
                self._add(f"*{_ms(event.wall_ns)}: {phases}*")
            case e.ToolCalled():
                self._titles[event.call] = event.title or event.name
            case e.ToolEnded():
                self._tool(event)
            case e.ProbeEnded() if not event.baseline:
                how = {"hit": "from the cache", "partial": "in part from the cache"}.get(event.cache, "")
                said = " ".join(part for part in (event.state, event.summary, how, _ms(event.duration_ns)) if part)
                self._add(f"- probe **{event.name}**: {said}")
            case e.ShellStarted():
                self._titles[event.call] = f"! {event.command}"
            case e.ShellEnded():
                self._tool(event)
            case e.ModelSwitched():
                self._add(f"*model: {event.old} to {event.new}*")
            case e.Undone():
                self._add(f"*back to before round {event.round}: {len(event.files)} files, {event.messages} messages*")
            case e.GoalEnded():
                self._add(f"**{event.outcome}**: {event.reason}")
            case _:
                pass

    def _tool(self, event: e.ToolEnded | e.ShellEnded) -> None:
        title = " ".join(self._titles.get(event.call, event.call).split()).replace("`", "'")
        self._add(f"- `{title}`: {event.state}, {_ms(event.duration_ns)}")
        if isinstance(event, e.ToolEnded) and event.diff:
            self._add(_fenced(event.diff, "diff"))
        elif event.text:
            self._add(_fenced(event.text, ""))


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.strip().split("\n"))


def _fenced(text: str, language: str) -> str:
    """A block of code whose fence is longer than any in the text."""
    text = text.rstrip("\n")
    if len(text) > MOST_CHARS:
        text = f"{text[:MOST_CHARS]}\n[{len(text) - MOST_CHARS} more characters]"
    fence = "`" * max(3, *(len(found) + 1 for found in _TICKS.findall(text)), 3)
    return f"{fence}{language}\n{text}\n{fence}"


def _ms(ns: int) -> str:
    return f"{ns / 1e6:,.0f} ms"
