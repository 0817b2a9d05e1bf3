"""Rows of styled pieces, wrapped to a width in cells; styles are names until they are painted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len, split_graphemes

from jetbox.engine.safety.terminal import safe_text

Piece = tuple[str, str]
"""Text and the name of its style; an empty name is plain text."""


class Stretch(NamedTuple):
    """A part of a row in which one searches as in a line of its own."""

    column: int
    """Which of those that stand beside each other."""
    start: int
    end: int
    """Characters of the row."""
    goes_on: bool
    """Whether it is the rest of the row before, in that column."""


class Row(NamedTuple):
    """One line of the screen."""

    pieces: tuple[Piece, ...] = ()
    fill: str = ""
    """Style beneath the whole row, to its end."""
    joined: str = "\n"
    """What stood between this row and the one before: a line's end, or what a break left out."""
    lead: int = 0
    """Characters at its beginning that only indent what goes on from the row before."""
    searched: tuple[Stretch, ...] = ()
    """What of it is searched, where that is not all of it."""

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.pieces)


BLANK = Row()
TAB = "    "


def cells(text: str) -> int:
    """Width of the text on a terminal."""
    return len(text) if text.isascii() else cell_len(text)


def one_line(text: str) -> str:
    """Text of others for a single row: safe for the terminal, line ends as spaces."""
    text = safe_text(text)
    return text if text.isprintable() else text.strip().replace("\n", " ").replace("\t", " ")


def row(*pieces: Piece | str, fill: str = "") -> Row:
    """A row of pieces; bare strings are plain text."""
    return Row(tuple((piece, "") if isinstance(piece, str) else piece for piece in pieces), fill)


def wrap(text: str, width: int, *, words: bool = True) -> list[tuple[int, int]]:
    """Where to break the text: offsets of each row, greedy, at spaces where `words`.

    A space at a break belongs to no row. At least one character stands in each row,
    also where it is wider than the width.
    """
    width = max(1, width)
    if cells(text) <= width:
        return [(0, len(text))]
    ends = None if text.isascii() else _Ends(text)
    rows: list[tuple[int, int]] = []
    start, length = 0, len(text)
    while start < length:
        end = min(start + width, length) if ends is None else ends.after(start, width)
        if end >= length:
            rows.append((start, length))
            break
        cut = text.rfind(" ", start, end + 1) if words else -1
        if cut > start and text[start:cut].strip():
            rows.append((start, cut))
            start = cut + 1
        else:
            rows.append((start, end))
            start = end
    return rows


class _Ends:
    """Finds how far a row of text with wide glyphs goes."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._spans = split_graphemes(text)[0]
        self._at = 0

    def after(self, start: int, width: int) -> int:
        """Offset after the last grapheme that fits into `width` cells from `start`."""
        spans = self._spans
        while self._at < len(spans) and spans[self._at][0] < start:
            self._at += 1
        n, used = self._at, 0
        while n < len(spans):
            used += spans[n][2]
            if used > width and n > self._at:
                break
            n += 1
        # Joiners that join nothing are measured differently within the text and at its beginning.
        while n - 1 > self._at and cell_len(self._text[start : spans[n - 1][1]]) > width:
            n -= 1
        return spans[n - 1][1]


def cut(pieces: Sequence[Piece], start: int, end: int) -> tuple[Piece, ...]:
    """The pieces between two offsets of their text."""
    out: list[Piece] = []
    at = 0
    for text, style in pieces:
        low, high = max(start - at, 0), min(end - at, len(text))
        if low < high:
            out.append((text[low:high], style))
        at += len(text)
        if at >= end:
            break
    return tuple(out)


def _parted(pieces: Sequence[Piece], spans: Sequence[tuple[int, int]]) -> list[tuple[Piece, ...]]:
    """`cut` for spans that follow one another, in one pass."""
    out: list[tuple[Piece, ...]] = []
    n = at = 0
    for start, end in spans:
        row: list[Piece] = []
        while n < len(pieces):
            text, style = pieces[n]
            low, high = max(start - at, 0), min(end - at, len(text))
            if low < high:
                row.append((text[low:high], style))
            if at + len(text) > end:
                break
            at += len(text)
            n += 1
        out.append(tuple(row))
    return out


def flow(
    pieces: Sequence[Piece],
    width: int,
    *,
    first: tuple[Piece, ...] = (),
    rest: tuple[Piece, ...] | None = None,
    fill: str = "",
    words: bool = True,
) -> list[Row]:
    """Wrap the pieces; `first` stands before the first row, `rest` before the others."""
    rest = first if rest is None else rest
    text = "".join(part for part, _ in pieces)
    room = width - max(sum(cells(t) for t, _ in first), sum(cells(t) for t, _ in rest))
    if room < 4:
        first = rest = ()
        room = width
    spans = wrap(text, room, words=words)
    if len(spans) == 1:
        return [Row((*first, *pieces), fill)]
    parts, end = _parted(pieces, spans), spans[0][1]
    out = [Row((*first, *parts[0]), fill)]
    lead = sum(len(t) for t, _ in rest)
    for (start, following), part in zip(spans[1:], parts[1:], strict=True):
        out.append(Row((*rest, *part), fill, text[end:start], lead))
        end = following
    return out


def lines(text: str, style: str, width: int, *, indent: str = "", fill: str = "", words: bool = True) -> list[Row]:
    """Text of several lines in one style, wrapped and indented."""
    out: list[Row] = []
    for line in text.split("\n"):
        out += flow(((line.replace("\t", TAB), style),), width, first=((indent, ""),), fill=fill, words=words)
    return out


def spread(left: Sequence[Piece], right: Sequence[Piece], width: int, *, most: int = 0) -> Row:
    """One row with `right` at its end; `left` is cut with an ellipsis where it is too long.

    With `most` the end is there at the latest, so that figures stay near what they belong to.
    """
    width = min(width, most) if most else width
    right_cells = sum(cells(text) for text, _ in right)
    room = width - right_cells - (2 if right_cells else 0)
    fitted = fit(left, max(1, room))
    used = sum(cells(text) for text, _ in fitted)
    gap = max(2, width - used - right_cells) if right_cells else 0
    return Row((*fitted, (" " * gap, ""), *right))


def fit(pieces: Iterable[Piece], width: int, more: str = "…") -> tuple[Piece, ...]:
    """The pieces, cut with an ellipsis where they are wider than `width` cells."""
    pieces = tuple(pieces)
    text = "".join(part for part, _ in pieces)
    if cells(text) <= width:
        return pieces
    room = width - cells(more)
    if room < 1:
        return cut(pieces, 0, wrap(text, max(width, 1), words=False)[0][1])
    end = wrap(text, room, words=False)[0][1]
    kept = cut(pieces, 0, end)
    return (*kept, (more, kept[-1][1] if kept else ""))
