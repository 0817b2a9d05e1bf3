"""How one moves in the rows of a story: keys, pages, the wheel."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from jetbox.ui.widgets.paged import Paged
from jetbox.ui.widgets.wheel import Wheeled


class Scrolling(Wheeled, Paged, can_focus=True, inherit_bindings=False):
    """What comes into sight is measured before it is scrolled to, so that nothing jumps."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_lines(-1)", "Up", id="transcript.up", show=False),
        Binding("down,j", "scroll_lines(1)", "Down", id="transcript.down", show=False),
        Binding("home,g", "scroll_to_start", "To the start", id="transcript.start", show=False),
        Binding("end,G", "scroll_to_end", "To the end", id="transcript.end", show=False),
    ]
    BINDING_GROUP_TITLE = "Transcript"

    def move(self, rows: int) -> None:
        """Scroll by rows; upwards the rows that come into sight are measured before."""
        if rows < 0 and len(self._heights):
            self._measure_above(-rows)
        self.jump(self.scroll_offset.y + rows)

    def jump(self, row: int) -> None:
        """Scroll to a row, as far as heights are known."""
        target = min(max(row, 0), self.max_scroll_y)
        self.set_reactive(Paged.scroll_target_y, float(target))
        self.scroll_y = float(target)
        if self.at_end:
            self.follow = True

    def _measure_above(self, rows: int) -> None:
        """Measure from the top of the window upwards; what is shown stays where it is."""
        index, inside = self._anchor()
        self._measure(range(index - 1, -1, -1), rows - inside)
        self._resize()
        self._place(self._heights.top(index) + inside)

    def page(self, direction: int) -> None:
        """Scroll by a window, less two rows to hold on to."""
        self.move(direction * max(1, self.size.height - 2))

    def roll(self, rows: int) -> None:
        self.move(rows)

    def action_scroll_lines(self, rows: int) -> None:
        self.move(rows)

    def action_scroll_to_start(self) -> None:
        self.jump(0)

    def action_scroll_to_end(self) -> None:
        """To the end, and on with it."""
        self.follow = True
        self._measure_back()
        self._resize()
        self._place(self.max_scroll_y)
        self.refresh()
        self._has_moved()
