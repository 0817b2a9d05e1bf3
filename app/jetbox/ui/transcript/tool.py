"""A tool call: what it touches, how long it took, what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from jetbox.engine.events import QuestionAsked, ToolCalled, ToolEnded
from jetbox.engine.safety.terminal import SafeStream, safe_text
from jetbox.ui import words
from jetbox.ui.text.diff import DiffLine, diff_parts, length, parsed, searched
from jetbox.ui.text.growing import MarkdownFlow
from jetbox.ui.text.inline import asked, asked_bare
from jetbox.ui.text.question import question_rows
from jetbox.ui.text.rows import Piece, Row, flow, one_line
from jetbox.ui.transcript.arguments import argument_rows, read_arguments, shown_arguments
from jetbox.ui.transcript.blocks import FIGURES_AT, INDENT, Look, Shape, Titled, more_row
from jetbox.ui.transcript.round import output_rows

DIFF_LINES = 12
EXPANDED_DIFF_LINES = 2000
PARSED_LINES = 250
"""So many lines of a diff are read between two looks at keys."""
LIVE_CHARS = 32_768
"""Most of a running command's output that is kept for the screen; the whole text comes at its end."""
LIVE_ROWS = 6
LIVE_ROWS_UNFOLDED = 100
ERROR_LINES = 4
ASKS = "ask_user"
QUIET = ("read_file", "list_dir", "glob", "grep", ASKS)
"""Tools whose result is for the model: shown when expanded, or when they failed."""


class Tool(Titled):
    """One call, from the moment that the model asked for it."""

    expandable = True
    most = LIVE_ROWS
    """Rows of output that are shown folded."""

    def __init__(self, called: ToolCalled) -> None:
        self.name = one_line(called.name)
        title = one_line(called.title or called.name)
        arguments = read_arguments(called.arguments)
        summary = arguments.get("summary", "") if called.name == "finish" else ""
        self.summary = safe_text(summary) if isinstance(summary, str) else ""
        self.argument = "" if self.summary else title.removeprefix(self.name).strip()
        self.argument = asked_bare(self.argument) if self.name == ASKS else self.argument
        self.arguments = () if self.summary else shown_arguments(arguments, self.argument)
        """What it was called with, besides what its title says."""
        self.recovered = bool(called.recovered)
        """Taken from the answer's text, where the server had left it."""
        self.started = -1
        """ns; negative while it waits for its turn. What it waited for the user is left out of it."""
        self._paused = -1
        """Since when a question of its own or another one is waited for, ns; negative where none is."""
        self.asking = False
        """Whether the user is being asked about it."""
        self.asks: QuestionAsked | None = None
        """What the model wants to know."""
        self.ended: ToolEnded | None = None
        self.live = ""
        self._stream = SafeStream()

    @property
    def moving(self) -> bool:
        return self.started >= 0 and self.ended is None and self._paused < 0

    @property
    def waits(self) -> bool:
        return self.ended is None

    def pause(self, t: int) -> None:
        """The user is waited for."""
        self._paused = t if self._paused < 0 else self._paused

    def go_on(self, t: int) -> None:
        """The user has answered."""
        if self._paused >= 0:
            self.started, self._paused = self.started + t - self._paused, -1

    def output(self, text: str) -> None:
        """It printed something."""
        self.live = (self.live + self._stream.feed(text))[-LIVE_CHARS:]

    def end(self, event: ToolEnded) -> None:
        """It is over; the whole result replaces what was printed live."""
        self.ended = event
        self.live = ""

    def source(self) -> str:
        ended = self.ended
        return self._with(self.live if ended is None else safe_text(ended.diff or ended.text))

    def shown(self) -> str:
        diff = self.ended.diff if self.ended is not None else ""
        text = self._with(searched(safe_text(diff))) if diff else self.source()
        return "\n".join([*(f"{name} {text}" for name, text, _ in self.arguments), text])

    def _with(self, result: str) -> str:
        """What was asked for, and what came of it."""
        return "\n".join(part for part in (f"{self.name} {self.argument}".strip(), self.summary, result) if part)

    def parts(self, width: int, look: Look) -> Iterator[list[Row]]:
        yield self.head(width, look)
        if self.arguments and self.open(look):
            yield argument_rows(self.arguments, width, look)
        if self.asks is not None:
            yield self._question(self.asks, width, look)
        if self.summary:
            yield MarkdownFlow(look.signs, INDENT * 2).rows(self.summary, width, 0)[1]
        elif self.ended is None:
            yield self._printed(width, look) if self.live.strip() else []
        else:
            if self.ended.diff:
                yield from self._diff(self.ended.diff, width, look)
            yield self.result(self.ended, width, look)

    def _printed(self, width: int, look: Look) -> list[Row]:
        """The end of what was printed so far: laid out anew with each frame, so it is bounded unfolded too."""
        unfolded = self.open(look)
        return output_rows(self.live, width, look, unfolded, tail=True, most=self.most, unfolds_to=LIVE_ROWS_UNFOLDED)

    def _question(self, asks: QuestionAsked, width: int, look: Look) -> list[Row]:
        """Whatever of the question its first line does not say, and the choices."""
        out = question_rows(safe_text(asks.question).partition("\n")[2], look.signs, INDENT * 2, width)
        for n, choice in enumerate(asks.choices, start=1):
            number: tuple[Piece, ...] = ((f"{INDENT * 2}{n} ", "faint"),)
            out += flow(asked(one_line(choice), "dim"), width, first=number, rest=((f"{INDENT * 2}  ", ""),))
        return out

    def _diff(self, diff: str, width: int, look: Look) -> Iterator[list[Row]]:
        unfolded, more = self.open(look), look.glyphs.more
        text = safe_text(diff)
        found = islice(parsed(text), EXPANDED_DIFF_LINES if unfolded else DIFF_LINES)
        shown: list[DiffLine] = []
        while part := [*islice(found, PARSED_LINES)]:
            shown += part
            yield []  # no row yet, and time for a look at keys
        yield from diff_parts(shown, width, indent=INDENT * 2, more=more, filled=FIGURES_AT)
        if left := length(text) - len(shown):
            yield [more_row(look, words.plural(left, "more line"), unfolded, INDENT * 2)]

    def head(self, width: int, look: Look) -> list[Row]:
        """What was asked for, and how it stands."""
        left: list[Piece] = [(INDENT, ""), (self.name, "tool"), (f" {self.argument}", "tool.argument")]
        left += [(" recovered", "warning")] if self.recovered else []
        if self.ended is not None:
            added, removed = sum(c.added for c in self.ended.changes), sum(c.removed for c in self.ended.changes)
            left += [(f"  +{added}", "added")] if added else []
            left += [(f"{' ' if added else '  '}-{removed}", "removed")] if removed else []
        return [self.line(tuple(left), self.figures(look), width)]

    def figures(self, look: Look) -> tuple[Piece, ...]:
        """How it stands, or how it ended and how long it took."""
        glyphs, ended = look.glyphs, self.ended
        if ended is None:
            if self.asking:
                return ((f"waiting for you {glyphs.question}", "warning"),)
            if self.started < 0 or self._paused >= 0:
                return ((f"waits {glyphs.waiting}", "faint"),)
            return ((f"{words.elapsed(max(0, look.now - self.started))} {glyphs.more}", "dim"),)
        sign, style = {
            "ok": (glyphs.ok, "ok"),
            "failed": (glyphs.failed, "failed"),
            "denied": (glyphs.denied, "warning"),
            "cancelled": (glyphs.cancelled, "dim"),
        }[ended.state]
        word = "" if ended.state in ("ok", "failed") else f"{ended.state} "
        took = words.duration(ended.duration_ns) if ended.duration_ns else ""
        return (word, style), (f"{took}  ", "dim"), (sign, style)

    def result(self, ended: ToolEnded, width: int, look: Look) -> list[Row]:
        """What came of it, besides its diff."""
        unfolded = self.open(look)
        out: list[Row] = []
        if (
            not ended.diff
            and ended.state == "ok"
            and (unfolded or self.name not in QUIET)
            and self.name not in ("write_file", "edit_file")
        ):
            out += self.text(ended.text, width, look, unfolded, "dim", LIVE_ROWS, tail=True)
        if ended.state != "ok" and ended.state != "cancelled":
            style = "failed" if ended.state == "failed" and self.name != "run_cmd" else "dim"
            out += self.text(ended.text, width, look, unfolded, style, ERROR_LINES, tail=self.name == "run_cmd")
        for note in ended.notes:
            out += flow(((one_line(note), "faint"),), width, first=((INDENT * 2, ""),))
        return out

    def text(
        self, text: str, width: int, look: Look, unfolded: bool, style: str, most: int, *, tail: bool
    ) -> list[Row]:
        """The result's text; an empty result and a mere "exit code 0" need no row."""
        text = text.removeprefix("exit code 0\n").strip("\n")
        if not text or text in ("exit code 0", "[no output]"):
            return []
        return output_rows(text, width, look, unfolded, style, tail=tail, most=most, prose=style == "failed")

    def shape(self) -> Shape:
        return 1 + (0 if self.ended is None else min(DIFF_LINES, self.ended.diff.count("\n"))), 0
