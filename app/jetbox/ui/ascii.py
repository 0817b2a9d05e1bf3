"""Textual's own frames and widgets in signs that every terminal has."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from jetbox.ui.glyphs import BOXES


class AsciiFilter(LineFilter):
    """Puts other signs for those that a terminal without Unicode cannot show."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            segment
            if segment.text.isascii()
            else Segment(segment.text.translate(BOXES), segment.style, segment.control)
            for segment in segments
        ]
