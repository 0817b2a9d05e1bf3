"""Sparklines, bars and legends as pieces; pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from jetbox.engine.clock import PHASES
from jetbox.ui import words
from jetbox.ui.glyphs import Glyphs
from jetbox.ui.rounds import RoundFigures
from jetbox.ui.text.rows import Piece, cells
from jetbox.ui.verdicts import cache_sign

CELL = 2
"""Columns of a round: the widest cache sign takes two."""


def spark(values: Sequence[int], styles: Sequence[str], glyphs: Glyphs, *, most: int = 0) -> list[Piece]:
    """One bar a round, as high as its share of the highest, or of `most`; what is below 0 is left blank."""
    highest = most or max([*values, 1])
    signs = glyphs.sparks
    out: list[Piece] = []
    for value, style in zip(values, styles, strict=True):
        if value < 0:
            out.append((" " * CELL, ""))
        else:
            level = min(len(signs) - 1, int(value / highest * (len(signs) - 1) + 0.5))
            out.append((signs[level] + " " * (CELL - 1), style))
    return out


def sparks_with_line(
    values: Sequence[int], styles: Sequence[str], glyphs: Glyphs, line: int
) -> tuple[list[Piece], list[Piece]]:
    """Bars of two rows, between which a line stands for this value: what is above it, and what is below."""
    signs = glyphs.sparks
    most = max(0, *values, 0) - line
    above: list[Piece] = []
    for value, style in zip(values, styles, strict=True):
        over = value - line
        if over > 0:
            above += [(signs[max(1, round(over / most * (len(signs) - 1)))], style), (signs[0] * (CELL - 1), "faint")]
        else:
            above.append((signs[0] * CELL, "faint"))
    return above, spark([min(value, line) for value in values], styles, glyphs, most=line)


def round_numbers(rounds: Sequence[RoundFigures]) -> str:
    """Numbers above the bars: each one while they have one digit, every fifth after that."""
    text = ""
    for n, figures in enumerate(rounds):
        label = str(figures.number)
        shown = len(label) < CELL or figures.number % 5 == 0 or (n == 0 and figures.number % 5 < 4)
        if shown and len(text) <= n * CELL:
            text = text.ljust(n * CELL) + label
    return text


def cache_signs(rounds: Sequence[RoundFigures], glyphs: Glyphs) -> list[Piece]:
    """How each round's verdicts came about, in the colour of what they say."""
    out: list[Piece] = []
    for figures in rounds:
        state = figures.cache
        sign = cache_sign(state, glyphs) if state else ""
        style = "failed" if figures.red else "ok" if figures.green else "dim"
        out.append((sign + " " * (CELL - cells(sign)), style))
    return out


def legend(phases: dict[str, int], width: int, glyphs: Glyphs, least: int = 500_000) -> list[list[Piece]]:
    """The phases with their times, as many to a row as fit; those below `least` ns are left out."""
    out: list[list[Piece]] = []
    line: list[Piece] = []
    used = 0
    for name in PHASES:
        ns = phases.get(name, 0)
        if ns < least:
            continue
        item: list[Piece] = [(f"{glyphs.square} ", f"phase.{name}"), (f"{name} ", "dim"), (words.duration(ns), "")]
        wide = sum(cells(text) for text, _ in item)
        if line and used + 2 + wide > width:
            out.append(line)
            line, used = [], 0
        if line:
            line.append(("  ", ""))
            used += 2
        line += item
        used += wide
    return [*out, line] if line else out
