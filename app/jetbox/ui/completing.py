"""Completes the word under the cursor: a command's name, or a file's."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING

from jetbox.ui.commands import matching
from jetbox.ui.finding import FileFinder
from jetbox.ui.telling import telling

if TYPE_CHECKING:
    from collections.abc import Callable

    from jetbox.ui.widgets.prompt import Prompt
    from jetbox.ui.widgets.suggest import Item, Suggest

_FILE = re.compile(r"(?:^|\s)@([^\s@]*)$")
LONGEST = 200
"""Longer words are no names that somebody types."""


class Completer:
    """Watches what is typed, and offers what it may become."""

    def __init__(self, prompt: Prompt, suggest: Suggest, say: Callable[[str], None]) -> None:
        """`say` tells what went wrong."""
        self._prompt = prompt
        self._suggest = suggest
        self.say = say
        self._finder: FileFinder | None = None
        self._asking: asyncio.Task[None] | None = None
        self._word = ""
        """What would be replaced, with its sign."""
        self._dropped = ""
        """The line as it was when the user closed the list, or took something from it."""

    @property
    def open(self) -> bool:
        """Whether something is offered."""
        return bool(self._suggest.chosen)

    @property
    def takes_enter(self) -> bool:
        """Whether Enter puts in what is offered: a file's name; a command is sent as it stands."""
        return self._word.startswith("@") and self._word != self._suggest.chosen

    def root(self, folder: Path) -> None:
        """Files are those of this folder; what was typed before that was known is looked for now."""
        if self._finder is None or self._finder.root != folder:
            self._finder = FileFinder(folder)
            if self._prompt.text:
                self.typed()

    def typed(self) -> None:
        """The text or the cursor changed."""
        row, column = self._prompt.cursor_location
        line = self._prompt.document.get_line(row)[max(0, column - LONGEST) : column]
        if line == self._dropped:
            return
        self._dropped = ""
        at_file = _FILE.search(line)
        if row == 0 and line.startswith("/") and " " not in line:
            self._offer(line, tuple((f"/{c.name}", c.description) for c in matching(line[1:])))
        elif at_file is not None and self._finder is not None:
            self._word = f"@{at_file[1]}"
            self._asking = asyncio.create_task(self._files(at_file[1]), name="files")
        else:
            self._offer("", ())

    def _offer(self, word: str, items: tuple[Item, ...]) -> None:
        self._word = word
        self._suggest.show(() if len(items) == 1 and items[0][0] == word else items[:8])

    async def _files(self, query: str) -> None:
        assert self._finder is not None
        found = None
        with telling(self.say, "files cannot be searched"):
            found = await self._finder.find(query)
        if found is not None and self._word == f"@{query}":
            self._suggest.show(tuple((f"@{path}", "") for path in found))

    def move(self, by: int) -> None:
        """Choose another."""
        self._suggest.move(by)

    def take(self) -> None:
        """Put the chosen one in the place of the word."""
        chosen = self._suggest.chosen
        row, column = self._prompt.cursor_location
        self._prompt.replace(f"{chosen} ", (row, column - len(self._word)), (row, column))
        self.drop()

    def drop(self) -> bool:
        """Offer nothing until something else is typed; whether something was offered."""
        was_open = self.open
        row, column = self._prompt.cursor_location
        self._dropped = self._prompt.document.get_line(row)[max(0, column - LONGEST) : column]
        self._offer("", ())
        return was_open

    async def close(self) -> None:
        """End what runs beside the screen."""
        if self._finder is not None:
            await self._finder.close()
