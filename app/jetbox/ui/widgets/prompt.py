"""Where the user types: several lines, with a history."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from jetbox.engine.safety.terminal import safe_text
from jetbox.ui.keys import raw_keys
from jetbox.ui.telling import telling
from jetbox.ui.widgets.field import Field

if TYPE_CHECKING:
    from jetbox.ui.completing import Completer

HISTORY = 200
LARGE_CHARS = 2_000
LARGE_LINES = 20
"""A paste of more stands in the input as a marker, and is put in its place when it is sent."""
SLOW_CHARS = 20_000
"""More than this does so wherever it comes from: the input would take seconds to lay it out."""


class Prompt(Field):
    """Enter sends, Ctrl+J breaks the line, up and down at the edges go through the history."""

    BINDING_GROUP_TITLE = "Input"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "send", "Send", id="input.send", show=False),
        Binding("tab", "complete", "Complete a command or @file", id="input.complete", show=False),
        Binding("ctrl+g", "edit", "Write it in your editor", id="input.edit", show=False),
        Binding("ctrl+j,shift+enter,alt+enter", "newline", "Break the line", id="input.newline", show=False),
        Binding("ctrl+enter,ctrl+s", "send_now", "Interrupt with it", id="input.now", show=False),
        Binding("up", "earlier", "Earlier prompt; what waits, to edit it", id="input.earlier", show=False),
        Binding("down", "later", "Later prompt", id="input.later", show=False),
        Binding("delete", "drop", "Take out what waits, where nothing is typed", id="input.drop", show=False),
    ]

    APART: ClassVar[tuple[str, ...]] = ("edit",)

    class Sent(Message):
        """The user sent this."""

        def __init__(self, text: str, *, now: bool = False) -> None:
            super().__init__()
            self.text = text
            self.now = now

    class WantedBack(Message):
        """What waits is wanted back: to be edited, or not to be said at all."""

        def __init__(self, *, edit: bool) -> None:
            super().__init__()
            self.edit = edit

    class Over(Message):
        """The user has nothing more to say."""

    def __init__(self, *, id: str | None = None, placeholder: str = "") -> None:
        super().__init__(id=id, placeholder=placeholder)
        self._sent: list[str] = []
        self._at = 0
        """Place in the history; its length for what is being typed."""
        self._draft = ""
        self._emptied = ""
        """What was typed and cleared, and can be had back."""
        self._pasted: dict[str, str] = {}
        """Large pastes by their markers."""
        self._draft_pasted: dict[str, str] = {}
        self._folded: dict[str, tuple[str, dict[str, str]]] = {}
        """What was sent with such pastes, as it stood in the input."""
        self.completer: Completer | None = None
        self.waiting = False
        """Whether something that was sent waits to be said."""

    def recall(self, texts: list[str]) -> None:
        """These were sent in earlier sessions."""
        self._sent = [*texts, *self._sent][-HISTORY:]
        self._at = len(self._sent)

    def remember(self, text: str) -> None:
        """One more prompt that can be called back."""
        if text and (not self._sent or self._sent[-1] != text):
            self._sent = [*self._sent, text][-HISTORY:]
        self._at = len(self._sent)

    def empty(self) -> None:
        """Nothing was typed, and nothing called back."""
        self._emptied = self.text
        self._at, self._draft = len(self._sent), ""
        self.clear()

    def action_delete_right(self) -> None:
        """Delete a character; where there is none, that is the end of the input."""
        if self.text:
            super().action_delete_right()
        else:
            self.post_message(self.Over())

    def action_undo(self) -> None:
        """Take back what was typed, or cleared; where nothing was, the shell has the terminal until `fg`."""
        if self.text:
            super().action_undo()
        elif self._emptied:
            self.write(self._emptied)
            self._emptied = ""
        else:
            self.app.action_suspend_process()

    def action_send(self) -> None:
        self._send(now=False)

    def action_send_now(self) -> None:
        self._send(now=True)

    def _send(self, *, now: bool) -> None:
        if self._offered is not None and self._offered.takes_enter:
            self._offered.take()
            return
        text = self.whole.strip()
        if text:
            if self._pasted:
                self._folded[text] = (self.text.strip(), self._pasted)
                self._pasted = {}
                if len(self._folded) > HISTORY:
                    del self._folded[next(iter(self._folded))]
            self.remember(text)
            self.clear()
            self.post_message(self.Sent(text, now=now))

    @property
    def whole(self) -> str:
        """The text with what was pasted in the place of its markers."""
        text = self.text
        for marker, pasted in self._pasted.items():
            text = text.replace(marker, pasted)
        return text

    @property
    def _offered(self) -> Completer | None:
        return self.completer if self.completer is not None and self.completer.open else None

    def action_complete(self) -> None:
        """Put in what is offered; where nothing is, go on to the next part of the screen."""
        if self._offered is not None:
            self._offered.take()
        else:
            self.screen.focus_next()

    def leaves(self, key: str) -> bool:
        """Whether a key goes on to the next part of the screen at once, where the keys behind it belong.

        That is so where nothing is offered and nothing typed, and no key before it waits.
        """
        nothing = not self.text and not self.message_queue_size and self._offered is None
        return nothing and key in raw_keys(self, "input.complete")

    async def action_edit(self) -> None:
        """Write the text in the user's editor; the session goes on meanwhile."""
        from jetbox.ui.app import JetboxApp
        from jetbox.ui.editing import edit

        if self.completer is None:
            return
        assert isinstance(self.app, JetboxApp)
        text = changed = self.whole
        with telling(self.completer.say, "the text stays as it was"):
            changed = await edit(self.app, text)
        if changed != text:
            text = safe_text(changed).rstrip("\n")
            for marker, pasted in [*self._pasted.items()]:
                if pasted in text:
                    text = text.replace(pasted, marker, 1)
                else:
                    del self._pasted[marker]
            self.load_text(self._light(text))
            self.move_cursor(self.document.end)

    def action_earlier(self) -> None:
        """To the prompt before, from the first row; else one row up."""
        if self._offered is not None:
            self._offered.move(-1)
        elif self.wrapped_document.location_to_offset(self.cursor_location).y > 0:
            self.action_cursor_up()
        elif self.waiting and not self.text:
            self.post_message(self.WantedBack(edit=True))
        elif self._at > 0:
            if self._at == len(self._sent):
                self._draft, self._draft_pasted = self.text, self._pasted
            self._recall(self._at - 1)

    def action_later(self) -> None:
        """To the prompt after, from the last row; else one row down."""
        if self._offered is not None:
            self._offered.move(1)
            return
        last = self.wrapped_document.height - 1
        if self.wrapped_document.location_to_offset(self.cursor_location).y < last:
            self.action_cursor_down()
        elif self._at < len(self._sent):
            self._recall(self._at + 1)

    def action_drop(self) -> None:
        """Take out what waits; where something is typed, what is right of the cursor."""
        if self.waiting and not self.text:
            self.post_message(self.WantedBack(edit=False))
        elif self.text:
            self.action_delete_right()

    def _recall(self, at: int) -> None:
        self._at = at
        if at == len(self._sent):
            text, self._pasted = self._draft, self._draft_pasted
        else:
            text, pasted = self._folded.get(self._sent[at], (self._sent[at], {}))
            self._pasted = dict(pasted)
        self.load_text(self._light(text))
        self.move_cursor(self.document.end)

    def write(self, text: str) -> None:
        super().write(self._light(text))

    def on_paste(self, event: events.Paste) -> None:
        """A paste is text, whatever it holds; the text area goes on from here."""
        text = safe_text(event.text)
        large = len(text) > LARGE_CHARS or text.count("\n") >= LARGE_LINES
        event.text = self._marker(text) if large else text

    def _light(self, text: str) -> str:
        """The text, or a marker where the input would be slow with it."""
        return self._marker(text) if len(text) > SLOW_CHARS else text

    def _marker(self, text: str) -> str:
        """What stands for this text until it is sent."""
        lines = text.count("\n") + 1
        size = f"{lines:,} lines" if lines > 1 else f"{len(text):,} characters"
        taken = {int(each.split()[1].rstrip(":")) for each in self._pasted}
        number = next(n for n in range(1, len(taken) + 2) if n not in taken)
        self._pasted[marker := f"[pasted {number}: {size}]"] = text
        return marker
