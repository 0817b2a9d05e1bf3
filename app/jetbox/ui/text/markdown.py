"""Basic markdown, a logical line at a time, so that streamed text is laid out once and for all.

Headings, bold, italic, code, fences, lists, quotes and rules. What a line looks like
depends on itself and on whether it stands in a fence, on nothing that comes later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from jetbox.ui.text.rows import TAB, Piece, Row, flow

LONGEST_LINE = 4000
"""A longer logical line is broken here, so that no frame lays out more than this anew."""

_INLINE = re.compile(
    r"(?P<code>``[^`]+``|`[^`]+`)"
    r"|\*\*(?P<bold>[^*\s](?:[^*]*[^*\s])?)\*\*"
    r"|(?<![\w*])\*(?P<star>[^*\s](?:[^*]*[^*\s])?)\*(?![\w*])"
    r"|(?<!\w)_(?P<under>[^_\s](?:[^_]*[^_\s])?)_(?!\w)"
)
_FENCE = re.compile(r"^\s{0,3}(`{3,}|~{3,})\s*([^\s`]*)[^`]*$")
_HEADING = re.compile(r"^\s{0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_ITEM = re.compile(r"^(\s*)([-*+]|\d{1,3}[.)])\s+(.*)$")
_QUOTE = re.compile(r"^\s{0,3}>\s?(.*)$")
_RULE = re.compile(r"^\s{0,3}([-*_])(?:\s*\1){2,}\s*$")


@dataclass(slots=True)
class Fence:
    """The fence that is open; empty where none is."""

    mark: str = ""


@dataclass(frozen=True, slots=True)
class Signs:
    """What lists, quotes and rules are drawn with."""

    bullet: str = "•"
    quote: str = "▎"
    rule: str = "─"


SIGNS = Signs()


def line_rows(line: str, width: int, fence: Fence, signs: Signs = SIGNS, indent: str = "") -> list[Row]:
    """One logical line as rows; opens and closes the fence."""
    line = line.replace("\t", TAB)
    pad: tuple[Piece, ...] = ((indent, ""),) if indent else ()
    if fence.mark:
        return _in_fence(line, width, fence, pad)
    opened = _FENCE.match(line)
    if opened:
        fence.mark = opened[1]
        language = opened[2]
        return [Row((*pad, (f" {language}", "code.label")), "code.block")] if language else []
    if not line.strip():
        return [Row()]
    if _RULE.match(line):
        return [Row((*pad, (signs.rule * max(1, min(width - len(indent), 40)), "faint")))]
    heading = _HEADING.match(line)
    if heading:
        return flow(inline(heading[2], "heading"), width, first=pad)
    item = _ITEM.match(line)
    if item:
        return _item(item, width, pad, signs)
    quote = _QUOTE.match(line)
    if quote:
        return flow(inline(quote[1], "quote"), width, first=(*pad, (f"{signs.quote} ", "faint")))
    return flow(inline(line, ""), width, first=pad)


def _in_fence(line: str, width: int, fence: Fence, pad: tuple[Piece, ...]) -> list[Row]:
    closing = line.strip()
    if closing and set(closing) == {fence.mark[0]} and len(closing) >= len(fence.mark):
        fence.mark = ""
        return []
    return flow(((line, "code.block"),), width, first=(*pad, (" ", "code.block")), fill="code.block", words=False)


def _item(item: re.Match[str], width: int, pad: tuple[Piece, ...], signs: Signs) -> list[Row]:
    depth, mark = item[1], item[2]
    sign = signs.bullet if mark in "-*+" else mark
    head = f"{depth}{sign} "
    return flow(
        inline(item[3], ""),
        width,
        first=(*pad, (head, "list")),
        rest=(*pad, (" " * len(head), "")),
    )


def inline(text: str, base: str) -> list[Piece]:
    """Bold, italic and code of one line, as pieces over the style `base`."""
    if "`" not in text and "*" not in text and "_" not in text:
        return [(text, base)]
    out: list[Piece] = []
    at = 0
    for found in _INLINE.finditer(text):
        if found.start() > at:
            out.append((text[at : found.start()], base))
        at = found.end()
        code = found["code"]
        if code:
            out.append((code.strip("`").strip() or code, "code"))
        elif found["bold"]:
            out.append((found["bold"], base or "bold"))
        else:
            out.append((found["star"] or found["under"], base or "italic"))
    if at < len(text):
        out.append((text[at:], base))
    return out


class MarkdownFlow:
    """Lays out a growing text: finished lines once, the last line again with each call."""

    def __init__(self, signs: Signs = SIGNS, indent: str = "") -> None:
        self._signs = signs
        self._indent = indent
        self._width = 0
        self._at = 0
        """Offset of the first logical line that may still grow."""
        self._fixed = 0
        """Rows of the lines before it."""
        self._fence = Fence()

    def rows(self, text: str, width: int, have: int) -> tuple[int, list[Row]]:
        """What to show: keep this many of the `have` rows of the last call, and put these behind them.

        `text` must begin with the text of the last call; with `have` 0, or another
        width, everything is laid out anew.
        """
        if have < self._fixed or width != self._width:
            self._width, self._at, self._fixed, self._fence = width, 0, 0, Fence()
        keep = self._fixed
        out: list[Row] = []
        while True:
            end = text.find("\n", self._at)
            if end < 0 and len(text) - self._at < LONGEST_LINE:
                break
            if end < 0 or end - self._at >= LONGEST_LINE:
                line, following = text[self._at : self._at + LONGEST_LINE], self._at + LONGEST_LINE
            else:
                line, following = text[self._at : end], end + 1
            out += line_rows(line, width, self._fence, self._signs, self._indent)
            self._at = following
        self._fixed += len(out)
        if self._at < len(text):
            out += line_rows(text[self._at :], width, Fence(self._fence.mark), self._signs, self._indent)
        return keep, out
