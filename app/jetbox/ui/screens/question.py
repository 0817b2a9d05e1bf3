"""One question with yes and no, over whatever is there."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from jetbox.ui.glyphs import Glyphs
from jetbox.ui.keys import first_keys
from jetbox.ui.paint import Paint
from jetbox.ui.screens.over import Over
from jetbox.ui.screens.sizes import LOW
from jetbox.ui.text.rows import BLANK, Row, cells, flow, row
from jetbox.ui.widgets.box import Column
from jetbox.ui.widgets.lined import Lined


class Words(Lined):
    """The question and its answers."""

    def __init__(self, glyphs: Glyphs, question: str, yes: str, no: str) -> None:
        super().__init__(glyphs)
        self._question, self._yes, self._no = question, yes, no
        self.keys: dict[str, str] = {}

    def lines(self, width: int) -> list[Row]:
        low = self.app.size.height < LOW  # what is behind the answers may not be seen
        yes = ((self.keys.get("question.yes", ""), "key"), (f" {self._yes}", ""))
        no = ((self.keys.get("question.no", ""), "key"), (f" {self._no}", ""))
        beside = row(*yes, "    ", *no)
        answers = [beside] if cells(beside.text) <= width else [row(*no), row(*yes)]
        said = flow(((self._question, ""),), width)
        return [*answers, *said] if low else [*said, BLANK, *answers]


class Question(Over[bool]):
    """True where the answer is yes."""

    BINDING_GROUP_TITLE = "Question"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "dismiss(True)", "Yes", id="question.yes", show=False),
        Binding("n,escape,q", "dismiss(False)", "No", id="question.no", show=False),
    ]

    def __init__(self, glyphs: Glyphs, paint: Paint, question: str, *, yes: str = "yes", no: str = "no") -> None:
        super().__init__(glyphs)
        self._words = Words(glyphs, question, yes, no)
        self._words.paint(paint)

    def compose(self) -> ComposeResult:
        self._words.keys = first_keys(self, ascii=self._words.glyphs.ascii)
        with Column(id="question"):
            yield self._words
