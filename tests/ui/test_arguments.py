"""What a tool was called with, on its card."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jetbox.engine import events as e
from jetbox.engine.safety.terminal import visible
from jetbox.ui.glyphs import UNICODE
from jetbox.ui.transcript import arguments
from jetbox.ui.transcript.blocks import Look
from jetbox.ui.transcript.tool import Tool
from ui.conftest import Showing
from ui.played import first_round, opened


def card(given: dict[str, Any] | str, title: str = "grep TODO", name: str = "grep") -> Tool:
    said = given if isinstance(given, str) else json.dumps(given)
    return Tool(e.ToolCalled(call="c", name=name, arguments=said, title=title))


def rows(tool: Tool, *, expanded: bool = True, width: int = 80) -> list[str]:
    return [each.text.rstrip() for each in tool.layout(width, Look(UNICODE, expanded))][1:]


def test_unfolded_every_argument_is_there_and_folded_only_the_title() -> None:
    tool = card({"pattern": "TODO", "path": "src", "ignore_case": True, "globs": ["*.py", "*.md"], "note": ""})
    assert rows(tool) == [
        "    path         src",
        "    ignore_case  true",
        '    globs        ["*.py", "*.md"]',
        '    note         ""',
    ]
    assert rows(tool, expanded=False) == []
    assert all(len(row) <= 24 for row in rows(tool, width=24))


def test_long_values_are_cut_with_how_much_is_left_out() -> None:
    content = "\n".join(f"line {n}" for n in range(40))
    shown = rows(card({"path": "x", "content": content, "query": "q" * 2000}, "write_file x", "write_file"))
    assert shown[0].strip() == "content"
    assert shown[1:13] == [f"      line {n}" for n in range(12)]
    assert shown[13] == "      … 28 more lines"
    assert shown[-1].strip() == "… 400 more characters"
    assert sum(row.count("q") for row in shown) == 1601
    one_more = rows(card({"query": "q" * 1601, "x": 1}))
    assert any(row.strip() == "… 1 more character" for row in one_more)


def test_a_very_long_value_is_not_kept() -> None:
    tool = card({"content": "x" * 1_000_000, "old": "\n" * 1_000_000})
    assert sum(len(text) for _, text, _ in tool.arguments) < 5000
    assert "… 998.4k more characters" in " ".join(rows(tool)) or "… 998k more characters" in " ".join(rows(tool))


def test_a_value_is_gone_through_only_as_far_as_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def counting(text: str) -> str:
        seen.append(len(text))
        return visible(text)

    monkeypatch.setattr(arguments, "visible", counting)
    card({"path": "x.py", "content": "x\x1b" * 100_000}, "write_file x.py", "write_file")
    assert max(seen) <= arguments.ARGUMENT_CHARS
    assert card({"pattern": " TODO\n"}).arguments == (), "the title says it"
    assert card({"pattern": "a\x07"}, "grep a\\x07").arguments == (), "as it is shown"


def test_wide_names_and_narrow_ones_are_in_line() -> None:
    shown = rows(card({"名前": "a", "name": "b", "長い名前長い名前長": "c"}))
    assert shown == ["    名前  a", "    name  b", "    長い名前長い名前長", "      c"]


def test_nothing_of_a_value_reaches_the_terminal_as_more_than_text() -> None:
    shown = "\n".join(rows(card({"co\x1b[2Jmmand": "ls \x1b]0;x\x07 \u202etxt", "many": "a\rb\n\x9b1mc"})))
    assert "\\x1b]0;x\\x07" in shown, "it is what a person would be asked to allow: nothing of it is hidden"
    assert "\\u202e" in shown
    assert not any(sign in shown for sign in "\x1b\x07\x9b\r\u202e")


def test_what_is_no_object_is_shown_as_it_came() -> None:
    assert rows(card('{"path": "x')) == ['    arguments  {"path": "x']
    assert rows(card("[1, 2]")) == ["    arguments  [1, 2]"]
    assert rows(card("")) == []
    assert rows(card({"summary": "All **done**"}, "finish", "finish"), expanded=False) == ["    All done"]


async def test_a_card_is_unfolded_with_its_arguments_and_they_are_found(show: Showing) -> None:
    call = e.ToolCalled(
        call="g", name="grep", arguments=json.dumps({"pattern": "TODO", "path": "zyx/place"}), title="grep TODO"
    )
    async with show() as s:
        await s.play(*opened(), *first_round()[:3], call, e.ToolStarted(call="g"))
        await s.play(e.ToolEnded(call="g", state="ok", text="3 matches", duration_ns=1))
        assert "zyx/place" not in s.text
        await s.press("ctrl+f", *"zyx/pl")
        assert "path  zyx/place" in s.text
        await s.press("escape", "ctrl+o")
        assert "path  zyx/place" in s.text
        assert "3 matches" in s.text
