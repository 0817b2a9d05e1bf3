"""A command of the user's: what was typed, how long it took, what it printed."""

from __future__ import annotations

from collections.abc import Iterator

from jetbox.engine.events import ShellEnded, ShellStarted, ToolCalled, ToolEnded
from jetbox.engine.safety.terminal import safe_text
from jetbox.ui.text.rows import BLANK, Row, flow
from jetbox.ui.transcript.blocks import INDENT, Look, Shape
from jetbox.ui.transcript.tool import Tool

ROWS = 20
"""Rows of output that are shown folded: whoever typed it wants to read it."""
COMMAND_LINES = 8


class Shell(Tool):
    """One command, from Enter to its end."""

    most = ROWS

    def __init__(self, event: ShellStarted, t: int) -> None:
        super().__init__(ToolCalled(call=event.call, name="run_cmd", arguments="{}", title="run_cmd"))
        self.command = safe_text(event.command)
        self.started = t

    def over(self, event: ShellEnded) -> None:
        """It has ended."""
        self.end(ToolEnded(call=event.call, state=event.state, text=event.text, duration_ns=event.duration_ns))

    def source(self) -> str:
        result = self.live if self.ended is None else safe_text(self.ended.text)
        return f"{self.command}\n{result}".rstrip("\n")

    def parts(self, width: int, look: Look) -> Iterator[list[Row]]:
        yield [BLANK]
        yield from super().parts(width, look)

    def head(self, width: int, look: Look) -> list[Row]:
        first, *rest = self.command.split("\n")
        shown, left = rest[:COMMAND_LINES], len(rest) - COMMAND_LINES
        left_words = [f"{look.glyphs.more} {left} more lines"] if left > 0 else []
        top = self.line((("! ", "user.mark"), (first, "user")), self.figures(look), width)
        indent = ((INDENT, ""),)
        return [top, *(row for line in [*shown, *left_words] for row in flow(((line, "user"),), width, first=indent))]

    def result(self, ended: ToolEnded, width: int, look: Look) -> list[Row]:
        return self.text(ended.text, width, look, self.open(look), "dim", ROWS, tail=True)

    def shape(self) -> Shape:
        return 2 + (0 if self.ended is None else min(ROWS, self.ended.text.count("\n") + 1)), 0
