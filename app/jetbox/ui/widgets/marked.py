"""What stands out in the transcript besides its words: rounds, errors, matches, what is new below."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from jetbox.ui import words
from jetbox.ui.glyphs import Glyphs
from jetbox.ui.text.heights import Heights
from jetbox.ui.text.rows import Piece, Row, cells
from jetbox.ui.transcript.story import Story


def sign_of(kind: str, glyphs: Glyphs) -> Piece:
    """How a bar marks an error, a red verdict, or a round."""
    signs = {"red": (glyphs.failed, "failed"), "error": (glyphs.bang, "warning")}
    return signs.get(kind, (glyphs.dot, "faint"))


def bar_marks(story: Story, heights: Heights, rows: int) -> dict[int, str]:
    """The rows of a scroll bar that stand for a red verdict, an error or a round, and which it is."""
    out: dict[int, str] = {}
    total = heights.total
    if total <= rows or not rows:
        return out
    rounds = story.headers
    if len(rounds) * 2 > rows:
        every = next(n * 10**k for k in range(20) for n in (2, 5, 10) if len(rounds) // (n * 10**k) * 2 <= rows)
        rounds = rounds[every - 1 :: every]
    kinds = {"round": rounds, "error": story.alarms, "red": story.reds}
    if sum(map(len, kinds.values())) <= rows:
        for kind, indexes in kinds.items():
            for index in indexes:
                n = -(-(heights.top(index) + 1) * rows // total) - 1  # the first row that reaches to it
                if n < rows:
                    out[n] = kind
        return out
    first = 0
    for n in range(rows):
        after = heights.find((n + 1) * total // rows - 1)[0] + 1
        if _any(story.reds, first, after):
            out[n] = "red"
        elif _any(story.alarms, first, after):
            out[n] = "error"
        elif _any(rounds, first, after):
            out[n] = "round"
        first = max(first, after)
    return out


def _any(indexes: Sequence[int], first: int, after: int) -> bool:
    at = bisect_left(indexes, first)
    return at < len(indexes) and indexes[at] < after


def neighbour(indexes: Sequence[int], index: int, step: int) -> int | None:
    """The next of these blocks from one on, or the one before it."""
    at = bisect_right(indexes, index) if step > 0 else bisect_left(indexes, index) - 1
    return indexes[at] if 0 <= at < len(indexes) else None


def news(story: Story, since: int, rows: int) -> str:
    """What came below since the transcript stopped following: blocks from `since` on, so many rows."""
    rounds = len(story.headers) - bisect_left(story.headers, since)
    reds = len(story.reds) - bisect_left(story.reds, since)
    failed = len(story.alarms) - bisect_left(story.alarms, since) - reds
    parts = [words.plural(rounds, "round")] if rounds else []
    parts += [f"{reds} red"] if reds else []
    parts += [f"{failed} failed"] if failed else []
    parts += [words.plural(rows, "line")] if rows > 0 else []
    return ", ".join(parts)


def over(strip: Strip, start: int, end: int, style: Style) -> Strip:
    """The strip with this style over some of its cells."""
    left, middle, right = strip.crop(0, start), strip.crop(start, end), strip.crop(end, strip.cell_length)
    painted = [Segment(s.text, (s.style or Style.null()) + style, s.control) for s in middle]
    return Strip([*left, *painted, *right], strip.cell_length)


Part = tuple[int, int, int]
"""A row, and the cells in it where a place begins and ends."""


class Joined:
    """Rows as one text: what is looked for in it may go on from one of them to the next."""

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        self._texts: list[str] = []
        self._length = self._count = 0
        self._begins: list[int] = []
        """Where each stretch begins in the text."""
        self._of: list[tuple[int, str, int, int]] = []
        """Its row, that row's text, and the characters of that."""
        self._beside: dict[int, list[tuple[int, str, int, int]]] = {}
        """By their column, stretches that may go on in the next row."""
        self.add(rows)

    def add(self, rows: Sequence[Row]) -> None:
        """More rows at the end."""
        for row in rows:
            n, text = self._count, row.text
            self._count += 1
            if not row.searched:
                self._end()
                lead = row.lead if row.joined != "\n" else 0
                self._put((n, text, lead if n else 0, len(text)), row.joined)
            for column, start, end, goes_on in row.searched:
                if not goes_on:
                    self._end(column)
                self._beside.setdefault(column, []).append((n, text, start, end))

    def _put(self, stretch: tuple[int, str, int, int], joined: str) -> None:
        _, text, start, end = stretch
        said = text[start:end]
        joined = joined if self._of else ""
        self._texts += [joined, said]
        self._begins.append(self._length + len(joined))
        self._length += len(joined) + len(said)
        self._of.append(stretch)

    def _end(self, column: int | None = None) -> None:
        """What stands in this column, or in any, goes on no more."""
        for each in [*self._beside] if column is None else [column]:
            for number, stretch in enumerate(self._beside.pop(each, ())):
                self._put(stretch, "" if number else "\n")

    def places(self, wanted: str, *, folded: bool) -> Iterator[list[Part]]:
        """Each place at which they hold a text, in order, in as many parts as it has rows."""
        self._end()
        begins = self._begins
        for at in offsets("".join(self._texts), wanted, folded=folded):
            n, end = max(0, bisect_right(begins, at) - 1), at + len(wanted)
            place: list[Part] = []
            while n < len(begins) and (not place or begins[n] < end):
                number, text, start, stop = self._of[n]
                first = min(stop, start + max(0, at - begins[n]))
                place.append((number, cells(text[:first]), cells(text[: min(stop, start + end - begins[n])])))
                n += 1
            yield place


def offsets(text: str, wanted: str, *, folded: bool) -> list[int]:
    """Where a text holds another."""
    whole = text.lower() if folded else text
    if len(whole) != len(text):
        whole = text
    out: list[int] = []
    at = whole.find(wanted) if wanted else -1
    while at >= 0:
        out.append(at)
        at = whole.find(wanted, at + len(wanted))
    return out
