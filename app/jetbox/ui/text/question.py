"""What the model asks below the first line: what it names stands there as it is.

Markdown would take `__init__.py`, `*.py` and `a_b_c` for marks. Of it, lists, titles and fenced code are known here.
"""

from __future__ import annotations

import re

from jetbox.ui.text.growing import MarkdownFlow
from jetbox.ui.text.inline import asked
from jetbox.ui.text.markdown import Signs
from jetbox.ui.text.rows import BLANK, TAB, Piece, Row, flow

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ITEM = re.compile(r"(\s*)([-*+]|\d{1,3}[.)]) +(?=\S)")
_TITLE = re.compile(r"#{1,6} +(?=\S)")


def question_rows(text: str, signs: Signs, indent: str, width: int) -> list[Row]:
    """The rows of a question's lower lines."""
    out: list[Row] = []
    lines = text.strip("\n").split("\n") if text.strip() else []
    while lines:
        fence = _FENCE.match(lines[0])
        if fence is None:
            out += _line_rows(lines.pop(0).rstrip(), signs, indent, width)
            continue
        end = next((n for n, line in enumerate(lines[1:], start=1) if _closes(line, fence[1])), len(lines) - 1) + 1
        out += MarkdownFlow(signs, indent).rows("\n".join(lines[:end]), width, 0)[1]
        del lines[:end]
    return out


def _closes(line: str, fence: str) -> bool:
    """A fence is closed by one of its kind that is as long, or longer."""
    said = line.strip()
    return set(said) == {fence[0]} and len(said) >= len(fence)


def _line_rows(line: str, signs: Signs, indent: str, width: int) -> list[Row]:
    if not line:
        return [BLANK]
    line = line.replace("\t", TAB)
    item, title = _ITEM.match(line), _TITLE.match(line)
    first: list[Piece] = [(indent, "")]
    rest, base = indent, ""
    if item is not None:
        mark = signs.bullet if item[2] in "-*+" else item[2]
        first += [(item[1], ""), (f"{mark} ", "list")]
        rest += " " * (len(item[1]) + len(mark) + 1)
        line = line[item.end() :]
    elif title is not None:
        line, base = line[title.end() :], "bold"
    else:
        spaces = line[: len(line) - len(line.lstrip())]
        first, rest, line = [(indent + spaces, "")], indent + spaces, line.lstrip()
    return flow(asked(line, base), width, first=tuple(first), rest=((rest, ""),))
