"""Boxes in which other widgets stand: of the empty rows behind those one is drawn for all."""

from __future__ import annotations

from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget


class Box(Widget):
    """Only its first row and its last one differ from the others: those can be borders.

    Textual makes each of them, though hardly one is seen.
    """

    def render_lines(self, crop: Region) -> list[Strip]:
        last = self.outer_size.height - 1
        like = [y if y in (0, last) else 1 for y in crop.line_range]
        made = {y: super(Box, self).render_lines(Region(crop.x, y, crop.width, 1))[0] for y in dict.fromkeys(like)}
        return [made[y] for y in like]


class Column(Vertical, Box):
    """Widgets below each other."""


class Line(Horizontal, Box):
    """Widgets side by side."""


class Scrolled(VerticalScroll, Box):
    """Widgets below each other, which scroll."""
