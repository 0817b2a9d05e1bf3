"""The screens over the workbench, and the keys that open them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from jetbox.engine import commands
from jetbox.engine import events as e
from jetbox.engine.errors import JetboxError
from jetbox.ui.aside import Aside
from jetbox.ui.commands import COMMANDS, run_line
from jetbox.ui.deeds import Deeds
from jetbox.ui.prompts import Prompts
from jetbox.ui.reasons import reason
from jetbox.ui.screens.drawn import Drawn
from jetbox.ui.telling import telling

if TYPE_CHECKING:
    from pathlib import Path

    from textual.dom import DOMNode

    from jetbox.engine.session import SessionSource
    from jetbox.settings.load import Loaded
    from jetbox.ui.glyphs import Glyphs
    from jetbox.ui.herald import Herald
    from jetbox.ui.model import SessionView
    from jetbox.ui.wanted import Wanted
    from jetbox.ui.widgets.prompt import Prompt
    from jetbox.ui.widgets.side import Side
    from jetbox.ui.widgets.status import Status

WORTH_A_WORD = (e.PermissionAsked, e.QuestionAsked, e.GoalEnded)
"""What is told where nobody looks."""
AGAIN_S = 1.0
"""So soon a second Esc must follow the first to mean the two together."""


class Overlays(Drawn[None], inherit_bindings=False):
    """What of the workbench opens something over itself."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "sessions", "Sessions", id="session.sessions", show=False, priority=True),
        Binding("tab", "app.focus_next", "To the next part of the screen", id="focus.next", show=False),
        Binding("alt+left", "point(-1)", "Figures of the round before", id="side.back", show=False),
        Binding("alt+right", "point(1)", "Figures of the round after", id="side.forward", show=False),
        Binding("f2", "timing", "Where the time went", id="session.timing", show=False, priority=True),
        Binding("f3", "undo", "What changed, and undo", id="session.undo", show=False, priority=True),
        Binding("f4", "request", "The exact request", id="session.request", show=False, priority=True),
    ]
    loaded: Loaded | None = None
    """The settings with where they came from."""
    source: SessionSource
    live: bool
    view: SessionView
    glyphs: Glyphs
    status: Status
    side: Side
    prompt: Prompt
    key_names: dict[str, str]

    def __init__(self, sessions: Path) -> None:
        """`sessions` is the folder of all recordings."""
        super().__init__()
        self.sessions = sessions
        self.deeds = Deeds()
        self.prompts = Prompts()
        self.missing: e.ModelMissing | None = None
        """A model that cannot be used, while there is no answer to that."""
        self.pulled: e.ModelPulled | None = None
        """What is being fetched, as it was last told."""
        self._offered: e.ModelMissing | None = None
        self.herald: Herald | None = None
        """Writes to the terminal around the screen; None where there is none."""
        self._armed = False
        self.aside = Aside()
        """Where recordings are read and written without holding keys up."""
        self._tell_held = False
        """The server was asked what it holds, and the answer is wanted in words."""

    @property
    def keyed(self) -> tuple[DOMNode, ...]:
        """The widgets that have keys of their own here."""
        raise NotImplementedError

    @property
    def busy(self) -> bool:
        return self.view.running

    def submit(self, command: commands.AnyCommand) -> None:
        """Hand a command to the session."""
        raise NotImplementedError

    def word(self, text: str, style: str = "warning", until: tuple[type[e.Event], ...] = ()) -> None:
        """Say something in the last line, until the next key or such an event."""
        raise NotImplementedError

    def unsay(self, text: str) -> None:
        """That is true no longer."""
        raise NotImplementedError

    def notice(self, level: str, text: str, hint: str = "") -> None:
        """A word in the transcript that is no event."""
        raise NotImplementedError

    def show_models(self) -> None:
        """What the server has."""
        raise NotImplementedError

    def next_mode(self) -> None:
        """The next mode."""
        run_line(self, "/mode")  # type: ignore[arg-type]  # the workbench, of which this is a part, is the desk

    def note(self, stamped: e.Stamped, *, anew: bool) -> None:
        """Take an event; `anew`: it is told again with all that came before."""
        self.deeds.take(stamped)
        self.prompts.take(stamped)
        match stamped.event:
            case e.ModelMissing() as missing:
                self.missing, self.pulled = missing, None
            case e.ModelPulled() as pulled:
                self.pulled = pulled
                if pulled.state == "done" and self.missing is not None and pulled.name == self.missing.pull:
                    self.settle_model()
            case e.ModelReady() | e.SessionClosed():
                self.settle_model()
            case _:
                pass
        if isinstance(stamped.event, e.Undone) and not anew:
            self._undone(stamped.event)
        if self.herald is not None and not anew and isinstance(stamped.event, WORTH_A_WORD):
            self.herald.tell(self.view.workspace, stamped.event)

        if self._tell_held and isinstance(stamped.event, e.ModelsListed):
            self._tell_held = False
            self._say_held()

    def show_title(self) -> None:
        """The terminal's title says how it stands."""
        if self.herald is not None:
            view = self.view
            ended = view.ended.outcome if view.ended is not None else ""
            working = f"round {view.round}" if view.running else ended
            self.herald.show(view.workspace, "waits for you" if view.asked else working)

    def forget(self) -> None:
        """Everything will be told anew."""
        self.deeds = Deeds()
        self.prompts = Prompts()
        self.settle_model()

    def settle_model(self) -> None:
        """There is a model, or one was chosen."""
        self.missing = self.pulled = None

    def offer_models(self) -> None:
        """Ask which model to use, once for each time that one is missing."""
        if self.missing is self._offered or not (self.missing is None or self.on_top):
            return  # what lies over the workbench goes first
        self._offered = self.missing
        if self.missing is not None and self.live:
            from jetbox.ui.screens.missing import Missing

            self.app.push_screen(Missing(self))

    def _undone(self, event: e.Undone) -> None:
        """The user's words come back to where they were typed."""
        if event.words and self.live and not self.prompt.text:
            self.prompt.write(event.words)

    @property
    def on_top(self) -> bool:
        """Whether nothing lies over the workbench."""
        return self.app.screen is self

    def action_undo(self) -> None:
        self.show_undo()

    def show_undo(self) -> None:
        """What each round did, and going back to before it."""
        from jetbox.ui.screens.undo import Undo

        if self.on_top:
            self.app.push_screen(Undo(self))

    def action_request(self) -> None:
        self.show_request()

    def show_request(self) -> None:
        """What the model saw, byte for byte."""
        from jetbox.ui.screens.request import Request

        if self.on_top:
            self.app.push_screen(Request(self))

    def action_sessions(self) -> None:
        self.show_sessions()

    def show_sessions(self) -> None:
        """What was recorded on this machine."""
        from jetbox.ui.screens.sessions import Sessions

        if self.on_top:
            self.app.push_screen(Sessions(self))

    def replay(self, name: str) -> None:
        """Leave, and play the recording of this name; without one, choose among them."""
        if not name:
            self.show_sessions()
            return
        from jetbox.record.library import find
        from jetbox.ui.wanted import Wanted

        try:
            self.go_to(Wanted("replay", find(name, self.sessions)))
        except JetboxError as error:
            self.word(reason(error))

    def go_to(self, wanted: Wanted) -> None:
        """Leave for another session; what runs is stopped when the user agrees."""
        if not (self.live and self.busy):
            self._leave_for(wanted)
            return
        from jetbox.ui.screens.question import Question

        def answered(yes: bool | None) -> None:
            if yes:
                self._leave_for(wanted)

        said = "A goal runs here. It is stopped when you leave, and can be gone on with later."
        question = Question(self.glyphs, self.status.colours, said, yes="stop it and leave", no="stay")
        self.app.push_screen(question, answered)

    def _leave_for(self, wanted: Wanted) -> None:
        from jetbox.ui.app import JetboxApp

        assert isinstance(self.app, JetboxApp)
        self.app.wanted = wanted
        self.leave()

    def leave(self) -> None:
        """Leave the workbench."""
        from jetbox.ui.app import JetboxApp

        assert isinstance(self.app, JetboxApp)
        self.app.leave()

    def switch_theme(self, name: str) -> None:
        """Other colours."""
        from jetbox.ui.app import JetboxApp

        assert isinstance(self.app, JetboxApp)
        self.app.use_theme(name)

    def show_settings(self) -> None:
        """What holds, and why."""
        from jetbox.ui.screens.settings import Settings

        if self.on_top:
            self.app.push_screen(Settings(self))

    def show_help(self) -> None:
        """The keys as they are bound, and the commands."""
        from jetbox.ui.screens.help import Help, help_groups

        groups, more = help_groups(self, self.keyed, ascii=self.glyphs.ascii)
        self.app.push_screen(Help(self.glyphs, self.status.colours, groups, COMMANDS if self.live else (), more))

    def show_why(self) -> None:
        from jetbox.ui.why import why

        for level, text in why(self.view):
            self.notice(level, text)

    def show_context(self) -> None:
        """What fills the window."""
        from jetbox.ui.accounts import context_words

        for text in context_words(self.view, self.prompts):
            self.notice("info", text)

    def show_held(self) -> None:
        """What the server holds; asked for, where somebody can be asked."""
        if self.live:
            self._tell_held = True
            self.submit(commands.ListModels(anew=True))
        else:
            self._say_held()

    def _say_held(self) -> None:
        from jetbox.ui.accounts import held_words, usage_words

        for text in [*held_words(self.view.listed, self.source.now()), *usage_words(self.view.ended)]:
            self.notice("info", text)

    def export(self, name: str) -> None:
        """Write the session as Markdown: beside its journal, or where the user says."""
        self.run_worker(self._export(name), group="export", exclusive=True)

    async def _export(self, name: str) -> None:
        with telling(lambda said: self.notice("warning", said), "not exported"):
            path = await self.aside.export(self.view.id, self.sessions, name)
            if self.has_class("-tiny"):  # a word in passing would cover the input
                self.notice("info", f"exported: {path}")
            else:
                self.app.notify(str(path), title="exported", markup=False)

    def action_point(self, by: int) -> None:
        """Show the figures of another round in the panel."""
        self.side.point(by)

    def action_timing(self) -> None:
        self.show_timing()

    def show_timing(self) -> None:
        """All rounds in time, and what could still be saved."""
        from jetbox.ui.screens.timing import TimingScreen

        if self.on_top:
            self.app.push_screen(TimingScreen(self))

    def escape_twice(self) -> None:
        """The first Esc where nothing is to be interrupted says what a second one does."""
        again = f"{self.key_names['session.cancel']} again: back to before a round"
        if self._armed:
            self._armed = False
            self.unsay(again)
            self.show_undo()
        else:
            self._armed = True
            if self.view.round:
                self.word(again, "dim")
            self.set_timer(AGAIN_S, lambda: self._disarm(again))

    def _disarm(self, said: str) -> None:
        self._armed = False
        self.unsay(said)
