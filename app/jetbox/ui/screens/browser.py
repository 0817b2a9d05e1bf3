"""A list with what the chosen row is about beside it: the frame of the screens over the workbench."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen

from jetbox.engine.safety.terminal import safe_text
from jetbox.ui.keys import bound_keys, raw_keys
from jetbox.ui.screens.sizes import LOW
from jetbox.ui.text.rows import Row, fit
from jetbox.ui.widgets.leaf import Leaf
from jetbox.ui.widgets.lined import Lined
from jetbox.ui.widgets.pick import Pick

if TYPE_CHECKING:
    from jetbox.ui.glyphs import Glyphs
    from jetbox.ui.screens.overlays import Overlays

BESIDE = 96
"""Columns from which list and text stand side by side."""
BORDER = 0.9
"""The part of the screen's width that words in the border may have."""


class Search(Lined):
    """What is searched for, as it is typed."""

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(glyphs, id="browser-search")
        self.text = ""
        self.typing = False
        self.found = ""
        """How many were found, in words."""

    def lines(self, width: int) -> list[Row]:
        if not (self.typing or self.text):
            return [Row(fit((("/ searches", "faint"), (f"   {self.found}", "faint")), width))]
        cursor = (self.glyphs.block, "accent") if self.typing else ("", "")
        return [Row(fit((("/", "key"), (self.text, ""), cursor, (f"   {self.found}", "faint")), width))]


class Browser(ModalScreen[None]):
    """Subclasses say the rows, what stands beside them, and the keys of their own."""

    BINDING_GROUP_TITLE = "Lists"
    TITLE_TEXT: ClassVar[str] = ""
    SEARCHES: ClassVar[bool] = False
    WIDE_LIST: ClassVar[bool] = False
    """The list, not the text beside it, has the most room."""
    STACKS: ClassVar[bool] = True
    """Where there is no room for both side by side, they stand one above the other."""
    HINTS: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Ids of keys and what they do, for the border; the first matter most."""
    EVERY_KEY: ClassVar[frozenset[str]] = frozenset()
    """Ids of which the border names a second key too: not every terminal knows each."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "close", "Close", id="list.close", show=False),
        Binding("up,k", "move(-1)", "The one above", id="list.up", show=False),
        Binding("down,j", "move(1)", "The one below", id="list.down", show=False),
        Binding("home,g", "ends(-1)", "The first", id="list.first", show=False),
        Binding("end,G", "ends(1)", "The last", id="list.last", show=False),
        Binding("pageup,ctrl+u", "read(-1)", "Text a page up", id="list.page_up", show=False),
        Binding("pagedown,space,ctrl+d", "read(1)", "Text a page down", id="list.page_down", show=False),
        Binding("slash", "search", "Search", id="list.search", show=False),
    ]

    def __init__(self, bench: Overlays) -> None:
        super().__init__(classes="-ascii" if bench.glyphs.ascii else None)
        self.bench = bench
        self.list = Pick(bench.glyphs, id="browser-list")
        self.leaf = Leaf(bench.glyphs, id="browser-leaf")
        self.search = Search(bench.glyphs)
        self.unsaid = ""
        """Keys that matter and have no room in the border."""
        for widget in (self.list, self.leaf, self.search):
            widget.paint(bench.status.colours)

    def compose(self) -> ComposeResult:
        with Vertical(id="browser") as box:
            box.border_title = self.TITLE_TEXT
            if self.SEARCHES:
                yield self.search
            with Horizontal(id="browser-body"):
                yield self.list
                yield self.leaf

    def on_mount(self) -> None:
        self.set_class(self.WIDE_LIST, "-wide-list")
        self.search.redraw()
        self.hint()
        self.begin()

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(self.STACKS and event.size.width < BESIDE, "-stacked")
        self.set_class(event.size.height < LOW, "-low")  # only the list is shown

    def begin(self) -> None:
        """The screen is there: fill it."""

    def chose(self) -> None:
        """Another row is chosen: show what it is about."""

    def search_for(self, text: str) -> None:
        """Show the rows that have the text."""

    def hint(self) -> None:
        """The keys that matter, as they are bound."""
        ascii = self.bench.glyphs.ascii
        bound = {name: keys.split(" ") for keys, _, name in bound_keys(self, ascii=ascii)}
        known = {name: "/".join(keys[: 2 if name in self.EVERY_KEY else 1]) for name, keys in bound.items()}
        hints = [f"{known[name]} {does}" for name, does in (*self.HINTS, ("list.close", "closes")) if name in known]
        box = self.query_one("#browser")
        unsaid: list[str] = []
        while len(hints) > 2 and sum(map(len, hints)) + 2 * len(hints) > BORDER * self.app.size.width:
            unsaid.insert(0, hints.pop(-2))
        self.unsaid = "  ".join(unsaid)
        box.border_subtitle = "  ".join(hints).replace("[", "\\[")

    @on(Pick.Moved)
    def _moved(self, message: Pick.Moved) -> None:
        self.chose()
        if message.again:
            self.enter()

    def enter(self) -> None:
        """The chosen row was clicked once more."""

    def action_move(self, by: int) -> None:
        self.list.move(by)

    def action_ends(self, which: int) -> None:
        self.list.go(0 if which < 0 else self.list.count)

    def action_read(self, pages: int) -> None:
        self.leaf.scroll(pages * max(1, self.leaf.page - 2))

    def action_search(self) -> None:
        if self.SEARCHES:
            self.search.typing = True
            self.search.redraw()

    def action_close(self) -> None:
        """Out of the search, or out of the screen."""
        if self.search.typing or self.search.text:
            self.search.typing, self.search.text = False, ""
            self.search_for("")
            self.search.redraw()
        else:
            self.dismiss(None)

    def on_key(self, event: events.Key) -> None:
        """While something is searched for, keys are its text; up and down still choose.

        A binding is looked at after the keys that came together with its own: what opens the search is seen to here,
        so that nothing of what is typed behind it is lost.
        """
        search = self.search
        if not search.typing and self.SEARCHES and event.key in raw_keys(self, "list.search"):
            event.stop()
            event.prevent_default()
            self.action_search()
            return
        if not search.typing or event.key in ("up", "down", "escape", "pageup", "pagedown"):
            return
        event.stop()
        event.prevent_default()
        if event.key == "enter":
            search.typing = False
        elif event.key == "backspace":
            search.text = search.text[:-1]
        elif event.key == "ctrl+w":
            search.text = ""
        elif event.is_printable and event.character:
            search.text += event.character
        else:
            return
        self.search_for(search.text)
        search.redraw()

    def on_paste(self, event: events.Paste) -> None:
        if self.search.typing:
            self.search.text += " ".join(safe_text(event.text).split())
            self.search_for(self.search.text)
            self.search.redraw()
