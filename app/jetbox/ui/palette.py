"""Every command by a few letters of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.widget import Widget

from jetbox.engine.safety.terminal import safe_text
from jetbox.ui.commands import COMMANDS, Command, resembling
from jetbox.ui.keys import Act, act_now, first_keys
from jetbox.ui.screens.over import Over
from jetbox.ui.text.rows import Piece, one_line
from jetbox.ui.widgets.box import Column
from jetbox.ui.widgets.field import Field
from jetbox.ui.widgets.pick import Pick

if TYPE_CHECKING:
    from jetbox.ui.screens.workbench import Workbench

MOST_CHARS = 200
"""What is pasted is no name of a command where it is longer."""
AROUND = 10
"""Rows of the screen that are not the list's: the border, what is looked for, and what is seen of the workbench."""
AROUND_LOW, AROUND_LEAST = 3, 2
"""The same where there are few rows, and where there are fewer still."""


class Wanted(Field):
    """What is looked for, in one line; the keys of the list hold in it too."""

    def __init__(self, placeholder: str) -> None:
        super().__init__(id="palette-wanted", placeholder=placeholder)
        self.acts: Iterable[Act] = ()

    async def _on_key(self, event: events.Key) -> None:
        if not act_now(event, self.acts):
            await super()._on_key(event)

    def on_paste(self, event: events.Paste) -> None:
        """The text area goes on from here."""
        event.text = one_line(" ".join(safe_text(event.text[: 2 * MOST_CHARS]).split()))[:MOST_CHARS]

    def action_newline(self) -> None:
        """There is one line."""


class Palette(Over[Command | None]):
    """The command that was chosen; None where there was none."""

    BINDING_GROUP_TITLE = "Commands to choose from"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close", id="palette.close", show=False),
        Binding("enter", "run", "Run the command", id="palette.run", show=False),
        Binding("up", "move(-1)", "Up", id="palette.up", show=False),
        Binding("down", "move(1)", "Down", id="palette.down", show=False),
        Binding("pageup", "page(-1)", "A page up", id="palette.page_up", show=False),
        Binding("pagedown", "page(1)", "A page down", id="palette.page_down", show=False),
        Binding("ctrl+home,shift+home", "ends(-1)", "The first", id="palette.first", show=False),
        Binding("ctrl+end,shift+end", "ends(1)", "The last", id="palette.last", show=False),
    ]

    def __init__(self, bench: Workbench) -> None:
        self._list = Pick(bench.glyphs, id="palette-list", empty="no command is like this")
        self._list.paint(bench.status.colours)
        self._around = AROUND
        super().__init__(bench.glyphs)
        self._offered = [command for command in COMMANDS if bench.live or not command.live]
        self._found: list[tuple[Command, frozenset[int]]] = []
        self._wanted = Wanted("Search for commands…")
        self._wanted.typed = self._typed

    def compose(self) -> ComposeResult:
        # Before the field is there, and with it the keys that wait for it.
        self._wanted.acts = (
            (self, "palette.close", lambda: self.dismiss(None)),
            (self, "palette.run", self.action_run),
            (self, "palette.up", lambda: self.action_move(-1)),
            (self, "palette.down", lambda: self.action_move(1)),
            (self, "palette.page_up", lambda: self.action_page(-1)),
            (self, "palette.page_down", lambda: self.action_page(1)),
            (self, "palette.first", lambda: self.action_ends(-1)),
            (self, "palette.last", lambda: self.action_ends(1)),
        )
        self._look()
        with Column(id="palette"):
            yield self._wanted
            yield self._list

    def on_mount(self) -> None:
        closes = first_keys(self, ascii=self._list.glyphs.ascii).get("palette.close", "")
        self.query_one("#palette").border_title = f"{closes} closes" if closes else ""

    @property
    def typed_on(self) -> Widget:
        """The field: until it has the focus, what is typed waits for it there, before any key of the screen acts."""
        return self.focused or self._wanted

    def _forward_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key | events.Paste) and self.focused is None:
            self._wanted._forward_event(event)
        else:
            super()._forward_event(event)

    def size_classes(self, size: Size) -> dict[str, bool]:
        classes = super().size_classes(size)
        self._around = AROUND_LEAST if classes["-least"] else AROUND_LOW if classes["-low"] else AROUND
        # A command has two rows where there is room for some of them.
        self._list.more = None if classes["-low"] else self._describe
        return classes

    def on_resize(self, event: events.Resize) -> None:
        self._fill()

    def _typed(self, changed: bool) -> None:
        if changed:
            self._look()

    def _look(self) -> None:
        """Show what was typed may mean, the likeliest first."""
        self._list.at = 0
        self._found = resembling(self._wanted.text.strip(), self._offered)
        self._fill()

    def _fill(self) -> None:
        self._list.fill(len(self._found), self._usage)
        self._list.styles.height = max(1, min(self._list.whole, self.app.size.height - self._around))

    def _usage(self, number: int, width: int) -> list[Piece]:
        command, at = self._found[number]
        return [("  ", ""), *((char, "match" if n in at else "bold") for n, char in enumerate(command.usage))]

    def _describe(self, number: int, width: int) -> list[Piece]:
        return [("    ", ""), (self._found[number][0].description, "dim")]

    @on(Pick.Moved)
    def _moved(self, message: Pick.Moved) -> None:
        if message.again:
            self.action_run()

    def action_move(self, by: int) -> None:
        self._list.move(by)

    def action_page(self, pages: int) -> None:
        self._list.move(pages * self._list.page)

    def action_ends(self, which: int) -> None:
        self._list.go(0 if which < 0 else self._list.count)

    def action_run(self) -> None:
        if self._found:
            self.dismiss(self._found[self._list.at][0])
