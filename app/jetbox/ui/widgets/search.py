"""The line in which one searches the transcript."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from jetbox.ui.keys import Act, act_now, first_keys, hints
from jetbox.ui.text.rows import Row, row, spread
from jetbox.ui.widgets.lined import Lined

HINTS = (("search.next", "next"), ("search.close", "closes"))


class Search(Lined, can_focus=True):
    """What is typed is searched at once; Enter goes to the next place, Esc closes."""

    BINDING_GROUP_TITLE = "Search"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,down", "step(-1)", "Next place, upwards", id="search.next", show=False),
        Binding("shift+enter,up", "step(1)", "Previous place", id="search.previous", show=False),
        Binding("escape", "close", "Close", id="search.close", show=False),
        Binding("backspace", "back", "Delete a letter", id="search.back", show=False),
        Binding("ctrl+u", "empty", "Empty it", id="search.empty", show=False),
    ]

    class Asked(Message):
        """Search for this; with a step, go on from place to place."""

        def __init__(self, wanted: str, step: int = 0) -> None:
            super().__init__()
            self.wanted = wanted
            self.step = step

    class Closed(Message):
        """The search is over."""

    wanted = ""
    said = ""
    """What came of it."""
    _former = False
    """Whether what stands there was searched for before it was opened: what is typed takes its place."""

    def open(self) -> None:
        """Begin, with what was searched for last: Enter goes on with it, a letter takes its place."""
        self.display = True
        self._former = bool(self.wanted)
        # At once: what is typed from now on is searched for.
        self.screen.set_focus(self)
        self.redraw()
        if self.wanted:
            self.post_message(self.Asked(self.wanted))

    def tell(self, said: str) -> None:
        """Say what came of it."""
        self.said = said
        self.redraw()

    def lines(self, width: int) -> list[Row]:
        here, behind = ("selected", "") if self._former else ("", "selected")
        left = ((" / ", "key"), (self.wanted, here), (" ", behind))
        keys = hints(first_keys(self, ascii=self.glyphs.ascii), HINTS)
        return [spread(left, ((f"{'  '.join([self.said, *keys])} ", "dim"),), width)] if width > 30 else [row(*left)]

    def on_key(self, event: events.Key) -> None:
        """In the order of what is typed; what comes behind the key that closes it is not searched for."""
        acts: tuple[Act, ...] = (
            (self, "search.next", lambda: self.action_step(-1)),
            (self, "search.previous", lambda: self.action_step(1)),
            (self, "search.close", self.action_close),
            (self, "search.back", self.action_back),
            (self, "search.empty", self.action_empty),
        )
        if self.display and not act_now(event, acts) and event.is_printable and event.character:
            self._ask(self._kept + event.character)
            event.stop()
            event.prevent_default()

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        self._ask(self._kept + event.text.split("\n")[0][:200])

    @property
    def _kept(self) -> str:
        """What a letter goes on with."""
        return "" if self._former else self.wanted

    def _ask(self, wanted: str) -> None:
        self.wanted, self._former = wanted, False
        self.redraw()
        self.post_message(self.Asked(wanted))

    def action_step(self, by: int) -> None:
        self.post_message(self.Asked(self.wanted, by))

    def action_back(self) -> None:
        self._ask(self._kept[:-1])

    def action_empty(self) -> None:
        self._ask("")

    def action_close(self) -> None:
        self.display = False
        self.post_message(self.Closed())
