"""A list with what the chosen row is about beside it: the frame of the screens over the workbench."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size

from jetbox.engine.safety.terminal import safe_text
from jetbox.ui.keys import Act, act_now, first_keys, hints
from jetbox.ui.screens.over import Over, say_below
from jetbox.ui.text.rows import Row, fit
from jetbox.ui.widgets.box import Column, Line
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
    """What is searched for, as it is typed.

    It names its keys apart from the list's, since they hold only while one types: one key can be in both.
    """

    BINDING_GROUP_TITLE = "Search in lists"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "done", "End of what is searched for", id="list.search_done", show=False),
        Binding("backspace", "back", "Delete a letter of it", id="list.search_back", show=False),
        Binding("ctrl+w,ctrl+u", "empty", "Delete all of it", id="list.search_empty", show=False),
    ]

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(glyphs, id="browser-search")
        self.text = ""
        self.typing = False
        self.found = ""
        """How many were found, in words."""
        self.opens = ""
        """The key with which one begins to type."""

    def lines(self, width: int) -> list[Row]:
        if not (self.typing or self.text):
            return [Row(fit(((f"{self.opens} searches", "faint"), (f"   {self.found}", "faint")), width))]
        cursor = (self.glyphs.block, "accent") if self.typing else ("", "")
        return [Row(fit((("/", "key"), (self.text, ""), cursor, (f"   {self.found}", "faint")), width))]


class Browser(Over[None]):
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
        super().__init__(bench.glyphs)
        self.bench = bench
        self.list = Pick(bench.glyphs, id="browser-list")
        self.leaf = Leaf(bench.glyphs, id="browser-leaf")
        self.search = Search(bench.glyphs)
        self.unsaid = ""
        """Keys that matter and have no room in the border."""
        for widget in (self.list, self.leaf, self.search):
            widget.paint(bench.status.colours)
        self.set_class(self.WIDE_LIST, "-wide-list", update=False)

    def compose(self) -> ComposeResult:
        with Column(id="browser") as box:
            box.border_title = self.TITLE_TEXT
            if self.SEARCHES:
                yield self.search
            with Line(id="browser-body"):
                yield self.list
                yield self.leaf

    def on_mount(self) -> None:
        self.search.redraw()
        self.hint()
        self.begin()

    def size_classes(self, size: Size) -> dict[str, bool]:
        return {**super().size_classes(size), "-stacked": self.STACKS and size.width < BESIDE}

    def on_resize(self, event: events.Resize) -> None:
        self.hint()

    def begin(self) -> None:
        """The screen is there: fill it."""

    def chose(self) -> None:
        """Another row is chosen: show what it is about."""

    def search_for(self, text: str) -> None:
        """Show the rows that have the text."""

    def say(self, found: str) -> None:
        """How many were found, or a word in the place of that."""
        self.search.found = found
        self.search.redraw()

    def hint(self) -> None:
        """The keys that matter, as they are bound."""
        keys = self.keys
        said = hints(keys, (*self.offers, ("list.close", self.closes)))
        unsaid: list[str] = []
        # The way out is said last, and always.
        while len(said) > 1 and sum(map(len, said)) + 2 * len(said) > BORDER * self.app.size.width:
            unsaid.insert(0, said.pop(-2))
        self.unsaid = "  ".join(unsaid)
        say_below(self.query_one("#browser"), "  ".join(said))
        self.search.opens = keys.get("list.search", self.search.opens)

    @property
    def offers(self) -> tuple[tuple[str, str], ...]:
        """What can be done with the chosen row: `HINTS` as they are true for it."""
        return self.HINTS

    @property
    def closes(self) -> str:
        """What the key for closing does now."""
        return "ends the search" if self.search.typing or self.search.text else "closes"

    @property
    def keys(self) -> dict[str, str]:
        """By its id the key for each thing that can be done here now."""
        return first_keys(self, ascii=self.bench.glyphs.ascii, typing=self.search.typing)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A search begins where none is going on."""
        return action != "search" or (self.SEARCHES and not self.search.typing)

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
        self.type(typing=True)

    def type(self, *, typing: bool) -> None:
        """Letters are what is searched for, or keys."""
        self.search.typing = typing
        self.hint()
        self.search.redraw()

    def _seek(self, text: str) -> None:
        begun, self.search.text = bool(self.search.text), text
        if begun != bool(text):
            self.hint()
        self.search_for(text)
        self.search.redraw()

    def action_close(self) -> None:
        """Out of the search, or out of the screen."""
        if self.search.typing or self.search.text:
            self._seek("")
            self.type(typing=False)
        else:
            self.dismiss(None)

    def on_key(self, event: events.Key) -> None:
        """While something is searched for, letters are its text; other keys do what they always do."""
        if not self.SEARCHES:
            return
        # With Alt a letter is a key, though some terminals tell its character too.
        if self.search.typing and event.is_printable and event.character and not event.key.startswith("alt+"):
            event.stop()
            event.prevent_default()
            self._seek(self.search.text + event.character)
        else:
            act_now(event, self.of_text())

    def of_text(self) -> Iterable[Act]:
        """What keys do that concern what is typed, as it stands."""
        if not self.search.typing:
            return ((self, "list.search", self.action_search),)
        return (
            (self.search, "list.search_done", lambda: self.type(typing=False)),
            (self.search, "list.search_back", lambda: self._seek(self.search.text[:-1])),
            (self.search, "list.search_empty", lambda: self._seek("")),
            (self, "list.close", self.action_close),
        )

    def on_paste(self, event: events.Paste) -> None:
        if self.search.typing:
            self._seek(self.search.text + " ".join(safe_text(event.text).split()))
