"""What the word under the cursor may become: commands after a slash, files after an @."""

from __future__ import annotations

from textual.geometry import Size

from jetbox.ui.glyphs import Glyphs
from jetbox.ui.text.rows import Row, fit, row
from jetbox.ui.widgets.lined import Lined

Item = tuple[str, str]
"""What is put in, and a word about it."""


class Suggest(Lined):
    """A line for each; one of them is chosen."""

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:
        super().__init__(glyphs, id=id)
        self._items: tuple[Item, ...] = ()
        self._chosen = 0

    @property
    def chosen(self) -> str:
        """What would be put in; empty where there is nothing."""
        return self._items[self._chosen][0] if self._items else ""

    def show(self, items: tuple[Item, ...]) -> None:
        """Offer these."""
        if items != self._items:
            self._items = items
            self._chosen = 0
            self.display = bool(items)
            self.refresh(layout=True)
            self.redraw()

    def move(self, by: int) -> None:
        """Choose the next one, or the one before."""
        self._chosen = (self._chosen + by) % max(1, len(self._items))
        self.redraw()

    def lines(self, width: int) -> list[Row]:
        column = max((len(text) for text, _ in self._items), default=0) + 2
        out = []
        for n, (text, about) in enumerate(self._items):
            if n == self._chosen:
                out.append(row(*fit(((f"   {text:<{column}}{about}", "selected"),), width), fill="selected"))
            else:
                out.append(Row(fit((("   ", ""), (f"{text:<{column}}", ""), (about, "dim")), width)))
        room = self.size.height or len(out)
        start = min(max(0, self._chosen - room + 1), max(0, len(out) - room))
        return out[start : start + room]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._items)
