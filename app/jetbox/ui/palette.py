"""Textual's palette with the commands of the table."""

from __future__ import annotations

from functools import partial

from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from jetbox.ui.commands import COMMANDS, Command
from jetbox.ui.screens.workbench import Workbench


class Palette(CommandPalette):
    """Textual's, which says how it is left."""

    def on_mount(self) -> None:
        self.query_one("#--input").border_title = "esc closes"


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
