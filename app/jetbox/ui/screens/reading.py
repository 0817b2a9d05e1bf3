"""The workbench's transcript and what one does with it: search, copy, turn its pages."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.binding import Binding, BindingType

from jetbox.engine.errors import JetboxError, RecordingError
from jetbox.ui.screens.overlays import Overlays
from jetbox.ui.telling import telling
from jetbox.ui.transport import Transport
from jetbox.ui.widgets.permission import Permission
from jetbox.ui.widgets.search import Search
from jetbox.ui.widgets.thumb import Thumb
from jetbox.ui.widgets.transcript import Transcript
from jetbox.ui.widgets.transport import TransportBar

if TYPE_CHECKING:
    from jetbox.ui.app import JetboxApp

PROBLEMS = 3
"""So many of a recording's are told one by one."""


class Reading(Overlays):
    """What of the workbench is about reading."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+o", "toggle_expanded", "Expand, fold", id="transcript.expand", show=False, priority=True),
        Binding("ctrl+f", "find", "Search the transcript", id="transcript.find", show=False, priority=True),
        Binding("pageup", "page(-1)", "A page up", id="transcript.page_up", show=False, priority=True),
        Binding("pagedown", "page(1)", "A page down", id="transcript.page_down", show=False, priority=True),
    ]
    transcript: Transcript
    thumb: Thumb
    search: Search
    permission: Permission
    bar: TransportBar | None
    transport: Transport | None

    def on_mount(self) -> None:
        problems = self.transport.problems if self.transport is not None else ()
        for said in problems[:PROBLEMS]:
            self.notice("warning", said)
        if len(problems) > PROBLEMS:
            self.notice("warning", f"{len(problems) - PROBLEMS} more places were not read as they stand")

    @property
    def asked_here(self) -> bool:
        """Whether a question is open."""
        raise NotImplementedError

    def home_focus(self) -> None:
        """To where keys go when nothing else wants them."""
        raise NotImplementedError

    def action_toggle_expanded(self) -> None:
        self.toggle_expanded()

    def toggle_expanded(self) -> None:
        self.transcript.toggle_expanded()

    def go_to_round(self, number: int) -> None:
        """Show the round with this number; in a recording that has not come so far, go on to it."""
        if self.transcript.go_to_round(number):
            return
        if self.bar is None:
            self.word(f"there is no round {number}")
            return
        try:
            self.bar.go_to_round(number)
        except RecordingError as error:
            self.word(error.message)
        else:
            self.transcript.follow = True  # it will stand at the end

    def ask_round(self) -> None:
        """Have the number of a round typed, and go there."""
        from jetbox.ui.screens.number import Number

        def answered(number: int | None) -> None:
            if number is not None:
                self.go_to_round(number)

        self.app.push_screen(Number(self.glyphs, self.status.colours, "go to round"), answered)

    def action_page(self, direction: int) -> None:
        self.transcript.page(direction)

    def action_read(self, rows: int) -> None:
        self.transcript.move(rows)

    def action_read_end(self, which: int) -> None:
        if which < 0:
            self.transcript.action_scroll_to_start()
        else:
            self.transcript.action_scroll_to_end()

    def action_copy(self) -> None:
        self.transcript.action_copy()

    def action_say_fork(self) -> None:
        """What to run to go on with a recording."""
        from jetbox.record.library import here, samples

        name, path, folder = self._called()
        yours = path.is_dir() and path not in samples().values()
        if not (yours and folder.is_dir()):
            why = "its folder is gone" if yours else "it is no session of yours"
            self.word(f"it only plays, and does not go on: {why}")
            return
        there = "" if folder.resolve() == here() else f" --cwd {quote(str(folder))}"
        self.word(f"goes on from its end only: jetbox-tui -r {name}{there}", "dim")

    def action_say_compare(self) -> None:
        """What to run to set the rounds of a recording beside another's."""
        self.word(f"rounds of one only: jetbox-tui sessions show {self._called()[0]}", "dim")

    def _called(self) -> tuple[str, Path, Path]:
        """What names the recording on a command line, its folder or file, and the folder it was recorded in."""
        from jetbox.record.journal import JOURNAL
        from jetbox.record.library import named

        assert self.transport is not None
        file = self.transport.path.absolute()
        path = file.parent if file.name == JOURNAL else file
        return quote(named(file, self.sessions)), path, Path(self.view.workspace)

    def cut_off(self, transport: Transport, error: JetboxError) -> bool:
        """A recording cannot be read as it was: it ends with what is shown; where that is nothing, so does the screen.

        False in that case.
        """
        app = cast("JetboxApp", self.app)
        app.failure = error
        if self.view.seq < 0:
            app.leave()
            return False
        transport.cut(self.view.seq)
        self.notice("error", error.message, error.hint)
        self.word(f"it ends here: {error.message}", "failed")
        return True

    def show_place(self) -> None:
        """Show where in the transcript one is."""
        transcript = self.transcript
        marks = transcript.marks(self.thumb.size.height)
        self.thumb.show(transcript.scroll_offset.y, transcript.virtual_size.height, marks)

    @on(Transcript.Finding)
    def action_find(self) -> None:
        """Search the transcript."""
        if self.app.screen is self:
            self.search.open()

    @on(Search.Asked)
    def _searched(self, message: Search.Asked) -> None:
        self.transcript.seek(message.wanted, message.step)

    @on(Transcript.Found)
    def _found(self, message: Transcript.Found) -> None:
        self.search.tell(message.said)

    @on(Search.Closed)
    def _search_closed(self) -> None:
        self.transcript.end_search()
        self.home_focus()

    @on(Transcript.Copied)
    def _copied(self, message: Transcript.Copied) -> None:
        self.app.copy_to_clipboard(message.text)
        self.word(f"copied {message.what}", "dim")
        # Made when it runs: where another copy follows at once, it never does.
        copy = partial(self._copy_natively, message.text)
        self.run_worker(copy, group="clipboard", exclusive=True)  # type: ignore[arg-type]  # a result is not inferred

    async def _copy_natively(self, text: str) -> None:
        from jetbox.ui.clipboard import copy_natively

        with telling(self.word, "copied as far as the terminal hands it on"):
            await copy_natively(text)

    @on(TransportBar.Sought)
    def _stayed(self, message: TransportBar.Sought) -> None:
        if message.said:
            self.word(message.said)

    @on(Transcript.Failed)
    def _failed(self, message: Transcript.Failed) -> None:
        self.word(message.said)

    @on(Thumb.Dragged)
    def _dragged(self, message: Thumb.Dragged) -> None:
        self.transcript.jump(round(message.share * self.transcript.max_scroll_y))
