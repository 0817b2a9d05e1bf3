"""Questions in the workbench: whether something is allowed, and what the model wants to know."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual import on

from jetbox.engine import commands
from jetbox.engine import events as e
from jetbox.ui.keying import LEADS
from jetbox.ui.screens.reading import Reading
from jetbox.ui.widgets.permission import Permission

if TYPE_CHECKING:
    from textual.widget import Widget

    from jetbox.ui.app import JetboxApp
    from jetbox.ui.widgets.asking import Asking, Reply


class Inquiring(Reading):
    """One question at a time, each with its own dialog; the model's is made when it asks for the first time."""

    asking: Asking | None = None
    reply: Reply | None = None
    key_names: dict[str, str]

    def submit(self, command: commands.AnyCommand) -> None:
        """Hand a command to the session."""
        raise NotImplementedError

    def know_keys(self) -> None:
        """Keys were bound or bound anew."""
        raise NotImplementedError

    def ask(self, question: e.PermissionAsked | e.QuestionAsked | None) -> None:
        """Show what is asked; None takes the dialog away."""
        permission = question if isinstance(question, e.PermissionAsked) else None
        wanted = question if isinstance(question, e.QuestionAsked) else None
        if (permission, wanted) == (self.permission.question, self.inquired):
            return
        there = self.focused is None or self.focused in (self.permission, self.reply)
        comes = question is not None and not self.searching
        self.set_class(wanted is not None, "-asking")
        self.set_class(question is not None, "-asked")
        self.permission.ask(permission)
        if wanted != self.inquired:
            self._inquire(wanted)
        if comes or there:
            self.home_focus()
        self.show_way()

    @property
    def searching(self) -> bool:
        """Whether letters are searched for, whatever is asked."""
        return self.search.display and self.focused is self.search

    @property
    def led_by(self) -> str:
        """The key that leads to the dialog, where letters are for something else; empty where they answer."""
        answers = not self.asked_here or cast("JetboxApp", self.app).keying.answers
        return "" if answers else self.key_names.get(LEADS, "")

    def show_way(self) -> None:
        """Say in the dialog which key answers now."""
        self.permission.lead(self.led_by)
        if self.reply is not None and self.reply.lead_by(self.led_by):
            self.know_keys()

    def on_descendant_focus(self) -> None:
        """Something else has the keys."""
        self.show_way()

    @property
    def inquired(self) -> e.QuestionAsked | None:
        """What the model wants to know now."""
        return self.asking.question if self.asking is not None else None

    @property
    def asked_here(self) -> bool:
        """Whether a question is open."""
        return self.permission.question is not None or self.inquired is not None

    def _inquire(self, question: e.QuestionAsked | None) -> None:
        if self.asking is None or self.reply is None:
            from textual.containers import Horizontal

            from jetbox.ui.widgets.asking import Asking, Reply

            self.asking = Asking(self.glyphs, id="asking")
            self.reply = Reply(self.asking, self.source.now, id="reply")
            for widget in (self.asking, self.reply.lead):
                widget.paint(self.permission.colours)
            self.mount(self.asking, Horizontal(self.reply.lead, self.reply, id="answer"), before="#suggest")
        self.asking.ask(question)
        self.reply.ask(question)
        self.know_keys()

    def on_reply_ready(self) -> None:
        """What was not there yet could not have the focus: asked for before, it never got it."""
        if self.asked_here and not self.searching:
            self.home_focus()

    @property
    def home(self) -> Widget:
        """Where keys go when nothing else wants them."""
        if self.permission.question is not None:
            return self.permission
        if self.inquired is not None and self.reply is not None:
            return self.reply
        return self.bar or (self.prompt if self.live else self.transcript)

    def home_focus(self) -> None:
        self.home.focus()

    def action_page(self, direction: int) -> None:
        if self.permission.question is not None and self.permission.has_focus:
            self.permission.action_scroll_diff(direction * 8)
        elif self.asking is not None and self.reply is not None and self.reply.has_focus:
            self.asking.scroll_question(direction * 8)
        else:
            self.transcript.page(direction)

    @on(Permission.Answered)
    def _answered(self, message: Permission.Answered) -> None:
        self.submit(commands.Answer(message.question, message.answer))

    def on_reply_given(self, message: Reply.Given) -> None:
        """The user answers the model."""
        self.submit(commands.Reply(message.question, message.text))

    def on_asking_clicked(self, message: Asking.Clicked) -> None:
        """A choice was clicked."""
        question, reply = self.inquired, self.reply
        if question is not None and reply is not None and not (reply.early or reply.given):
            reply.give(question.choices[message.choice])
