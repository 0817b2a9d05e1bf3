from __future__ import annotations

import math
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from jetbox.engine import events as e
from jetbox.ui.glyphs import UNICODE
from jetbox.ui.paint import Paint
from jetbox.ui.text.code import _FAMILIES, CHARS_A_TOKEN, FEW_TOKENS, PLAIN, _lexer, code_pieces, family_of
from jetbox.ui.text.cutting import LONG, LONG_CODE
from jetbox.ui.text.excerpts import codes
from jetbox.ui.text.growing import MarkdownFlow
from jetbox.ui.text.inline import asked, inline
from jetbox.ui.text.rows import Row, cells, flow
from jetbox.ui.text.table import MOST_LINES
from jetbox.ui.transcript.blocks import Look, Text, Thinking
from jetbox.ui.transcript.story import Story

PAINT = Paint({}, colour=False)
LOOK = Look(UNICODE)
LANGUAGES = ("py", "js", "c", "rs", "sh", "json", "sql", "html", "css", "lua", "diff", "make")


def rows_of(text: str, width: int = 60) -> list[Row]:
    return MarkdownFlow().rows(text, width, 0)[1]


def seen(text: str, width: int = 60) -> list[str]:
    return [row.text.rstrip() for row in rows_of(text, width)]


def styled(text: str, width: int = 60) -> list[tuple[str, str]]:
    return [piece for row in rows_of(text, width) for piece in row.pieces if piece[1]]


def told(*pieces: str) -> Story:
    story = Story()
    for n, piece in enumerate(pieces):
        story.apply(e.Stamped(n + 1, n, 1, e.TextDelta(text=piece)))
    story.apply(e.Stamped(len(pieces) + 1, len(pieces), 1, e.ModelAnswered(attempt=1)))
    return story


class TestLines:
    def test_lists_nest_and_hang(self) -> None:
        text = "- one\n  - two words more\n    1. deep\n- [x] done\n- [ ] to do\n  goes on"
        assert seen(text, 12) == [
            "• one",
            "  • two",
            "    words",
            "    more",
            "    1. deep",
            "✓ done",
            "○ to do",
            "  goes on",
        ]

    def test_quotes_hold_what_text_holds(self) -> None:
        text = "> said **so**\n> > deeper\n> - item\n> ```py\n> x = 1\n> ```\n> end\nout"
        assert seen(text) == ["▎ said so", "▎ ▎ deeper", "▎ • item", "▎  py", "▎  x = 1", "▎ end", "out"]

    def test_a_quote_in_a_list_stands_below_the_text_of_its_item(self) -> None:
        text = "- one\n  > said so\n\n  - two\n    > ```py\n    > x\n    > ```\n    > > deep\n\n      no code"
        assert seen(text) == [
            "• one",
            "  ▎ said so",
            "",
            "  • two",
            "    ▎  py",
            "    ▎  x",
            "    ▎ ▎ deep",
            "",
            "      no code",
        ]

    def test_a_quote_that_ends_closes_its_fence(self) -> None:
        assert seen("> ```\n> code\n- item") == ["▎  code", "• item"]

    def test_a_fence_in_a_list_keeps_the_indent_of_the_code_alone(self) -> None:
        assert seen("1. do\n   ```sh\n   ls\n     -l\n   ```\n2. end") == [
            "1. do",
            "    sh",
            "    ls",
            "      -l",
            "2. end",
        ]

    def test_code_by_its_indentation_has_the_panel_of_a_fence(self) -> None:
        text = "Run:\n\n    x = __init__ | *a*\n\n\tif x:\n\t    y()\nso\n    no code\n\n> said\n>\n>     quoted"
        rows = rows_of(text)
        assert [row.text.rstrip() for row in rows if row.fill == PLAIN] == [
            " x = __init__ | *a*",
            "",
            " if x:",
            "     y()",
            "▎  quoted",
        ]
        assert {row.fill for row in rows_of("```\nx\n```")} == {PLAIN}
        assert codes(text)[0] == "x = __init__ | *a*\n\nif x:\n    y()"
        assert codes("```\n\tx\n\n```\n- a\n\n        b") == ["\tx\n", "  b"]

    def test_what_is_indented_in_a_list_is_code_only_beyond_its_text(self) -> None:
        text = "1. one\n\n    goes on\n   - two\n\n      goes on\n\n        three\n\nend\n\n    code"
        assert [row.text for row in rows_of(text) if row.fill] == [" code"]
        assert [row.text for row in rows_of("- one\n\n      code\n      [x]: a/b") if row.fill] == [
            "   code",
            "   [x]: a/b",
        ]

    def test_a_break_and_the_line_under_a_heading_are_drawn(self) -> None:
        assert seen("one\\\ntwo\\\\") == ["one", "two\\"]
        assert seen("Title\n===") == ["Title"]
        assert seen("one\ntwo\n===") == ["one", "two", "─" * 40]

    def test_headings_differ(self) -> None:
        assert [style for _, style in styled("# a\n## b\n### c")] == ["heading.one", "heading", "heading.three"]

    def test_a_row_knows_what_the_break_before_it_left_out(self) -> None:
        rows = rows_of("- aa bb\ncc", 6)
        assert [(row.text, row.joined, row.lead) for row in rows] == [
            ("• aa", "\n", 0),
            ("  bb", " ", 2),
            ("cc", "\n", 0),
        ]


class TestInline:
    def test_emphasis_nests(self) -> None:
        assert inline("**a `b` *c* d**, ~~d~~ \\*e\\*", "") == [
            ("a ", "bold"),
            ("b", "code"),
            (" ", "bold"),
            ("c", "bold.italic"),
            (" d", "bold"),
            (", ", ""),
            ("d", "strike"),
            (" *e*", ""),
        ]

    def test_code_between_more_marks_may_hold_fewer(self) -> None:
        text = "`a ` ``b`c``, `` `d` ``, ```e``f``` ``g"
        assert [said for said, style in inline(text, "") if style == "code"] == ["a", "b`c", "`d`", "e``f"]
        assert inline(text, "")[-1] == (" ``g", "")
        assert [said for said, style in asked("is it ``a`b`` or `c`?", "") if style == "code"] == ["a`b", "c"]

    def test_entities_stand_for_their_sign_where_that_can_only_be_seen(self) -> None:
        assert inline("a &lt; b &amp;&#x263A; &nosuch; R&D", "") == [("a < b &☺ &nosuch; R&D", "")]
        for hidden in ("&#27;", "&#x202e;", "&#8203;", "&#10;", "&#0;"):
            assert inline(hidden, "") in ([(hidden, "")], [("\ufffd", "")])

    def test_pieces_are_parted_in_one_pass(self) -> None:
        pieces = [(f"{n % 10}", "bold" if n % 2 else "") for n in range(40)]
        rows = flow(pieces, 7, words=False)
        assert [row.text for row in rows] == ["0123456", "7890123", "4567890", "1234567", "8901234", "56789"]
        assert [piece for row in rows for piece in row.pieces] == pieces

    def test_a_link_says_where_it_leads_unless_its_label_does(self) -> None:
        assert inline("[docs](https://a.b/c(d))", "") == [("docs", "link https://a.b/c(d)"), (" (a.b)", "faint")]
        assert inline("see https://a.b/c.", "")[1] == ("https://a.b/c", "link https://a.b/c")
        assert inline("(see https://a.b/c_(d).)", "")[1] == ("https://a.b/c_(d)", "link https://a.b/c_(d)")
        assert inline("(https://a.b/c)", "")[1] == ("https://a.b/c", "link https://a.b/c")
        assert inline("<https://a.b>", "") == [("https://a.b", "link https://a.b")]

    def test_only_addresses_of_the_web_open(self) -> None:
        assert inline("[x](javascript:alert)", "") == [("x", ""), (" (javascript:alert)", "faint")]
        assert inline("[x](file.py)", "") == [("x", ""), (" (file.py)", "faint")]

    def test_a_link_is_painted_as_one(self) -> None:
        strip = PAINT.strip(rows_of("[docs](https://a.b/c)")[0], 60)
        assert next(s.style.link for s in strip if s.style and s.text == "docs") == "https://a.b/c"


class TestTables:
    TABLE = "| name | what |\n|:--|--:|\n| `add` | adds two numbers |\n| mul | **x** |\n"

    def test_columns_are_as_wide_as_they_need(self) -> None:
        assert seen(self.TABLE) == [
            "name │             what",
            "─────┼─────────────────",
            "add  │ adds two numbers",
            "mul  │                x",
        ]

    def test_the_widest_column_gives_way(self) -> None:
        assert seen(self.TABLE, 16) == [
            "name │      what",
            "─────┼──────────",
            "add  │  adds two",
            "     │   numbers",
            "mul  │         x",
        ]

    def test_where_the_columns_have_no_room_nothing_of_a_cell_is_lost(self) -> None:
        head = "| a | b | c | d | e |\n|-|-|-|-|-|\n"
        assert seen(head, 8) == ["a  b  c", "d  e"]
        assert seen(f"{head}| 1 | two words | 3 | 4 | 5 |\n| 6 |\n", 8) == [
            *("a: 1", "b: two", "  words", "c: 3", "d: 4", "e: 5"),
            *("", "a: 6", "b:", "c:", "d:", "e:"),
        ]

    def test_a_long_table_goes_on_with_its_head(self) -> None:
        text = "| n |\n|---|\n" + "".join(f"| {n} |\n" for n in range(MOST_LINES))
        assert [line for line in seen(text) if line == "n"] == ["n", "n"]
        assert all(str(n) in seen(text) for n in range(MOST_LINES))

    def test_a_pipe_alone_makes_no_table(self) -> None:
        assert seen("a | b\nc | d\nend") == ["a | b", "c | d", "end"]

    @settings(deadline=None, max_examples=60)
    @given(
        st.lists(st.sampled_from(["|", "a", "猫猫", "-", ":", "**b**", "\n", "|-|-|\n"]), max_size=30),
        st.integers(3, 20),
    )
    def test_no_row_is_too_wide(self, parts: list[str], width: int) -> None:
        text = "".join(parts)
        assert all(cell_len(PAINT.strip(row, width).text) == width for row in rows_of(text, width))


class TestCode:
    def test_tokens_of_python(self) -> None:
        pieces, state = code_pieces('def add(x): return "a" + f(12)  # why', "python")
        assert state == ""
        named = {text: style for text, style in pieces if style != "code.block"}
        assert named == {
            "def": "code.keyword",
            "add": "code.name",
            "return": "code.keyword",
            '"a"': "code.string",
            "f": "code.name",
            "12": "code.number",
            "# why": "code.comment",
        }

    def test_what_is_open_goes_on(self) -> None:
        assert code_pieces('x = """a', "python")[1] == '"""'
        assert code_pieces('b""" + y', "python", '"""') == ([('b"""', "code.string"), (" + y", "code.block")], "")
        assert styled("```js\n/* a\nb */ x\n```")[-2:] == [("b */", "code.comment"), (" x", "code.block")]

    def test_an_unknown_language_has_one_colour(self) -> None:
        assert family_of("brainfuck") == ""
        assert code_pieces("def x", "") == ([("def x", "code.block")], "")

    @settings(deadline=None)
    @given(
        st.text(alphabet="ab01\"'`/*#-<!> [](){}\\猫", max_size=60),
        st.sampled_from(["py", "js", "c", "rs", "sh", "json", "sql", "html", "css", "lua"]),
    )
    def test_nothing_is_lost(self, line: str, language: str) -> None:
        assert "".join(text for text, _ in code_pieces(line, family_of(language))[0]) == line

    @pytest.mark.parametrize("family", sorted({family_of(name) for name in ("py", "c", "html", "css", "lua")}))
    def test_a_line_has_a_bounded_number_of_colours(self, family: str) -> None:
        pieces, _ = code_pieces("1 a( " * 190, family)
        assert len(pieces) <= 2 * (FEW_TOKENS + 950 // CHARS_A_TOKEN) + 1
        assert pieces[-1][1] == PLAIN
        call = "print(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)"
        if family == "python":
            assert sum(style == "code.number" for _, style in code_pieces(call, family)[0]) == 13

    @pytest.mark.parametrize("family", sorted(_FAMILIES))
    @pytest.mark.parametrize("said", ["a-", "a:b-", "${", "$(", "#![", '"\\', "[[a", "a_", ".#"])
    def test_words_that_come_to_nothing_cost_no_more_than_their_length(self, family: str, said: str) -> None:
        def cost(size: int) -> float:
            text, best = (said * size)[:size], math.inf
            for _ in range(3):
                begun = time.thread_time()
                _lexer(family).pattern.findall(text)
                best = min(best, time.thread_time() - begun)
            return best

        # Eight times the length: a search that begins anew with each sign would cost sixty-four times as much.
        assert cost(16000) < 24 * max(cost(2000), 0.0001)

    def test_fences_are_found(self) -> None:
        text = "a\n```py\nx\n\ny\n```\nb\n> ~~~\n> z\n\n```\nlast"
        assert codes(text) == ["x\n\ny", "z", "last"]


class TestLongAnswers:
    @settings(deadline=None, max_examples=8)
    @given(st.lists(st.integers(0, 9000), max_size=6), st.integers(0, 4))
    def test_they_are_cut_alike_however_they_came(self, cuts: list[int], kind: int) -> None:
        line = ["word " * 20, "| a | b |", "x = 1", "y" * 900, " "][kind]
        begin = ("", "|a|\n|-|\n", "```py\n", "", "begin\n")[kind]
        text = (begin + f"{line}\n" * (9000 // (len(line) + 1)))[:9000] + "end"
        edges = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
        whole = [block.source() for block in told(text).blocks]
        assert [block.source() for block in told(*(text[a:b] for a, b in pairwise(edges))).blocks] == whole
        assert "".join(whole) == text.lstrip("\n")

    def test_no_block_is_longer_than_a_frame_can_lay_out(self) -> None:
        blocks = told("# t\n" + "some words of an answer\n\n" * 400).blocks
        assert len(blocks) > 3
        assert all(len(block.source()) < LONG + 100 for block in blocks)
        assert [isinstance(block, Text) and block.goes_on for block in blocks] == [False] + [True] * (len(blocks) - 1)

    def test_code_is_in_blocks_that_are_smaller_for_its_colours(self) -> None:
        blocks = told("```py\n" + "f(1, 'a')\n" * 900 + "```\nend").blocks
        assert all(len(block.source()) < LONG_CODE + 100 for block in blocks)

    def test_a_fence_goes_on_in_its_colours(self) -> None:
        blocks = told("```py\n" + 's = """\n' + "in = text\n" * 1200 + "```\nend").blocks
        assert len(blocks) > 1
        last = blocks[-1].layout(60, LOOK)
        assert ("in = text", "code.string") in last[0].pieces
        assert last[-1].pieces[-1] == ("end", "")

    def test_thinking_that_streams_shows_its_end_whatever_its_length(self) -> None:
        block = Thinking(0)
        for n in range(3000):
            block.add(f"thought {n}\n")
        assert block.layout(60, LOOK)[-1].text.strip() == "thought 2999"
        assert block.text.count("\n") == 3000


def test_right_to_left_and_wide_text_keeps_to_its_width() -> None:
    for line in ("שלום עולם " * 9, "مرحبا بالعالم " * 9, "👩‍💻🇩🇪猫 " * 20):
        assert all(cells(row.text) <= 20 for row in rows_of(line, 20))
