"""The application: what it begins with, theme and keys."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakSet

from textual import events
from textual.binding import Binding, BindingType
from textual.screen import Screen

from jetbox.engine.errors import ExitCode
from jetbox.engine.session import SessionSource
from jetbox.record.places import sessions_folder
from jetbox.settings.themes import shipped_folder, user_folder
from jetbox.ui import glyphs as signs
from jetbox.ui.collecting import Collecting
from jetbox.ui.driven import Driven
from jetbox.ui.keying import Acted, Keying, Typed
from jetbox.ui.keys import first_keys, is_bound, raw_keys
from jetbox.ui.letting_go import let_painted_go
from jetbox.ui.paint import Paint
from jetbox.ui.restyling import Restyling
from jetbox.ui.screens.workbench import Workbench
from jetbox.ui.sheets import overlays_ahead, style_overlays
from jetbox.ui.slices import in_slices
from jetbox.ui.telling import LoopFailures, telling
from jetbox.ui.terminals import SIGNS, tells_keys_apart
from jetbox.ui.themes import DEFAULT_DARK
from jetbox.ui.wanted import Wanted
from jetbox.ui.wardrobe import Wardrobe

if TYPE_CHECKING:
    from rich.console import RenderableType
    from textual.await_complete import AwaitComplete
    from textual.driver import Driver
    from textual.timer import Timer
    from textual.widget import AwaitMount

    from jetbox.settings.load import Loaded
    from jetbox.ui.commands import Command
    from jetbox.ui.lag import LagWatch
    from jetbox.ui.outlet import Outlet
    from jetbox.ui.skeleton import Skeleton

QUIT_WINDOW_S = 2.0
"""How soon the second Ctrl+C must follow the first."""
SWITCH_S = 0.0005
"""How long another thread that computes goes on when the loop has something to do."""
LOOK_S = 1.0
"""How long after the start, or after a change of theme, the colours are kept for the next start."""


class JetboxApp(Driven):
    """Shows a session; returns the exit code."""

    CSS_PATH = "app.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "clear_or_quit", "Clear the input; twice: quit", id="app.quit", show=False, priority=True),
        Binding("ctrl+q", "quit", "Quit", id="app.leave", show=False, priority=True),
        Binding("ctrl+z", "suspend_process", "To the background, until `fg`", id="app.suspend", show=False),
        Binding("f1", "help", "Help", id="app.help", show=False),
        Binding("ctrl+p", "command_palette", "Commands", id="app.palette", show=False, priority=True),
    ]

    def __init__(
        self,
        source: SessionSource,
        *,
        theme: str = DEFAULT_DARK,
        keys: dict[str, str] | None = None,
        driver: Callable[[], Coroutine[Any, Any, int]] | None = None,
        stop: Callable[[ExitCode], None] | None = None,
        title: str = "jetbox",
        glyphs: signs.Glyphs | None = None,
        home: str | None = None,
        theme_folders: tuple[Path, ...] | None = None,
        sessions: Path | None = None,
        loaded: Loaded | None = None,
        skeleton: Skeleton | None = None,
    ) -> None:
        """`driver` is the engine's main coroutine: its result is the exit code, its failure is shown.

        Without it the screen looks on, or plays a recording. `stop` ends the session as a
        signal asks. `home` is written as `~`. `sessions` is the folder of all recordings;
        `loaded` are the settings with where they came from; `skeleton` is on the terminal already.
        """
        import os

        self.skeleton = skeleton
        self.outlet: Outlet | None = None
        """Where frames are written, if it tells how far the terminal is behind."""
        self.keys_apart = False
        """Whether the terminal is known to tell Shift+Enter and Ctrl+Enter from Enter."""
        self.alternate = loaded is None or loaded.settings.ui.alternate_screen
        """Whether the terminal's other screen is used."""
        self._mouse = loaded is None or loaded.settings.ui.mouse
        super().__init__(driver, stop, ansi_color=True if "NO_COLOR" in os.environ else None)
        self.title = title
        self.loaded = loaded
        self.wanted: Wanted | None = None
        """Another session that the user went to."""
        # Before the style sheet is read: it uses the theme's variables.
        self._themes = Wardrobe(self, theme_folders or (shipped_folder(), user_folder()), theme)
        self._user_keys = keys or {}
        self._lag: LagWatch | None = None
        self._armed: Timer | None = None
        """Runs while the key that clears the input would quit."""
        self._failures = LoopFailures(self._tell)
        self._over: WeakSet[Screen[Any]] = WeakSet()
        """Screens over the workbench, those too that are closing, until they are let go of."""
        self._restyling = Restyling(self, self._change_colours)
        self._collecting = Collecting(lambda: not self._over)
        self.workbench = Workbench(
            source,
            glyphs=glyphs or signs.choose(ascii=loaded is not None and loaded.settings.ui.ascii),
            home=os.path.expanduser("~") if home is None else home,
            live=driver is not None,
            sessions=sessions if sessions is not None else sessions_folder(),
        )
        self.workbench.loaded = loaded
        self.keying = Keying(self.workbench)
        if loaded is not None:
            self.workbench.side.reference = loaded.settings.ui.reference_ms * 1_000_000
        if self.workbench.glyphs.ascii:
            from jetbox.ui.ascii import AsciiFilter

            self._filters.append(AsciiFilter())

    def get_driver_class(self) -> type[Driver]:
        chosen = super().get_driver_class()
        if chosen.__name__ != "LinuxDriver":  # named in the environment
            return chosen
        from jetbox.ui.driver import TerminalDriver

        return TerminalDriver

    def _get_screen(self, screen: Screen[Any] | str) -> tuple[Screen[Any], AwaitMount]:
        if screen is not self.workbench:
            if isinstance(screen, Screen):
                self._over.add(screen)
            style_overlays(self.stylesheet)  # before it is styled for the first time
        return super()._get_screen(screen)

    def _in_a_while(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do it in a while, and apart from the timer: what that waits for, the keys wait for too."""
        self.set_timer(LOOK_S, lambda: self.run_worker(work(), group="later"))

    async def _import_screens(self) -> None:
        """Import what lies over the workbench before a key asks for it, in a thread that gives way to keys."""
        from jetbox.ui.screens.bound import everything_bound

        with telling(self._tell, "the other screens are not there"):
            await asyncio.to_thread(everything_bound)

    def get_default_screen(self) -> Screen[None]:
        self.workbench.fit(*self.size)
        return self.workbench

    async def run_async(self, **options: Any) -> int | None:
        """Show the screen until it is left; the engine has ended when this returns.

        Raises:
            JetboxError: the session could not be opened, or failed.
            Exception: whatever went wrong in the engine or on the screen.
        """
        gc.disable()
        switching = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        try:
            result = await super().run_async(**{"mouse": self._mouse, **options})
        finally:
            self._collecting.end()
            gc.enable()
            sys.setswitchinterval(switching)
            await self._end_engine()
            self._remove_signals()
        if self.failure is not None:
            raise self.failure
        if self._struck is not None:
            return int(self._struck)
        task = asyncio.current_task()
        if result is None and task is not None and task.cancelling():
            return int(ExitCode.INTERRUPTED)  # Ctrl+C before signals were heard: Textual keeps it to itself
        return result

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        # What is left out is made good by a whole frame, once the terminal has taken what it was given.
        if self.outlet is None or not self.outlet.late:
            super()._display(screen, renderable)

    def on_mount(self) -> None:
        if not self.is_headless:
            self.keys_apart = tells_keys_apart()
            self._themes.fit(self.console.color_system, chosen=self._chose("ui.theme"))
        self._failures.begin()
        self._themes.begin()
        # Meanwhile somebody else had the terminal: nothing of what was drawn is there any more.
        self.app_resume_signal.subscribe(self, lambda _: self.screen.refresh())
        self._repaint()
        self._apply_keys()
        if not self.is_headless:
            self._add_signals()
            self._add_herald()
        self.call_after_refresh(self._begin)

    def _add_herald(self) -> None:
        from jetbox.ui.herald import Herald

        def write(text: str) -> None:
            if self._driver is not None:
                self._driver.write(text)

        notify = self.loaded.settings.ui.notify if self.loaded is not None else "auto"
        if self._driver_call is None:
            notify = "off"
        self.workbench.herald = Herald(write, lambda: self.app_focus, notify=notify)
        self.workbench.herald.begin()

    def on_unmount(self) -> None:
        if self.workbench.herald is not None:
            self.workbench.herald.end()
        if self._lag is not None:
            self._lag.end()
        self._failures.end()
        self._restyling.end()
        let_painted_go()

    async def _begin(self) -> None:
        """After the first frame: what was typed early acts, then the engine starts."""
        early = self.keying.begin()
        for event in early:
            await self.on_event(event)
        if early:
            self.call_after_refresh(self._start)
        else:
            self._start()

    def _start(self) -> None:
        if not self.is_headless:
            self._collecting.begin()
        self.set_timer(LOOK_S, lambda: in_slices(overlays_ahead(self.stylesheet)))
        self._in_a_while(self._import_screens)
        self._start_engine()
        self._watch_lag()
        self._keep_look()

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            if not self.keys_apart and isinstance(event, events.Key) and event.key in SIGNS:
                self.keys_apart = True  # it has just done so
                self.workbench.know_keys()
            if not self.keying.waits(event):
                await self._type(event)
        else:
            await super().on_event(event)
            if isinstance(event, events.MouseDown):
                self.keying.pressed(event)

    async def _type(self, event: Typed) -> None:
        for each in self.keying.deal(event):
            if self._armed and getattr(each, "key", "") not in raw_keys(self, "app.quit"):
                self._disarm()
            sent = self.keying.sending(each)
            on = sent or self.keying.closing() or self.keying.drafting() or self.keying.opening(each)
            await super().on_event(each)
            if on is not None:
                self.keying.wait(on, sent=sent is not None)

    async def type_on(self) -> None:
        """What waited for what was typed before it acts."""
        for event in self.keying.next():
            await self._type(event)

    async def on_acted(self, message: Acted) -> None:
        """Something that was typed has acted."""
        self.keying.acted(message.on)
        await self.type_on()

    def pop_screen(self) -> AwaitComplete:
        """Go back to the screen before this one; what was typed behind the key that did so is for that."""
        closed = super().pop_screen()
        self.keying.acted()
        self.call_next(self.type_on)
        return closed

    async def _check_bindings(self, key: str, priority: bool = False) -> bool:
        # Textual copies the bindings of everything that has the focus before it looks for a key; a letter has none.
        if priority and not self._keymap and not is_bound(key, self.screen):
            return False
        return await super()._check_bindings(key, priority)

    def _apply_keys(self) -> None:
        if self._user_keys:
            from jetbox.ui.userkeys import apply_keys

            apply_keys(self, self._user_keys)

    def _chose(self, option: str) -> bool:
        """Whether the user said what this option is."""
        source = self.loaded.source(option) if self.loaded is not None else None
        return source is not None and source.kind != "default"

    def _watch_lag(self) -> None:
        if self.loaded is not None and self.loaded.settings.ui.debug:
            from jetbox.ui.lag import LagLog, LagWatch

            self._lag = LagWatch(LagLog(self.workbench.notice).take)
            self._lag.begin()

    def use_theme(self, name: str) -> None:
        """Show this theme; without a name, the next one."""
        self._themes.use(name)

    def refresh_css(self, animate: bool = True) -> None:
        """Style everything anew: with the first frame at once, then in slices."""
        if self.keying.taking:
            self._restyling.begin()
        else:
            super().refresh_css(animate)

    def _change_colours(self) -> None:
        self._repaint()
        self._keep_look()

    def _keep_look(self) -> None:
        if self.skeleton is not None:
            from jetbox.ui.driver import keep_look

            async def keep() -> None:
                with telling(self._tell, "the next start does not begin in these colours"):
                    await keep_look(self)

            self._in_a_while(keep)

    def _tell(self, said: str) -> None:
        self.workbench.notice("warning", said)

    def _repaint(self) -> None:
        self.workbench.paint(Paint(self.theme_variables, colour=not self.no_color, ascii=self.workbench.glyphs.ascii))

    def action_command_palette(self) -> None:
        """The commands are the workbench's: over another screen there are none."""
        if self.screen is self.workbench:
            from jetbox.ui.palette import Palette

            def chosen(command: Command | None) -> None:
                if command is not None:
                    self.workbench.start_command(command)

            self.push_screen(Palette(self.workbench), chosen)

    def action_help(self) -> None:
        if self.screen is self.workbench:
            self.workbench.show_help()

    async def action_quit(self) -> None:
        self.leave()

    def action_clear_or_quit(self) -> None:
        """Clear the input; a second time at once: quit."""
        if self._armed:
            self.leave()
            return
        self._armed = self.set_timer(QUIT_WINDOW_S, self._disarm)
        if self.screen is not self.workbench:
            self.pop_screen()  # what was typed below it was not meant
        else:
            self.workbench.prompt.call_later(self.workbench.prompt.empty)  # behind the letters that came before it
        self.workbench.word(self._quits, "warning")

    @property
    def _quits(self) -> str:
        # Before the first frame the workbench knows no keys yet, and this one acts already.
        return f"{first_keys(self, ascii=self.workbench.glyphs.ascii)['app.quit']} again quits"

    def _disarm(self) -> None:
        if self._armed:
            self._armed.stop()
            self._armed = None
        self.workbench.unsay(self._quits)
