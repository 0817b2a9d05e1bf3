"""The sign before the input."""

from __future__ import annotations

from jetbox.ui.glyphs import Glyphs
from jetbox.ui.text.rows import Row, row
from jetbox.ui.widgets.lined import Lined


class Mark(Lined):
    """The sign before the input; in another colour where a command is typed."""

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:
        super().__init__(glyphs, id=id)
        self._command = False

    def show(self, typed: str) -> None:
        """This is what is typed."""
        if typed.startswith("!") != self._command:
            self._command = not self._command
            self.redraw()

    def lines(self, width: int) -> list[Row]:
        return [row((f" {self.glyphs.prompt} ", "warning" if self._command else "user.mark"))]
