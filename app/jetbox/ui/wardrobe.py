"""The themes that the application can wear: read at the start, and again when one is saved."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import App

from jetbox.settings.themes import theme_files
from jetbox.ui.saying import STANDS_NS
from jetbox.ui.telling import telling
from jetbox.ui.themes import ANSI, DEFAULT_DARK, DEFAULT_LIGHT, BrokenTheme, Themes, load_themes
from jetbox.ui.words import NS

if TYPE_CHECKING:
    from jetbox.ui.app import JetboxApp

SIXTEEN = "standard"
"""What rich calls the colours of a terminal that has sixteen."""
LOOK_S = 1.0
"""How often the folders are looked at: so late may a saved theme be seen."""

Print = tuple[tuple[str, int, int], ...]
"""Names, sizes and times (ns) of all theme files."""


class Wardrobe:
    """Loads themes, says what is wrong with them, and changes from one to another."""

    def __init__(self, app: JetboxApp, folders: tuple[Path, ...], wanted: str) -> None:
        """Wear the wanted theme, where it exists."""
        self._app = app
        self._folders = folders
        self._wanted = wanted
        self._missed = False
        """The wanted one could not be worn, and no other was chosen since."""
        self._looking: asyncio.Task[None] | None = None
        self._print = _fingerprint(folders)
        self._told: set[str] = set()
        self.themes = Themes()
        for name in list(app.available_themes):
            if name not in ("textual-dark", "textual-light"):
                app.unregister_theme(name)
        self._whole = False
        """Whether all themes were read."""
        if all(Path(path).parent == folders[0] for path, _, _ in self._print):
            # Nobody's own, which could have any name: the others are read when they are asked for.
            bases = {DEFAULT_DARK} if wanted == DEFAULT_DARK else {DEFAULT_DARK, DEFAULT_LIGHT, ANSI}
            self._take(load_themes(*folders, only={wanted, *bases}))
        if wanted not in self.themes.loaded:
            self._complete()
        self._missed = wanted not in self.themes.loaded
        if self.themes.loaded:
            app.set_reactive(App.theme, wanted if wanted in self.themes.loaded else DEFAULT_DARK)
        # The filter was made before the theme was known.
        app._refresh_truecolor_filter(app.ansi_theme)
        app.stylesheet.set_variables(app.get_css_variables())

    @property
    def names(self) -> list[str]:
        """Every theme that can be worn."""
        self._complete()
        return sorted(self.themes.loaded)

    def begin(self) -> None:
        """Say what is wrong with themes, and look after them from now on."""
        bench = self._app.workbench
        for broken in self.themes.broken:
            self._tell(broken)
        if self._wanted in {broken.path.stem for broken in self.themes.broken}:
            bench.notice("warning", f"theme {self._wanted!r} is put on once it is mended", "/theme has others")
        elif self._wanted not in self.themes.loaded:
            bench.notice("warning", f"there is no theme {self._wanted!r}", f"there are {', '.join(self.names)}")
        self._app.set_interval(LOOK_S, self._look_aside)

    def fit(self, colour_system: str | None, *, chosen: bool) -> None:
        """Wear the terminal's own sixteen colours where it has no others, unless the user chose a theme."""
        if not chosen and colour_system == SIXTEEN and ANSI in self.names:
            self._wanted = self._app.theme = ANSI

    def use(self, name: str) -> None:
        """Wear this one; without a name, the next one."""
        names, bench = self.names, self._app.workbench
        if not name and names:
            worn = self._app.theme
            name = names[(names.index(worn) + 1) % len(names)] if worn in names else names[0]
        if name in self.themes.loaded:
            self._app.theme, self._missed = name, False
            bench.word(f"theme: {name}", "dim")
        else:
            bench.word(f"there is no theme {name!r}: {', '.join(names)}")

    def _look_aside(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_again(), name="themes")

    async def _look_again(self) -> None:
        with telling(self._tell_once, "themes cannot be read again"):
            await self.look()

    def _tell_once(self, said: str) -> None:
        if said not in self._told:
            self._told.add(said)
            self._app.workbench.notice("warning", said)

    async def look(self) -> None:
        """Read all themes where a file changed, or some are not read yet; one that is worn is put on again."""
        found = await asyncio.to_thread(_fingerprint, self._folders)
        if found == self._print and self._whole:
            return
        self._print = found
        worn = self._app.theme
        before = self.themes.loaded.get(worn)
        self._take(await asyncio.to_thread(load_themes, *self._folders))
        self._whole = True
        still_broken = {str(broken) for broken in self.themes.broken}
        self._told &= still_broken
        for broken in self.themes.broken:
            self._tell(broken)
        if self._missed and self._wanted in self.themes.loaded:
            self.use(self._wanted)
            self._said_itself(f"theme: {self._wanted}")
        elif worn not in self.themes.loaded and before is not None:
            self.themes.loaded[worn] = before  # broken just now: what is worn stays
        elif self.themes.loaded.get(worn) != before:
            self._app.mutate_reactive(App.theme)
            self._said_itself(f"theme: {worn} as it is now")

    def _said_itself(self, said: str) -> None:
        """Say what no key led to: since none may follow that ends it, it goes after a while."""
        bench = self._app.workbench
        bench.word(said, "dim")
        self._app.set_timer(STANDS_NS / NS, partial(bench.unsay, said))

    def _complete(self) -> None:
        """Read the themes that were not read at the start."""
        if not self._whole:
            self._whole = True
            self._take(load_themes(*self._folders))

    def _take(self, themes: Themes) -> None:
        before, self.themes = self.themes.loaded, themes
        for name, theme in themes.loaded.items():
            if theme != before.get(name):  # registered again, the one that is worn would be put on anew
                self._app.register_theme(theme)

    def _tell(self, broken: BrokenTheme) -> None:
        text = str(broken)
        if text not in self._told:
            self._told.add(text)
            self._app.workbench.notice("warning", f"theme {text}")


def _fingerprint(folders: tuple[Path, ...]) -> Print:
    found = []
    for folder in folders:
        try:
            for path in theme_files(folder):
                status = path.stat()
                found.append((str(path), status.st_size, status.st_mtime_ns))
        except OSError:
            continue  # loading tells of it
    return tuple(found)
