"""What the model asks the user: the question, the answers that it offers, and room for any other."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message

from jetbox.engine.events import QuestionAsked
from jetbox.engine.safety.terminal import safe_text
from jetbox.ui.glyphs import Glyphs
from jetbox.ui.grace import GIVEN_NS, GRACE_NS
from jetbox.ui.keys import doing_of, first_keys
from jetbox.ui.text.inline import asked
from jetbox.ui.text.question import question_rows
from jetbox.ui.text.rows import BLANK, Piece, Row, fit, flow, one_line, row
from jetbox.ui.transcript.blocks import Look
from jetbox.ui.widgets.field import Field
from jetbox.ui.widgets.lined import Lined

LOW = 6
"""Rows of the terminal up to which a line of the question and the choice are all there is room for."""


class Asking(Lined):
    """The question and the choices; the one under the cursor is the answer where nothing is typed."""

    class Clicked(Message):
        """This choice was clicked."""

        def __init__(self, choice: int) -> None:
            super().__init__()
            self.choice = choice

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:
        super().__init__(glyphs, id=id)
        self.question: QuestionAsked | None = None
        self.at = 0
        """The choice under the cursor; -1 where another answer is typed, or none is offered."""
        self._scrolled = 0
        self._spots: dict[int, int] = {}

    def ask(self, question: QuestionAsked | None) -> None:
        """Ask this, or nothing."""
        self.question = question
        self.display = question is not None
        self._scrolled = 0
        self.at = 0 if question is not None and question.choices else -1
        self.redraw()

    @property
    def choice(self) -> str:
        """The answer under the cursor; empty where there is none."""
        return self.question.choices[self.at] if self.question is not None and self.at >= 0 else ""

    def numbered(self, number: int) -> str:
        """The choice with this number, from 1; empty where there is none."""
        choices = self.question.choices if self.question is not None else ()
        return choices[number - 1] if 0 < number <= len(choices) else ""

    def choose(self, step: int) -> None:
        """Go up or down in the choices."""
        if self.question is not None and self.question.choices:
            self.at = (self.at + step) % len(self.question.choices)
            self.redraw()

    def typed(self, text: str) -> None:
        """An answer of the user's own is typed, or not any more."""
        offered = self.question is not None and bool(self.question.choices)
        self.at = -1 if text or not offered else max(0, self.at)
        self.redraw()

    def scroll_question(self, rows: int) -> None:
        """Show another part of what does not fit."""
        self._scrolled = max(0, self._scrolled + rows)
        self.redraw()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll_question(-3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.scroll_question(3)

    def on_click(self, event: events.Click) -> None:
        if event.y in self._spots:
            self.post_message(self.Clicked(self._spots[event.y]))

    # ------------------------------------------------------------ drawing

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        if self.question is None:
            return 0
        return 2 if viewport.height <= LOW else 1 + len(self._head(width)) + len(self._choices(width))

    def lines(self, width: int) -> list[Row]:
        if self.question is None:
            return []
        head, choices = self._head(width), self._choices(width)
        height = self.size.height or len(head) + len(choices) + 1
        rule = height > 2
        room = max(1, height - rule)
        kept = [each for _, each in choices]
        if len(head) + len(kept) > room:
            # The choice under the cursor is always in sight.
            below = max(0, min(len(kept), room - 1))
            first = next((n for n, (number, _) in enumerate(choices) if number == max(0, self.at)), 0)
            start = min(max(0, first - below + 1), len(kept) - below)
            choices, kept = choices[start : start + below], kept[start : start + below]
        above = max(0, room - len(kept))
        self._scrolled = min(self._scrolled, max(0, len(head) - above))
        shown = head[self._scrolled : self._scrolled + above]
        self._spots = {rule + len(shown) + n: number for n, (number, _) in enumerate(choices) if number >= 0}
        return [*([self._rule(width, above, len(head))] if rule else []), *shown, *kept]

    def _rule(self, width: int, room: int, rows: int) -> Row:
        said = f" lines {self._scrolled + 1} to {self._scrolled + room} of {rows} " if rows > room else ""
        line = self.glyphs.rule * max(0, width - len(said) - 2)
        return Row(fit(((line, "warning"), (said, "warning"), (self.glyphs.rule * 2, "warning")), width))

    def _head(self, width: int) -> list[Row]:
        """The question, as many lines as it has."""
        if self.question is None:
            return []
        first, _, rest = safe_text(self.question.question).partition("\n")
        sign: tuple[Piece, ...] = ((f" {self.glyphs.question} ", "warning"),)
        out = flow(asked(one_line(first), "bold"), width, first=sign, rest=(("   ", ""),))
        return out + question_rows(rest, Look(self.glyphs).signs, "   ", width)

    def _choices(self, width: int) -> list[tuple[int, Row]]:
        """The rows of the choices, each with its choice."""
        if self.question is None:
            return []
        out: list[tuple[int, Row]] = [(-1, BLANK)] if self.question.choices else []
        for n, choice in enumerate(self.question.choices):
            here = n == self.at
            sign = f" {self.glyphs.prompt} " if here else "   "
            first: tuple[Piece, ...] = ((sign, "accent"), (f"{n + 1} ", "key"))
            said = asked(one_line(choice), "bold" if here else "")
            out += [(n, each) for each in flow(said, width, first=first, rest=(("     ", ""),))]
        return out


class Lead(Lined):
    """What stands before the field: the sign of what is chosen, where something is typed."""

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:
        super().__init__(glyphs, id=id)
        self._chosen = False

    def show(self, *, chosen: bool) -> None:
        """Whether what is typed is the answer."""
        if chosen != self._chosen:
            self._chosen = chosen
            self.redraw()

    def lines(self, width: int) -> list[Row]:
        return [row((f" {self.glyphs.prompt} " if self._chosen else "", "accent"))]


class Reply(Field):
    """Where the answer is typed; with nothing typed, keys choose."""

    BINDING_GROUP_TITLE = "Question of the model"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "send", "Give the answer", id="answer.send", show=False),
        Binding("ctrl+j,shift+enter,alt+enter", "newline", "Break the line", id="answer.newline", show=False),
        Binding("up", "choose(-1)", "The choice above", id="answer.up", show=False),
        Binding("down", "choose(1)", "The choice below", id="answer.down", show=False),
        Binding("escape", "none", "No answer", id="answer.none", show=False),
    ]

    class Given(Message):
        """The user answers; empty: not at all."""

        def __init__(self, question: str, text: str) -> None:
            super().__init__()
            self.question = question
            self.text = text

    class Ready(Message):
        """It is there and can have the focus."""

    def __init__(self, asking: Asking, clock: Callable[[], int], *, id: str | None = None) -> None:
        """`clock` is the session's, in ns: the time of grace is measured by it."""
        super().__init__(id=id)
        self._asking = asking
        self.lead = Lead(asking.glyphs, id="lead")
        self.typed = self._typed
        self._clock = clock
        self.since = 0
        """When the question appeared, in ns."""
        self._given = -GIVEN_NS
        """When it was answered, in ns."""
        self._led_by = ""

    def on_mount(self) -> None:
        self.post_message(self.Ready())

    def ask(self, question: QuestionAsked | None) -> None:
        """Begin anew for this question; without one there is nothing to type."""
        self.clear()
        self._given = -GIVEN_NS
        self.lead.show(chosen=False)
        self.since = self._clock()
        self.placeholder = self._invites(question)

    def lead_by(self, key: str) -> bool:
        """Say that this key leads here, since letters go elsewhere; empty: they do not. Whether that is new."""
        changed = key != self._led_by
        if changed:
            self._led_by = key
            self.placeholder = self._invites(self._asking.question)
        return changed

    def _invites(self, question: QuestionAsked | None) -> str:
        """What stands where nothing is typed: how to come here, or to leave, where no other row says it."""
        if self._led_by:
            return f"{self._led_by} to answer"
        leaves = first_keys(self, ascii=self._asking.glyphs.ascii).get("answer.none", "")
        if leaves and self.app.size.height <= LOW:
            return f"{leaves} no answer"
        return "another answer" if question is not None and question.choices else "your answer"

    @property
    def early(self) -> bool:
        """Whether the question has only just appeared."""
        return self._clock() - self.since < GRACE_NS

    @property
    def given(self) -> bool:
        """Whether it was answered, and only the end of that is to come."""
        return self._clock() - self._given < GIVEN_NS

    def _typed(self, changed: bool) -> None:
        if changed:
            self._asking.typed(self.text)
            self.lead.show(chosen=bool(self.text))

    def chooses(self, typed: str) -> bool:
        """Whether this is the number of a choice, and not part of an answer that is typed."""
        return typed.isdecimal() and not self.text and bool(self._asking.numbered(int(typed)))

    def point_at(self, number: str) -> None:
        """Put the cursor on the choice of this number."""
        self._asking.choose(int(number) - 1 - self._asking.at)

    def answer_by(self, number: str) -> None:
        """Answer with the choice of this number."""
        self.give(self._asking.numbered(int(number)))

    async def _on_key(self, event: events.Key) -> None:
        if self.early and doing_of(self, event.key) in ("send", "none"):
            event.stop()
            event.prevent_default()
            return
        await super()._on_key(event)

    def on_paste(self, event: events.Paste) -> None:
        """A paste is text, whatever it holds; the text area goes on from here."""
        event.text = safe_text(event.text)

    def action_send(self) -> None:
        text = self.text.strip() or self._asking.choice
        if text:
            self.give(text)

    def action_none(self) -> None:
        self.give("")

    def action_choose(self, step: int) -> None:
        """To another choice; in a text that has several rows, a row on."""
        if not self.text:
            self._asking.choose(step)
        elif step < 0:
            self.action_cursor_up()
        else:
            self.action_cursor_down()

    def give(self, text: str) -> None:
        """Answer with this; empty: not at all."""
        if self._asking.question is not None:
            self._given = self._clock()
            self.post_message(self.Given(self._asking.question.id, text))
