"""Help: the keys as they are bound now, and the commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from jetbox.ui.commands import Command
from jetbox.ui.glyphs import Glyphs
from jetbox.ui.keys import Key
from jetbox.ui.paint import Paint
from jetbox.ui.text.rows import BLANK, Piece, Row, cells, flow, row
from jetbox.ui.widgets.lined import Lined

Group = tuple[str, list[Key]]
"""A title and its keys."""


class HelpText(Lined):
    """The text of the help."""

    def __init__(self, glyphs: Glyphs, groups: Sequence[Group], commands: Sequence[Command]) -> None:
        super().__init__(glyphs)
        self._groups = groups
        self._commands = commands

    def lines(self, width: int) -> list[Row]:
        out: list[Row] = []
        for title, keys in self._groups:
            if keys:
                out += [row((title, "title"))]
                out += self._table([(key, does, name) for key, does, name in keys], width)
                out.append(BLANK)
        if self._commands:
            out.append(row(("Commands", "title")))
            out += self._table([(command.usage, command.description, "") for command in self._commands], width)
            out.append(BLANK)
        words = 'The name at the end of a line is what a key is changed by: [keys] "session.cancel" = "ctrl+x"'
        return [*out, *flow(((words, "dim"),), width)]

    def _table(self, lines: list[tuple[str, str, str]], width: int) -> list[Row]:
        column = min(max(cells(left) for left, _, _ in lines) + 2, max(8, width // 2))
        out: list[Row] = []
        for left, middle, right in lines:
            head: tuple[Piece, ...] = ((f"{left:<{column}}", "key"),)
            name: tuple[Piece, ...] = ((f"  {right}", "faint"),) if right and width >= 70 else ()
            out += flow(((middle, ""), *name), width, first=head, rest=((" " * column, ""),))
        return out


class Help(ModalScreen[None]):
    """Lies over the workbench until it is closed."""

    BINDING_GROUP_TITLE = "Help"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,f1", "dismiss(None)", "Close", id="help.close", show=False),
    ]

    def __init__(self, glyphs: Glyphs, paint: Paint, groups: Sequence[Group], commands: Sequence[Command]) -> None:
        super().__init__()
        self._text = HelpText(glyphs, groups, commands)
        self._text.paint(paint)

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help") as box:
            box.border_title = "help"
            box.border_subtitle = "esc closes"
            yield self._text
