"""The side panel folded into one line, for narrow screens."""

from __future__ import annotations

from jetbox.engine.clock import tier
from jetbox.ui import words
from jetbox.ui.glyphs import Glyphs
from jetbox.ui.model import SessionView
from jetbox.ui.text.rows import Piece, Row, fit, row
from jetbox.ui.transcript.round import state_sign
from jetbox.ui.widgets import sparks
from jetbox.ui.widgets.lined import Lined


class TimeLine(Lined):
    """Rounds as bars, probes as signs."""

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:
        super().__init__(glyphs, id=id)
        self._view = SessionView()

    def show(self, view: SessionView) -> None:
        """Show this state."""
        self._view = view
        self.redraw()

    def lines(self, width: int) -> list[Row]:
        view = self._view
        shown = view.rounds[-max(4, (width - 44) // (2 * sparks.CELL)) :]
        if not shown:
            return [row((" no round yet", "faint"))]
        values = [-1 if figures.open else figures.llm for figures in shown]
        styles = [f"tier.{tier(max(0, value))}" for value in values]
        pieces: list[Piece] = [(" llm ", "dim"), *sparks.spark(values, styles, self.glyphs)]
        if view.tally.waits:
            pieces.append((f"{words.duration(view.tally.latest)}   ", ""))
        if any(figures.probes for figures in shown):
            pieces += [("probe ", "dim"), *sparks.cache_signs(shown, self.glyphs)]
        for name, probe in view.verdicts.items():
            sign, style = state_sign(probe.state, self.glyphs)
            pieces += [(f" {name} ", "dim"), (sign, style)]
        return [Row(fit(pieces, width))]
