"""Markdown that grows: what is finished is laid out once, what may still change with each call."""

from __future__ import annotations

import msgspec

from jetbox.ui.text.code import PLAIN
from jetbox.ui.text.markdown import (
    SIGNS,
    Signs,
    State,
    indented,
    learn,
    line_rows,
    may_be_title,
    may_wait,
    next_line,
    title_level,
    title_rows,
)
from jetbox.ui.text.names import Names, spoken_of
from jetbox.ui.text.rows import TAB, Piece, Row
from jetbox.ui.text.table import MOST_LINES, is_delimiter, may_be_row, table_rows


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
        """Lines of a table that is not finished, or one that may be its head, or a title; blank ones below code."""

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
        if held and self._is_gap(line):
            self._held = []
            return self._gap(len(held)) + self._one(line, self._state)
        out = self._let_go()
        if may_wait(line, self._state):
            self._held = [line]
            return out
        return out + self._one(line, self._state)

    def _goes_on(self, line: str) -> bool:
        """Whether the held lines are a table, or blank ones, that go on with this line."""
        held = self._held
        if not held[0].strip():
            return not line.strip()
        return is_delimiter(line) and may_be_row(held[0]) if len(held) == 1 else may_be_row(line)

    def _is_gap(self, line: str) -> bool:
        """Whether the held lines are blank ones between this line of code and the one above them."""
        return not self._held[0].strip() and indented(line.replace("\t", TAB), self._state)[1] is not None

    def _gap(self, count: int) -> list[Row]:
        return [Row(((self._indent, ""),) if self._indent else (), PLAIN)] * count

    def _level(self, line: str) -> int:
        """Which heading this line makes of the one that is held; 0 for none."""
        held = self._held
        return title_level(held[0], line) if len(held) == 1 and may_be_title(held[0], self._state) else 0

    def _heading(self, line: str, level: int) -> list[Row]:
        return title_rows(line, level, self._width, self._names, self._signs, self._indent)

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
        if line and self._is_gap(line):
            return self._gap(len(held)) + self._one(line, copy)
        return self._table(held, copy) + (self._one(line, copy) if line else [])

    def _table(self, lines: list[str], state: State) -> list[Row]:
        if len(lines) == 1 or not lines[0].strip():
            return [each for line in lines for each in self._one(line, state)]
        state.said, state.within = True, min(state.within, len(lines[0]) - len(lines[0].lstrip()))
        signs = self._signs
        pad: tuple[Piece, ...] = ((self._indent, ""),) if self._indent else ()
        shown = [line.replace("\t", " ") for line in lines]
        return table_rows(shown, self._width, pad, signs.column, signs.cross, signs.rule, self._names)

    def _one(self, line: str, state: State) -> list[Row]:
        return line_rows(line, self._width, state, self._signs, self._indent)
