"""Thinking in an answer's text, in tags at its beginning, and marks around what is said: so they come where a server
has no parser for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

_CALLS = "<|tools_prefix|>"
"""Apertus calls before its thinking ends; that is left for whoever looks for calls."""
_ENDS = {
    **dict.fromkeys(("<think>", "<thinking>"), ("</think>", "</thinking>")),
    "<|inner_prefix|>": ("<|inner_suffix|>", _CALLS),
    "<|open|>think<|sep|>": ("<|close|>think<|sep|>",),
}
"""What thinking begins with, and what ends it."""
_WORDS = (">>>all\n", "<|open|>response<|sep|>")
"""What words begin with: Functionary's and Kimi's."""
_CLOSE = "<|close|>response<|sep|>"
_LAST = f"{_CLOSE}<|close|>message<|sep|><|end_of_msg|>"
"""The end of an answer whose last is the beginning of this, from `_CLOSE` on, is no words."""


class Thoughts:
    """Follows the text of one answer, and parts it."""

    def __init__(self) -> None:
        self._state: Literal["begins", "opened", "thinks", "ended", "speaks"] = "begins"
        self._held = ""
        self._ends: tuple[str, ...] = ()

    def feed(self, text: str) -> tuple[str, str]:
        """Take what came: what of it, and of what was held, was thought, and what was said."""
        if self._state == "speaks" and not self._held and "<" not in text:
            return "", text
        self._held += text
        if self._state == "begins":
            self._begin()
        thought = self._thought() if self._state in ("opened", "thinks") else ""
        if self._state == "ended":
            self._held = self._held.lstrip()
            self._state = "ended" if _begins(self._held, _WORDS) else "speaks"
            self._unmark()
        return thought, self._said() if self._state == "speaks" else ""

    def rest(self) -> tuple[str, str]:
        """The same of what is still held, at the end of the answer."""
        held, self._held = self._held, ""
        if self._state in ("opened", "thinks"):
            return held.rstrip(), ""
        return "", "" if held.startswith(_CLOSE) else held

    def _begin(self) -> None:
        begun = self._held.lstrip()
        tag = next((tag for tag in _ENDS if begun.startswith(tag)), "")
        if tag:
            self._state, self._held, self._ends = "opened", begun.removeprefix(tag), _ENDS[tag]
        elif begun.startswith(_WORDS):
            self._state, self._held = "speaks", begun
            self._unmark()
        elif not _begins(begun, (*_ENDS, *_WORDS)):
            self._state = "speaks"

    def _unmark(self) -> None:
        mark = next((mark for mark in _WORDS if self._held.startswith(mark)), "")
        if mark:
            self._state, self._held = "speaks", self._held.removeprefix(mark)

    def _thought(self) -> str:
        if self._state == "opened":
            self._held = self._held.lstrip()
            self._state = "thinks" if self._held else "opened"
        found = [(self._held.index(end), end) for end in self._ends if end in self._held]
        if found:
            at, end = min(found)
            thought, behind = self._held[:at].rstrip(), self._held[at:]
            self._held, self._state = behind if end == _CALLS else behind.removeprefix(end), "ended"
            return thought
        # Spaces before the end are no part of it, and more may follow.
        upto = len(self._held[: _may_end(self._held, self._ends)].rstrip())
        thought, self._held = self._held[:upto], self._held[upto:]
        return thought

    def _said(self) -> str:
        upto = _may_end(self._held, (_LAST,))
        said, self._held = self._held[:upto], self._held[upto:]
        return said


def _begins(text: str, marks: Iterable[str]) -> bool:
    """Whether a text may be the beginning of such a mark."""
    return any(mark.startswith(text) for mark in marks)


def _may_end(text: str, marks: tuple[str, ...]) -> int:
    """Where the end of a text begins that may be the beginning of such a mark; its length where none does."""
    at = text.find("<", max(0, len(text) - max(map(len, marks))))
    while at >= 0 and not _begins(text[at:], marks):
        at = text.find("<", at + 1)
    return at if at >= 0 else len(text)
