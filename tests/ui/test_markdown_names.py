from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetbox.engine import events as e
from jetbox.ui.glyphs import UNICODE
from jetbox.ui.text.cutting import LONG
from jetbox.ui.text.growing import MarkdownFlow
from jetbox.ui.text.inline import MOST_PIECES, inline
from jetbox.ui.text.names import Names
from jetbox.ui.text.rows import Row
from jetbox.ui.transcript.blocks import Look
from jetbox.ui.transcript.story import Story

LOOK = Look(UNICODE)
TOKENS = (
    *("Title\n", "===\n", "---\n", "==", "--", "\n", "\n\n", "- item\n", "> ", "```\n", "|a|b|\n", "|-|-|\n", "\\\n"),
    *(
        "[a][x] ",
        "[x] ",
        "[x]: https://x.y/z",
        "[x]: /w\n",
        "[^1] ",
        "[^n] ",
        "[^1]: one",
        "[^n]: note\n",
        "&lt;",
        "\\*",
    ),
)
PARTS = st.lists(st.sampled_from(TOKENS), max_size=24)
CUTS = st.lists(st.integers(0, 200), max_size=6)


def rows_of(text: str) -> list[Row]:
    return MarkdownFlow().rows(text, 40, 0)[1]


def seen(text: str) -> list[str]:
    return [row.text.rstrip() for row in rows_of(text)]


def styled(text: str) -> list[tuple[str, str]]:
    return [piece for row in rows_of(text) for piece in row.pieces if piece[1]]


def pieces(text: str, cuts: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    return [text[a:b] for a, b in pairwise(edges)]


def told(parts: list[str], shown: list[list[Row]] | None = None) -> Story:
    """A story of an answer that came so; `shown` follows what is on the screen of each of its blocks."""
    story = Story()
    said: list[e.TextDelta | e.ModelAnswered] = [e.TextDelta(text=part) for part in parts]
    for n, event in enumerate([*said, e.ModelAnswered(attempt=1)]):
        story.apply(e.Stamped(n + 1, n, 1, event))
        story.settle()
        if shown is not None:
            _show(story, shown)
    return story


def _show(story: Story, shown: list[list[Row]]) -> None:
    shown += [[] for _ in range(len(story.blocks) - len(shown))]
    for index in sorted(story.changed | story.late):
        keep, rows = story.blocks[index].rows(40, LOOK, len(shown[index]))
        shown[index][keep:] = rows
    story.changed.clear()
    story.late.clear()


class TestTitles:
    def test_a_line_above_a_rule_of_signs_is_a_heading(self) -> None:
        assert styled("One *x*\n===\nTwo\n---\nsaid") == [
            ("One ", "heading.one"),
            ("x", "heading.one"),
            ("Two", "heading"),
        ]
        assert seen("> Title\n> ===") == ["▎ Title"]
        assert seen("A | B\n=====\n") == ["A | B"]

    @pytest.mark.parametrize(
        "above", ["", "two\nlines\n", "- item\n", "# title\n", "> quoted\n", "```\ncode\n```\n", "|a|\n|-|\n|b|\n"]
    )
    def test_a_rule_below_anything_else_is_one(self, above: str) -> None:
        assert seen(f"{above}---\n")[-1] == "─" * 40

    def test_it_is_one_as_soon_as_the_signs_are_there(self) -> None:
        flow = MarkdownFlow()
        text, rows = "", list[Row]()
        for part in ("Tit", "le\n", "=", "==", "\n", "end"):
            text += part
            keep, more = flow.rows(text, 40, len(rows))
            rows[keep:] = more
        assert [row.text for row in rows] == ["Title", "end"]
        assert rows[0].pieces == (("Title", "heading.one"),)

    def test_a_long_answer_is_not_cut_between_the_two(self) -> None:
        text = "some words\n\n" * (LONG // 12) + "A title to be cut at\n===\nend"
        for step in (1, len(text)):
            blocks = told([text[:2400], *(text[at : at + step] for at in range(2400, len(text), step))]).blocks
            assert "─" not in "".join(row.text for block in blocks for row in block.layout(40, LOOK))
            assert len(blocks) == 2


class TestNames:
    def test_a_reference_is_a_link_wherever_it_is_defined(self) -> None:
        text = "see [the docs][Doc], [doc][] or [doc]; not [other][none] or a[0][1]\n\n[doc]: https://a.b/c 'why'\n"
        assert seen(text) == ["see the docs (a.b), doc (a.b) or doc", "(a.b); not [other][none] or a[0][1]", ""]
        assert ("the docs", "link https://a.b/c") in styled(text)

    def test_what_defines_no_address_is_shown(self) -> None:
        assert seen("[ERROR]: failed\n[x]: https://a.b\n") == ["[ERROR]: failed"]

    def test_a_label_shows_no_marks(self) -> None:
        assert inline("[`code` **x**](https://a.b)", "")[0] == ("code x", "link https://a.b")

    def test_footnotes_hang_behind_their_number(self) -> None:
        text = "said[^1] and[^why] but [^0-9]\n\n[^1]: a note of more words than go into one row\n[^why]: *so*\n"
        assert seen(text) == [
            "said[1] and[why] but [^0-9]",
            "",
            "[1] a note of more words than go into",
            "    one row",
            "[why] so",
        ]

    def test_fences_define_nothing(self) -> None:
        assert seen("[x]\n```\n[x]: https://a.b\n```\n")[0] == "[x]"

    @pytest.mark.parametrize("indent", ["\t", "    "])
    def test_indented_code_defines_nothing(self, indent: str) -> None:
        assert styled(f"[x]\n\nRun:\n\n{indent}[x]: https://a.b\n\n[x]\n")[1:] == [("[x]: https://a.b", "code.block")]

    def test_a_block_above_hears_of_it(self) -> None:
        text = "see [it][far]\n\n" + "some words\n\n" * 600 + "[far]: https://a.b/c"
        shown: list[list[Row]] = []
        story = told([text[:20], text[20:6000], text[6000:-4], text[-4:]], shown)
        assert len(story.blocks) > 2
        assert shown[0][0].text.strip() == "see it (a.b)"
        assert [block.layout(40, LOOK) for block in story.blocks] == shown

    @settings(deadline=None, max_examples=80)
    @given(PARTS, CUTS)
    def test_streamed_in_any_cuts_it_looks_as_in_one_shot(self, parts: list[str], cuts: list[int]) -> None:
        text, shown = "".join(parts), list[list[Row]]()
        whole = [block.layout(40, LOOK) for block in told([text]).blocks]
        story = told(pieces(text, cuts), shown)
        assert shown == whole
        assert [block.layout(40, LOOK) for block in story.blocks] == whole
        flow, rows, so_far = MarkdownFlow(), list[Row](), ""
        for part in pieces(text, cuts):
            so_far += part
            keep, more = flow.rows(so_far, 40, len(rows))
            rows[keep:] = more
        assert rows == rows_of(text)


def test_a_line_of_nothing_but_marks_has_a_bounded_number_of_pieces() -> None:
    names = Names()
    names.learn("[a]: https://x.y/z")
    pieces = inline("[a][" * 1000, "", names)
    assert len(pieces) <= MOST_PIECES + 3
    assert pieces[-1][0].endswith("[a][[a][")


def test_breaks_and_signs_are_never_raw() -> None:
    assert seen("- a\\\n> b\\\n&nbsp;c&amp;d \\& \\$ \\\\") == ["• a", "▎ b", " c&d & $ \\"]


@pytest.mark.parametrize("said", ["\\", "~~a", "[a](", "[a][", "&", "[^1]", "[a]", "`a"])
def test_lines_of_nothing_but_marks_cost_no_more_than_their_length(said: str) -> None:
    def cost(size: int) -> float:
        text, best = (said * size)[:size], 1.0
        for _ in range(5):
            begun = time.thread_time()
            inline(text, "")
            best = min(best, time.thread_time() - begun)
        return best

    # Eight times the length: a search that begins anew with each mark would cost sixty-four times as much.
    assert cost(8000) < 24 * max(cost(1000), 0.0001)
