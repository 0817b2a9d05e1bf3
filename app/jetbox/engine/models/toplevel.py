"""Goes through a text once, from its beginning, and tells which calls stand at its top.

What is quoted is passed by: code blocks of other languages, inline code, lines behind `>`. A call is passed by as a
whole, and so is other data: what stands in a string of theirs is content. Where one begins that is not whole, nothing
behind it is at the top, for it may be the rest of that string.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from jetbox.engine.models.callforms import (
    A_NAME,
    BARE,
    CALL_LIST,
    CLOSERS,
    FENCES,
    FORMS,
    HARMONIES,
    OBJECT,
    PYTHONIC,
    Found,
)
from jetbox.engine.models.calltags import past_spaces
from jetbox.engine.models.mendjson import read
from jetbox.engine.models.pythonic import MOST, NAME

A_BLOCK = "a code block"
Offered = Callable[[str], bool]
"""Whether there is a tool of this name."""
_GROUPS = {f"form{n}": form for n, form in enumerate(FORMS)}
_BEGINS = "|".join(f"(?P<{group}>{FORMS[form][0]})" for group, form in _GROUPS.items())
_FORM = re.compile(_BEGINS)
_DATA = r"[{\[]\s{0,200}+(?:[\"'{]|\w{1,40}:\s?<\|\"\|>)"
_STOP = re.compile(
    r"(?P<ticks>`+)|(?:(?=[<\[\]{]|>>>|to=|assistant|commentary|analysis|function)|(?m:^))"
    rf"(?:{_BEGINS}|(?P<data>{_DATA}|(?m:^) {{0,3}}\[?{NAME}\()|(?m:^)[ \t]*+(?:(?P<tildes>~~~)|(?P<quote>>)))"
)
"""The next place that may be more than words."""
_PAYLOAD = re.compile(
    rf"\s*+(?:{OBJECT}|\[\s*+\{{|{CALL_LIST.pattern}|<\w|<[｜|]|\]<|"
    rf"(?:functions\.)?(?P<name>{NAME})(?P<opens>(?::\d+)?(?:\s*+\{{|[(\[<]|\s*+(?:json|code)?\s*+(?:\{{|<[｜|at])))?)"
)
"""What makes of a mark more than its mention."""
_INFO = re.compile(r"[ \t]*+(\w*+)[ \t]*+\r?\n(?:[ \t\r]*\n)*(?:json[ \t]*+\r?\n)?")
_ALONE = re.compile(rf" {{0,3}}(?:functions\.)?(?P<name>{NAME})(?::\d+)?[ \t]*+\n")
"""A name, and what would be its arguments in the next line."""
_FENCE = re.compile(r"(?m:^)[ \t]*+(`{3,}+)[ \t]*+(\w?)")
_CLOSERS = re.compile(rf"{CLOSERS.pattern};?{CLOSERS.pattern}")
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_PIECE = re.compile(
    r'"[^"\\]*+(?:\\.[^"\\]*+)*(?P<ended>"?)|(?<=[\[{(,:=\s])\'[^\'\\]*+(?:\\.[^\'\\]*+)*\'|[()\[\]{}]', re.DOTALL
)


class Part(NamedTuple):
    """Calls that stand one behind the other."""

    form: str
    start: int
    end: int
    """Behind what closes them."""
    calls: list[Found]
    fenced: bool = False
    """They are all that a code block holds."""


class Begun(Exception):
    """A call begins that is not whole, or what may be the arguments of one."""

    def __init__(self, *, words: bool = False) -> None:
        """`words`: it stands among words of its line."""
        super().__init__()
        self.words = words


def parts(text: str, offered: Offered) -> list[Part]:
    """The calls at the top, in their order.

    Raises:
        Begun
    """
    found: list[Part] = []
    at = count = 0
    while stop := _STOP.search(text, at):
        if stop["ticks"]:
            part, at = _ticked(text, stop, offered)
            found += [part] if part else []
        elif stop["tildes"]:
            end = re.compile(r"(?m:^)[ \t]*~~~").search(text, stop.end())
            at = end.end() if end else len(text)
        elif stop["quote"]:
            at = _line_end(text, stop.end())
        elif stop["data"]:
            at = _past(text, stop.start())
        else:
            calls, at = _read(text, stop, offered)
            found += [Part(_form(stop), stop.start(), at, calls)] if calls else []
            count += len(calls)
        if count > MOST:
            raise Begun  # nobody means so many
    return found


def _read(text: str, opening: re.Match[str], offered: Offered) -> tuple[list[Found], int]:
    """The calls that begin there, and where the text goes on; none where it is no call.

    Raises:
        Begun
    """
    form = _form(opening)
    alone = _ALONE.match(text, opening.start()) if form == A_NAME else None
    if alone and not offered(alone["name"].rpartition(".")[2]):
        return [], alone.end()  # a word, and behind it what stands by itself
    calls = FORMS[form][1](text, opening.start())
    end = _closed(text, calls[-1].end) if calls else -1
    if calls and (
        form != PYTHONIC or not text[end : _line_end(text, end)].strip() or "\n" in text[calls[-1].end : end]
    ):
        return calls, end
    if calls:
        return [], calls[-1].end  # words go on behind it in its line
    payload = _PAYLOAD.match(text, opening.start() if form in (PYTHONIC, A_NAME) else opening.end())
    name = payload["name"].rpartition(".")[2] if payload and payload["name"] else ""
    if form in (PYTHONIC, A_NAME) and not offered(name):
        return [], _past(text, opening.start())
    if form == BARE:
        loose = read(text, opening.end())
        if payload is None or (loose is not None and loose.complete):
            return [], loose.end if loose is not None else _past(text, opening.end())
    elif payload is None or (name and not payload["opens"] and (form == HARMONIES or not offered(name))):
        return [], opening.end()
    raise Begun


def _form(opening: re.Match[str]) -> str:
    return _GROUPS[opening.lastgroup or ""]


def _ticked(text: str, ticks: re.Match[str], offered: Offered) -> tuple[Part | None, int]:
    """The calls in the code block that begins there, where it holds nothing else, and the place behind it.

    Raises:
        Begun
    """
    run, at = ticks[0], ticks.end()
    line = _line_end(text, at)
    inline = text.find(run, at, line)
    if inline >= 0 or len(run) < 3:
        return None, inline + len(run) if inline >= 0 else line
    info = _INFO.match(text, at)
    calls: list[Found] = []
    if info and info[1].lower() in FENCES:
        at = info.end()
        while opening := _FORM.match(text, at) or _FORM.match(text, past_spaces(text, at)):
            more, at = _read(text, opening, offered)
            if not more:
                break
            calls += more
        behind = past_spaces(text, at)
        if re.compile(_DATA).match(text, behind):
            at = _past(text, behind)
        fence = _FENCE.match(text, behind)
        if calls and (behind == len(text) or fence or text.startswith(run, behind)):
            end = behind if behind == len(text) or (fence and fence[2]) else _closed(text, behind + len(run))
            return Part(A_BLOCK, ticks.start(), end, calls, fenced=True), end
    within = 0
    for fence in _FENCE.finditer(text, at):
        if len(fence[1]) >= len(run):
            if not fence[2] and not within:
                return None, fence.end(1)
            within += 1 if fence[2] else -1
    return None, len(text)


def _past(text: str, at: int) -> int:
    """Behind what the first bracket there opens.

    Raises:
        Begun
    """
    open_: list[str] = []
    for piece in _PIECE.finditer(text, at):
        char = piece[0][0]
        if char in _CLOSING:
            open_.append(_CLOSING[char])
        elif char in ")]}":
            if open_.pop() != char:
                break
            if not open_:
                return piece.end()
        elif char == '"' and not piece["ended"]:
            break
    raise Begun(words=bool(text[text.rfind("\n", 0, at) + 1 : at].strip()))


def _closed(text: str, at: int) -> int:
    """Past what closes a call; at the beginning of the line where that goes on with spaces."""
    closers = _CLOSERS.match(text, at)
    end = closers.end() if closers else at
    line = text.rfind("\n", at, end) + 1
    return line if line and not text[line:end].strip() else end


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return end if end >= 0 else len(text)
