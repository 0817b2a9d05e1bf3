"""A number that is typed, over whatever is there."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from jetbox.ui.glyphs import Glyphs
from jetbox.ui.keys import act_now, first_keys, hints
from jetbox.ui.paint import Paint
from jetbox.ui.screens.over import Over
from jetbox.ui.screens.sizes import LOW
from jetbox.ui.text.rows import BLANK, Row, flow, row
from jetbox.ui.widgets.box import Column
from jetbox.ui.widgets.lined import Lined

DIGITS = 9
"""Most that are taken."""


class Typed(Lined):
    """What it is for, what was typed, and the keys."""

    def __init__(self, glyphs: Glyphs, wanted: str) -> None:
        super().__init__(glyphs)
        self._wanted = wanted
        self.text = ""
        self.keys = self.leaves = ""

    def lines(self, width: int) -> list[Row]:
        said = row((f"{self._wanted} ", ""), (self.text, "key"), (self.glyphs.block, "accent"))
        if self.app.size.height < LOW:
            return [row((self.leaves, "dim")), said]
        return [said, BLANK, *flow(((self.keys, "dim"),), width)]


class Number(Over[int | None]):
    """The number that was typed; None where there was none."""

    BINDING_GROUP_TITLE = "Number"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "Take the number", id="number.take", show=False),
        Binding("backspace", "back", "Delete a digit", id="number.back", show=False),
        Binding("escape,q", "dismiss(None)", "Close", id="number.close", show=False),
    ]

    def __init__(self, glyphs: Glyphs, paint: Paint, wanted: str) -> None:
        super().__init__(glyphs)
        self._typed = Typed(glyphs, wanted)
        self._typed.paint(paint)

    def compose(self) -> ComposeResult:
        keys = first_keys(self, ascii=self._typed.glyphs.ascii)
        ways = hints(keys, (("number.take", "goes there"), ("number.close", "closes")))
        self._typed.keys, self._typed.leaves = "  ".join(ways), ways[-1] if ways else ""
        with Column(id="question"):
            yield self._typed

    def on_key(self, event: events.Key) -> None:
        """In the order of what is typed."""
        if event.character and event.character.isdecimal():
            event.stop()
            event.prevent_default()
            self._show(self._typed.text + event.character)
        else:
            act_now(event, ((self, "number.back", self.action_back), (self, "number.take", self.action_take)))

    def _show(self, text: str) -> None:
        self._typed.text = text[:DIGITS]
        self._typed.redraw()

    def action_back(self) -> None:
        self._show(self._typed.text[:-1])

    def action_take(self) -> None:
        self.dismiss(int(self._typed.text) if self._typed.text else None)
