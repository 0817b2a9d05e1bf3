from __future__ import annotations

import asyncio
import signal
from asyncio.subprocess import Process
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from textual import events

from jetbox.engine import events as e
from jetbox.engine.errors import JetboxError
from jetbox.ui import clipboard, slices
from jetbox.ui.clipboard import tool
from jetbox.ui.glyphs import ASCII, UNICODE, Glyphs
from jetbox.ui.text.diff import PART_LINES, DiffLine, diff_parts, parsed
from jetbox.ui.text.heights import Heights
from jetbox.ui.text.rows import Row, flow
from jetbox.ui.transcript import tool as tool_block
from jetbox.ui.transcript.blocks import Look
from jetbox.ui.transcript.find import Find
from jetbox.ui.transcript.story import Story
from jetbox.ui.widgets.marked import Joined, bar_marks, neighbour, news
from jetbox.ui.widgets.thumb import Thumb
from jetbox.ui.widgets.transcript import Transcript
from ui.conftest import Show, Showing
from ui.played import first_round, opened
from ui.states import FAILED
from ui.turns import long_diff

CODE = "Here it **is**:\n```py\nx = 1\n```\nand\n```py\ny = 2\n```\n"


async def rounds(s: Show, count: int = 12) -> None:
    await s.play(*opened(), e.GoalStarted(goal=1, text="long"))
    for n in range(1, count + 1):
        s.stage.emit(
            e.RoundStarted(model="m"),
            e.TextDelta(text=f"paragraph {n} " + "with words enough for several rows " * 9 + f"needle{n}"),
            e.RoundEnded(wall_ns=5, phases={}, tier="instant"),
        )
    await s.play(e.Notice(level="error", text="it broke"), e.TextDelta(text=CODE), e.ModelAnswered(attempt=1))


def copied(s: Show) -> str:
    return s.app.clipboard


async def test_what_a_search_says_is_dated_where_more_came_since(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3])
        await s.press("ctrl+f", *"zebra")
        assert s.bench.search.said == "nothing found"
        await s.play(e.TextDelta(text="Here is a zebra.\n\n"))
        assert s.bench.search.said == "nothing found so far"
        await s.press("enter")
        assert s.bench.search.said == "1 of 1"
        await s.play(e.TextDelta(text="Two zebras.\n\n"))
        assert s.bench.search.said == "1 of 1 so far"


async def test_search_finds_steps_and_unfolds(show: Showing) -> None:
    async with show() as s:
        await rounds(s)
        await s.press("ctrl+f", *"needle1")
        assert "4 of 4" in s.text
        await s.press("enter")
        assert "3 of 4" in s.text
        await s.press("backspace", "3")
        assert "1 of 1" in s.text
        assert "needle3" in s.text
        await s.press("x")
        assert "nothing found" in s.text
        await s.press("backspace", "escape")
        assert not s.bench.search.display
        assert s.bench.prompt.has_focus


async def test_what_was_searched_for_last_is_gone_on_with_or_replaced(show: Showing) -> None:
    async with show() as s:
        await rounds(s)
        await s.press("ctrl+f", *"needle1", "escape", "ctrl+f")
        assert (s.bench.search.wanted, s.bench.search.said) == ("needle1", "4 of 4")
        await s.press("enter")
        assert (s.bench.search.wanted, s.bench.search.said) == ("needle1", "3 of 4")
        await s.press("n")
        assert s.bench.search.wanted == "n"
        await s.press(*"ee", "escape", "ctrl+f", "backspace")
        assert s.bench.search.wanted == ""
        await s.press(*"needle", "ctrl+f")
        await s.app.on_event(events.Paste("needle3"))
        await s.until(lambda: s.bench.search.said == "1 of 1")
        assert s.bench.search.wanted == "needle3"


async def test_what_is_searched_is_typed_in_the_order_of_the_keys(show: Showing) -> None:
    async with show() as s:
        await rounds(s)
        await s.press("ctrl+f", *"needle")
        assert "12 of 12" in s.text

        async def at_once(*keys: str) -> None:  # as a terminal hands them over that had them all at once
            for key in keys:
                s.app.post_message(events.Key(key, key if len(key) == 1 else None))
            await s.pilot.pause()
            await s.pilot.pause()

        await at_once("ctrl+u", *"needle1")
        assert s.bench.search.wanted == "needle1"
        assert "4 of 4" in s.text
        await at_once("enter", "2")
        assert s.bench.search.wanted == "needle12"
        assert "1 of 1" in s.text
        await at_once("escape", "x")
        assert not s.bench.search.display
        assert s.bench.search.wanted == "needle12", "what is typed behind it is not searched for"


async def test_what_is_shown_is_searched_and_not_how_it_was_written(show: Showing) -> None:
    text = "Para with **bold**, *italic* and wo**rd**s &amp; more.\n\n" + "enough words for the row to be broken " * 3
    async with show(size=(60, 30)) as s:
        await s.play(*opened(), e.GoalStarted(goal=1, text="g"), e.TextDelta(text=text), e.ModelAnswered(attempt=1))
        transcript = s.bench.transcript
        for wanted, said in (
            ("bold, italic", "1 of 1"),
            ("words & more", "1 of 1"),
            ("Para With", "nothing found"),
            ("**bold", "nothing found"),
            ("words for the row to be broken enough words for the row to be", "1 of 1"),
        ):
            transcript.seek(wanted)
            await s.pilot.pause()
            assert s.bench.search.said == said, wanted
        index, row, cell = transcript._place_found
        parts = [_marked(transcript, index, at) for at in (row, row + 1)]
        assert all(parts)
        assert " ".join(parts) == "words for the row to be broken enough words for the row to be"
        assert transcript._block(index)[row].text[cell:].startswith(parts[0])


def _marked(transcript: Transcript, index: int, row: int) -> str:
    """What is marked in a row as the present place."""
    strip = transcript._with_marks(transcript._block(index)[row], transcript._heights.top(index) + row)
    marked = transcript._paint["match.current"].bgcolor
    return "".join(each.text for each in strip if each.style is not None and each.style.bgcolor == marked)


def test_a_long_diff_is_read_bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    read, steps = 0, list[int]()

    def counted(text: str) -> Iterator[DiffLine]:
        nonlocal read
        for line in parsed(text):
            read += 1
            yield line

    monkeypatch.setattr(tool_block, "parsed", counted)
    block = tool_block.Tool(e.ToolCalled(call="c9", name="edit_file", arguments='{"path": "x.py"}'))
    block.end(e.ToolEnded(call="c9", state="ok", text="done", diff=long_diff(1950)))
    for _ in block.parts(100, Look(UNICODE, expanded=True)):
        steps.append(read)
        read = 0
    assert 0 < max(steps) <= tool_block.PARSED_LINES < sum(steps) // 4


async def test_a_place_in_a_long_diff_is_looked_for_and_shown_bit_by_bit(show: Showing) -> None:
    now, turns = 0, list[int]()

    def counted(*of: Any, **more: Any) -> Iterator[list[Row]]:
        nonlocal now
        for part in diff_parts(*of, **more):
            now += 1
            yield part

    def whole() -> None:
        nonlocal now
        turn()
        turns.append(now)
        now = 0

    loop: Any = asyncio.get_running_loop()
    turn = loop._run_once
    called = e.ToolCalled(call="c9", name="edit_file", arguments='{"path": "x.py"}', title="edit_file x.py")
    edited = e.ToolEnded(call="c9", state="ok", text="done", diff=long_diff(1950))
    async with show() as s:
        await s.play(*opened(), *first_round()[:3], called, e.ToolStarted(call="c9"), edited, *first_round()[3:])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(slices, "AT_ONCE_S", 0.0)
            patch.setattr(tool_block, "diff_parts", counted)
            patch.setattr(loop, "_run_once", whole)
            await s.press("ctrl+f", *"new line 600", "enter")
            await s.until(lambda: not s.bench.transcript.seeking)
            await s.pilot.pause()
        assert "1 of 1" in s.text
        shown = [line for line in s.text.splitlines() if "new line 600 with" in line]
        assert len(shown) == 1
        assert max(turns) <= 2 * s.bench.transcript.size.height // PART_LINES + 2 < sum(turns) // 8
        assert sum(turns) < 2 * 1950 // PART_LINES, "laid out once, however many letters were typed"


def test_a_place_has_a_part_in_each_of_its_rows() -> None:
    rows = flow((("aa bb ccccccccc dd", ""),), 8, first=(("- ", ""),), rest=(("  ", ""),))
    assert [row.text for row in rows] == ["- aa bb", "  cccccc", "  ccc dd"]
    joined = Joined(rows)
    assert list(joined.places("b ccccccccc", folded=True)) == [[(0, 6, 7), (1, 2, 8), (2, 2, 5)]]
    assert list(joined.places(" c", folded=True)) == [[(0, 7, 7), (1, 2, 3)]]
    assert list(joined.places("c d", folded=True)) == [[(2, 4, 7)]]


async def test_what_is_folded_is_found_and_unfolded(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round())
        assert "needs a module" not in s.text
        s.bench.transcript.seek("needs a module")
        await s.pilot.pause()
        assert "The package needs a module and tests." in s.text


async def test_keys_go_from_round_to_round_and_copy_code(show: Showing, monkeypatch: pytest.MonkeyPatch) -> None:
    async with show() as s:
        await rounds(s)
        transcript = s.bench.transcript
        transcript.focus()
        await s.press("g", "}", "}")
        assert "◆ 2" in "\n".join(s.text.split("\n")[2:5])
        await s.press("{")
        assert "◆ 1 " in "\n".join(s.text.split("\n")[2:5])
        await s.press("{")
        assert "no round above" in s.text
        await s.press("[")
        assert "no error or red verdict above" in s.text
        await s.press("G", "c")
        assert copied(s) == "y = 2"
        await s.press("c")
        assert copied(s) == "x = 1"
        await s.press("c")
        assert "no code before that; again: the last one" in s.text
        await s.press("y")
        assert copied(s) == CODE.strip()
        await s.play(e.Notice(level="info", text="a word behind it"))
        with monkeypatch.context() as patch:
            patch.setattr(slices, "AT_ONCE_S", -1.0)  # the second time before the first is done
            transcript.action_copy_code()
            transcript.action_copy_code()
            await s.until(lambda: copied(s) == "x = 1")
            for _ in range(2):  # beyond the last code, and again from the end
                transcript.action_copy_code()
            await s.until(lambda: transcript._copying is None)
            assert copied(s) == "y = 2"
        transcript.restart()
        await s.press("y")
        assert "no answer to copy" in s.text
        await s.press("c")
        assert "no code to copy" in s.text


async def test_code_in_which_something_is_told_stays_in_one_piece(show: Showing) -> None:
    code = [f"x{n} = {n}" for n in range(600)]
    verdict = e.ProbeStarted(name="ruff"), e.ProbeEnded(name="ruff", state="failed", cache="ran")
    async with show() as s:
        await s.play(*opened(), e.GoalStarted(goal=1, text="long"), e.RoundStarted(model="m"))
        await s.play(e.TextDelta(text="So:\n```py\n" + "\n".join(code[:10])))
        await s.play(e.Notice(level="error", text="the disk is full"), *verdict)
        await s.play(e.TextDelta(text="\n" + "\n".join(code[10:400])))
        await s.play(e.TextDelta(text="\n" + "\n".join(code[400:]) + "\n```\nThat is it."), e.ModelAnswered(attempt=1))
        s.bench.transcript.focus()
        story = s.bench.transcript.story
        assert [story.blocks[n].source() for n in story.alarms] == ["the disk is full", "ruff failed"]
        lines = s.text.split("\n")
        told = next(n for n, line in enumerate(lines) if "disk is full" in line)
        assert any("That is it." in line for line in lines[:told]), "it stands below what streams"
        await s.press("c")
        assert copied(s) == "\n".join(code)


async def test_what_is_read_below_streaming_code_stays_where_it_is(show: Showing) -> None:
    code = [f"x{n} = {n}" for n in range(600)]
    listed = "".join(f"a file {n}\n" for n in range(90))
    shell = e.ShellStarted(call="s1", command="ls"), e.ShellEnded(call="s1", state="ok", text=listed)
    async with show() as s:
        await s.play(*opened(), e.GoalStarted(goal=1, text="long"), e.RoundStarted(model="m"))
        await s.play(e.TextDelta(text="So:\n```py\n" + "\n".join(code[:10])), *shell)
        transcript, story = s.bench.transcript, s.bench.transcript.story
        transcript.unfold(len(story.blocks) - 1)
        transcript.scroll_relative(y=20, animate=False, force=True)
        await s.until(lambda: transcript.scroll_y == transcript.scroll_target_y)
        transcript.follow = False
        assert story.blocks[transcript._anchor()[0]].source().startswith("ls")

        def found() -> str:
            index, row, _ = transcript._place_found
            return transcript._block(index)[row].text.strip()

        transcript.seek("5")
        await s.until(lambda: not transcript.seeking)
        assert found() == "a file 85"
        for kind, x, y in ((events.MouseDown, 0, 3), (events.MouseMove, 40, 4), (events.MouseUp, 40, 4)):
            await s.pilot._post_mouse_events([kind], widget="#transcript", offset=(x, y), button=1)
        await s.until(lambda: copied(s).startswith("a file "))
        chosen = copied(s)
        told, place = transcript.rows_since, transcript._anchor()[1]
        await s.play(e.TextDelta(text="\n" + "\n".join(code[10:])))
        assert story.blocks[transcript._anchor()[0]].source().startswith("ls")
        assert (transcript._anchor()[1], transcript.rows_since) == (place, told)
        assert found() == "a file 85"
        transcript.seek("5", -1)
        await s.until(lambda: not transcript.seeking)
        assert found() == "a file 75", "more places above are no reason to leave one out"
        s.app.copy_to_clipboard("")
        transcript.action_copy()
        await s.until(lambda: copied(s))
        assert copied(s) == chosen
        transcript.toggle_expanded()
        transcript.toggle_expanded()
        assert not any(block.expanded for block in story.blocks)


async def test_keys_copy_and_unfold_a_card_and_open_a_link(show: Showing, monkeypatch: pytest.MonkeyPatch) -> None:
    opened_urls: list[str] = []
    async with show() as s:
        monkeypatch.setattr(s.app, "open_url", opened_urls.append)
        text = e.TextDelta(text="See [one](https://one.example/a) and <https://two.example>.")
        await s.play(*opened(), *first_round(), text, e.ModelAnswered(attempt=1))
        s.bench.transcript.focus()
        await s.press("alt+o", "alt+o", "alt+o")
        assert opened_urls == ["https://two.example", "https://one.example/a", "https://two.example"]
        seen = []
        for _ in range(12):
            await s.press("alt+y")
            seen.append(copied(s))
        assert any(each.startswith("write_file mathx/__init__.py") and "+def add" in each for each in seen)
        assert "Create mathx package with add and multiply, add tests." in seen
        assert "The package needs a module and tests." in seen


async def test_enter_unfolds_the_card_in_sight_and_folds_it(show: Showing) -> None:
    async with show() as s:
        diff = "--- a/x.py\n+++ b/x.py\n@@ -1,40 +1,40 @@\n" + "".join(f"-old {n}\n+new {n}\n" for n in range(40))
        called = e.ToolCalled(call="c9", name="edit_file", arguments='{"path": "x.py"}', title="edit_file x.py")
        ended = e.ToolEnded(call="c9", state="ok", text="done", diff=diff)
        await s.play(*opened(), *first_round()[:3], called, e.ToolStarted(call="c9"), ended)
        s.bench.transcript.focus()
        folded, before = s.bench.transcript._heights.total, s.text
        assert "new 39" not in s.text
        await s.press("enter")
        assert s.bench.transcript._heights.total > folded + 40
        await s.press("end")
        assert "new 39" in s.text
        await s.press("enter")
        assert s.bench.transcript._heights.total == folded
        await s.press("end")
        assert s.text == before


async def test_what_is_new_below_is_said_while_it_does_not_follow(show: Showing) -> None:
    async with show() as s:
        await rounds(s)
        await s.press("pageup")
        assert "↓" not in s.text
        await s.play(e.RoundStarted(model="m"), e.TextDelta(text="more\n\nof it"), e.ModelAnswered(attempt=1))
        assert "↓ 1 round" in s.text
        s.bench.transcript.action_scroll_to_end()
        await s.pilot.pause()
        assert "↓ 1 round" not in s.text


async def test_dragging_selects_and_copies_lines_as_they_were_written(show: Showing) -> None:
    async with show(size=(60, 30)) as s:
        words = "words enough to be broken into several rows of a narrow screen"
        await s.play(*opened(), e.GoalStarted(goal=1, text="g"), e.TextDelta(text=words), e.ModelAnswered(attempt=1))
        transcript = s.bench.transcript
        row = next(n for n, strip in enumerate(transcript._block(transcript._anchor()[0])) if n == 0)
        index = next(n for n, b in enumerate(transcript.story.blocks) if b.source() == words)
        top = transcript._heights.top(index) + row - transcript.scroll_offset.y
        for kind, x, y in ((events.MouseDown, 2, top), (events.MouseMove, 40, top + 1), (events.MouseUp, 40, top + 1)):
            await s.pilot._post_mouse_events([kind], widget="#transcript", offset=(x, y), button=1)
        await s.pilot.pause()
        assert copied(s) == words[: len(copied(s))]
        assert len(copied(s)) > 50


async def test_the_mouse_held_beyond_an_edge_marks_on(show: Showing) -> None:
    async with show(size=(60, 30)) as s:
        said = "\n\n".join(f"paragraph {n}" for n in range(100))
        await s.play(*opened(), e.GoalStarted(goal=1, text="g"), e.TextDelta(text=said), e.ModelAnswered(attempt=1))
        transcript = s.bench.transcript
        transcript.focus()
        await s.press("g")
        row = next(n for n, line in enumerate(s.text.split("\n")) if "paragraph 3 " in line) - transcript.region.y
        below = transcript.size.height + 1
        for kind, y in ((events.MouseDown, row), (events.MouseMove, below)):
            await s.pilot._post_mouse_events([kind], widget="#transcript", offset=(2, y), button=1)
        await s.until(lambda: transcript.at_end)
        await s.pilot._post_mouse_events([events.MouseMove], widget="#transcript", offset=(2, -2), button=1)
        await s.until(lambda: not transcript.scroll_offset.y)
        moves = [events.MouseMove, events.MouseUp]
        await s.pilot._post_mouse_events(moves, widget="#transcript", offset=(30, row + 2), button=1)
        await s.pilot.pause()
        assert copied(s) == "paragraph 3\n\nparagraph 4"
        assert transcript._pulling is None


@pytest.mark.parametrize(
    ("x", "code"),
    [
        (5, "def f(x):\n    if x:\n        return 1"),
        (9, "f(x):\n    if x:\n        return 1"),
        (0, "def f(x):\n    if x:\n        return 1"),
    ],
)
async def test_dragging_over_code_keeps_its_indentation(show: Showing, x: int, code: str) -> None:
    async with show(size=(60, 30)) as s:
        text = "```python\ndef f(x):\n    if x:\n        return 1\n```"
        await s.play(*opened(), e.GoalStarted(goal=1, text="g"), e.TextDelta(text=text), e.ModelAnswered(attempt=1))
        lines = s.text.split("\n")
        row, end = (next(n for n, line in enumerate(lines) if said in line) for said in ("def f", "return 1"))
        indent = lines[row].index("def")
        at, region = indent + x - 5 if x else 0, s.bench.transcript.region
        for kind, column, line in (
            (events.MouseDown, at, row),
            (events.MouseMove, 40, end),
            (events.MouseUp, 40, end),
        ):
            offset = (max(0, column - region.x), line - region.y)
            await s.pilot._post_mouse_events([kind], widget="#transcript", offset=offset, button=1)
        await s.pilot.pause()
        assert copied(s) == code


def test_the_bar_marks_errors_and_as_many_rounds_as_there_is_room_for() -> None:
    story = Story()
    story.headers, story.alarms, story.reds = [0, 40], [70, 80, 90], [80, 90]
    marks = {0: "round", 4: "round", 7: "error", 8: "red", 9: "red"}
    assert bar_marks(story, Heights([1] * 100), 10) == marks
    story.headers = list(range(0, 100, 5))
    marks = {2: "round", 4: "round", 7: "error", 8: "red", 9: "red"}
    assert bar_marks(story, Heights([1] * 100), 10) == marks, "every fifth: the tenth would be one mark in ten rows"
    assert bar_marks(story, Heights([1] * 5), 10) == {}


def test_the_bar_marks_few_blocks_in_the_rows_in_which_it_marks_many() -> None:
    heights = Heights([n % 7 for n in range(60)])
    total = heights.total
    for rows in (3, 10, 31):
        after = [heights.find((n + 1) * total // rows - 1)[0] for n in range(rows)]
        for index in range(60):
            story = Story()
            story.alarms = [index]
            where = next((n for n in range(rows) if after[n] >= index), None)
            assert bar_marks(story, heights, rows) == ({} if where is None else {where: "error"})


async def test_the_bar_marks_a_round_where_it_is_when_one_block_grew_by_what_another_lost(show: Showing) -> None:
    async with show(size=(120, 24)) as s:
        await rounds(s)
        transcript = s.bench.transcript
        before, heights = transcript.marks(40), transcript._heights
        blocks = [0, transcript.story.headers[-1]]
        total, change = heights.total, heights[blocks[1]]
        for index, by in zip(blocks, (change, -change), strict=True):
            heights.set(index, heights[index] + by)
        assert heights.total == total
        assert transcript.marks(40) == bar_marks(transcript.story, heights, 40) != before


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_an_error_a_red_verdict_and_a_round_are_told_apart_by_their_signs_alone(glyphs: Glyphs) -> None:
    thumb = Thumb(glyphs)
    rows = [thumb._row(mark, inside) for mark in ("error", "red", "round", "") for inside in (False, True)]
    signs = [each.text.strip() for each in rows]
    assert len({*signs}) == 5, "and from the thumb and the empty track"
    assert signs[0] == signs[1]
    assert signs[2] == signs[3]
    assert rows[0].pieces[0][1] != rows[2].pieces[0][1]


async def test_what_failed_a_goal_is_found_by_the_key_for_errors_and_long_waits_have_their_unit(show: Showing) -> None:
    async with show(size=(120, 24)) as s:
        await rounds(s)
        await s.play(e.RoundStarted(model="m"), e.Waiting(what="retrying", detail="nothing answers at :11434"))
        assert "trying again: nothing answers at :11434" in s.text
        minutes = 15 * 60 * 10**9
        ended = e.RoundEnded(wall_ns=minutes, phases={"waiting for you": minutes, "tools": 9 * 10**9}, tier="slow")
        await s.play(ended, FAILED)
        assert "tools 9000 · waiting for you 15m 00s" in s.text
        s.bench.transcript.focus()
        await s.press("g", "right_square_bracket", "right_square_bracket")
        assert "failed: nothing answers" in s.text
        assert "error" in s.bench.transcript.marks(20).values()


def test_neighbours_and_news() -> None:
    assert neighbour([2, 5], 2, 1) == 5
    assert neighbour([2, 5], 5, -1) == 2
    assert neighbour([2, 5], 5, 1) is None
    story = Story()
    story.headers, story.alarms, story.reds = [0, 4, 8], [2, 9, 10, 11], [2, 11]
    assert news(story, 4, 12) == "2 rounds, 1 red, 2 failed, 12 lines"
    assert news(story, 11, 12) == "1 red, 12 lines"


def test_a_search_is_over_after_its_slices_and_goes_around() -> None:
    story = Story()
    for n in range(5):
        story.notice("info", f"Word {n % 2}")
    find = Find(story, "word 1")
    while find.go_on():
        pass
    assert find.blocks == [1, 3]
    assert [find.step(-1, 4), find.step(-1, 4), find.step(-1, 4)] == [3, 1, 3]
    assert find.said == "2 of 2"


def test_a_running_command_shows_as_many_rows_as_an_ended_one_and_unfolds() -> None:
    story = Story()
    story.apply(e.Stamped(0, 0, 0, e.ShellStarted(call="s", command="make")))
    story.apply(e.Stamped(1, 0, 0, e.ToolOutput(call="s", text="".join(f"line {n}\n" for n in range(300)))))
    folded, unfolded = (
        [each.text.strip() for each in story.blocks[0].layout(80, Look(UNICODE, expanded=expanded, unfolds="^O"))]
        for expanded in (False, True)
    )
    assert folded[2:] == ["… 280 more lines  ^O expands", *(f"line {n}" for n in range(280, 300))]
    assert unfolded[2:] == ["… 200 more lines", *(f"line {n}" for n in range(200, 300))]


def test_what_a_tool_says_of_its_failure_breaks_between_words() -> None:
    story = Story()
    story.apply(e.Stamped(0, 0, 0, e.ToolCalled(call="c", name="edit_file", arguments="{}", title="edit_file a.py")))
    said = "the text to be replaced was not found in the file: read it again"
    story.apply(e.Stamped(1, 0, 0, e.ToolEnded(call="c", state="failed", text=said)))
    rows = [each.text for each in story.blocks[0].layout(30, Look(UNICODE))][1:]
    assert " ".join(each.strip() for each in rows) == said


async def test_a_clipboard_tool_that_hangs_is_ended_and_nobody_waits_for_it(
    show: Showing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "xclip"
    script.write_text("#!/bin/sh\nexec sleep 600\n")
    script.chmod(0o755)
    monkeypatch.setattr(clipboard, "tool", lambda environ, platform: (str(script),))
    monkeypatch.setattr(clipboard, "WAIT_S", 0.01)
    begun: list[Process] = []
    begin = asyncio.create_subprocess_exec

    async def begins(*command: str, **options: Any) -> Process:
        begun.append(await begin(*command, **options))
        return begun[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", begins)
    with pytest.raises(JetboxError, match="did not take it"):
        await clipboard.copy_natively("text")
    assert begun[0].returncode == -signal.SIGKILL

    over = asyncio.Event()

    async def never(text: str) -> str:
        await over.wait()
        return ""

    monkeypatch.setattr(clipboard, "copy_natively", never)
    async with show() as s:
        await s.play(*opened())
        s.bench.transcript.post_message(s.bench.transcript.Copied("text", "a word"))
        await s.press("x")
        assert s.bench.prompt.text == "x"
        assert not over.is_set()
        over.set()


def test_the_clipboard_s_tool_is_that_of_the_desktop() -> None:
    assert tool({"WAYLAND_DISPLAY": "w", "DISPLAY": ":0"}, "linux") == ("wl-copy",)
    assert tool({"SSH_CONNECTION": "a", "DISPLAY": ":0"}, "linux") == ()
    assert tool({}, "darwin") == ("pbcopy",)
    assert tool({"TMUX": "x"}, "linux")[0] == "tmux"
