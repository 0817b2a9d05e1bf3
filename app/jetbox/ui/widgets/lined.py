"""A widget that is a list of rows: no children, no border, nothing drawn that did not change."""

from __future__ import annotations

from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from jetbox.ui.glyphs import Glyphs
from jetbox.ui.paint import Paint
from jetbox.ui.text.rows import Row


class Lined(Widget):
    """Subclasses say their rows for a width; `redraw` compares and refreshes.

    Strips are handed to the compositor as they are kept, past the cache of styles: a
    frame of the transcript draws what lies beside it for nearly nothing. So style sheets
    must give these widgets no border and no padding.
    """

    ALLOW_SELECT = False

    def __init__(self, glyphs: Glyphs, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.glyphs = glyphs
        self._shown: list[Row] = []
        self._painted: list[Strip] = []
        self._paint = Paint({}, colour=False)

    def lines(self, width: int) -> list[Row]:
        """What to show."""
        raise NotImplementedError

    @property
    def size(self) -> Size:
        """What it was laid out with: nothing of it is border or padding."""
        return self._size

    @property
    def colours(self) -> Paint:
        """What it is drawn with."""
        return self._paint

    def paint(self, paint: Paint) -> None:
        """Other colours."""
        self._paint = paint
        self._painted = paint.strips(self._shown, self.size.width)
        self.refresh()

    def redraw(self) -> None:
        """Show what is true now, where it differs from what is shown."""
        width = self.size.width
        rows = self.lines(width) if width else []
        if rows == self._shown and len(self._painted) == len(rows) and self._fits(width):
            return
        grown = len(rows) != len(self._shown)
        if not grown and len(self._painted) == len(rows) and self._fits(width):
            self._redraw_some(rows, width)
            return
        self._shown = rows
        self._painted = self._paint.strips(rows, width)
        height = self.styles.height
        self.refresh(layout=grown and height is not None and height.is_auto)

    def _redraw_some(self, rows: list[Row], width: int) -> None:
        """Only the rows that are others now."""
        others = [y for y, (old, new) in enumerate(zip(self._shown, rows, strict=True)) if old != new]
        for y in others:
            self._painted[y] = self._paint.strip(rows[y], width)
        self._shown = rows
        self.refresh(*(Region(0, y, width, 1) for y in others))

    def _fits(self, width: int) -> bool:
        return not self._painted or self._painted[0].cell_length == width

    def on_resize(self) -> None:
        self.redraw()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self.lines(width))

    def render_lines(self, crop: Region) -> list[Strip]:
        """The strips as they are kept."""
        out = self._painted[crop.y : crop.bottom]
        if len(out) < crop.height:
            out = [*out, *[Strip.blank(self.size.width, self._paint.base)] * (crop.height - len(out))]
        if crop.x or crop.width != self.size.width:
            out = [strip.crop_extend(crop.x, crop.right, self._paint.base) for strip in out]
        return out

    def render_line(self, y: int) -> Strip:
        return self.render_lines(Region(0, y, self.size.width, 1))[0]
