"""Whom a key belongs to: decided when it is read, in the order in which they were typed.

The focus moves later than keys come, and a question appears while somebody types: no key may
be lost, overtake another, or decide what it was not meant for. What closes a screen or a dialog
acts later than it is read, too: until then, what was typed behind it waits.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, cast

from textual import events
from textual.message import Message
from textual.widget import Widget

from jetbox.ui.grace import GRACE_NS
from jetbox.ui.keys import doing_of, raw_keys
from jetbox.ui.widgets.field import Field
from jetbox.ui.widgets.permission import ANSWER_OF
from jetbox.ui.words import NS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from textual.screen import Screen

    from jetbox.ui.app import JetboxApp
    from jetbox.ui.screens.over import Over
    from jetbox.ui.screens.workbench import Workbench
    from jetbox.ui.widgets.asking import Reply
    from jetbox.ui.widgets.permission import Permission

Typed = events.Key | events.Paste
ENDING = ("app.quit", "app.leave")
"""What does not wait for the first frame."""
ANSWERING = ("answer", "send", "none")
"""What keys do that answer a question."""
SCROLLS = "scroll_diff"
"""What keys do that look at what is asked, and answer nothing."""
SENDING = ("send", "send_now")
"""What keys of the input do that may have something opened: what is typed behind them is for that."""
CHOOSING = ("earlier", "later", "complete")
"""What keys of the input do that a dialog has too, or that lead to it."""
LEAST_NS = 10_000_000
"""How long to wait for keys that were read and have not acted."""
LEADS = "input.complete"
"""The key that leads from the input to the dialog, where nothing is offered to complete."""


class Acted(Message):
    """What was typed before it has acted; it goes the way of a key."""

    def __init__(self, on: Widget) -> None:
        super().__init__()
        self.on = on


class Keying:
    """Puts the focus where a key or paste belongs, and says which may act now."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._taking = False
        self._early: list[Typed] = []
        self._held: list[Typed] = []
        """A letter that may be the beginning of words, or an answer: one that came too soon, or is waited with."""
        self._meant: tuple[str, int, str] | None = None
        """The question that what is held answers where none follows, when it was last typed (ns), action or digit."""
        self._last = -GRACE_NS
        """When a letter was last typed that was no answer, by the session's clock in ns."""
        self._rolls = False
        """Whether the latest letter scrolled what is asked about: another goes on with that, however soon it comes."""
        self._lent = False
        """Whether the input has the keys of a dialog while words go on."""
        self._led = ""
        """The question to whose dialog a key led from a draft: letters answer it."""
        self._on: tuple[Screen[Any], Widget] | None = None
        """The screen and the widget that something was typed on which may close them, until it has acted."""
        self._behind: deque[Typed] = deque()
        """What was typed meanwhile."""

    @property
    def taking(self) -> bool:
        """Whether keys act: the first frame is there."""
        return self._taking

    def begin(self) -> list[Typed]:
        """The first frame is there: what came before it, in its order."""
        early, self._early, self._taking = self._early, [], True
        bench = self._bench
        if early and bench.focused is None:
            bench.set_focus(bench.bar or (bench.prompt if bench.live else bench.transcript))
        return early

    def waits(self, event: Typed) -> bool:
        """Whether it waits for what was typed before it to act."""
        if self._on is not None and (self._on[1]._closing or self._bench.app.screen is not self._on[0]):
            self._on = None
            self._bench.app.call_next(cast("JetboxApp", self._bench.app).type_on)
        if self._on is None and not self._behind:
            return False
        self._behind.append(event)
        return True

    def next(self) -> Iterator[Typed]:
        """What waited, as long as it need not wait any more."""
        while self._on is None and self._behind:
            yield self._behind.popleft()

    def closing(self) -> tuple[Screen[Any], Widget] | None:
        """The screen and the widget where a key would act that may close them; None in the workbench's own input."""
        screen = self._bench.app.screen
        if screen is not self._bench:
            return screen, cast("Over[Any]", screen).typed_on
        bench = self._bench
        on = next((each for each in (bench.permission, bench.reply, bench.search) if each is screen.focused), None)
        return (screen, on) if on is not None else None

    def drafting(self) -> tuple[Screen[Any], Widget] | None:
        """The same of the input while something is asked: whose the next key is, its text says."""
        bench = self._bench
        here = bench.asked_here and bench.app.screen is bench and bench.focused is bench.prompt
        return (bench, bench.prompt) if here else None

    def opening(self, event: Typed) -> tuple[Screen[Any], Widget] | None:
        """The same of a key that goes on from what has the focus: it may open a screen."""
        bench = self._bench
        on = bench.focused
        if on is None or bench.app.screen is not bench or not isinstance(event, events.Key) or event.is_printable:
            return None
        return (bench, on) if not doing_of(on, event.key) else None

    @property
    def answers(self) -> bool:
        """Whether a letter would be an answer now, or for its dialog at least: nothing else is being typed."""
        bench, dialog = self._bench, self._dialog
        if dialog is None or self._draft_stands:
            return False
        return bench.focused is dialog or (self._lent and bench.focused is bench.prompt)

    @property
    def _dialog(self) -> Permission | Reply | None:
        """Where what is asked is answered."""
        bench = self._bench
        if bench.permission.question is not None:
            return bench.permission
        return bench.reply if bench.inquired is not None else None

    @property
    def _question(self) -> str:
        asked = self._bench.permission.question or self._bench.inquired
        return asked.id if asked is not None else ""

    @property
    def _draft_stands(self) -> bool:
        """Whether letters go on with what stands in the input, since no key led from there to the dialog."""
        return bool(self._bench.prompt.text) and self._led != self._question

    def sending(self, event: Typed) -> tuple[Screen[Any], Widget] | None:
        """The same of a key that sends what stands in the input: it may be a command that opens a screen."""
        bench = self._bench
        if bench.app.screen is not bench or bench.focused is not bench.prompt or not isinstance(event, events.Key):
            return None
        return (bench, bench.prompt) if doing_of(bench.prompt, event.key) in SENDING else None

    def wait(self, on: tuple[Screen[Any], Widget], *, sent: bool = False) -> None:
        """Something was typed there: what is typed now waits until that has acted, and what it `sent` too."""
        if self._bench.app.screen is not on[0]:
            return
        acted = Acted(on[1])
        if on[1].call_later(on[1].post_message, acted) if sent else on[1].post_message(acted):
            self._on = on

    def acted(self, on: Widget | None = None) -> None:
        """What was typed on this widget has acted; None: whatever it was."""
        if on is None or (self._on is not None and self._on[1] is on):
            self._on = None

    def deal(self, event: Typed) -> Sequence[Typed]:
        """What shall act now, in this order, where the focus is."""
        bench = self._bench
        if not self._taking:
            if isinstance(event, events.Key) and any(event.key in raw_keys(bench.app, name) for name in ENDING):
                self._early.clear()  # it clears the input
                return (event,)
            self._early.append(event)
            return ()
        if bench.focused is bench.search and not bench.search.display:
            bench.set_focus(bench.home)  # it was closed, and word of that is on its way
        if not bench.live or bench.app.screen is not bench:
            return (event,)
        self._answer_as_meant(self._when(event))
        dialog = self._dialog
        if dialog is not None and dialog.given:
            if bench.focused is dialog:
                return self._behind_answer(event, dialog)
            dialog = None
        if isinstance(event, events.Paste):
            return self._pasted(event)
        if dialog is None:
            self._lent = False
            return self._elsewhere(event)
        from_words = bench.focused is bench.prompt or self._draft_stands or bench.searching
        if from_words and event.key in raw_keys(bench.prompt, LEADS):
            return self._lead(event, dialog)
        if bench.focused is dialog or (self._lent and bench.focused is bench.prompt):
            dealt = self._of_permission(event) if dialog is bench.permission else self._of_reply(event)
            return () if dealt is None else self._to(dialog, event) if not dealt else self._draft(event)
        self._led = ""
        return self._elsewhere(event)

    def _lead(self, event: events.Key, dialog: Permission | Reply) -> Sequence[Typed]:
        """From the input to the dialog; where something is offered, or words go on, the key is for those."""
        bench = self._bench
        if bench.completer.open:
            return self._draft(event)
        if not self._too_soon(event, dialog):
            self._to(dialog, event)
            self._led = self._question
            bench.show_way()
        return ()

    def pressed(self, event: events.MouseDown) -> None:
        """A click into the field for the answer leads there as the key does."""
        bench, reply = self._bench, self._bench.reply
        here = bench.app.screen is bench and bench.focused is reply and self._dialog is reply
        if reply is not None and here and reply.region.contains(event.screen_x, event.screen_y):
            self._lent, self._led = False, self._question
            bench.show_way()

    def _too_soon(self, event: events.Key, dialog: Permission | Reply) -> bool:
        """Whether the question, or the last letter of other words, is so new that a key is not meant for it."""
        return self._when(event) - max(dialog.since, self._last) < GRACE_NS

    def _of_permission(self, event: events.Key) -> bool | None:
        """Whether a key belongs to what is being typed and not to this dialog; None: to neither."""
        bench, does = self._bench, doing_of(self._bench.permission, event.key)
        early, decides = self._too_soon(event, bench.permission), does.startswith("answer")
        if event.is_printable:
            self._last = self._when(event)
            goes_on, self._rolls = self._rolls, does.startswith(SCROLLS) and not self._draft_stands
            if self._meant is not None and self._same(event):
                self._held.append(event)
                self._meant = self._meant[0], self._last, self._meant[2]  # from now on none may follow
                return None
            if self._draft_stands or (early and self._held):
                return True
            if goes_on and self._rolls and self._last - bench.permission.since >= GRACE_NS:
                return False
            if does and (early or decides):
                self._held = [event]
                self._rolls = False
                if not early:
                    self._wait_for_more(self._question, self._last, does)
                return None
            return not does
        if early and decides:
            return None if self._meant is None else False
        if self._meant is not None and not does and doing_of(bench.prompt, event.key) == "send":
            self._answer_as_meant(self._meant[1] + GRACE_NS)
            return None
        return not does and self._edits(event.key) and bool(bench.prompt.text or (early and self._held))

    def _same(self, event: events.Key) -> bool:
        """Whether it is the letter that is held: pressed twice, or held down, it means what it meant."""
        return any(isinstance(held, events.Key) and held.key == event.key for held in self._held[:1])

    def _of_reply(self, event: events.Key) -> bool | None:
        """The same for the dialog of a question of the model's, where words are an answer too."""
        bench = self._bench
        if bench.reply is None or not self._draft_stands:
            return None if bench.reply is not None and self._chooses(event, bench.reply) else False
        early = self._too_soon(event, bench.reply)
        if event.is_printable:
            self._last = self._when(event)
            return True
        if early and doing_of(bench.reply, event.key) == "none":
            return None
        return bool(doing_of(bench.prompt, event.key))

    def _chooses(self, event: events.Key, reply: Reply) -> bool:
        """Whether a digit chooses an answer where nothing follows that makes it the beginning of words: it is held."""
        digit = event.character or ""
        if self._goes_on(event) or not reply.chooses(digit):
            return False
        self._held, self._last = [event], self._when(event)
        if self._last - reply.since >= GRACE_NS:
            reply.point_at(digit)
            self._wait_for_more(self._question, self._last, digit)
        return True

    def _goes_on(self, event: events.Key) -> bool:
        """Whether it makes what is held the beginning of words."""
        return event.is_printable and bool(self._held) and self._when(event) - self._last < GRACE_NS

    def _wait_for_more(self, question: str, typed: int, does: str) -> None:
        """Hold the answer as long as another letter may make it the beginning of words; Enter ends the wait."""
        self._mean((question, typed, does))
        left = GRACE_NS - (self._bench.source.now() - typed)
        self._bench.app.set_timer(max(LEAST_NS, left) / NS, self._no_more)

    def _no_more(self) -> None:
        """No letter came, so far as is known."""
        if self._meant is None:
            return
        if self._on is None and not self._behind:
            self._answer_as_meant(self._bench.source.now())
        if self._meant is not None:
            self._wait_for_more(*self._meant)

    def _answer_as_meant(self, now: int) -> None:
        """Answer with the letter held, where none followed in time and the dialog still has the keys."""
        if self._meant is None and now - self._last >= GRACE_NS:
            self._held = []
        if self._meant is None or now - self._meant[1] < GRACE_NS:
            return
        question, _, does = self._meant
        self._mean(None)
        self._held.clear()
        dialog = self._dialog
        if dialog is not None and question == self._question and self.answers and not dialog.given:
            dialog.answer_by(does)

    def _mean(self, meant: tuple[str, int, str] | None) -> None:
        """Hold an answer, or none any more; the dialog shows which."""
        self._meant = meant
        self._bench.permission.mean(ANSWER_OF.get(meant[2], "") if meant is not None else "")

    def _behind_answer(self, event: Typed, dialog: Widget) -> Sequence[Typed]:
        """What comes between an answer and its end: words begin the next, and no key answers twice."""
        if isinstance(event, events.Key) and not event.is_printable:
            return () if doing_of(dialog, event.key).startswith(ANSWERING) else (event,)
        if isinstance(event, events.Key):
            self._last = self._when(event)
        return self._draft(event)

    def _elsewhere(self, event: events.Key) -> Sequence[Typed]:
        bench = self._bench
        focused = bench.focused
        if focused is bench.transcript and event.key in raw_keys(bench.transcript, "transcript.search"):
            bench.action_find()
            return ()
        if focused is bench.prompt and bench.prompt.leaves(event.key):
            bench.focus_next()
            return ()
        if event.is_printable:
            free = not isinstance(focused, Field) and focused is not bench.search
            if free and event.key not in bench.active_bindings:
                bench.set_focus(self._field())
            if bench.focused in (bench.prompt, bench.search):
                self._last = self._when(event)
        return (*self._let_go(), event)

    def _pasted(self, event: events.Paste) -> Sequence[Typed]:
        focused = self._bench.focused
        if not isinstance(focused, Field) and focused is not self._bench.search:
            self._bench.set_focus(self._field())
            self._lent, self._led = self._bench.permission.question is not None, ""
        return (*self._let_go(), event)

    def _field(self) -> Widget:
        """Where words go that nothing else took."""
        bench = self._bench
        return bench.reply if bench.reply is not None and bench.inquired is not None else bench.prompt

    def _draft(self, event: Typed) -> Sequence[Typed]:
        self._lent, self._led = True, ""
        self._bench.set_focus(self._bench.prompt)
        self._bench.show_way()
        return (*self._let_go(), event)

    def _to(self, dialog: Permission | Reply, event: events.Key) -> Sequence[Typed]:
        self._lent = False
        led = self._held if dialog is self._bench.reply and self._goes_on(event) else []
        if self._meant is None or dialog is self._bench.reply or not self._scrolls(event.key):
            self._mean(None)
            self._held = []
        self._bench.set_focus(dialog)
        return (*led, event)

    def _let_go(self) -> list[Typed]:
        """What was held, where it goes on as words."""
        held, self._held, bench = self._held, [], self._bench
        here = bench.focused is bench.prompt or (self._meant is not None and bench.focused is bench.reply)
        self._mean(None)
        return held if here else []

    def _scrolls(self, key: str) -> bool:
        """Whether the dialog only shows another part of what it asks about."""
        return doing_of(self._bench.permission, key).startswith(SCROLLS)

    def _edits(self, key: str) -> bool:
        """Whether the input does something with this key that no dialog does."""
        does = doing_of(self._bench.prompt, key)
        return bool(does) and does not in CHOOSING

    def _when(self, event: Typed) -> int:
        """When it was typed, by the session's clock: a busy screen looks at keys late."""
        return self._bench.source.now() - max(0, int((time.monotonic() - event.time) * 1e9))
