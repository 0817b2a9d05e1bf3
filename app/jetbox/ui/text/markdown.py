"""Markdown, a logical line at a time, so that streamed text is laid out once and for all.

What a line looks like depends on itself and on what the lines before it leave open: a
fence, an item, a text within code. A table alone waits for its last line. Line ends are
kept as they were written. A line that can be a title waits for the one below it, and what
leads somewhere by a name is laid out again when the name is known.
"""

from __future__ import annotations

import re

import msgspec

from jetbox.ui.text.code import PLAIN, code_pieces, family_of
from jetbox.ui.text.inline import inline
from jetbox.ui.text.names import Names, note_of, spoken_of, target_of
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
_UNDERLINE = re.compile(r"^\s{0,3}(=+|-{2,})\s*$")
_DEEPEST_QUOTE = 4
_LONGEST_TITLE = 200
_CODE_INDENT = 4


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
    said: bool = False
    """A paragraph or an item stands above."""
    within: int = 0
    """Column at which the text of the item above begins, as long as its list goes on."""
    names: Names | None = None
    """What is defined in all of the text; what is copied of a state shares it."""


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
        inner, goes_on = in_fence(line, state)
        if inner is not None:
            pad = (*pad, *(((f"{signs.quote} " * state.quoted), "faint"),) * bool(state.quoted))
            return _code(inner, width, state, (*pad, (" " * state.indent, "")) if state.indent else pad)
        if not goes_on:
            state.said = False
            return []
    depth, code = indented(line, state)
    if code is not None:
        pad = (*pad, *(((f"{signs.quote} " * depth), "faint"),) * bool(depth))
        return _code(code, width, State(), (*pad, (" " * state.within, "")) if state.within else pad)
    rows = _line(line, width, state, signs, pad, 0)
    _leave(line, state)
    return rows


def indented(line: str, state: State) -> tuple[int, str | None]:
    """How many quotes a line stands in, and the code that it is by its indentation alone; none where it is no code."""
    depth, inner = _unquoted(line)
    least = state.within + _CODE_INDENT
    if state.mark or state.said or not inner.strip() or not inner.startswith(" " * least) or _FENCE.match(inner):
        return depth, None
    return depth, inner[least:]


def _leave(line: str, state: State) -> None:
    """What a line that is no code leaves open for the next."""
    inner = _unquoted(line)[1]
    item = None if _RULE.match(inner) else _ITEM.match(inner)
    said = not state.mark and _is_said(inner)
    if item:
        begins = item.start(3)
        state.within = begins if begins - item.end(2) <= _CODE_INDENT else item.end(2) + 1
    elif inner.strip() and not (said and state.said):
        state.within = min(state.within, len(inner) - len(inner.lstrip(" ")))
    state.said = said


def _unquoted(line: str) -> tuple[int, str]:
    """How many quotes a line stands in, and what stands there."""
    depth = 0
    quote = _QUOTE.match(line)
    while quote and depth < _DEEPEST_QUOTE:
        line, depth = quote[1], depth + 1
        quote = _QUOTE.match(line)
    return depth, line


def _is_said(line: str) -> bool:
    """Whether this is a line of a paragraph or an item."""
    return bool(line.strip()) and not (
        _RULE.match(line) or _UNDERLINE.match(line) or _HEADING.match(line) or _FENCE.match(line) or target_of(line)
    )


def may_be_title(line: str, state: State) -> bool:
    """Whether a line can be a heading by what stands below it; a paragraph of several lines is none."""
    if state.mark or state.said or not line or line[0].isspace() or len(line) > _LONGEST_TITLE:
        return False
    inner = _unquoted(line)[1]
    return _is_said(inner) and not _ITEM.match(inner) and note_of(inner) is None


def title_level(line: str, below: str) -> int:
    """Which heading the line below makes of one that can be a title; 0 for none."""
    depth, inner = _unquoted(below)
    under = _UNDERLINE.match(inner)
    return (1 if under[1][0] == "=" else 2) if under and _unquoted(line)[0] == depth else 0


def learn(line: str, state: State) -> None:
    """Take what a complete line defines."""
    if state.names is not None and not state.mark and "]:" in line and indented(line, state)[1] is None:
        state.names.learn(_unquoted(line)[1])


def pass_over(line: str, state: State) -> None:
    """Take a line into the state without laying it out."""
    line = line.replace("\t", TAB)
    if state.mark:
        inner, goes_on = in_fence(line, state)
        if inner is not None:
            state.open = code_pieces(inner, state.family, state.open)[1]
            return
        if not goes_on:
            state.said = False
            return
    if indented(line, state)[1] is not None:
        return
    learn(line, state)
    depth, inner = _unquoted(line)
    _opens(inner, state, depth)
    _leave(line, state)


def in_fence(line: str, state: State) -> tuple[str | None, bool]:
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
        return flow(inline(heading[2], _HEADINGS[min(len(heading[1]), 3) - 1], state.names), width, first=pad)
    line = _unbroken(line)
    item = _ITEM.match(line)
    if item:
        return _item(item, width, state.names, signs, pad, base)
    note = note_of(line)
    if note:
        sign = f"[{note[0]}] "
        rest = (*pad, (" " * cells(sign), ""))
        return flow(inline(note[1], base, state.names), width, first=(*pad, (sign, "faint")), rest=rest)
    if target_of(line):
        return []
    quote = _QUOTE.match(line)
    if quote and depth < _DEEPEST_QUOTE:
        return _line(quote[1], width, state, signs, (*pad, (f"{signs.quote} ", "faint")), depth + 1)
    spaces = line[: len(line) - len(line.lstrip(" "))]
    head = (*pad, (spaces, "")) if spaces and len(spaces) < room // 2 else pad
    return flow(inline(line[len(spaces) :] if head is not pad else line, base, state.names), width, first=head)


def _unbroken(line: str) -> str:
    """A line without the sign of a break, which every line end is here."""
    bare = line.rstrip("\\")
    return line[:-1] if (len(line) - len(bare)) % 2 else line


def _title(line: str, level: int, width: int, names: Names | None, signs: Signs, indent: str) -> list[Row]:
    """A heading that is one by the line below it."""
    depth, inner = _unquoted(line.replace("\t", TAB))
    pad: tuple[Piece, ...] = (*(((indent, ""),) * bool(indent)), *(((f"{signs.quote} ", "faint"),) * depth))
    return flow(inline(inner.strip(), _HEADINGS[level - 1], names), width, first=pad)


def _item(
    item: re.Match[str], width: int, names: Names | None, signs: Signs, pad: tuple[Piece, ...], base: str
) -> list[Row]:
    depth, mark, said = item[1], item[2], item[3]
    sign, style = (signs.bullet, "list") if mark in "-*+" else (mark, "list")
    task = _TASK.match(said)
    if task:
        done = task[1] != " "
        said, sign, style = task[2], signs.done if done else signs.todo, "ok" if done else "faint"
    head = f"{depth}{sign} "
    return flow(inline(said, base, names), width, first=(*pad, (head, style)), rest=(*pad, (" " * len(head), "")))


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
        self._shares = self._begin.names is not None
        self._names = Names() if self._begin.names is None else self._begin.names
        self._restart(0)

    def _restart(self, width: int) -> None:
        self._width = width
        self._at = 0
        """Offset of the first logical line that may still grow."""
        self._fixed = 0
        """Rows that do not change any more."""
        self._state = msgspec.structs.replace(self._begin, names=self._names)
        self._known = len(self._names)
        """How much was defined when the rows that do not change were laid out."""
        self._held: list[str] = []
        """Lines of a table that is not finished, or one that may be its head, or a title."""

    def rows(self, text: str, width: int, have: int) -> tuple[int, list[Row]]:
        """What to show: keep this many of the `have` rows of the last call, and put these behind them.

        `text` must begin with the text of the last call, or have lost its end; with `have` 0,
        another width, or without a line that was complete, everything is laid out anew.
        """
        if len(text) < self._at and not self._shares:
            self._names = Names()
        if have < self._fixed or width != self._width or len(text) < self._at:
            self._restart(width)
        keep = self._fixed if self._is_known(text) else 0
        out = self._finished(text)
        if not self._is_known(text):
            keep, out = 0, self._finished(text)
        return keep, out + self._tail(text[self._at :])

    def _is_known(self, text: str) -> bool:
        """Whether what was laid out knew what it speaks of; where not, all of it is to be laid out anew."""
        known, self._known = self._known, len(self._names)
        if known == len(self._names) or not self._names.concern(spoken_of(text[: self._at]), known):
            return True
        self._restart(self._width)
        return False

    def _finished(self, text: str) -> list[Row]:
        """The rows that became certain."""
        out: list[Row] = []
        found = next_line(text, self._at)
        while found is not None:
            line, self._at = found
            out += self._take(line)
            found = next_line(text, self._at)
        self._fixed += len(out)
        return out

    def _take(self, line: str) -> list[Row]:
        """A complete line: the rows that are certain with it."""
        held = self._held
        learn(line, self._state)
        if len(held) >= MOST_LINES and may_be_row(line):
            out, self._held = self._table(held, self._state), [*held[:2], line]
            return out
        if held and self._goes_on(line):
            held.append(line)
            return []
        level = self._level(line)
        if level:
            self._held, self._state.said = [], False
            return self._heading(held[0], level)
        out = self._let_go()
        if self._may_wait(line):
            self._held = [line]
            return out
        return out + self._one(line, self._state)

    def _may_wait(self, line: str) -> bool:
        """Whether what this line is depends on the one below it."""
        state = self._state
        code = state.mark or indented(line.replace("\t", TAB), state)[1] is not None
        return not code and ((may_be_row(line) and not _FENCE.match(line)) or may_be_title(line, state))

    def _goes_on(self, line: str) -> bool:
        """Whether the held lines are a table that goes on with this line."""
        held = self._held
        return is_delimiter(line) and may_be_row(held[0]) if len(held) == 1 else may_be_row(line)

    def _level(self, line: str) -> int:
        """Which heading this line makes of the one that is held; 0 for none."""
        held = self._held
        return title_level(held[0], line) if len(held) == 1 and may_be_title(held[0], self._state) else 0

    def _heading(self, line: str, level: int) -> list[Row]:
        return _title(line, level, self._width, self._names, self._signs, self._indent)

    def _let_go(self) -> list[Row]:
        """The held lines as what they turned out to be."""
        held, self._held = self._held, []
        return self._table(held, self._state) if held else []

    def _tail(self, line: str) -> list[Row]:
        """The rows that may still change: the held lines, and the line that grows."""
        held, copy = self._held, msgspec.structs.replace(self._state)
        if not held:
            return self._one(line, copy) if line else []
        if line and len(held) >= MOST_LINES and may_be_row(line):
            return self._table(held, copy) + self._table([*held[:2], line], copy)
        if line and self._goes_on(line):
            return self._table([*held, line], copy)
        level = self._level(line) if line else 0
        if level:
            return self._heading(held[0], level)
        return self._table(held, copy) + (self._one(line, copy) if line else [])

    def _table(self, lines: list[str], state: State) -> list[Row]:
        if len(lines) == 1:
            return self._one(lines[0], state)
        state.said, state.within = True, min(state.within, len(lines[0]) - len(lines[0].lstrip()))
        signs = self._signs
        pad: tuple[Piece, ...] = ((self._indent, ""),) if self._indent else ()
        shown = [line.replace("\t", " ") for line in lines]
        return table_rows(shown, self._width, pad, signs.column, signs.cross, signs.rule, self._names)

    def _one(self, line: str, state: State) -> list[Row]:
        return line_rows(line, self._width, state, self._signs, self._indent)
