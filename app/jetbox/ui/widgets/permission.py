"""The question before something is done: what, why, the diff, and what an answer would allow."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message

from jetbox.engine.events import PermissionAsked
from jetbox.engine.safety.terminal import safe_text
from jetbox.ui.glyphs import Glyphs
from jetbox.ui.grace import GIVEN_NS, GRACE_NS
from jetbox.ui.keys import first_keys
from jetbox.ui.text.diff import diff_rows
from jetbox.ui.text.rows import BLANK, Piece, Row, cells, fit, flow, lines, one_line, row
from jetbox.ui.widgets.lined import Lined
from jetbox.ui.widgets.wheel import Wheeled

DIFF_LINES = 4000
LOW = 5
"""Rows up to which nothing is left free above the answers."""
ANSWERS: tuple[tuple[str, str, Literal["once", "session", "always", "no"]], ...] = (
    ("permission.once", "once", "once"),
    ("permission.session", "this session", "session"),
    ("permission.always", "always here", "always"),
    ("permission.no", "no", "no"),
)
"""Ids of the keys, what they do in words, and the answers."""
ANSWER_OF = {f"answer('{answer}')": answer for _, _, answer in ANSWERS}
"""The answers by what their keys do."""


class Permission(Wheeled, Lined, can_focus=True):
    """One question at a time; answers are said by key or click."""

    BINDING_GROUP_TITLE = "Permission"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer('once')", "Allow once", id="permission.once", show=False),
        Binding("s", "answer('session')", "Allow for this session", id="permission.session", show=False),
        Binding("a", "answer('always')", "Allow always in this workspace", id="permission.always", show=False),
        Binding("n,escape", "answer('no')", "Do not allow", id="permission.no", show=False),
        Binding("up,k", "scroll_diff(-1)", "Diff up", id="permission.up", show=False),
        Binding("down,j", "scroll_diff(1)", "Diff down", id="permission.down", show=False),
        Binding("pageup", "scroll_diff(-8)", "Diff a page up", id="permission.page_up", show=False),
        Binding("pagedown,space", "scroll_diff(8)", "Diff a page down", id="permission.page_down", show=False),
    ]

    class Answered(Message):
        """The user said so."""

        def __init__(self, question: str, answer: Literal["once", "session", "always", "no"]) -> None:
            super().__init__()
            self.question = question
            self.answer = answer

    def __init__(self, glyphs: Glyphs, clock: Callable[[], int], *, id: str | None = None) -> None:
        """`clock` is the session's, in ns: the time of grace is measured by it."""
        super().__init__(glyphs, id=id)
        self.question: PermissionAsked | None = None
        self._clock = clock
        self.since = 0
        """When the question appeared, in ns."""
        self._given = -GIVEN_NS
        """When it was answered, in ns."""
        self._led_by = self._meant = ""
        self._scrolled = 0
        self._laid_out: tuple[int, list[Row]] = (0, [])
        self._spots: list[tuple[int, int, Literal["once", "session", "always", "no"]]] = []

    def ask(self, question: PermissionAsked | None) -> None:
        """Ask this, or nothing; a new question begins with its own time of grace."""
        if question is not None and (self.question is None or question.id != self.question.id):
            self.since, self._given = self._clock(), -GIVEN_NS
            self._scrolled = 0
            self._laid_out = (0, [])
        self.question = question
        self.display = question is not None
        self.redraw()

    def lead(self, key: str) -> None:
        """Say that this key leads here, since letters are for something else; empty: they answer."""
        if key != self._led_by:
            self._led_by = key
            self.redraw()

    def mean(self, answer: str) -> None:
        """Show that this is answered in a moment; empty: nothing is."""
        if answer != self._meant:
            self._meant = answer
            self.redraw()

    def action_answer(self, answer: Literal["once", "session", "always", "no"]) -> None:
        if self.question is not None and self._clock() - self.since >= GRACE_NS:
            self._given = self._clock()
            self.post_message(self.Answered(self.question.id, answer))

    def answer_by(self, does: str) -> None:
        """Answer as the key does that does this."""
        self.action_answer(ANSWER_OF[does])

    @property
    def given(self) -> bool:
        """Whether it was answered, and only the end of that is to come."""
        return self._clock() - self._given < GIVEN_NS

    def action_scroll_diff(self, rows: int) -> None:
        self._scrolled = max(0, self._scrolled + rows)
        self.redraw()

    def roll(self, rows: int) -> None:
        self.action_scroll_diff(rows)

    def on_click(self, event: events.Click) -> None:
        if event.y != self.size.height - 1:
            return
        for start, end, answer in self._spots:
            if start <= event.x < end:
                self.action_answer(answer)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._body(width - 2)) + 3 if self.question is not None else 0

    def lines(self, width: int) -> list[Row]:
        if self.question is None:
            return []
        body = self._body(width - 2)
        gap = [BLANK] if self.size.height > LOW else []
        room = max(0, self.size.height - 2 - len(gap))
        self._scrolled = min(self._scrolled, max(0, len(body) - room))
        shown = body[self._scrolled : self._scrolled + room]
        inside = [*shown, *([BLANK] * (room - len(shown))), *gap, self._answers(width - 2)]
        return [self._rule(width, room, len(body)), *(Row(((" ", ""), *each.pieces), each.fill) for each in inside)]

    def _rule(self, width: int, room: int, rows: int) -> Row:
        """The line above, which says what part is shown where not all of it is."""
        said = ""
        if rows > room:
            said = f" lines {self._scrolled + 1} to {self._scrolled + room} of {rows} "
        line = self.glyphs.rule * max(0, width - len(said) - 2)
        return Row(fit(((line, "warning"), (said, "warning"), (self.glyphs.rule * 2, "warning")), width))

    def _body(self, width: int) -> list[Row]:
        """All that is asked about: it scrolls where it is longer than the room."""
        if self.question is None:
            return []
        if self._laid_out[0] != width or not self._laid_out[1]:
            self._laid_out = (width, [*self._head(self.question, width), *self._content(self.question, width)])
        return self._laid_out[1]

    def _head(self, question: PermissionAsked, width: int) -> list[Row]:
        sign: tuple[Piece, ...] = ((f"{self.glyphs.question} ", "warning"),)
        indent: tuple[Piece, ...] = (("  ", ""),)
        out = flow(((one_line(question.title), "bold"),), width, first=sign, rest=indent)
        if question.why:
            out += flow(((one_line(question.why), "dim"),), width, first=indent)
        if question.scope:
            scope = (("session and always would allow ", "dim"), (one_line(question.scope), ""))
            out += flow(scope, width, first=indent)
        return [*out, BLANK] if question.diff else out

    def _content(self, question: PermissionAsked, width: int) -> list[Row]:
        """The diff, or the whole of a command that has more than one line."""
        if not question.diff:
            return []
        if question.kind == "command":
            return lines(safe_text(question.diff), "", width, indent="  ", words=False)
        rows, left = diff_rows(safe_text(question.diff), width, most=DIFF_LINES, more=self.glyphs.more)
        return [*rows, row((f"{self.glyphs.more} {left} more lines", "warning"))] if left else rows

    def _leading(self, room: int) -> str:
        """The words about the key that leads here."""
        return f"{self._led_by}{' then' if room >= cells(self._led_by) + 5 else ''}  " if self._led_by else ""

    def _answers(self, width: int) -> Row:
        """The keys and what they do; with fewer words where there is less room."""
        bound = first_keys(self, ascii=self.glyphs.ascii)
        answers = [(bound.get(name, ""), does, answer) for name, does, answer in ANSWERS]
        led = self._leading(width - sum(cells(key) + 2 for key, _, _ in answers))
        width -= cells(led)
        short = sum(cells(key) + cells(answer) + 3 for key, _, answer in answers) - 2
        words = sum(cells(key) + cells(does) + 1 for key, does, _ in answers)
        gaps = len(ANSWERS) - 1
        apart = next((gap for gap in (4, 2) if words + gap * gaps + 2 <= width), 0)
        edge = 2 if apart else 0
        pieces: list[Piece] = [(" " * edge, ""), (led, "key")]
        column = edge + cells(led) + 1  # with the margin
        self._spots = []
        for key, does, answer in answers:
            said = f" {does}" if apart else f" {answer}" if width >= short else ""
            wide = cells(key) + cells(said)
            self._spots.append((column, column + wide, answer))
            meant = answer == self._meant
            pieces += [
                (key, "selected" if meant else "dim" if led else "key"),
                (said, "selected" if meant else "" if answer != "no" else "warning"),
                (" " * (apart or 2), ""),
            ]
            column += wide + (apart or 2)
        return Row(tuple(pieces))
