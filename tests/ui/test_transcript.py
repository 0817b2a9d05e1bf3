from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from textual import events
from textual.strip import Strip

from jetbox.engine import events as e
from jetbox.ui.paint import Paint
from jetbox.ui.text.diff import MOST_WORDS, diff_rows, length, parsed
from jetbox.ui.text.growing import MarkdownFlow
from jetbox.ui.text.heights import Heights
from jetbox.ui.text.markdown import LONGEST_LINE
from jetbox.ui.text.rows import Row, cells, fit, flow, wrap
from jetbox.ui.widgets.paged import FEW, Paged
from ui.conftest import Show, Showing
from ui.played import first_round, opened, request, whole

PAINT = Paint({}, colour=False)
WORDS = st.text(alphabet=st.sampled_from("ab `*_#->1.~\n\t|=[]:/^&;()\\猫é👩\u200d💻ﬁ\u0301"), max_size=120)


def shown(rows: list[Row], width: int) -> list[str]:
    return [strip.text for strip in PAINT.strips(rows, width)]


def stream(pieces: list[str], width: int) -> list[str]:
    """What stands on the screen after the pieces came one by one."""
    layout, text = MarkdownFlow(), ""
    strips: list[Strip] = []
    for piece in pieces:
        text += piece
        keep, rows = layout.rows(text, width, len(strips))
        strips[keep:] = PAINT.strips(rows, width)
    return [strip.text for strip in strips]


class TestHeights:
    @settings(deadline=None)
    @given(st.lists(st.integers(0, 9), max_size=60), st.lists(st.tuples(st.integers(0, 59), st.integers(0, 9))))
    def test_sums_and_finds_as_a_list_would(self, values: list[int], changes: list[tuple[int, int]]) -> None:
        tree = Heights(values[: len(values) // 2])
        for value in values[len(values) // 2 :]:
            tree.append(value)
        for index, value in changes:
            if index < len(values):
                values[index] = value
                tree.set(index, value)
        assert [tree.top(n) for n in range(len(values) + 1)] == [sum(values[:n]) for n in range(len(values) + 1)]
        rows = [(n, r) for n, height in enumerate(values) for r in range(height)]
        assert [tree.find(row) for row in range(tree.total)] == rows
        assert tree.find(tree.total) == (len(values), 0)


class TestWrap:
    @settings(deadline=None)
    @given(st.text(alphabet="ab 猫é👩\u200d💻\u0301-", max_size=80), st.integers(2, 20))
    def test_no_row_is_too_wide_and_nothing_but_spaces_is_lost(self, text: str, width: int) -> None:
        rows = wrap(text, width)
        assert all(cells(text[start:end]) <= width for start, end in rows)
        assert "".join(text[start:end] for start, end in rows).replace(" ", "") == text.replace(" ", "")

    def test_wide_glyphs_count_twice(self) -> None:
        assert [("猫猫猫")[a:b] for a, b in wrap("猫猫猫", 4)] == ["猫猫", "猫"]
        assert [("a猫b")[a:b] for a, b in wrap("a猫b", 2)] == ["a", "猫", "b"]

    def test_words_stay_whole_where_they_fit(self) -> None:
        text = "one two three fourfivesix"
        assert [text[a:b] for a, b in wrap(text, 8)] == ["one two", "three", "fourfive", "six"]

    def test_a_glyph_wider_than_the_row_still_stands_in_one(self) -> None:
        assert wrap("猫猫", 1) == [(0, 1), (1, 2)]
        assert shown(flow((("猫猫", ""),), 1), 1)

    def test_fitting_cuts_with_an_ellipsis(self) -> None:
        assert "".join(text for text, _ in fit((("abc", ""), ("def", "dim")), 5)) == "abcd…"
        assert fit((("abc", ""),), 3) == (("abc", ""),)

    def test_hanging_indent(self) -> None:
        rows = flow((("aa bb cc", ""),), 7, first=(("- ", ""),), rest=(("  ", ""),))
        assert [row.text for row in rows] == ["- aa bb", "  cc"]


class TestMarkdown:
    @settings(max_examples=60, deadline=None)
    @given(WORDS, st.lists(st.integers(0, 120), max_size=8), st.integers(4, 30))
    def test_streamed_in_any_cuts_it_looks_as_in_one_shot(self, text: str, cuts: list[int], width: int) -> None:
        edges = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
        pieces = [text[a:b] for a, b in pairwise(edges)]
        assert stream(pieces, width) == stream([text], width)

    @settings(max_examples=60, deadline=None)
    @given(WORDS, st.integers(0, 120), st.integers(0, 3), st.integers(4, 30))
    def test_a_text_that_lost_its_end_looks_as_if_it_never_had_it(
        self, text: str, cut: int, blank: int, width: int
    ) -> None:
        longer = text + "\n" * blank
        layout, left = MarkdownFlow(), longer[:cut].rstrip()
        _, before = layout.rows(longer, width, 0)
        keep, after = layout.rows(left, width, len(before))
        assert shown(before[:keep] + after, width) == stream([left], width)

    @settings(deadline=None)
    @given(WORDS.map(lambda text: text.replace("\u200d", "")), st.integers(4, 30))
    def test_every_row_is_exactly_as_wide_as_the_screen(self, text: str, width: int) -> None:
        assert all(cell_len(line) == width for line in stream([text], width))

    def test_a_very_long_line_is_laid_out_piece_by_piece(self) -> None:
        text = "x" * (3 * LONGEST_LINE + 10)
        assert stream([text[:10], text[10:LONGEST_LINE], text[LONGEST_LINE:]], 40) == stream([text], 40)
        layout = MarkdownFlow()
        keep, rows = layout.rows(text, 40, 0)
        again, more = layout.rows(text + "y", 40, keep + len(rows))
        assert len(more) <= LONGEST_LINE // 40 + 1
        assert again == 3 * LONGEST_LINE // 40

    def test_a_very_long_line_is_cut_between_words(self) -> None:
        words = [f"word{n}" for n in range(LONGEST_LINE // 4)]
        text = " ".join(words)
        rows = stream([text], 40)
        assert " ".join(rows).split() == words
        assert stream([text[:10], text[10 : LONGEST_LINE - 3], text[LONGEST_LINE - 3 :]], 40) == rows

    def test_what_is_known(self) -> None:
        text = "# Title\nsome **bold**, *slanted* and `code`\n- one\n1. two\n> said\n```py\nx = 1\n```\nend\n\n---"
        rows = [line.rstrip() for line in stream([text], 40)]
        assert rows == [
            "Title",
            "some bold, slanted and code",
            "• one",
            "1. two",
            "▎ said",
            " py",
            " x = 1",
            "end",
            "",
            "─" * 40,
        ]

    def test_styles(self) -> None:
        rows = MarkdownFlow().rows("a **b** `c` *d* snake_case_name 2*3*4", 60, 0)[1]
        assert [piece for piece in rows[0].pieces if piece[1]] == [("b", "bold"), ("c", "code"), ("d", "italic")]


class TestDiff:
    def test_lines_have_the_numbers_of_their_side(self) -> None:
        lines = [*parsed("--- a/x\n+++ b/x\n@@ -3,3 +3,3 @@\n same\n-old\n+new\n end\n@@ -40 +40 @@\n-a\n+b\n")]
        assert [(line.kind, line.number, line.text) for line in lines] == [
            ("same", 3, "same"),
            ("removed", 4, "old"),
            ("added", 4, "new"),
            ("same", 5, "end"),
            ("gap", 0, ""),
            ("removed", 40, "a"),
            ("added", 40, "b"),
        ]

    def test_a_line_that_looks_like_a_header_is_a_line(self) -> None:
        lines = [*parsed("--- a/x\n+++ b/x\n@@ -1,1 +1,1 @@\n--- gone\n+++ come\n")]
        assert [(line.kind, line.text) for line in lines] == [("removed", "-- gone"), ("added", "++ come")]

    @pytest.mark.parametrize(
        "diff",
        [
            "",
            "--- a/x\n+++ b/x\n[lines 1-9: too long to show]\n",
            "--- a/x\n+++ b/x\n@@ -1,3 +1,2 @@\n same\n-\n+\n\\ No newline at end of file\n\n@@ -9 +8 @@\n-a\n+b\n",
        ],
        ids=["none", "told", "hunks"],
    )
    def test_what_is_left_out_is_counted_unseen(self, diff: str) -> None:
        assert length(diff) == len([*parsed(diff)])
        rows, left = diff_rows(diff, 80, most=1)
        assert left == max(0, len([*parsed(diff)]) - 1)
        assert len(rows) == min(1, len([*parsed(diff)]))

    def test_the_words_that_changed_stand_out(self) -> None:
        rows, _ = diff_rows("@@ -1,2 +1,2 @@\n-return a + b\n-x\n+return a * b\n+yy\n", 60, most=9)
        marked = [[text for text, style in row.pieces if style.endswith(".word")] for row in rows]
        assert marked == [["+"], [], ["*"], []]

    @pytest.mark.parametrize(
        ("old", "new", "removed", "added"),
        [
            ("let one = f(x, two)", "let three = f(x, four)", ["one", "two"], ["three", "four"]),
            ("keep this word and that one", "keep that word and this one", ["this", "that"], ["that", "this"]),
            ("a b c d e", "a b x c d e", [], ["x "]),
            ("_name = old or 1", "_name = new + or 1", ["old"], ["new +"]),
            ("all of it", "is other text", [], []),
            ("same one", "same one", [], []),
        ],
    )
    @pytest.mark.parametrize("width", [80, 160])
    def test_each_word_that_differs_is_marked(
        self, old: str, new: str, removed: list[str], added: list[str], width: int
    ) -> None:
        rows, _ = diff_rows(f"@@ -1 +1 @@\n-{old}\n+{new}\n", width, most=9)
        pieces = [piece for each in rows for piece in each.pieces]
        for kind, words, line in (("removed", removed, old), ("added", added, new)):
            assert [text for text, style in pieces if style == f"diff.{kind}.word"] == words
            assert line in "".join(text for text, style in pieces if style.startswith(f"diff.{kind}"))

    def test_a_part_with_many_changed_words_is_marked_by_stretches(self) -> None:
        lines = "-begin with this one and two to end\n" * 99 + "+begin with this 1 and 2 to end\n" * 99
        rows, _ = diff_rows(f"@@ -1,99 +1,99 @@\n{lines}", 90, most=999)
        marked = [[text for text, style in each.pieces if style == "diff.removed.word"] for each in rows[:99]]
        by_words = MOST_WORDS // 10
        assert marked == [["one", "two"]] * by_words + [["one and two"]] * (99 - by_words)

    def test_old_and_new_stand_side_by_side_where_there_is_room(self) -> None:
        diff = "@@ -9,4 +9,5 @@\n same\n-return a + b\n+return a * b\n+more\n last\n@@ -30 +31 @@\n-x\n"
        rows, _ = diff_rows(diff, 140, most=99, indent="  ")
        assert [" ".join(each.text.split()) for each in rows] == [
            "9 same 9 same",
            "10 - return a + b 10 + return a * b",
            "11 + more",
            "11 last 12 last",
            "…",
            "30 - x",
        ]
        assert all(cells(each.text) <= 140 for each in rows)
        marked = [(text, style) for text, style in rows[1].pieces if style.endswith(".word")]
        assert marked == [("+", "diff.removed.word"), ("*", "diff.added.word")]
        at = rows[1].text.index("10 +")
        assert rows[2].text.index("11 +") == at
        narrow, _ = diff_rows(diff, 100, most=99)
        assert len(narrow) == len(rows) + 1

    def test_long_lines_wrap_in_their_half(self) -> None:
        rows, _ = diff_rows(f"@@ -1 +1 @@\n-{'a' * 100}\n+{'b' * 300}\n", 140, most=9)
        assert len(rows) == 5
        assert all("a" not in each.text[70:] for each in rows)
        assert sum(each.text.count("b") for each in rows) == 300

    def test_bounded(self) -> None:
        rows, left = diff_rows("@@ -0,0 +1,50 @@\n" + "+x\n" * 50, 40, most=10)
        assert len(rows) == 10
        assert left == 40


async def long_session(s: Show, rounds: int = 60) -> None:
    await s.play(*opened(), e.GoalStarted(goal=1, text="long"))
    for n in range(1, rounds + 1):
        s.stage.emit(
            e.RoundStarted(model="m"),
            e.TextDelta(text=f"paragraph {n} " + "with words enough for several rows of the screen " * 4),
            e.RoundEnded(wall_ns=5, phases={}, tier="instant"),
        )
    await s.play(e.Notice(level="info", text="the last line"))


async def settled(s: Show) -> None:
    """Wait until every height is estimated for the width."""
    await s.pilot.pause()
    await s.until(lambda: not s.bench.transcript._estimating)
    await s.pilot.pause()


class TestScrolling:
    async def test_follows_lets_go_and_takes_up_again(self, show: Showing) -> None:
        async with show() as s:
            await long_session(s)
            assert "the last line" in s.text
            await s.press("pageup")
            assert not s.bench.transcript.follow
            before = s.text
            await s.play(e.Notice(level="info", text="more at the end"))
            assert "more at the end" not in s.text
            kept = [line for line in before.split("\n")[2:30] if line.strip()]
            assert all(line[:70] in s.text for line in kept)
            for _ in range(3):
                await s.press("pagedown")
            assert s.bench.transcript.follow
            assert "more at the end" in s.text
            await s.play(e.Notice(level="info", text="and it follows"))
            assert "and it follows" in s.text

    async def test_the_wheel_scrolls(self, show: Showing) -> None:
        async with show() as s:
            await long_session(s)
            await s.pilot._post_mouse_events([events.MouseScrollUp], widget="#transcript")
            await s.pilot.pause()
            assert not s.bench.transcript.follow
            assert "the last line" not in s.text

    async def test_start_and_end_by_keys(self, show: Showing) -> None:
        async with show() as s:
            await long_session(s)
            s.bench.transcript.focus()
            await s.press("g")
            assert "❯ long" in s.text
            assert "paragraph 1 " in s.text
            await s.press("j", "j", "k")
            assert s.bench.transcript.scroll_offset.y == 1
            await s.press("G")
            assert "the last line" in s.text
            assert s.bench.transcript.follow

    async def test_every_row_can_be_reached_though_heights_are_guessed(self, show: Showing) -> None:
        async with show() as s:
            await long_session(s)
            seen = s.text
            for _ in range(40):
                await s.press("pageup")
                seen += s.text
            for n in range(1, 61):
                assert f"paragraph {n} " in seen
            assert s.bench.transcript.scroll_offset.y == 0

    async def test_what_is_defined_late_is_laid_out_anew_a_little_at_a_time(
        self, show: Showing, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with show() as s:
            await s.play(*opened(), e.GoalStarted(goal=1, text="long"), e.RoundStarted(model="m"))
            for n in range(30):
                await s.play(e.TextDelta(text=f"{n}: see [the chapter][far] of it.\n\n" + "some words " * 100 + "\n\n"))
            assert len(s.bench.transcript.story.blocks) > 4 * FEW
            transcript, show_place = s.bench.transcript, s.bench.show_place
            at_once, lay_out, told = [], Paged._change, []

            def counted(pager: Paged, blocks: list[int], top: tuple[int, int]) -> None:
                at_once.append(len(blocks))
                lay_out(pager, blocks, top)

            def moved() -> None:
                told.append(len(transcript._late))
                show_place()

            monkeypatch.setattr(Paged, "_change", counted)
            transcript.moved = moved
            await s.play(e.TextDelta(text="[far]: https://a.b/c\n\nThat is all.\n"))
            await s.until(lambda: not (transcript._late or transcript._untold))
            assert sum(at_once) > 4 * FEW
            assert max(at_once) <= 2 * FEW
            assert len(told) < len(at_once) // 2, "once for what is laid out a little at a time"
            assert told[-1] == 0, "when all of it is"
            assert "That is all." in s.text
            s.bench.transcript.focus()
            await s.press("g")
            seen = s.text
            while not s.bench.transcript.at_end:
                await s.press("pagedown")
                seen += s.text
            assert "[far]" not in seen
            assert [n for n in range(30) if f" {n}: see the chapter (a.b) of it." not in seen] == []

    async def test_a_page_up_loses_no_row(self, show: Showing) -> None:
        async with show() as s:
            await long_session(s)
            top = s.text.split("\n")[2][:60]
            await s.press("pageup")
            assert top in s.text

    async def test_another_width_keeps_the_place(self, show: Showing) -> None:
        async with show() as s:
            await long_session(s)
            s.bench.transcript.go_to_round(30)
            await s.pilot.pause()
            assert "◆ 30" in s.text.split("\n")[3]
            await s.pilot.resize_terminal(80, 30)
            await s.pilot.pause()
            assert "◆ 30" in "\n".join(s.text.split("\n")[2:5])
            await s.pilot.resize_terminal(160, 40)
            await s.pilot.pause()
            assert "◆ 30" in "\n".join(s.text.split("\n")[2:5])
            await s.press("ctrl+o", "pageup")
            assert "  end " not in s.text, "nothing came since"
            await s.play(e.RoundStarted(model="m"), e.TextDelta(text="one\n\ntwo"))
            assert re.search("↓ 1 round, [3-6] lines  end ", s.text)

    async def test_the_end_stays_in_sight_whatever_the_size(self, show: Showing) -> None:
        said = "\n\n".join("word " * (n * 7 % 60 + 1) for n in range(30))
        code = "\n".join("x = 1  # " + "long " * (n * 11 % 40) for n in range(30))
        async with show(size=(100, 30)) as s:
            await s.play(*opened(), *first_round()[:3])
            for _ in range(12):
                await s.play(e.TextDelta(text=f"{said}\n\n```python\n{code}\n```\n"))
            for size in [(20, 5), (300, 100), (40, 12), (100, 30)]:
                await s.press("f2")
                await s.pilot.resize_terminal(*size)
                await s.press("escape")
                await settled(s)
                assert s.bench.transcript.follow, size
                assert s.bench.transcript.at_end, size
            for size in [(30, 6), (300, 100), (100, 30)]:
                await s.pilot.resize_terminal(*size)
                await settled(s)
                assert s.bench.transcript.follow, size
            await s.play(e.TextDelta(text="\n\nlast words"))
            assert "last words" in s.text

    async def test_other_sizes_keep_the_words_at_the_top(self, show: Showing) -> None:
        said = " ".join(f"w{n}" for n in range(3_000))
        async with show(size=(100, 30)) as s:
            await s.play(*opened(), *first_round()[:3], e.TextDelta(text=f"{said}\n\n{said}"))
            s.bench.transcript.focus()
            await s.press("g", "pagedown", "pagedown", "pagedown")
            top = s.text.split("\n")[2].split()[0]
            for size in [(40, 12), (200, 50), (60, 16), (20, 5), (100, 30)]:
                await s.pilot.resize_terminal(*size)
                await settled(s)
                assert top in " ".join(s.text.split("\n")[1:4]).split(), size
            assert s.text.split("\n")[2].split()[0] == top

    async def test_a_click_unfolds_one_block(self, show: Showing) -> None:
        async with show() as s:
            await s.play(*opened(), *first_round())
            row = next(n for n, line in enumerate(s.text.split("\n")) if "thought for" in line)
            await s.pilot.click(offset=(6, row))
            await s.pilot.pause()
            assert "The package needs a module and tests." in s.text

    async def test_streaming_while_scrolled_away_shows_all_of_it_at_the_end(self, show: Showing) -> None:
        async with show() as s:
            await long_session(s)
            await s.play(e.RoundStarted(model="m"), request())
            await s.press("pageup")
            for n in range(40):
                s.stage.emit(e.TextDelta(text=f"word{n} "))
            await s.play(e.TextDelta(text="last"))
            s.bench.transcript.action_scroll_to_end()
            await s.pilot.pause()
            joined = s.text.replace("\n", " ")
            assert all(f"word{n} " in joined for n in range(40))

    async def test_the_thumb_goes_where_it_is_dragged(self, show: Showing) -> None:
        async with show() as s:
            await long_session(s)
            thumb, transcript = s.bench.thumb, s.bench.transcript
            places = []
            bottom = thumb.size.height - 1
            assert thumb._top + thumb._length == thumb.size.height, "at the end"
            mouse = [(events.MouseDown, bottom), (events.MouseMove, bottom // 2), (events.MouseMove, 0)]
            for kind, y in [*mouse, (events.MouseMove, bottom // 4), (events.MouseUp, bottom // 4)]:
                await s.pilot._post_mouse_events([kind], widget="#thumb", offset=(0, y), button=1)
                await s.pilot.pause()
                places.append(transcript.scroll_offset.y / transcript.max_scroll_y)
            shares = [1, (bottom // 2) / bottom, 0, (bottom // 4) / bottom, (bottom // 4) / bottom]
            assert places == pytest.approx(shares, abs=0.02)
            assert thumb._top == pytest.approx((thumb.size.height - thumb._length) / 4, abs=1)
            await s.pilot._post_mouse_events([events.MouseMove], widget="#thumb", offset=(0, bottom))
            await s.pilot.pause()
            assert transcript.scroll_offset.y / transcript.max_scroll_y == places[-1], "let go"


async def test_the_same_events_one_by_one_and_at_once_make_the_same_screen(show: Showing) -> None:
    async with show(size=(100, 80)) as s:
        await s.play(*whole())
        at_once = s.text
    async with show(size=(100, 80)) as s:
        for event in whole():
            await s.play(event)
        assert s.text == at_once
