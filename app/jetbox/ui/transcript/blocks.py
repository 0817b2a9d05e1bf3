"""The blocks of a transcript: each keeps its source and is laid out when it is shown."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from jetbox.ui import words
from jetbox.ui.glyphs import Glyphs
from jetbox.ui.text.cutting import Cutter
from jetbox.ui.text.growing import MarkdownFlow
from jetbox.ui.text.markdown import Signs, State, next_line
from jetbox.ui.text.names import Names, spoken_of
from jetbox.ui.text.rows import BLANK, Piece, Row, cells, flow, lines, row, spread

ASCII_SIGNS = Signs("-", "|", "-", "|", "+", "[x]", "[ ]")


class Look(msgspec.Struct, frozen=True):
    """What rows depend on besides their block."""

    glyphs: Glyphs
    expanded: bool = False
    now: int = 0
    """The session's time, ns."""
    unfolds: str = ""
    """The key that shows what is folded; empty where there is none."""

    @property
    def signs(self) -> Signs:
        glyphs = self.glyphs
        if glyphs.ascii:
            return ASCII_SIGNS
        return Signs(glyphs.bullet, glyphs.quote, glyphs.rule, glyphs.separator, done=glyphs.ok, todo=glyphs.unloaded)


INDENT = "  "
PART_ROWS = 60
"""About as many rows are made at a time."""
FIGURES_AT = 96
"""Figures at the end of a line stand here at the latest."""


Shape = tuple[int, int]
"""Rows of any width, and characters of lines that are broken by it."""


class Block:
    """A part of the transcript."""

    expandable = False
    expanded = False
    """Unfolded by itself, besides what the whole transcript does."""

    grows = False
    """Whether `rows` tells what is new, instead of `parts` all of it."""

    @property
    def moving(self) -> bool:
        """Whether its rows change with time alone."""
        return False

    def rows(self, width: int, look: Look, have: int) -> tuple[int, list[Row]]:
        """Keep this many of the `have` rows that the caller holds for this width, and put these behind them."""
        return 0, self.layout(width, look)

    def parts(self, width: int, look: Look) -> Iterator[list[Row]]:
        """All rows, in parts that are each made within a frame."""
        yield self.layout(width, look)

    def layout(self, width: int, look: Look) -> list[Row]:
        """All rows at once."""
        return [row for part in self.parts(width, look) for row in part]

    def source(self) -> str:
        """What is copied: the text as it came."""
        return ""

    def shown(self) -> str:
        """What is searched: the text as it stands there unfolded, its lines unbroken."""
        return self.source()

    @property
    def waits(self) -> bool:
        """Whether more is to be told of it."""
        return self.moving

    def shape(self) -> Shape:
        """What its height is estimated by."""
        return 1, 0

    def open(self, look: Look) -> bool:
        """Whether it is shown in full."""
        return look.expanded or self.expanded


def estimated(shape: Shape, width: int) -> int:
    """About how many rows a block of this shape has."""
    rows, chars = shape
    return rows + chars // max(1, width * 2)


def shape_of(text: str) -> Shape:
    """The shape of a text."""
    return text.count("\n") + 1, len(text)


class Lines(Block):
    """Rows that were made once: notices, endings, changes of mode."""

    def __init__(self, *paragraphs: tuple[tuple[Piece, ...], tuple[Piece, ...]], gap: bool = False) -> None:
        """Each paragraph has a head (its sign and indent) and its pieces."""
        self._paragraphs = paragraphs
        self._gap = gap

    def source(self) -> str:
        return "\n".join("".join(text for text, _ in pieces) for _, pieces in self._paragraphs)

    def layout(self, width: int, look: Look) -> list[Row]:
        out = [BLANK] if self._gap else []
        for head, pieces in self._paragraphs:
            hang = (" " * sum(cells(text) for text, _ in head), "")
            out += flow(pieces, width, first=head, rest=(hang,))
        return out

    def shape(self) -> Shape:
        return len(self._paragraphs) + self._gap, 0


SAID_LINES = 40
"""Lines of the user's words that are shown folded."""


class Said(Block):
    """The user's words: a goal, or steering; long ones are folded."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._lines = text.count("\n") + 1
        self.expandable = self._lines > SAID_LINES or len(text) > SAID_LINES * 200

    def source(self) -> str:
        return self.text

    def parts(self, width: int, look: Look) -> Iterator[list[Row]]:
        head: tuple[Piece, ...] = ((f"{look.glyphs.prompt} ", "user.mark"),)
        rest: tuple[Piece, ...] = ((INDENT, ""),)
        folded = self.expandable and not self.open(look)
        out, made = [BLANK], 0
        for line in _bounded(self.text):
            if folded and made >= SAID_LINES:
                left = max(1, self._lines - made)
                yield [*out, more_row(look, words.plural(left, "more line"), False)]
                return
            out += flow(((line, "user"),), width, first=head, rest=rest)
            head, made = rest, made + 1
            if len(out) >= PART_ROWS:
                yield out
                out = []
        yield out

    def shape(self) -> Shape:
        rows, chars = shape_of(self.text)
        return 1 + min(rows, SAID_LINES), 0 if self.expandable else chars


UNBROKEN = 1 << 14
"""Columns in which no line is broken."""


class Text(Block):
    """The model's words, in markdown, growing while they stream. A long answer is several of them."""

    grows = True

    def __init__(self, begin: State | None = None, *, goes_on: bool = False) -> None:
        """`begin`: what the text before leaves open; `goes_on`: this is the same answer."""
        self.text = ""
        self.goes_on = goes_on
        names = begin.names if begin is not None else None
        self.names = Names() if names is None else names
        """What the answer defines; all of its blocks share it."""
        self._begin = msgspec.structs.replace(begin or State(), names=self.names)
        self._cutter: Cutter | None = Cutter(self._begin)
        self._flow: MarkdownFlow | None = None
        self._signs: Signs | None = None
        self._shown = ""
        self._spoken: frozenset[str] = frozenset()
        """What it may refer to, once it grows no more."""

    def source(self) -> str:
        return self.text

    def shown(self) -> str:
        if self._shown:
            return self._shown
        rows = MarkdownFlow(begin=self._begin).rows(self.text, UNBROKEN, 0)[1]
        shown = "\n".join(each.text for each in rows)
        if self._cutter is None:
            self._shown = shown
        return shown

    def cut(self) -> tuple[str, State] | None:
        """What belongs into a block of its own, with what is open there; this one is finished then."""
        found = self._cutter.cut(self.text) if self._cutter is not None else None
        if found is None:
            return None
        at, state = found
        rest, self.text = self.text[at:], self.text[:at]
        self.finish()
        return rest, state

    def rows(self, width: int, look: Look, have: int) -> tuple[int, list[Row]]:
        signs = look.signs
        if self._flow is None or signs != self._signs:
            self._flow, self._signs, have = MarkdownFlow(signs, INDENT, self._begin), signs, 0
        keep, rows = self._flow.rows(self.text, width, have)
        if self._cutter is None:
            self._flow = None
        return keep, rows

    def layout(self, width: int, look: Look) -> list[Row]:
        return MarkdownFlow(look.signs, INDENT, self._begin).rows(self.text, width, 0)[1]

    def finish(self) -> None:
        """It grows no more: what was kept for laying out its end can go."""
        if self._cutter is not None:
            self._cutter.end(self.text)
            self._spoken = spoken_of(self.text)
        self._cutter = None

    def defined(self, since: int) -> bool:
        """Whether it speaks of what was defined after the first `since` names, and so has other rows."""
        said = self._spoken if self._cutter is None else spoken_of(self.text)
        if not self.names.concern(said, since):
            return False
        self._shown = ""
        return True

    def shape(self) -> Shape:
        return shape_of(self.text)


LIVE_THOUGHT_ROWS = 4
"""How many rows of thinking are shown while it streams."""
LIVE_THOUGHT_ROWS_UNFOLDED = 20
LIVE_THOUGHT_CHARS = 4000


class Thinking(Block):
    """The model's thinking: its end while it streams, one line when it is done."""

    expandable = True

    def __init__(self, began: int) -> None:
        self._pieces: list[str] = []
        self.began = began
        self.took = -1
        """ns; negative while it streams."""

    @property
    def text(self) -> str:
        if len(self._pieces) > 1:
            self._pieces[:] = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    def add(self, text: str) -> None:
        """It goes on."""
        self._pieces.append(text)

    def source(self) -> str:
        return self.text.strip()

    def parts(self, width: int, look: Look) -> Iterator[list[Row]]:
        unfolded = self.open(look)
        if self.took < 0:
            out = lines(self._end().strip(), "dim.italic", width, indent=INDENT)
            yield out[-(LIVE_THOUGHT_ROWS_UNFOLDED if unfolded else LIVE_THOUGHT_ROWS) :]
            return
        sign = look.glyphs.unfolded if unfolded else look.glyphs.folded
        yield [row(INDENT, (f"{sign} thought for {words.duration(self.took)}", "dim"))]
        if unfolded:
            out = []
            for line in _bounded(self.source()):
                out += lines(line, "dim.italic", width, indent=INDENT * 2)
                if len(out) >= PART_ROWS:
                    yield out
                    out = []
            yield out

    def _end(self) -> str:
        """The last of it, without joining all of it with each frame."""
        size, n = 0, len(self._pieces)
        while n and size < LIVE_THOUGHT_CHARS:
            n -= 1
            size += len(self._pieces[n])
        return "".join(self._pieces[n:])[-LIVE_THOUGHT_CHARS:]


def _bounded(text: str) -> Iterator[str]:
    """The lines of a text; a very long one in several."""
    at = 0
    while at <= len(text):
        found = next_line(text, at)
        if found is None:
            yield text[at:]
            return
        line, at = found
        yield line


def more_row(look: Look, said: str, unfolded: bool, indent: str = INDENT) -> Row:
    """What is left out, and the key that shows it."""
    return row(indent, (more_words(look, said, unfolded), "faint"))


def more_words(look: Look, said: str, unfolded: bool) -> str:
    """What is left out, and where that can be shown the key that does."""
    return f"{look.glyphs.more} {said}" + (f"  {look.unfolds} expands" if look.unfolds and not unfolded else "")


class Titled(Block):
    """A line with figures at its end."""

    def line(self, left: tuple[Piece, ...], right: tuple[Piece, ...], width: int) -> Row:
        return spread(left, right, width, most=FIGURES_AT)
