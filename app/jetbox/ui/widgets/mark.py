"""The sign before the input."""

from __future__ import annotations

from jetbox.ui.text.rows import Row, row
from jetbox.ui.widgets.lined import Lined


class Mark(Lined):
    """The sign before the input."""

    def lines(self, width: int) -> list[Row]:
        return [row((f" {self.glyphs.prompt} ", "user.mark"))]
