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
from jetbox.ui.text.names import Names, note_of, target_of
from jetbox.ui.text.rows import TAB, Piece, Row, cells, flow
from jetbox.ui.text.table import may_be_row

LONGEST_LINE = 4000
"""A longer logical line is broken here, so that no frame lays out more than this anew."""

_FENCE = re.compile(r"^(\s*)(`{3,}|~{3,})\s*([^\s`]*)[^`]*$")
_HEADING = re.compile(r"^\s{0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_ITEM = re.compile(r"^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$")
_TASK = re.compile(r"^\[([ xX])\]\s+(.*)$")
_QUOTE = re.compile(r"^(\s*)>\s?(.*)$")
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
    margin: str = ""
    """Spaces before the first of these quotes."""
    open: str = ""
    """What the code leaves open."""
    said: bool = False
    """A paragraph or an item stands above."""
    loose: bool = False
    """Code stands above that is one by its indentation."""
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
            pad = (*pad, *_bars(state.margin, state.quoted, signs))
            return _code(inner, width, state, (*pad, (" " * state.indent, "")) if state.indent else pad)
        if not goes_on:
            state.said = False
            return []
    depth, code = indented(line, state)
    if code is not None:
        state.loose = True
        pad = (*pad, *_bars(_margin(line), depth, signs))
        return _code(code, width, State(), (*pad, (" " * state.within, "")) if state.within else pad)
    rows = _line(line, width, state, signs, pad, 0)
    _leave(line, state)
    return rows


def _margin(line: str) -> str:
    """The spaces at its beginning."""
    return line[: len(line) - len(line.lstrip(" "))]


def _bars(margin: str, depth: int, signs: Signs) -> tuple[Piece, ...]:
    """What a line in so many quotes begins with."""
    spaces: tuple[Piece, ...] = ((margin, ""),) if margin else ()
    return (*spaces, (f"{signs.quote} " * depth, "faint")) if depth else ()


def indented(line: str, state: State) -> tuple[int, str | None]:
    """How many quotes a line stands in, and the code that it is by its indentation alone; none where it is no code."""
    least = " " * (state.within + _CODE_INDENT)
    depth, inner = (0, line) if line.startswith(least) else _unquoted(line)
    if state.mark or state.said or not inner.strip() or not inner.startswith(least) or _FENCE.match(inner):
        return depth, None
    return depth, inner[len(least) :]


def _leave(line: str, state: State) -> None:
    """What a line that is no code leaves open for the next."""
    inner = _unquoted(line)[1]
    item = None if _RULE.match(inner) else _ITEM.match(inner)
    said = not state.mark and _is_said(inner)
    if item:
        begins = item.start(3)
        state.within = begins if begins - item.end(2) <= _CODE_INDENT else item.end(2) + 1
    elif inner.strip() and not (said and state.said):
        state.within = min(state.within, len(_margin(line)))
    state.said, state.loose, state.margin = said, False, _margin(line)


def _unquoted(line: str) -> tuple[int, str]:
    """How many quotes a line stands in, and what stands there."""
    depth = 0
    quote = _QUOTE.match(line)
    while quote and depth < _DEEPEST_QUOTE:
        line, depth = quote[2], depth + 1
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


def may_wait(line: str, state: State) -> bool:
    """Whether what this line is depends on the one below it."""
    if state.loose and not line.strip():
        return True
    code = state.mark or indented(line.replace("\t", TAB), state)[1] is not None
    return not code and ((may_be_row(line) and not _FENCE.match(line)) or may_be_title(line, state))


def title_level(line: str, below: str) -> int:
    """Which heading the line below makes of one that can be a title; 0 for none."""
    depth, inner = _unquoted(below)
    under = _UNDERLINE.match(inner)
    return (1 if under[1][0] == "=" else 2) if under and _unquoted(line)[0] == depth else 0


def learn(line: str, state: State) -> None:
    """Take what a complete line defines."""
    if state.names is not None and not state.mark and "]:" in line:
        line = line.replace("\t", TAB)
        if indented(line, state)[1] is None:
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
        state.loose = True
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
        line = quote[2]
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
        return _line(quote[2], width, state, signs, (*pad, *_bars(quote[1], 1, signs)), depth + 1)
    spaces = line[: len(line) - len(line.lstrip(" "))]
    head = (*pad, (spaces, "")) if spaces and len(spaces) < room // 2 else pad
    return flow(inline(line[len(spaces) :] if head is not pad else line, base, state.names), width, first=head)


def _unbroken(line: str) -> str:
    """A line without the sign of a break, which every line end is here."""
    bare = line.rstrip("\\")
    return line[:-1] if (len(line) - len(bare)) % 2 else line


def title_rows(line: str, level: int, width: int, names: Names | None, signs: Signs, indent: str) -> list[Row]:
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
    """The complete line at an offset, or as many words as fit of one that is too long; and where the next begins."""
    end = text.find("\n", at, at + LONGEST_LINE)
    if end >= 0:
        return text[at:end], end + 1
    if len(text) - at < LONGEST_LINE:
        return None
    after = text.rfind(" ", at + LONGEST_LINE // 2, at + LONGEST_LINE) + 1 or at + LONGEST_LINE
    return text[at:after], after
