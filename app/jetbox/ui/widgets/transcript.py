"""The transcript: what one does with the rows of a story: search, select, copy, jump, unfold."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer

from jetbox.ui import words
from jetbox.ui.glyphs import Glyphs
from jetbox.ui.slices import Slice, go_on_later
from jetbox.ui.telling import telling
from jetbox.ui.text.excerpts import codes
from jetbox.ui.text.rows import Row, cells, wrap
from jetbox.ui.transcript.blocks import Text
from jetbox.ui.widgets.marked import bar_marks, neighbour, news, over
from jetbox.ui.widgets.searched import Searched, Spot, spot_after

PULL_S = 1 / 20
"""Between two steps while text is marked beyond an edge."""


class Transcript(Searched):
    """Shows a story; follows its end until one scrolls up, and says what is new below until one is there again."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_curly_bracket", "round(-1)", "A round up", id="transcript.round_up", show=False),
        Binding("right_curly_bracket", "round(1)", "A round down", id="transcript.round_down", show=False),
        Binding("left_square_bracket", "alarm(-1)", "An error up", id="transcript.error_up", show=False),
        Binding("right_square_bracket", "alarm(1)", "An error down", id="transcript.error_down", show=False),
        Binding("y", "copy", "Copy the selection, else the answer", id="transcript.copy", show=False),
        Binding("c", "copy_code", "Copy its code; again: the code before", id="transcript.copy_code", show=False),
    ]

    class Copied(Message):
        """This is for the clipboard."""

        def __init__(self, text: str, what: str) -> None:
            super().__init__()
            self.text = text
            self.what = what

    class Failed(Message):
        """Something did not come about, and why."""

        def __init__(self, said: str) -> None:
            super().__init__()
            self.said = said

    def __init__(self, glyphs: Glyphs, *, id: str | None = None) -> None:
        super().__init__(glyphs, id=id)
        self._pulling: Timer | None = None
        """Scrolls while the mouse is held above or below what is shown: it says nothing more then."""
        self._forget()

    def _forget(self) -> None:
        self._pressed: Spot | None = None
        self._chosen: tuple[Spot, Spot] | None = None
        self._dragged = False
        self._code = 0
        self._copying: Iterator[str | None] | None = None
        """The codes of which one is being looked for."""
        self._pressed_again = 0
        """How often the key was pressed meanwhile."""
        self._marks: dict[int, str] = {}
        self._marks_of = (0, 0, 0, 0, 0)

    def restart(self) -> None:
        super().restart()
        self.end_search()
        self._forget()

    def _made_way(self, at: int, top: tuple[int, int]) -> tuple[int, int]:
        if self._pressed is not None:
            self._pressed = spot_after(at, self._pressed)
        if self._chosen is not None:
            self._chosen = spot_after(at, self._chosen[0]), spot_after(at, self._chosen[1])
        return super()._made_way(at, top)

    def marks(self, rows: int) -> dict[int, str]:
        """What a scroll bar of so many rows marks."""
        story = self.story
        now = (len(story.alarms), len(story.reds), len(story.headers), rows, self._heights.changes)
        if now != self._marks_of:
            self._marks, self._marks_of = bar_marks(story, self._heights, rows), now
        return self._marks

    def action_round(self, step: int) -> None:
        self._go_by(step, self.story.headers, "round")

    def go_to_round(self, number: int) -> bool:
        """Show a round from its beginning; False where there is none of this number."""
        index = self.story.round_block(number)
        self._jump_to(index)
        return index is not None

    def action_alarm(self, step: int) -> None:
        self._go_by(step, self.story.alarms, "error or red verdict")

    def _go_by(self, step: int, indexes: Sequence[int], what: str) -> None:
        """To the next of these blocks, or the one before."""
        found = neighbour(indexes, self._anchor()[0], step)
        self._jump_to(found)
        if found is None:
            self.post_message(self.Failed(f"no {what} {'below' if step > 0 else 'above'}"))

    def _jump_to(self, index: int | None) -> None:
        if index is not None and index < len(self._heights):
            self.follow = False
            self._measure_from(index)
            self._resize()
            self._place(self._heights.top(index))
            self.refresh()

    def action_copy(self) -> None:
        if self._chosen is not None:
            self.run_worker(self._copy_chosen(), group="copy", exclusive=True)
            return
        answer = self._answer(self._visible()[1])
        if answer:
            self.copied(answer[1].strip(), "the answer")
        else:
            self._not_copied("no answer to copy from here up")

    def action_copy_code(self) -> None:
        """The last code above the window's end; pressed again, the one before it."""
        if self._copying is not None:
            self._pressed_again += 1
            return
        self._copying = self._codes(self._visible()[1])
        self._copy_code(self._copying, self._code)

    def _copy_code(self, codes: Iterator[str | None], skip: int) -> None:
        """Copy what comes behind so many of these; more of them when keys have been looked at."""
        if self._copying is not codes:
            return
        now = Slice()
        for code in codes:
            if code is None or skip:
                skip -= code is not None
            else:
                self._code += 1
                self.copied(code, "code")
                if not self._pressed_again:
                    self._copying = None
                    return
                self._pressed_again -= 1
            if now.over:
                go_on_later(self._copy_code, codes, skip)
                return
        self._not_copied("no code before that; again: the last one" if self._code else "no code to copy from here up")
        left = self._pressed_again if self._code else 0
        self._code, self._pressed_again, self._copying = 0, max(0, left - 1), None
        if left:
            self.action_copy_code()

    def _codes(self, index: int) -> Iterator[str | None]:
        """The code of a block's answer and of those above it, from its end; None where there is none for a while."""
        blocks = self.story.blocks
        index = min(index, len(blocks) - 1)
        while index >= 0:
            if isinstance(blocks[index], Text) and (answer := self._answer(index)):
                index = answer[0]
                yield from reversed(codes(answer[1]))
            yield None
            index -= 1

    def _answer(self, index: int) -> tuple[int, str] | None:
        """The answer at a block, or above it: its first block and its whole text."""
        blocks = self.story.blocks
        index = min(index, len(blocks) - 1)
        while index >= 0 and not isinstance(blocks[index], Text):
            index -= 1
        if index < 0:
            return None
        first = index
        while first > 0 and isinstance(block := blocks[first], Text) and block.goes_on:
            first -= 1
        last = first + 1
        while last < len(blocks) and isinstance(block := blocks[last], Text) and block.goes_on:
            last += 1
        return first, "".join(block.source() for block in blocks[first:last])

    def copied(self, text: str, what: str) -> None:
        self.post_message(self.Copied(text, f"{what}, {words.plural(text.count(chr(10)) + 1, 'line')}"))

    async def _copy_chosen(self) -> None:
        with telling(self._not_copied, "not copied"):
            await self._copy_rows()

    def _not_copied(self, said: str) -> None:
        self.post_message(self.Failed(said))

    async def _copy_rows(self) -> None:
        """The selected rows as text; lines that were broken for the screen are whole again."""
        if self._chosen is None:
            return
        begin, end = sorted(self._chosen)
        out: list[str] = []
        before, now = "", Slice()
        for index in range(begin[0], min(end[0] + 1, len(self.story.blocks))):
            n = 0
            for part in self.story.blocks[index].parts(self._columns, self._look()):
                for row in part:
                    if begin[:2] <= (index, n) <= end[:2]:
                        before = before if out else row.text[: _at_cell(row.text, begin[2])]
                        start = begin[2] if (index, n) == begin[:2] else 0
                        stop = end[2] + 1 if (index, n) == end[:2] else self._columns
                        _join(out, row, start, stop)
                    n += 1
                if now.over:
                    await asyncio.sleep(0)
                    now = Slice()
        text = _unindented("".join(out), before).strip("\n")
        if text:
            self.copied(text, "the selection")

    def _spot(self, event: events.MouseEvent) -> Spot:
        y = min(max(event.y, 0), self.size.height - 1)
        index, row = self._heights.find(y + self.scroll_offset.y)
        return (index, row, min(max(event.x, 0), max(0, self._columns - 1)))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        if event.button == 1:
            self._pull(0)
            self._dragged = False
            self._pressed = self._spot(event)
            self.capture_mouse()
            if self._chosen is not None:
                self._chosen = None
                self.refresh()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._pressed is None:
            return
        self._pull(0)
        beyond = min(event.y, 0) + max(0, event.y - self.size.height + 1)
        if beyond:
            self._choose_on(beyond, event)
            self._pull(beyond, event)
        else:
            self._choose(self._spot(event))

    def _choose(self, spot: Spot) -> None:
        if self._pressed is not None and (spot != self._pressed or self._dragged):
            self._dragged = True
            self._chosen = (self._pressed, spot)
            self.refresh()

    def _choose_on(self, rows: int, event: events.MouseMove) -> None:
        self.move(rows)
        self._choose(self._spot(event))

    def _pull(self, rows: int, event: events.MouseMove | None = None) -> None:
        """Scroll on by so many rows, the more the farther away the mouse is, until it moves again."""
        if self._pulling is not None:
            self._pulling.stop()
        self._pulling = self.set_interval(PULL_S, partial(self._choose_on, rows, event)) if event is not None else None

    def on_mouse_up(self, event: events.MouseUp) -> None:
        self._pull(0)
        if self._pressed is not None:
            self._pressed = None
            self.release_mouse()
            if self._dragged:
                self.action_copy()

    def on_click(self, event: events.Click) -> None:
        """A click opens a link, goes to what is new, or unfolds what can be unfolded."""
        if self._dragged:
            return
        if event.y == self.size.height - 1 and self._news() and event.x >= self._columns - self._news_cells():
            self.action_scroll_to_end()
            return
        index, row = self._heights.find(event.y + self.scroll_offset.y)
        if index >= len(self._heights):
            return
        link = self.link(index, row, event.x)
        if link:
            self.app.open_url(link)
        elif self.story.blocks[index].expandable:
            self.unfold(index)

    def _settle(self, top: tuple[int, int], changed: tuple[int, int]) -> None:
        super()._settle(top, changed)
        if not self.follow:
            self.refresh(Region(0, max(0, self.size.height - 1), self.size.width, 1))

    def _news(self) -> str:
        """What came below, while it does not follow."""
        if self.follow or self.at_end:
            return ""
        return news(self.story, self._left[0], self.rows_since)

    def _news_cells(self) -> int:
        return cells(self._said_news())

    def _said_news(self) -> str:
        return f" {'v' if self._glyphs.ascii else '↓'} {self._news()}  end "

    def render_lines(self, crop: Region) -> list[Strip]:
        out = super().render_lines(crop)
        if crop.x or crop.width != self._columns:
            return out
        if self._chosen is not None or (self._find is not None and self._find.wanted):
            first = crop.y + self.scroll_offset.y
            out = [self._with_marks(strip, first + n) for n, strip in enumerate(out)]
        if crop.bottom >= self.size.height and self._news():
            start = max(0, self._columns - self._news_cells())
            said = self._paint.strip(Row(((self._said_news(), "below"),)), self._columns - start)
            out[-1] = Strip([*out[-1].crop(0, start), *said], self._columns)
        return out

    def _with_marks(self, strip: Strip, row: int) -> Strip:
        """A row with what is found and what is selected in it."""
        index, inside = self._heights.find(row)
        find = self._find
        if find is not None and find.wanted:
            for start, end, present in self._parts(index, inside, strip, find):
                strip = over(strip, start, end, self._paint["match.current" if present else "match"])
        if self._chosen is not None:
            begin, end_spot = sorted(self._chosen)
            if begin[:2] <= (index, inside) <= end_spot[:2]:
                start = begin[2] if (index, inside) == begin[:2] else 0
                stop = end_spot[2] + 1 if (index, inside) == end_spot[:2] else strip.cell_length
                strip = over(strip, start, stop, self._paint.ground("chosen"))
        return strip


def _join(out: list[str], row: Row, start: int, stop: int) -> None:
    """Put a row's text between two cells behind what there is, as the row goes on from it."""
    text = row.text
    begin = _at_cell(text, start)
    end = _at_cell(text, stop)
    goes_on = row.joined != "\n" and bool(out) and start == 0
    out.append(row.joined if goes_on else "\n" if out else "")
    out.append(text[max(begin, row.lead) if goes_on else begin : end].rstrip())


def _unindented(text: str, before: str) -> str:
    """The text without the indentation that all its lines share; `before` stands before it in its first row."""
    from textwrap import dedent

    words = before.lstrip(" ")
    shared = dedent(before[: len(before) - len(words)] + text)
    return shared.lstrip(" ") if words else shared


def _at_cell(text: str, cell: int) -> int:
    """The offset of the character at a cell."""
    if text.isascii() or not cell:
        return min(cell, len(text))
    return len(text) if cells(text) <= cell else wrap(text, cell, words=False)[0][1]
