"""What the user typed while the agent works, and what waits for the next round."""

from __future__ import annotations

from textual import events
from textual.message import Message

from jetbox.ui.glyphs import Glyphs
from jetbox.ui.text.rows import Piece, Row, cells, fit, one_line, row
from jetbox.ui.widgets.lined import Lined

SHOWN = 4
RUNNING, RESTING = "next round ", "next words "
"""What is waited for: the round's end, or the goal that comes next."""


class Queue(Lined):
    """One line for each that waits; nothing where nothing waits."""

    class Chosen(Message):
        """One was clicked."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:
        super().__init__(glyphs, id=id)
        self._items: tuple[str, ...] = ()
        self._goal_runs = True
        self._keys: tuple[tuple[str, str], ...] = ()

    def show(self, items: tuple[str, ...], *, running: bool = True, keys: tuple[tuple[str, str], ...] = ()) -> None:
        """Show these; `keys` are those that do something to the newest, and what."""
        if (items, running, keys) != (self._items, self._goal_runs, self._keys):
            self._items, self._goal_runs, self._keys = items, running, keys
            self.display = bool(items)
            self.redraw()

    @property
    def _left(self) -> int:
        """How many of the older ones are not shown: what can be edited is the newest."""
        return len(self._items) - SHOWN + 1 if len(self._items) > SHOWN else 0

    def lines(self, width: int) -> list[Row]:
        label = RUNNING if self._goal_runs else RESTING
        out = []
        if self._left:
            said = f"{self.glyphs.more} {self._left} before these"
            out.append(row((f" {label}", "faint"), (said, "faint")))
        for item in self._items[self._left :]:
            head = label if not out else " " * len(label)
            left: tuple[Piece, ...] = ((" ", ""), (head, "faint"), (f"{self.glyphs.prompt} ", "dim"))
            newest = len(out) == min(len(self._items), SHOWN) - 1
            out.append(Row(self._fitted((*left, (one_line(item), "dim")), width, keys=newest)))
        return out

    def _fitted(self, pieces: tuple[Piece, ...], width: int, *, keys: bool) -> tuple[Piece, ...]:
        """The row, with the keys at its end where it is that of the newest and there is room."""
        right: list[Piece] = []
        for key, does in self._keys if keys else ():
            right += [("   ", ""), (key, "key"), (f" {does}", "faint")]
        room = width - sum(cells(text) for text, _ in right) - 1
        if not right or room < width // 2:
            return fit(pieces, width)
        shown = fit(pieces, room)
        gap = room - sum(cells(text) for text, _ in shown)
        return (*shown, (" " * gap, ""), *right, (" ", ""))

    def on_click(self, event: events.Click) -> None:
        at = event.y - bool(self._left)
        shown = self._items[self._left :]
        if 0 <= at < len(shown):
            self.post_message(self.Chosen(shown[at]))
