"""The wheel of the mouse, for widgets that scroll by themselves."""

from __future__ import annotations

from textual import events

ROWS = 3
"""How far one notch goes."""


class Wheeled:
    """Mixed into a widget: a notch of the wheel is `roll`, and goes no further."""

    def roll(self, rows: int) -> None:
        """Scroll by rows, upwards where there are fewer than none."""
        raise NotImplementedError

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        event.prevent_default()
        self.roll(-ROWS)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        event.prevent_default()
        self.roll(ROWS)
