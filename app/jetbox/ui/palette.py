"""Textual's palette with the commands of the table, and with keys that can be changed."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.command import CommandInput, CommandList, CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.widgets import LoadingIndicator

from jetbox.ui.commands import COMMANDS, Command
from jetbox.ui.glyphs import Glyphs
from jetbox.ui.keys import first_keys
from jetbox.ui.screens.over import Over, ascii_class
from jetbox.ui.screens.workbench import Workbench
from jetbox.ui.widgets.box import Column, Line


class Wanted(CommandInput, inherit_bindings=False):
    """What is looked for; its keys have the names that those of other fields have."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "cursor_left", "A character left", id="edit.left", show=False),
        Binding("right", "cursor_right", "A character right", id="edit.right", show=False),
        Binding("ctrl+left", "cursor_left_word", "A word left", id="edit.word_left", show=False),
        Binding("ctrl+right", "cursor_right_word", "A word right", id="edit.word_right", show=False),
        Binding("home,ctrl+a", "home", "The line's beginning", id="edit.line_start", show=False),
        Binding("end,ctrl+e", "end", "The line's end", id="edit.line_end", show=False),
        Binding("backspace", "delete_left", "Delete to the left", id="edit.backspace", show=False),
        Binding("delete,ctrl+d", "delete_right", "Delete to the right", id="edit.delete", show=False),
        Binding("ctrl+w", "delete_left_word", "Delete a word to the left", id="edit.delete_word", show=False),
        Binding("ctrl+u", "delete_left_all", "Delete to its beginning", id="edit.delete_start", show=False),
        Binding("ctrl+k", "delete_right_all", "Delete to its end", id="edit.delete_end", show=False),
        Binding("shift+left", "cursor_left(True)", "Select to the left", id="edit.select_left", show=False),
        Binding("shift+right", "cursor_right(True)", "Select to the right", id="edit.select_right", show=False),
        Binding("f7", "select_all", "Select everything", id="edit.select_all", show=False),
        Binding("super+c", "copy", "Copy", id="edit.copy", show=False),
        Binding("ctrl+x,super+x", "cut", "Cut", id="edit.cut", show=False),
        Binding("ctrl+v", "paste", "Put in what was cut", id="edit.paste", show=False),
    ]


class Palette(CommandPalette, Over[None], inherit_bindings=False):
    """Textual's, which says how it is left."""

    BINDING_GROUP_TITLE = "Commands to choose from"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "escape", "Close", id="palette.close", show=False),
        Binding("enter", "run", "Run the command", id="palette.run", show=False),
        Binding("up", "command_list('cursor_up')", "Up", id="palette.up", show=False),
        Binding("down", "cursor_down", "Down", id="palette.down", show=False),
        Binding("pageup", "command_list('page_up')", "A page up", id="palette.page_up", show=False),
        Binding("pagedown", "command_list('page_down')", "A page down", id="palette.page_down", show=False),
        Binding("ctrl+home,shift+home", "command_list('first')", "The first", id="palette.first", show=False),
        Binding("ctrl+end,shift+end", "command_list('last')", "The last", id="palette.last", show=False),
    ]

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(classes=ascii_class(glyphs))
        self._ascii = glyphs.ascii

    def compose(self) -> ComposeResult:
        # As Textual has it, but for the field.
        with Column(id="--container"):
            with Line(id="--input"):
                yield Wanted(placeholder=self._placeholder, select_on_focus=False)
            with Column(id="--results"):
                yield CommandList()
                yield LoadingIndicator()

    def on_mount(self) -> None:
        closes = first_keys(self, ascii=self._ascii).get("palette.close", "")
        self.query_one("#--input").border_title = f"{closes} closes" if closes else ""

    def action_run(self) -> None:
        self._select_or_command()


class JetboxCommands(Provider):
    """Offers what needs no argument at once; for the rest it begins the line in the input."""

    def _desk(self) -> Workbench | None:
        return self.screen if isinstance(self.screen, Workbench) else None

    def _run(self, command: Command) -> None:
        desk = self._desk()
        if desk is not None:
            desk.start_command(command)

    def _offered(self) -> list[Command]:
        desk = self._desk()
        return [] if desk is None else [command for command in COMMANDS if desk.live or not command.live]

    async def discover(self) -> Hits:
        for command in self._offered():
            shown = Content(command.usage)  # as text it would be taken for markup, and what is in brackets for a style
            yield DiscoveryHit(shown, partial(self._run, command), command.usage, command.description)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for command in self._offered():
            score = matcher.match(f"{command.usage} {command.description}")
            if score > 0:
                shown = matcher.highlight(f"/{command.name}") + Content(command.usage[len(command.name) + 1 :])
                yield Hit(score, shown, partial(self._run, command), command.usage, command.description)
