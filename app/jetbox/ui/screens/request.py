"""The exact request: what the model saw in a round, message by message, and where it no longer begins as before."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar

from textual.binding import Binding, BindingType

from jetbox.engine import sizes
from jetbox.engine.safety.terminal import safe_text
from jetbox.ui import words
from jetbox.ui.prompts import Compared, model_of
from jetbox.ui.screens.browser import Browser
from jetbox.ui.text.rows import BLANK, Piece, Row, lines, one_line, row

SHOWN_CHARS = 60_000
"""Of one message."""


class Request(Browser):
    """Its head, its messages and its end; beside them the chosen one in words or in bytes."""

    BINDING_GROUP_TITLE = "Request"
    SEARCHES = True
    HINTS = (
        ("request.earlier", "earlier"),
        ("request.later", "later"),
        ("request.raw", "bytes"),
        ("list.search", "searches"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "turn(-1)", "The request before", id="request.earlier", show=False),
        Binding("right,l", "turn(1)", "The request after", id="request.later", show=False),
        Binding("b", "raw", "The bytes, or the words", id="request.raw", show=False),
        Binding("n", "find(1)", "The next that is found", id="request.next", show=False),
        Binding("f4", "close", "Close", id="request.close", show=False),
    ]

    _at = 0
    _raw = False
    _parts: tuple[tuple[str, str], ...] = ()
    """Role and JSON of each row."""
    _tokens: list[int] = []  # noqa: RUF012 (never changed)
    """Of each of them, as far as the server has counted."""
    _compared: Compared | None = None

    def begin(self) -> None:
        self.list.empty = "no request was sent yet"
        self._at = len(self.bench.prompts.sent) - 1
        self._fill(None)

    def _fill(self, at: int | None) -> None:
        """Show the request; `at` is the row that is chosen, else what is new in it."""
        prompts = self.bench.prompts
        if self._at < 0:
            self.list.fill(0, self._row)
            return
        sent = prompts.sent[self._at]
        messages = prompts.roles(self._at)
        self._compared = prompts.compared(self._at)
        made = [
            ("head", prompts.head(self._at)),
            *messages,
            ("end", sent.request.tail),
        ]
        self._parts = tuple(made)
        self._tokens = prompts.tokens(self._at)
        attempt = f", attempt {sent.request.attempt}" if sent.request.attempt > 1 else ""
        box = self.query_one("#browser")
        box.border_title = (
            f"request of round {sent.round}{attempt}  {sizes.size(sent.request.bytes)}"
            f"  {self._at + 1} of {len(prompts.sent)}"
        )
        self.say(self._prefix())
        compared = self._compared
        first = len(messages) if compared is None else min(compared.same + 1, len(messages))
        first = 0 if compared is not None and compared.broke < 0 else first
        self.list.fill(len(made), self._row, first if at is None else at)
        self.chose()

    def _prefix(self) -> str:
        """How the request begins, and what the server took from its cache."""
        compared, reuse = self._compared, self.bench.prompts.sent[self._at].reuse
        if compared is None:
            said = "the first request to this model"
        elif compared.broke == 0:
            said = f"first {words.plural(compared.same, 'message')} as before"
        elif compared.broke < 0:
            said = f"another head: {compared.why}"
        else:
            said = f"differs from message {compared.broke} on: {compared.why}"
        if reuse is not None and reuse.of:
            about = "~" if reuse.estimated else ""
            said += f"; {about}{reuse.tokens / reuse.of:.0%} of {words.count(reuse.of)} tokens from the cache"
            said += f", {one_line(reuse.miss)}" if reuse.miss else ""
        return said

    def _row(self, number: int, width: int) -> list[Piece]:
        role, text = self._parts[number]
        glyphs, compared = self.bench.glyphs, self._compared
        sign, style = glyphs.hit, "faint"
        if role == "end":
            sign, style = " ", "faint"
        elif compared is None:
            sign, style = "+", "added"
        elif (role == "head" and compared.broke < 0) or (compared.broke == number and number):
            sign, style = glyphs.failed, "failed"
        elif role != "head" and number > compared.same:
            sign, style = "+", "added"
        name = role if role in ("head", "end") else f"{number:>3} {role}"
        size = sizes.size(len(text.encode()))
        return [(f"{sign} ", style), (f"{name:<14} ", ""), (f"{size:>7}  ", "dim"), (_gist(role, text, width), "dim")]

    def chose(self) -> None:
        self.leaf.show(self._lay_out)

    def _lay_out(self, width: int) -> list[Row]:
        if self.list.at >= len(self._parts):
            return []
        role, text = self._parts[self.list.at]
        compared = self._compared
        out: list[Row] = []
        if compared is not None and compared.broke and max(0, compared.broke) == self.list.at:
            out += [row((f"the prefix breaks here: {compared.why}", "failed")), BLANK]
        if self.list.at < len(self._tokens):
            tokens = words.plural(self._tokens[self.list.at], "token")
            way = "the model's tokenizer" if self.bench.prompts.weighed(self._at, self.list.at) else "its size"
            out += [row((f"{tokens}: its share of what the server counted, by {way}", "dim")), BLANK]
        cut = text[:SHOWN_CHARS]
        if self._raw or role == "end":
            out += lines(safe_text(cut), "code", width, words=False)
        elif role == "head":
            out += _head_rows(text, width)
        else:
            out += _message_rows(text, width)
        if len(text) > SHOWN_CHARS:
            out.append(row((f"and {sizes.size(len(text) - SHOWN_CHARS)} more", "faint")))
        return out

    def search_for(self, text: str) -> None:
        if text:
            self.action_find(0)
        else:
            self.say(self._prefix() if self._at >= 0 else "")

    def action_find(self, step: int) -> None:
        """To the next message that has what is searched for, from the chosen one on."""
        wanted = self.search.text.lower()
        if not wanted or not self._parts:
            return
        found = [n for n, (_, text) in enumerate(self._parts) if wanted in text.lower()]
        self.say(f"in {words.plural(len(found), 'message')}")
        after = next((n for n in found if n >= self.list.at + step), found[0] if found else self.list.at)
        self.list.go(after)

    def action_turn(self, by: int) -> None:
        at = min(len(self.bench.prompts.sent) - 1, max(0, self._at + by))
        if at != self._at:
            self._at = at
            self._fill(None)

    def action_raw(self) -> None:
        self._raw = not self._raw
        self.chose()


_CONTENT = re.compile(r'"content":"((?:[^"\\]|\\.){1,600})')
"""The beginning of what a message says, as it stands in its bytes: a long one is not read whole for one line."""
_CALLED = re.compile(r'"function":\{"name":"([^"\\]{1,200})"')


def _decode(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _gist(role: str, text: str, width: int) -> str:
    """The beginning of what it says, in a line."""
    if role == "head":
        return f"{model_of(text)} and the tools"
    if role == "end":
        return one_line(text[:width])
    said = _CONTENT.search(text)
    if said is None:
        called = ", ".join(_CALLED.findall(text)[:3])
        return one_line(f"calls {called}") if called else ""
    try:
        start = str(json.loads(f'"{said[1]}"'))
    except ValueError:  # cut in the middle of a character's number
        start = said[1]
    return one_line(start)[: 2 * width]


def _message_rows(text: str, width: int) -> list[Row]:
    """A message in words."""
    message = _decode(text)
    out: list[Row] = []
    for name in ("thinking", "reasoning_content"):
        if message.get(name):
            out += [
                row(("thinking", "title")),
                *lines(safe_text(str(message[name]))[:SHOWN_CHARS], "dim", width),
                BLANK,
            ]
    content = message.get("content")
    if content:
        said = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        out += lines(safe_text(said)[:SHOWN_CHARS], "", width)
    for call in message.get("tool_calls") or []:
        function = call.get("function", {}) if isinstance(call, dict) else {}
        out += [BLANK, row((f"calls {one_line(str(function.get('name', '')))}", "tool"))]
        arguments = function.get("arguments", {})
        said = arguments if isinstance(arguments, str) else json.dumps(arguments, indent=1, ensure_ascii=False)
        out += lines(safe_text(said)[:SHOWN_CHARS], "code", width, words=False)
    return out


def _head_rows(text: str, width: int) -> list[Row]:
    """Model, options and tools."""
    head = _decode(f"{text}]}}")
    out: list[Row] = []
    for name, value in head.items():
        if name not in ("messages", "tools"):
            out += lines(f"{name}: {json.dumps(value, ensure_ascii=False)}", "", width)
    for tool in head.get("tools") or []:
        function = tool.get("function", {}) if isinstance(tool, dict) else {}
        out += [BLANK, row((one_line(str(function.get("name", ""))), "tool"))]
        out += lines(safe_text(str(function.get("description", ""))), "dim", width)
    return out
