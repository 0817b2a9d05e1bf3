"""Markdown, a logical line at a time, so that streamed text is laid out once and for all.

What a line looks like depends on itself and on what the lines before it leave open: a
fence, a quote, a text within code. A table alone waits for its last line. Line ends are
kept as they were written.
"""

from __future__ import annotations

import re

import msgspec

from jetbox.ui.text.code import PLAIN, code_pieces, family_of
from jetbox.ui.text.inline import inline
from jetbox.ui.text.rows import TAB, Piece, Row, cells, flow
from jetbox.ui.text.table import MOST_LINES, is_delimiter, may_be_row, table_rows

LONGEST_LINE = 4000
"""A longer logical line is broken here, so that no frame lays out more than this anew."""

_FENCE = re.compile(r"^(\s*)(`{3,}|~{3,})\s*([^\s`]*)[^`]*$")
_HEADING = re.compile(r"^\s{0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_ITEM = re.compile(r"^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$")
_TASK = re.compile(r"^\[([ xX])\]\s+(.*)$")
_QUOTE = re.compile(r"^\s{0,3}>\s?(.*)$")
_RULE = re.compile(r"^\s{0,3}([-*_=])(?:\s*\1){2,}\s*$")
_DEEPEST_QUOTE = 4


class State(msgspec.Struct):
    """What the lines so far leave open: a fence; nothing where `mark` is empty."""

    mark: str = ""
    family: str = ""
    """How the fence's code is coloured."""
    indent: int = 0
    """Spaces before the fence, which its lines have too."""
    quoted: int = 0
    """How many quotes the fence stands in."""
    open: str = ""
    """What the code leaves open."""


class Signs(msgspec.Struct, frozen=True):
    """What lists, quotes, rules and tables are drawn with."""

    bullet: str = "•"
    quote: str = "▎"
    rule: str = "─"
    column: str = "│"
    cross: str = "┼"
    done: str = "✓"
    todo: str = "○"


SIGNS = Signs()
_HEADINGS = ("heading.one", "heading", "heading.three")


def line_rows(line: str, width: int, state: State, signs: Signs = SIGNS, indent: str = "") -> list[Row]:
    """One logical line as rows; opens and closes the fence."""
    line = line.replace("\t", TAB)
    pad: tuple[Piece, ...] = ((indent, ""),) if indent else ()
    if state.mark:
        inner, goes_on = _in_fence(line, state)
        if inner is not None:
            pad = (*pad, *(((f"{signs.quote} " * state.quoted), "faint"),) * bool(state.quoted))
            return _code(inner, width, state, (*pad, (" " * state.indent, "")) if state.indent else pad)
        if not goes_on:
            return []
    return _line(line, width, state, signs, pad, 0)


def pass_over(line: str, state: State) -> None:
    """Take a line into the state without laying it out."""
    line = line.replace("\t", TAB)
    if state.mark:
        inner, goes_on = _in_fence(line, state)
        if inner is not None:
            state.open = code_pieces(inner, state.family, state.open)[1]
            return
        if not goes_on:
            return
    depth = 0
    quote = _QUOTE.match(line)
    while quote and depth < _DEEPEST_QUOTE:
        line, depth = quote[1], depth + 1
        quote = _QUOTE.match(line)
    _opens(line, state, depth)


def _in_fence(line: str, state: State) -> tuple[str | None, bool]:
    """The line of code; none where the fence ends, and then whether the line still has to be read."""
    for _ in range(state.quoted):
        quote = _QUOTE.match(line)
        if not quote:
            state.mark = ""
            return None, bool(line.strip())
        line = quote[1]
    closing = line.strip()
    if closing and set(closing) == {state.mark[0]} and len(closing) >= len(state.mark):
        state.mark = ""
        return None, False
    spaces = len(line) - len(line.lstrip(" "))
    return line[min(spaces, state.indent) :], False


def _opens(line: str, state: State, depth: int) -> str | None:
    """Open a fence where the line does; returns its language."""
    opened = _FENCE.match(line)
    if not opened:
        return None
    state.mark, state.family, state.open = opened[2], family_of(opened[3]), ""
    state.indent, state.quoted = len(opened[1]), depth
    return opened[3]


def _code(line: str, width: int, state: State, pad: tuple[Piece, ...]) -> list[Row]:
    pieces, state.open = code_pieces(line, state.family, state.open)
    return flow(pieces, width, first=(*pad, (" ", PLAIN)), fill=PLAIN, words=False)


def _line(line: str, width: int, state: State, signs: Signs, pad: tuple[Piece, ...], depth: int) -> list[Row]:
    """A line outside fences, `depth` quotes deep."""
    language = _opens(line, state, depth)
    if language is not None:
        spaces = " " * state.indent
        return [Row((*pad, (f"{spaces} {language}", "code.label")), PLAIN)] if language else []
    if not line.strip():
        return [Row(pad if depth else ())]
    base = "quote" if depth else ""
    room = width - sum(cells(text) for text, _ in pad)
    if _RULE.match(line):
        return [Row((*pad, (signs.rule * max(1, min(room, 40)), "faint")))]
    heading = _HEADING.match(line)
    if heading:
        return flow(inline(heading[2], _HEADINGS[min(len(heading[1]), 3) - 1]), width, first=pad)
    item = _ITEM.match(line)
    if item:
        return _item(item, width, pad, signs, base)
    quote = _QUOTE.match(line)
    if quote and depth < _DEEPEST_QUOTE:
        return _line(quote[1], width, state, signs, (*pad, (f"{signs.quote} ", "faint")), depth + 1)
    if line.endswith("\\") and not line.endswith("\\\\"):
        line = line[:-1]  # a break, which every line end is here
    spaces = line[: len(line) - len(line.lstrip(" "))]
    head = (*pad, (spaces, "")) if spaces and len(spaces) < room // 2 else pad
    return flow(inline(line[len(spaces) :] if head is not pad else line, base), width, first=head)


def _item(item: re.Match[str], width: int, pad: tuple[Piece, ...], signs: Signs, base: str) -> list[Row]:
    depth, mark, said = item[1], item[2], item[3]
    sign, style = (signs.bullet, "list") if mark in "-*+" else (mark, "list")
    task = _TASK.match(said)
    if task:
        done = task[1] != " "
        said, sign, style = task[2], signs.done if done else signs.todo, "ok" if done else "faint"
    head = f"{depth}{sign} "
    return flow(inline(said, base), width, first=(*pad, (head, style)), rest=(*pad, (" " * len(head), "")))


def fences(text: str) -> list[str]:
    """The code of each fence of a text, without its marks."""
    out: list[str] = []
    state, code = State(), list[str]()
    for line in text.split("\n"):
        was = bool(state.mark)
        inner, goes_on = _in_fence(line, state) if was else (None, True)
        if inner is not None:
            code.append(inner)
            continue
        if was:
            out.append("\n".join(code))
            code = []
        if goes_on:
            pass_over(line, state)
    return [*out, "\n".join(code)] if code else out


def next_line(text: str, at: int) -> tuple[str, int] | None:
    """The complete line at an offset, a part of one that is too long, and where the next begins."""
    end = text.find("\n", at, at + LONGEST_LINE)
    if end >= 0:
        return text[at:end], end + 1
    if len(text) - at < LONGEST_LINE:
        return None
    return text[at : at + LONGEST_LINE], at + LONGEST_LINE


class MarkdownFlow:
    """Lays out a growing text: finished lines once, the last line again with each call."""

    def __init__(self, signs: Signs = SIGNS, indent: str = "", begin: State | None = None) -> None:
        """`begin`: what the text before this one leaves open."""
        self._signs = signs
        self._indent = indent
        self._begin = begin or State()
        self._restart(0)

    def _restart(self, width: int) -> None:
        self._width = width
        self._at = 0
        """Offset of the first logical line that may still grow."""
        self._fixed = 0
        """Rows that do not change any more."""
        self._state = msgspec.structs.replace(self._begin)
        self._held: list[str] = []
        """Lines of a table that is not finished, or one line that a table may begin with."""

    def rows(self, text: str, width: int, have: int) -> tuple[int, list[Row]]:
        """What to show: keep this many of the `have` rows of the last call, and put these behind them.

        `text` must begin with the text of the last call, or have lost its end; with `have` 0,
        another width, or without a line that was complete, everything is laid out anew.
        """
        if have < self._fixed or width != self._width or len(text) < self._at:
            self._restart(width)
        keep = self._fixed
        out: list[Row] = []
        found = next_line(text, self._at)
        while found is not None:
            line, self._at = found
            out += self._take(line)
            found = next_line(text, self._at)
        self._fixed += len(out)
        return keep, out + self._tail(text[self._at :])

    def _take(self, line: str) -> list[Row]:
        """A complete line: the rows that are certain with it."""
        held = self._held
        if len(held) >= MOST_LINES and may_be_row(line):
            out, self._held = self._table(held), [*held[:2], line]
            return out
        if held and (is_delimiter(line) if len(held) == 1 else may_be_row(line)):
            held.append(line)
            return []
        out = self._let_go()
        if not self._state.mark and may_be_row(line) and not _FENCE.match(line):
            self._held = [line]
            return out
        return out + self._one(line, self._state)

    def _let_go(self) -> list[Row]:
        """The held lines as what they turned out to be."""
        held, self._held = self._held, []
        return self._table(held) if held else []

    def _tail(self, line: str) -> list[Row]:
        """The rows that may still change: the held lines, and the line that grows."""
        held = self._held
        if not held:
            return self._one(line, msgspec.structs.replace(self._state)) if line else []
        if line and len(held) >= MOST_LINES and may_be_row(line):
            return self._table(held) + self._table([*held[:2], line])
        if line and (is_delimiter(line) if len(held) == 1 else may_be_row(line)):
            return self._table([*held, line])
        return self._table(held) + (self._one(line, msgspec.structs.replace(self._state)) if line else [])

    def _table(self, lines: list[str]) -> list[Row]:
        if len(lines) == 1:
            return self._one(lines[0], self._state)
        signs = self._signs
        pad: tuple[Piece, ...] = ((self._indent, ""),) if self._indent else ()
        shown = [line.replace("\t", " ") for line in lines]
        return table_rows(shown, self._width, pad, signs.column, signs.cross, signs.rule)

    def _one(self, line: str, state: State) -> list[Row]:
        return line_rows(line, self._width, state, self._signs, self._indent)
