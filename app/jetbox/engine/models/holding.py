"""Holds back what of an answer's text may turn out to be a call, so that nobody is shown a call as words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jetbox.engine.models.repair import Offer

_KEYS = (
    "name|tool|tool_name|function_name|function|type|id|arguments|parameters|args|input|params|steps|"
    "tool_calls?|tool_call_id|function_call|thoughts?|reasoning|explanation"
)


def _part(word: str) -> str:
    """Matches each beginning of a word."""
    return "(?:".join(word) + ")?" * (len(word) - 1)


_BLOCK = r"(?:(?m:^)[ \t]*```\w{0,10}[ \t]*\r?\n\s{0,200}(?:json[ \t]*\r?\n\s{0,200})?)?"
"""A code block that begins with the call."""
_MARK = re.compile(
    rf"{_BLOCK}(?:"
    r"(?:\]<\]minimax\[>\[)?<(?:[a-z]{1,12}:)?(?:(?:longcat_)?tool_calls?|function_calls?|calls|tools?|TOOLCALL|invoke)>|"
    r"<(?:[a-z]{1,12}:)?(?:invoke|function|tool_call|tool)\s(?:[^<>]{0,80}?\s)?name\s*=|"
    r"<\|tool_call\|?>|<start_function_call>|<[｜|]{1,2}DSML|<[｜|]tool[▁_]calls?[▁_]|<function=|\[TOOL_CALLS\]|"
    r"(?:function call)?<\|(?:python_tag|python_start|channel|start|START_ACTION|action_start|function_call|role_sep)"
    r"\|>|"
    r"<\|tools_prefix\|>|<\|(?:close\|>\s*response\s*<\|sep\|>\s*<\|)?open\|>\s*(?:tools\s*<|call\s)|"
    r"<\|channel>|(?:assistant\s{0,20})?(?:(?:commentary|analysis)\s{0,20})?\bto=functions\.|(?m:^) {0,3}functools\[|"
    rf"(?m:^)[ \t]*(?:\[\s{{0,200}})?\{{\s{{0,200}}[\"']?(?:{_KEYS})\b|"
    r"(?m:^)[ \t]*\[(?P<name>[A-Za-z_][\w.\-]*)\(|"
    r"(?:(?m:^) {0,3}(?:call:|print\(\s{0,80}(?=default_api\.))?|>>>)(?P<bare>[A-Za-z_][\w.\-]*)"
    r"(?:\(\s{0,200}(?:\w+\s*=|\)[ \t]*;?\n)|(?::\d+)?[ \t]*(?:\n[ \t]*)?(?:\([ \t]*)?\{))"
)
"""A call may begin here."""
_MAYBE = re.compile(
    rf"{_BLOCK}(?:"
    r"(?:function call)?<[\w|=:｜▁]{0,32}|<(?:[a-z]{1,12}:)?(?:invoke|function|tool_call|tool)\s[^<>]{0,80}|"
    r"\](?:<\]?[a-z\[>]{0,10}(?:<\w{0,20})?)?|\[[A-Z_]{0,12}\]?|"
    r"(?m:^)[ \t]*(?:\[\s{0,200}\{?|\{)\s{0,200}[\"']?\w{0,32}|"
    rf"(?:assistant\s{{0,20}})?(?:(?:commentary|analysis)\s{{0,20}})?(?:{_part('assistant')}|{_part('commentary')}|"
    rf"{_part('analysis')}|\bt(?:o(?:=\w{{0,10}})?)?)?|{_part('function call')}|"
    r"<\|(?:open|close)\|>\s*\w{0,8}\s*(?:<[\w|]{0,5})?>?(?:\s*<[\w|]{0,6}>?\s*\w{0,5}\s?)?|"
    r"(?m:^) {0,3}print\(\s{0,80}(?:[\w.]{0,80}(?:\(\s{0,80}\w{0,40}\s{0,9}=?)?)?|"
    r">{1,3}|>>>[\w.\-]{1,80}[ \t]*(?:\n\s{0,80})?)\Z|"
    r"(?m:^)[ \t]*(?:`{1,2}|```\w{0,10}[ \t]*\r?(?:\n\s{0,200}(?:json[ \t]*\r?(?:\n\s{0,200})?|"
    + _part("json")
    + r")?)?)\Z"
)
"""The end of what came may be the beginning of such a mark."""
_WORD = re.compile(
    rf"{_BLOCK}(?m:^) {{0,3}}(?P<call>call:)?(?P<name>(?:[A-Za-z_][\w.\-]*)?)"
    r"(?P<open>\(\s{0,200}(?:\w*\s{0,200}|\)[ \t]*;?)|(?::\d*)?[ \t]*(?:\n[ \t]*)?)\Z"
)
"""Or that of a call which begins with its name alone."""
_FAR = 600
"""No call's beginning is longer before it is one."""
_LOOKED = 2_000_000
"""Characters before marks that are looked at for what quotes them: a text with more is held from there on."""
_SPACES = ("functions", "tools", "default_api")
"""What models write before the name of a tool, with a dot."""
_WORDS = (*_SPACES, "call", "functools", "print")
"""Or otherwise begin a call with."""
_OPEN = re.compile(r"\s{0,80}[\w.\-]{0,80}\Z")
"""A line that may still become a call."""


class HeldBack:
    """Follows one answer's text."""

    def __init__(self, offer: Offer) -> None:
        self._offer = offer
        self._given: list[str] = []
        self._held = ""
        self._kept: list[str] = []
        """What came behind the mark of a call, which is held to the end."""
        self._line = ""
        """What stands before what is held in its line; a mere mark where no call can begin in that."""
        self._before = ""
        """What was given, as far as it tells whether what follows it is quoted."""
        self._most = _FAR
        self._looked = 0

    def feed(self, text: str) -> str:
        """Take what came; what of it, and of what was held, can be shown."""
        if self._kept:
            self._kept.append(text)
            return ""
        self._held += text
        at = self._mark()
        if at >= 0:
            given = self._give(at)
            self._kept, self._held = [self._held], ""
            return given
        name = self._name()
        text = self._line + self._held
        maybe = _MAYBE.search(text, max(0, len(text) - _FAR))
        if maybe is not None:
            name = self._behind(maybe.start()) if name < 0 else min(name, self._behind(maybe.start()))
        return self._give(name if name >= 0 else len(self._held))

    def _name(self) -> int:
        """Where the name of a tool may begin that stands alone in its line so far; -1 where none does."""
        text = self._line + self._held
        word = _WORD.search(text, max(0, len(text) - _FAR))
        if word is None:
            return -1
        known = self._offer.offered if word["open"] else self._begins
        if not word["name"]:
            return self._behind(word.start()) if word["call"] else -1
        space, _, name = word["name"].rpartition(".")
        if space not in ("", *_SPACES) or not known(name):
            return -1
        return self._behind(word.start())

    def _begins(self, word: str) -> bool:
        return self._offer.begins(word) or any(each.startswith(word) for each in _WORDS)

    def _behind(self, at: int) -> int:
        """That place in what is held; its beginning where it lies before that."""
        return max(0, at - len(self._line))

    def _mark(self) -> int:
        """Where in what is held a call may begin; -1 where none does."""
        from jetbox.engine.models.shown import quoted

        text, upto = self._line + self._held, 0
        while mark := _MARK.search(text, upto):
            upto = mark.end()
            named = mark["name"] or mark["bare"]
            if named and not self._offer.offered(named.rpartition(".")[2]):
                upto = mark.end(mark.lastgroup or 0)  # in the next line something else may begin
                continue
            at = self._behind(mark.start())
            self._looked += len(self._before) + at
            if self._looked > _LOOKED or not quoted(self._before + self._held[:at]):
                return at
        return -1

    def _give(self, count: int) -> str:
        given, self._held = self._held[:count], self._held[count:]
        self._given.append(given)
        line = (self._line + given).rpartition("\n")[2]
        self._line = line if _OPEN.match(line) else "!"
        self._before += given
        if len(self._before) > self._most:
            self._before = _shortened(self._before)
            self._most = 2 * len(self._before) + _FAR
        return given

    def rest(self) -> str:
        """What is still held, where it was no call."""
        kept, self._kept = "".join(self._kept), []
        return self._give(len(self._held)) + kept

    def before_call(self, words: str) -> str:
        """What is still to be shown of the words that stand before a call."""
        self._held, self._kept = "", []
        given = "".join(self._given).lstrip()
        given = given if words.startswith(given) else given.rstrip()
        return words[len(given) :].rstrip() if words.startswith(given) else ""


def _shortened(before: str) -> str:
    """What is quoted behind all if it, and only if it, is quoted behind this."""
    line = before.rpartition("\n")[2]
    if before.count("```") % 2:
        opened = before.rpartition("```")[2]
        return f"```{opened}" if len(opened) < _FAR else f"```-\n{line}"
    tildes = sum(each.startswith("~~~") for each in before.splitlines()[:-1]) % 2
    return ("~~~\n" if tildes else "") + ("```\n" if line.count("```") % 2 else "") + line
