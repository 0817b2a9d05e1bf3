"""Holds back what of an answer's text may turn out to be a call, so that nobody is shown a call as words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jetbox.engine.models.repair import Offer

_TRIGGERS = ("<", "[", "{", "```", "to=", "assist")
_KEYS = "name|tool|tool_name|function_name|function|type|id|arguments|parameters|args|input|params|steps"
_MARK = re.compile(
    r"<(?:tool_call|function_call|tools?)>|<function=|\[TOOL_CALLS\]|<\|(?:python_tag|python_start|channel|start)\|>|"
    r"(?:assistant\s*)?to=functions\.|"
    rf"(?m:^)[ \t]*(?:```\w*[ \t]*\n\s*)?\[?\s*\{{\s*[\"']?(?:{_KEYS})\b|"
    r"(?m:^)[ \t]*(?:```\w*[ \t]*\n\s*)?\[(?P<name>[A-Za-z_][\w.\-]*)\("
)
"""A call may begin here."""
_MAYBE = re.compile(
    r"(?:<[\w|=]{0,16}|\[[A-Z_]{0,12}\]?|(?m:^)[ \t]*(?:```\w{0,10}[ \t]*(?:\n\s*)?)?(?:\[\s*\{?|\{)?\s*[\"']?\w{0,32}|"
    r"(?:assist\w{0,3}\s+)?to(?:=\w{0,10})?|assist\w{0,3}\s*)\Z"
)
"""The end of what came may be the beginning of such a mark."""


class HeldBack:
    """Follows one answer's text."""

    def __init__(self, offer: Offer) -> None:
        self._offer = offer
        self._given = ""
        self._held = ""
        self._marked = False

    def feed(self, text: str) -> str:
        """Take what came; what of it, and of what was held, can be shown."""
        self._held += text
        if self._marked:
            return ""
        if not any(trigger in self._held for trigger in _TRIGGERS):
            return self._give(len(self._held))
        at = self._mark()
        if at >= 0:
            self._marked = True
            return self._give(at)
        tail = _MAYBE.search(self._held)
        if tail is None or not any(trigger in tail[0] for trigger in _TRIGGERS):
            return self._give(len(self._held))
        return self._give(tail.start())

    def _mark(self) -> int:
        """Where in what is held a call may begin; -1 where none does."""
        from jetbox.engine.models.repair import quoted

        for mark in _MARK.finditer(self._held):
            if mark["name"] and not self._offer.offered(mark["name"]):
                continue
            if not quoted(self._given + self._held[: mark.start()]):
                return mark.start()
        return -1

    def _give(self, count: int) -> str:
        given, self._held = self._held[:count], self._held[count:]
        self._given += given
        return given

    def rest(self) -> str:
        """What is still held, where it was no call."""
        return self._give(len(self._held))

    def before_call(self, words: str) -> str:
        """What is still to be shown of the words that stand before a call."""
        self._held = ""
        given = self._given.strip()
        return words[len(given) :].rstrip() if words.startswith(given) else ""
