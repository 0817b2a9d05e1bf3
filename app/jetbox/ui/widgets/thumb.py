"""Where in the transcript one is: a scroll bar of one column."""

from __future__ import annotations

from textual import events
from textual.message import Message

from jetbox.ui.text.rows import BLANK, Row, row
from jetbox.ui.widgets.lined import Lined


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

    def show(self, position: int, total: int) -> None:
        """Row at the top and rows in all."""
        height = self.size.height
        if not height or total <= height:
            top = length = 0
        else:
            length = max(1, round(height * height / total))
            top = round((height - length) * position / (total - height))
        if (top, length) != (self._top, self._length):
            self._top, self._length = top, length
            self.redraw()

    def lines(self, width: int) -> list[Row]:
        if not self._length:
            return []
        inside = range(self._top, self._top + self._length)
        return [row((self.glyphs.thumb, "track")) if n in inside else BLANK for n in range(self.size.height)]

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
