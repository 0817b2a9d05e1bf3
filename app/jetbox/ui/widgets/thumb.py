"""Where in the transcript one is: a scroll bar of one column."""

from __future__ import annotations

from collections.abc import Mapping

from textual import events
from textual.message import Message

from jetbox.ui.text.rows import BLANK, Row, row
from jetbox.ui.widgets.lined import Lined
from jetbox.ui.widgets.marked import sign_of


class Thumb(Lined):
    """Shows position and share; a click or a drag goes there."""

    class Dragged(Message):
        """Go to this share of the whole, from 0 to 1."""

        def __init__(self, share: float) -> None:
            super().__init__()
            self.share = share

    _top = 0
    _length = 0
    _dragging = False
    _marks: Mapping[int, str] = {}

    def show(self, position: int, total: int, marks: Mapping[int, str]) -> None:
        """Row at the top, rows in all, and what rows of its own stand for."""
        height = self.size.height
        if not height or total <= height:
            top = length = 0
        else:
            length = max(1, round(height * height / total))
            top = round((height - length) * position / (total - height))
        if (top, length, marks) != (self._top, self._length, self._marks):
            self._top, self._length, self._marks = top, length, marks
            self.redraw()

    def lines(self, width: int) -> list[Row]:
        if not self._length:
            return []
        inside = range(self._top, self._top + self._length)
        return [self._row(self._marks.get(n, ""), n in inside) for n in range(self.size.height)]

    def _row(self, mark: str, inside: bool) -> Row:
        if not mark:
            return row((self.glyphs.thumb, "track")) if inside else BLANK
        return row(sign_of(mark, self.glyphs))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self._dragging = True
        self.capture_mouse()
        self._go(event.y)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._dragging:
            self._go(event.y)

    def on_mouse_up(self, event: events.MouseUp) -> None:
        self._dragging = False
        self.release_mouse()

    def _go(self, y: int) -> None:
        self.post_message(self.Dragged(min(1.0, max(0.0, y / max(1, self.size.height - 1)))))
