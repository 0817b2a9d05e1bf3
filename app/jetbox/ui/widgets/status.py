"""The status line: where, which model, how full the window is, how far the goal is."""

from __future__ import annotations

from jetbox.ui import words
from jetbox.ui.glyphs import Glyphs
from jetbox.ui.model import SessionView
from jetbox.ui.text.rows import Piece, Row, cells, fit
from jetbox.ui.widgets.lined import Lined

BAR = 8
NEARLY_FULL = 0.85
GETTING_FULL = 0.7

Group = list[Piece]


class Status(Lined):
    """One line; what matters least goes first where there is no room."""

    def __init__(self, glyphs: Glyphs, home: str, *, id: str | None = None) -> None:
        """`home` is written as `~`."""
        super().__init__(glyphs, id=id)
        self._home = home
        self._view = SessionView()
        self._now = 0

    def show(self, view: SessionView, now: int) -> None:
        """Show this state at this time of the session."""
        self._view, self._now = view, now
        self.redraw()

    def lines(self, width: int) -> list[Row]:
        view = self._view
        clock = self._clock(view)
        round_, share, model = self._round(view), self._window(view, bar=True), self._model(view, long=True)
        brand: Group = [("jetbox", "brand")]
        narrow_share, short_model = self._window(view, bar=False), self._model(view, long=False)
        for right in (
            [model, share, round_, clock],
            [model, narrow_share, round_, clock],
            [short_model, narrow_share, round_, clock],
            [short_model, round_, clock],
            [round_, clock],
            [clock],
        ):
            groups = [group for group in right if group]
            used = sum(_wide(group) + 3 for group in groups)
            room = width - 2 - used - _wide(brand)
            if room >= 12 or (room >= 0 and len(right) <= 3):
                return [self._row(brand, groups, max(0, room - 2), width)]
        return [Row(fit([(" ", ""), *brand], width))]

    def _row(self, brand: Group, groups: list[Group], room: int, width: int) -> Row:
        folder = words.short_path(self._view.workspace, self._home, min(room, 48)) if room >= 6 else ""
        left: Group = [(" ", ""), *brand, (f"  {folder}" if folder else "", "dim")]
        right: Group = []
        for group in groups:
            right += [("   ", ""), *group]
        gap = width - 1 - _wide(left) - _wide(right)
        return Row(fit([*left, (" " * max(0, gap), ""), *right, (" ", "")], width))

    def _model(self, view: SessionView, *, long: bool) -> Group:
        if not view.model:
            return [("no model yet", "faint")] if long else []
        name = view.model if long else view.model.rsplit("/", 1)[-1][:16]
        left = view.loaded_for(self._now)
        if view.loaded == "loading":
            return [(f"{name} ", ""), (self.glyphs.loaded, "warning"), (" loading", "dim")]
        if view.loaded == "unknown" or left == 0:
            return [(f"{name} ", ""), (self.glyphs.unloaded, "dim")]
        group: Group = [(f"{name} ", ""), (self.glyphs.loaded, "ok")]
        if left is not None and long:
            group.append((" kept" if left < 0 else f" {words.countdown(left)}", "dim"))
        return group

    def _window(self, view: SessionView, *, bar: bool) -> Group:
        share = view.context_share
        if share is None:
            return []
        style = "failed" if share >= NEARLY_FULL else "warning" if share >= GETTING_FULL else "key"
        sign = "~" if view.estimated else ""
        figure = f"{sign}{share * 100:.0f}%"
        if not bar:
            return [("ctx ", "dim"), (figure, style if style != "key" else "")]
        full = min(BAR, max(1, round(share * BAR)))
        return [
            ("ctx ", "dim"),
            (self.glyphs.full * full, style),
            (self.glyphs.empty * (BAR - full), "track"),
            (f" {figure} of {words.count(view.window)}", "dim"),
        ]

    def _round(self, view: SessionView) -> Group:
        if not view.goal_round:
            return []
        limit = f"/{view.round_limit}" if view.round_limit else ""
        phase: Group = [(f"{view.phase}, ", "accent")] if view.phase and view.running else []
        return [*phase, ("round ", "dim"), (f"{view.goal_round}{limit}", "")]

    def _clock(self, view: SessionView) -> Group:
        return [(words.stopwatch(view.goal_time(self._now)), "" if view.running else "dim")] if view.goal else []


def _wide(group: Group) -> int:
    return sum(cells(text) for text, _ in group)
