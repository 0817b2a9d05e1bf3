"""The last line: what is waited for, the mode, and the keys that matter now."""

from __future__ import annotations

import msgspec

from jetbox.ui.glyphs import Glyphs
from jetbox.ui.skeleton import SMALL_COLUMNS
from jetbox.ui.text.rows import Piece, Row, cells, fit
from jetbox.ui.widgets.lined import Lined

LEAST = 24
"""So much of what is done has to be said beside how long it lasts: in fewer cells it stands alone."""


class FooterState(msgspec.Struct, frozen=True):
    """What the line says."""

    kind: str = "idle"
    """idle, busy, ask, done or word."""
    text: str = ""
    style: str = ""
    mode: str = ""
    sandbox: str = ""
    """What is missing of the sandbox; empty where it holds."""
    keys: tuple[tuple[str, str], ...] = ()
    """Keys and what they do, the ones that matter most first."""


class Footer(Lined):
    """One line, from left to right: words, keys, sandbox, mode."""

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:
        super().__init__(glyphs, id=id)
        self._state = FooterState()

    def show(self, state: FooterState) -> None:
        """Say this."""
        if state != self._state:
            self._state = state
            # Where the screen has no room for this line, it has for a word.
            self.set_class(state.kind == "word", "-said")
            self.redraw()

    def lines(self, width: int) -> list[Row]:
        state = self._state
        right: list[Piece] = []
        if state.sandbox:
            right += [(state.sandbox, "warning"), ("   ", "")]
        if state.mode:
            right += [("mode ", "dim"), (state.mode, f"mode.{state.mode}"), (" ", "")]
        left: list[Piece] = [(" ", "")]
        if state.text:
            sign = {"busy": self.glyphs.running, "ask": self.glyphs.question}.get(state.kind, "")
            left += [(f"{sign} " if sign else "", state.style), (state.text, state.style), ("    ", "")]
        if state.kind == "word" and width < SMALL_COLUMNS:
            right = []
        room = width - _wide(right) - 2
        if state.kind == "busy" and state.keys:
            left = self._shortened(left, room - sum(map(cells, state.keys[0])) - 4)
        if _wide(left) > room:
            return [Row((*fit(left[:3], max(1, room)), ("  ", ""), *right))]
        together: list[Piece] = []
        for key, does in state.keys:
            together += [(key, "key"), (f" {does}   " if does else " ", "dim")]
            if not does:
                continue  # it is told with the next
            if _wide(left) + _wide(together) > room:
                break
            left += together
            together = []
        gap = max(0, width - _wide(left) - _wide(right))
        return [Row((*left, (" " * gap, ""), *right))]

    def _shortened(self, left: list[Piece], room: int) -> list[Piece]:
        """What is done, cut where it leaves no room for how long it lasts and for the key that stops it."""
        text, style = left[-2]
        does, gap, lasts = text.rpartition("  ")
        most = room - (_wide(left) - cells(does))
        if not gap or cells(does) <= most or most < LEAST:
            return left
        return [*left[:-2], *fit([(does, style)], most), (gap + lasts, style), left[-1]]


def _wide(pieces: list[Piece]) -> int:
    return sum(cells(text) for text, _ in pieces)
