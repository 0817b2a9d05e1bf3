"""A widget that is a list of rows: one refresh, no children, nothing drawn that did not change."""

from __future__ import annotations

from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from jetbox.ui.glyphs import Glyphs
from jetbox.ui.paint import Paint
from jetbox.ui.text.rows import Row


class Lined(Widget):
    """Subclasses say their rows for a width; `redraw` compares and refreshes."""

    ALLOW_SELECT = False

    def __init__(self, glyphs: Glyphs, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.glyphs = glyphs
        self._shown: list[Row] = []
        self._paint = Paint({}, colour=False)

    def lines(self, width: int) -> list[Row]:
        """What to show."""
        raise NotImplementedError

    @property
    def colours(self) -> Paint:
        """What it is drawn with."""
        return self._paint

    def paint(self, paint: Paint) -> None:
        """Other colours."""
        self._paint = paint
        self.refresh()

    def redraw(self) -> None:
        """Show what is true now, where it differs from what is shown."""
        rows = self.lines(self.content_size.width) if self.content_size.width else []
        if rows != self._shown:
            grown = len(rows) != len(self._shown)
            self._shown = rows
            self.refresh(layout=grown and self.styles.height is not None and self.styles.height.is_auto)

    def on_resize(self) -> None:
        self.redraw()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self.lines(width))

    def render_line(self, y: int) -> Strip:
        width = self.content_size.width
        if y < len(self._shown):
            return self._paint.strip(self._shown[y], width)
        return Strip.blank(width, self._paint.base)
