"""Pastes past Textual's parser: that looks at each character, and takes seconds for a megabyte."""

from __future__ import annotations

import re
from collections.abc import Iterator

from textual import events
from textual._xterm_parser import BRACKETED_PASTE_END, BRACKETED_PASTE_START, XTermParser
from textual.message import Message

RUN = 500
"""So many characters at once nobody types: a terminal that does not mark pastes has sent one."""
_RUN = re.compile(rf"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]{{{RUN},}}")


class PasteParser(XTermParser):
    """Textual's own; what stands between the marks of a paste is one event without having been parsed."""

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._held = ""
        """What may be the beginning of the mark of a paste."""
        self._pasted: list[str] | None = None
        """What came of the paste that is under way; the last piece may hold the beginning of its end."""

    def tick(self) -> Iterator[Message]:
        """The messages of what has waited long enough."""
        if self._held:
            held, self._held = self._held, ""
            yield from super().feed(held)
        yield from super().tick()

    def feed(self, data: str) -> Iterator[Message]:
        """The messages of what was read; nothing read is the end."""
        if not data:
            yield from super().feed(data)
            return
        while data:
            if self._pasted is None:
                before, begin, data = (self._held + data).partition(BRACKETED_PASTE_START)
                self._held = "" if begin else _begun(before)
                before = before[: len(before) - len(self._held)]
                if before:
                    yield from self._keys(before)
                if begin:
                    self._pasted = [""]
            else:
                data = self._pasted.pop() + data
                text, end, rest = data.partition(BRACKETED_PASTE_END)
                if end:
                    self._pasted.append(text)
                    yield events.Paste("".join(self._pasted).replace("\x00", ""))
                    self._pasted, data = None, rest
                else:
                    keep = len(BRACKETED_PASTE_END) - 1
                    self._pasted += [data[:-keep], data[-keep:]]
                    data = ""

    def _keys(self, data: str) -> Iterator[Message]:
        """The messages of what no marks stand around; an end of line at a paste's end is Enter all the same."""
        at = 0
        for run in _RUN.finditer(data):
            start, end = run.start(), at + len(data[at : run.end()].rstrip("\r\n"))
            # What an Esc before it began is over where the parser waits for as long as it takes.
            while at < start or (at < end and self._timeout_time is not None):
                yield from super().feed(data[at : max(start, at + 1)])
                at = max(start, at + 1)
            if end - at >= RUN:
                yield events.Paste(data[at:end].replace("\r\n", "\n").replace("\r", "\n"))
                at = end
        if data[at:]:
            yield from super().feed(data[at:])


def _begun(text: str) -> str:
    """The end of the text that may begin a paste; Esc alone is a key that nobody wants to wait for."""
    for most in range(len(BRACKETED_PASTE_START) - 1, 1, -1):
        if text.endswith(BRACKETED_PASTE_START[:most]):
            return text[-most:]
    return ""
