"""A screen that draws what it laid out once, in a turn of the loop of its own.

Textual draws with each layout and, in the same turn, again what is to be repainted as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from textual.geometry import Size
from textual.screen import Screen, ScreenResultType

from jetbox.ui.slices import go_on_later

TURNS = 50
"""How often is looked whether the first frame can be drawn ahead of Textual's timer, once in a turn of the loop."""


class Drawn(Screen[ScreenResultType], inherit_bindings=False):
    """Draws when keys were looked at."""

    _holding = False
    _to_draw = False
    """Something was laid out that is not drawn yet."""
    _seen = False
    """Whether it was on top once."""
    _blank = False
    """Nothing is drawn yet: widgets that have not heard of their size would be blank."""

    def _hold_first(self) -> None:
        """Draw the first frame when widgets have heard of their size."""
        self._blank = True
        go_on_later(self._draw_first)

    def _draw_first(self, turns: int = TURNS) -> None:
        if not self._blank or not self.is_attached:  # the timer was sooner, or it is over
            return
        if not any(each.message_queue_size for each in (self, *self._compositor.widgets)):
            self._on_timer_update()
        elif turns:
            go_on_later(self._draw_first, turns - 1)

    @contextmanager
    def _undrawn(self) -> Iterator[None]:
        """Within it nothing is drawn, but remembered that it is to be."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        if self._to_draw:
            # One turn later: in the next one widgets hear that they have another size.
            go_on_later(go_on_later, self._draw_held)

    def _draw_held(self) -> None:
        if self._to_draw and self.is_attached:
            self._to_draw = False
            since = self._dirty_widgets.copy()
            self._compositor_refresh()
            if since:
                # Textual forgets with it all that changed, these too: they wait for the next frame, or to be laid out.
                self._dirty_widgets |= since
                self.check_idle()

    def _draw_whole(self) -> None:
        """Draw everything with the next frame, when widgets know what they show."""
        self._to_draw = False
        self.refresh()

    def _compositor_refresh(self) -> None:
        if self._holding or self._blank:
            self._to_draw = True
            self._dirty_widgets.clear()
        else:
            super()._compositor_refresh()

    def _on_timer_update(self) -> None:
        with self._undrawn():
            super()._on_timer_update()
        if self._blank:
            self._blank = False
            self._draw_held()

    def _screen_resized(self, size: Size) -> None:
        # Each screen tells itself the size that it was laid out for, and those beneath it.
        if size == self.outer_size:
            return
        if not self.outer_size:
            super()._screen_resized(size)  # the first frame does not wait
            return
        with self._undrawn():
            super()._screen_resized(size)
        self._draw_whole()
