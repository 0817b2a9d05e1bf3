"""Help: the keys as they are bound now, and the commands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.screen import Screen

from jetbox.ui.commands import Command
from jetbox.ui.glyphs import Glyphs
from jetbox.ui.keys import Key, bound_keys, class_keys
from jetbox.ui.paint import Paint
from jetbox.ui.screens.over import Over, say_below
from jetbox.ui.screens.sizes import LEAST, LOW
from jetbox.ui.text.rows import BLANK, Piece, Row, cells, fit, flow, row
from jetbox.ui.widgets.box import Scrolled
from jetbox.ui.widgets.lined import Lined

ESSENTIAL = ("session.cancel", "app.palette", "app.quit", "session.mode", "session.models")
"""Keys that are told first where there are few rows."""
Group = tuple[str, list[Key]]
"""A title and its keys."""


def help_groups(bench: Screen[None], keyed: Iterable[DOMNode], *, ascii: bool) -> tuple[list[Group], list[Group]]:
    """The keys of the workbench and of its widgets, and those of the screens that can lie over it."""
    from jetbox.ui.screens.bound import screens_bound

    groups: list[Group] = [("Workbench", [*bound_keys(bench.app, ascii=ascii), *bound_keys(bench, ascii=ascii)])]
    told: set[str] = set()
    for node in keyed:
        # What two fields have in common stands with the first of them.
        keys = [key for key in bound_keys(node, ascii=ascii) if key[2] not in told]
        groups.append((node.BINDING_GROUP_TITLE or "", sorted(keys, key=lambda key: key[2].startswith("edit."))))
        told.update(name for _, _, name in keys)
    return groups, [
        (each.BINDING_GROUP_TITLE or "", class_keys(each, bench.app, ascii=ascii)) for each in screens_bound()
    ]


class HelpText(Lined):
    """The text of the help."""

    def __init__(
        self, glyphs: Glyphs, groups: Sequence[Group], commands: Sequence[Command], more: Sequence[Group]
    ) -> None:
        """`more` are the groups of screens that are not there now; they stand behind the commands."""
        super().__init__(glyphs)
        self._groups = groups
        self._more = more
        self._commands = commands
        self.ways = ""
        """The keys of the help itself."""
        self._made: tuple[tuple[int, int, str], list[Row]] | None = None

    def lines(self, width: int) -> list[Row]:
        """Made once for a size, though asked for with each layout."""
        of = (width, self.app.size.height, self.ways)
        if self._made is None or self._made[0] != of:
            self._made = (of, self._lines(width))
        return self._made[1]

    def _lines(self, width: int) -> list[Row]:
        keys = [key for _, group in (*self._groups, *self._more) for key in group]
        column = min(max((cells(" ".join(each)) for each, _, _ in keys), default=0) + 2, max(8, width // 3))
        names = column + max((cells(does) for _, does, _ in keys), default=0) + 2
        # Where there are few rows what matters most stands first; with fewer still no border says how to leave.
        low, least = self.app.size.height < LOW, self.app.size.height < LEAST
        out: list[Row] = [*flow(((self.ways, "dim"),), width)] if least else []
        if low and self._groups:
            first = [key for name in ESSENTIAL for key in self._groups[0][1] if key[2] == name]
            for each in first:
                head: tuple[Piece, ...] = ((f"{' '.join(each[0]):<{column}}", "key"),)
                out += flow(((each[1], ""),), width, first=head, rest=((" " * column, ""),))
            out.append(BLANK)
        for title, group in self._groups:
            if group:
                out += [row((title, "title")), *(self._key(key, column, names, width) for key in group), BLANK]
        if self._commands:
            out += [row(("Commands", "title")), *self._usages(width), BLANK]
        for title, group in self._more:
            if group:
                out += [row((title, "title")), *(self._key(key, column, names, width) for key in group), BLANK]
        words = 'The name at the end of a line is what a key is changed by: [keys] "session.cancel" = "ctrl+x"'
        return [*out, *flow(((words, "dim"),), width)]

    def _key(self, key: Key, column: int, names: int, width: int) -> Row:
        """One key; its name is left out where there is no room."""
        keys, does, name = key
        said = f"{does:<{names - column}}" if names + cells(name) <= width else does
        pieces: list[Piece] = [(f"{' '.join(keys):<{column}}", "key"), (said, "")]
        if said is not does:
            pieces.append((name, "faint"))
        return Row(fit(pieces, width))

    def _usages(self, width: int) -> list[Row]:
        column = min(max(cells(command.usage) for command in self._commands) + 2, max(8, width // 2))
        out: list[Row] = []
        for command in self._commands:
            head: tuple[Piece, ...] = ((f"{command.usage:<{column}}", "key"),)
            out += flow(((command.description, ""),), width, first=head, rest=((" " * column, ""),))
        return out


class Help(Over[None]):
    """Lies over the workbench until it is closed."""

    BINDING_GROUP_TITLE = "Help"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,f1", "dismiss(None)", "Close", id="help.close", show=False),
        Binding("up,k", "scroll(-1)", "Up", id="help.up", show=False),
        Binding("down,j", "scroll(1)", "Down", id="help.down", show=False),
        Binding("pageup,ctrl+u", "page(-1)", "A page up", id="help.page_up", show=False),
        Binding("pagedown,space,ctrl+d", "page(1)", "A page down", id="help.page_down", show=False),
        Binding("home,g", "ends(-1)", "The beginning", id="help.first", show=False),
        Binding("end,G", "ends(1)", "The end", id="help.last", show=False),
    ]

    def __init__(
        self,
        glyphs: Glyphs,
        paint: Paint,
        groups: Sequence[Group],
        commands: Sequence[Command],
        more: Sequence[Group] = (),
    ) -> None:
        super().__init__(glyphs)
        self._text = HelpText(glyphs, groups, commands, more)
        self._text.paint(paint)

    def compose(self) -> ComposeResult:
        with Scrolled(id="help", can_focus=False) as box:
            box.border_title = "help"
            yield self._text

    def on_mount(self) -> None:
        bound = {name: keys for keys, _, name in bound_keys(self, ascii=self._text.glyphs.ascii)}
        scroll = f"{bound['help.down'][-1]} {bound['help.up'][-1]} scroll"
        self._text.ways = f"{scroll}  {bound['help.close'][0]} closes"
        say_below(self.query_one("#help"), self._text.ways)

    def action_scroll(self, rows: int) -> None:
        self.query_one("#help").scroll_relative(y=rows, animate=False)

    def action_page(self, pages: int) -> None:
        box = self.query_one("#help")
        box.scroll_relative(y=pages * max(1, box.size.height - 2), animate=False)

    def action_ends(self, which: int) -> None:
        box = self.query_one("#help")
        box.scroll_to(y=0 if which < 0 else box.max_scroll_y, animate=False)
