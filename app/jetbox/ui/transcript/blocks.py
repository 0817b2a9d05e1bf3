"""The blocks of a transcript: each keeps its source and is laid out when it is shown."""

from __future__ import annotations

from dataclasses import dataclass

from jetbox.ui.glyphs import Glyphs
from jetbox.ui.text.markdown import MarkdownFlow, Signs
from jetbox.ui.text.rows import BLANK, Piece, Row, cells, flow, lines, row, spread


@dataclass(frozen=True, slots=True)
class Look:
    """What rows depend on besides their block."""

    glyphs: Glyphs
    expanded: bool = False
    now: int = 0
    """The session's time, ns."""

    @property
    def signs(self) -> Signs:
        return Signs(self.glyphs.bullet, self.glyphs.quote, self.glyphs.rule)


INDENT = "  "
FIGURES_AT = 96
"""Figures at the end of a line stand here at the latest."""


class Block:
    """A part of the transcript."""

    moving = False
    """Whether its rows change with time alone."""
    expandable = False
    expanded = False
    """Unfolded by itself, besides what the whole transcript does."""

    def rows(self, width: int, look: Look, have: int) -> tuple[int, list[Row]]:
        """Keep this many of the `have` rows that the caller holds for this width, and put these behind them."""
        return 0, self.layout(width, look)

    def layout(self, width: int, look: Look) -> list[Row]:
        """All rows."""
        raise NotImplementedError

    def estimate(self, width: int) -> int:
        """About how many rows it has."""
        return 1

    def open(self, look: Look) -> bool:
        """Whether it is shown in full."""
        return look.expanded or self.expanded


def estimate_text(text: str, width: int) -> int:
    """About how many rows a text takes."""
    return text.count("\n") + 1 + len(text) // max(1, width * 2)


class Lines(Block):
    """Rows that were made once: notices, endings, changes of mode."""

    def __init__(self, *paragraphs: tuple[tuple[Piece, ...], tuple[Piece, ...]], gap: bool = False) -> None:
        """Each paragraph has a head (its sign and indent) and its pieces."""
        self._paragraphs = paragraphs
        self._gap = gap

    def layout(self, width: int, look: Look) -> list[Row]:
        out = [BLANK] if self._gap else []
        for head, pieces in self._paragraphs:
            hang = (" " * sum(cells(text) for text, _ in head), "")
            out += flow(pieces, width, first=head, rest=(hang,))
        return out

    def estimate(self, width: int) -> int:
        return len(self._paragraphs) + self._gap


class Said(Block):
    """The user's words: a goal, or steering."""

    def __init__(self, text: str) -> None:
        self.text = text

    def layout(self, width: int, look: Look) -> list[Row]:
        out = [BLANK]
        head: tuple[Piece, ...] = ((f"{look.glyphs.prompt} ", "user.mark"),)
        for line in self.text.split("\n"):
            out += flow(((line, "user"),), width, first=head, rest=((INDENT, ""),))
            head = ((INDENT, ""),)
        return out

    def estimate(self, width: int) -> int:
        return 1 + estimate_text(self.text, width)


class Text(Block):
    """The model's words, in markdown, growing while they stream."""

    def __init__(self) -> None:
        self.text = ""
        self._flow: MarkdownFlow | None = None
        self._signs: Signs | None = None

    def rows(self, width: int, look: Look, have: int) -> tuple[int, list[Row]]:
        signs = look.signs
        if self._flow is None or signs != self._signs:
            self._flow, self._signs, have = MarkdownFlow(signs, INDENT), signs, 0
        return self._flow.rows(self.text, width, have)

    def layout(self, width: int, look: Look) -> list[Row]:
        return MarkdownFlow(look.signs, INDENT).rows(self.text, width, 0)[1]

    def finish(self) -> None:
        """It grows no more: what was kept for laying out its end can go."""
        self._flow = None

    def estimate(self, width: int) -> int:
        return estimate_text(self.text, width)


LIVE_THOUGHT_ROWS = 4
"""How many rows of thinking are shown while it streams."""
LIVE_THOUGHT_CHARS = 4000


class Thinking(Block):
    """The model's thinking: its end while it streams, one line when it is done."""

    expandable = True

    def __init__(self, began: int) -> None:
        self.text = ""
        self.began = began
        self.took = -1
        """ns; negative while it streams."""

    def layout(self, width: int, look: Look) -> list[Row]:
        unfolded = self.open(look)
        if self.took < 0:
            tail = self.text if unfolded else self.text[-LIVE_THOUGHT_CHARS:]
            out = lines(tail.strip(), "dim.italic", width, indent=INDENT)
            return out if unfolded else out[-LIVE_THOUGHT_ROWS:]
        from jetbox.ui.words import elapsed

        sign = look.glyphs.unfolded if unfolded else look.glyphs.folded
        head = row(INDENT, (f"{sign} thought for {elapsed(self.took)}", "dim"))
        if not unfolded:
            return [head]
        return [head, *lines(self.text.strip(), "dim.italic", width, indent=INDENT * 2)]

    def estimate(self, width: int) -> int:
        return 1


class Titled(Block):
    """A line with figures at its end."""

    def line(self, left: tuple[Piece, ...], right: tuple[Piece, ...], width: int) -> Row:
        return spread(left, right, width, most=FIGURES_AT)
