"""What the user typed while the agent works, and what waits for the next round."""

from __future__ import annotations

from jetbox.ui.glyphs import Glyphs
from jetbox.ui.text.rows import Row, fit, row
from jetbox.ui.widgets.lined import Lined

SHOWN = 4


class Queue(Lined):
    """One line for each that waits; nothing where nothing waits."""

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:
        super().__init__(glyphs, id=id)
        self._items: tuple[str, ...] = ()

    def show(self, items: tuple[str, ...]) -> None:
        """Show these."""
        if items != self._items:
            self._items = items
            self.display = bool(items)
            self.redraw()

    def lines(self, width: int) -> list[Row]:
        items = self._items
        shown = items if len(items) <= SHOWN else items[: SHOWN - 1]
        out = []
        for n, item in enumerate(shown):
            label = "next round " if n == 0 else " " * 11
            text = item.replace("\n", " ")
            out.append(Row(fit(((" ", ""), (label, "faint"), (f"{self.glyphs.prompt} ", "dim"), (text, "dim")), width)))
        if len(items) > len(shown):
            out.append(row((f"{' ' * 12}{self.glyphs.more} {len(items) - len(shown)} more", "faint")))
        return out
